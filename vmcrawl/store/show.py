"""What is known of one domain: its row of the ledger, and all that bears on why it is, or is not, published."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import psycopg
from psycopg.rows import class_row

from vmcrawl.domain import Domain


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One row of ``domains``."""

    domain: Domain
    source: str
    added_at: datetime
    outcome: str | None
    detail: str | None
    alias_of: Domain | None
    failures: int
    due_at: datetime
    retry_after_until: datetime | None
    leased_until: datetime | None
    lease_holder: str | None
    lease_run: int | None
    wanted_by: int | None
    suspect: bool
    nodeinfo_url: str | None
    last_crawled_at: datetime | None
    #: The run that crawled it last.
    crawled_in: int | None
    #: Until then one request is enough for a look at it; None: all of it is looked at.
    trusted_until: datetime | None


@dataclass(frozen=True, slots=True)
class Sighting:
    """The last good look at a server, and what its version means."""

    software: str
    fork: str | None
    version: str
    upstream_version: str | None
    release: str | None
    branch: str | None
    support: str | None
    patched: bool | None
    #: Since when there was something newer to go to: a release of its branch, for a build of main also the
    #: fix on main. None for what is patched.
    fix_available_on: date | None
    active_users: int
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class HostRules:
    """What the robots.txt of a host says of us, as it was read last."""

    host: str
    read_at: datetime
    #: As :func:`vmcrawl.robots.reduce_robots` wrote it; "" if nothing is forbidden.
    rules: str


@dataclass(frozen=True, slots=True)
class Change:
    """One move from one version to another, as it was seen."""

    from_version: str
    to_version: str
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class OpenAdvisory:
    """An advisory that touches what a server runs, and where a fix is; None where no release fixes it."""

    ghsa_id: str
    severity: str | None
    fixed_in: str | None
    fix_released_on: date | None


@dataclass(frozen=True, slots=True)
class Cover:
    """An entry of ``exclusions`` or ``dni`` that bears on a domain: its own, or one of a name above it."""

    #: ``exclusion``, ``hard`` or ``soft``.
    kind: str
    domain: Domain
    note: str


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of one domain; from these facts follows why it is, or is not, published."""

    row: LedgerRow
    sighting: Sighting | None
    covers: Sequence[Cover]
    retention: timedelta
    #: It is in ``instances``.
    published: bool
    #: It is in ``public_instances``, too.
    listed: bool
    #: Of the version in ``sighting``, newest first.
    advisories: Sequence[OpenAdvisory]
    #: The last twenty, newest first.
    changes: Sequence[Change]
    #: Of the domain and of the host that serves its NodeInfo, as far as they were ever read.
    robots: Sequence[HostRules]
    #: Domains that are other names of it, by name, and how many there are; no more than twenty are listed.
    aliases: Sequence[Domain]
    alias_count: int
    #: The machine that has it under lease; None if nobody has, or nobody knows.
    leased_on: str | None


def covers_of(connection: psycopg.Connection, domain: Domain) -> list[Cover]:
    """The entries of exclusions and DNI list that bear on a domain, which need not be in the ledger."""
    with connection.cursor(row_factory=class_row(Cover)) as cursor:
        return cursor.execute(_COVERS, {"domain": domain}).fetchall()


def show(connection: psycopg.Connection, domain: Domain) -> Known | None:
    """Everything about ``domain``; None if it is not in the ledger."""
    with connection.cursor(row_factory=class_row(LedgerRow)) as cursor:
        row = cursor.execute(_ROW, [domain]).fetchone()
    if row is None:
        return None
    with connection.cursor(row_factory=class_row(Sighting)) as cursor:
        sighting = cursor.execute(_SIGHTING, [domain]).fetchone()
    facts = connection.execute(_PUBLISHED, {"domain": domain}).fetchone()
    assert facts is not None
    with connection.cursor(row_factory=class_row(OpenAdvisory)) as cursor:
        advisories = cursor.execute(_ADVISORIES, [domain]).fetchall()
    with connection.cursor(row_factory=class_row(Change)) as cursor:
        changes = cursor.execute(_CHANGES, [domain]).fetchall()
    with connection.cursor(row_factory=class_row(HostRules)) as cursor:
        robots = cursor.execute(_ROBOTS, {"domain": domain, "nodeinfo_url": row.nodeinfo_url}).fetchall()
    aliases = connection.execute(_ALIASES, [domain]).fetchall()
    retention, published, listed = facts
    return Known(
        row,
        sighting,
        covers_of(connection, domain),
        retention,
        published,
        listed,
        advisories,
        changes,
        robots,
        [name for name, _ in aliases],
        aliases[0][1] if aliases else 0,
        _leased_on(connection, row),
    )


def _leased_on(connection: psycopg.Connection, row: LedgerRow) -> str | None:
    if row.lease_holder is None:
        return None
    # Crawlers are other processes than the part of the run that started them, but of the same boot and PID namespace.
    place = "/".join(row.lease_holder.split("/")[:2]) + "/"
    found = connection.execute(
        "SELECT machine FROM run_parts WHERE run_id = %s AND starts_with(part, %s) LIMIT 1", [row.lease_run, place]
    ).fetchone()
    return None if found is None else str(found[0])


_ROW = """
SELECT domain, source, added_at, outcome, detail, alias_of, failures, due_at, retry_after_until, leased_until,
       lease_holder, lease_run, wanted_by, suspect, nodeinfo_url, last_crawled_at, crawled_in, trusted_until
FROM domains WHERE domain = %s
"""
_SIGHTING = """
SELECT v.software, v.fork, v.version, v.upstream_version, v.release, v.branch, v.support, v.patched,
       v.fix_available_on, s.active_users, s.first_seen_at, s.last_seen_at
FROM sightings AS s JOIN versions AS v ON v.id = s.version_id WHERE s.domain = %s
"""
_ADVISORIES = """
SELECT ghsa_id, a.severity, e.fixed_in, e.fix_released_on
FROM sightings AS s JOIN version_advisories AS e USING (version_id) LEFT JOIN advisories AS a USING (ghsa_id)
WHERE s.domain = %s ORDER BY a.published DESC NULLS LAST, ghsa_id
"""
_CHANGES = """
SELECT from_version, to_version, observed_at FROM version_changes
WHERE domain = %s ORDER BY observed_at DESC LIMIT 20
"""
_COVERS = """
SELECT 'exclusion' AS kind, domain, reason AS note FROM exclusions
WHERE domain = ANY (lineage(%(domain)s)) AND (domain = %(domain)s OR subdomains)
UNION ALL
SELECT severity, domain, comment FROM dni WHERE domain = ANY (lineage(%(domain)s))
ORDER BY 1, 2
"""
_PUBLISHED = """
SELECT retention,
       EXISTS (SELECT FROM instances WHERE domain = %(domain)s),
       EXISTS (SELECT FROM public_instances WHERE domain = %(domain)s)
FROM publication
"""
_ROBOTS = """
SELECT host, read_at, rules FROM robots
WHERE host IN (%(domain)s, substring(%(nodeinfo_url)s from '^https://([^/:?#]+)')) ORDER BY host <> %(domain)s
"""
# A look through the whole ledger, for one person: no reason for an index that each verdict would pay for.
_ALIASES = """
SELECT domain, count(*) OVER () FROM domains WHERE alias_of = %s ORDER BY domain LIMIT 20
"""
