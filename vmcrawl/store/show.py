"""What is known: of one domain and why it is or is not published, of the queue, of outcomes and versions."""

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
    wanted_by: int | None
    suspect: bool
    nodeinfo_url: str | None
    last_crawled_at: datetime | None


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
    #: The last ten, newest first.
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class Queue:
    """How much work there is."""

    domains: int
    due: int
    leased: int
    suspects: int
    #: When the next domain falls due; None if something is due now, or the ledger is empty.
    next_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class VersionCount:
    """Published instances of one branch, fork and version."""

    branch: str | None
    support: str | None
    fork: str | None
    release: str | None
    patched: bool | None
    instances: int
    active_users: int


def show(connection: psycopg.Connection, domain: Domain) -> Known | None:
    """Everything about ``domain``; None if it is not in the ledger."""
    with connection.cursor(row_factory=class_row(LedgerRow)) as cursor:
        row = cursor.execute(_ROW, [domain]).fetchone()
    if row is None:
        return None
    with connection.cursor(row_factory=class_row(Sighting)) as cursor:
        sighting = cursor.execute(_SIGHTING, [domain]).fetchone()
    with connection.cursor(row_factory=class_row(Cover)) as cursor:
        covers = cursor.execute(_COVERS, {"domain": domain}).fetchall()
    facts = connection.execute(_PUBLISHED, {"domain": domain}).fetchone()
    assert facts is not None
    with connection.cursor(row_factory=class_row(OpenAdvisory)) as cursor:
        advisories = cursor.execute(_ADVISORIES, [domain]).fetchall()
    with connection.cursor(row_factory=class_row(Change)) as cursor:
        changes = cursor.execute(_CHANGES, [domain]).fetchall()
    retention, published, listed = facts
    return Known(row, sighting, covers, retention, published, listed, advisories, changes)


def outcome_counts(connection: psycopg.Connection) -> dict[str | None, int]:
    """Domains of the ledger by their last outcome, most frequent first; None: never crawled."""
    return dict(connection.execute("SELECT outcome, count(*) FROM domains GROUP BY outcome ORDER BY 2 DESC, 1"))


def queue(connection: psycopg.Connection, now: datetime) -> Queue:
    """How many domains there are, due, being crawled, and under suspicion. Reads the whole ledger: for people."""
    with connection.cursor(row_factory=class_row(Queue)) as cursor:
        counted = cursor.execute(_QUEUE, {"now": now}).fetchone()
    assert counted is not None
    return counted


def version_counts(connection: psycopg.Connection) -> list[VersionCount]:
    """Published instances by branch, fork and release, those with most instances first."""
    with connection.cursor(row_factory=class_row(VersionCount)) as cursor:
        return cursor.execute(_VERSION_COUNTS).fetchall()


_ROW = """
SELECT domain, source, added_at, outcome, detail, alias_of, failures, due_at, retry_after_until, leased_until,
       lease_holder, wanted_by, suspect, nodeinfo_url, last_crawled_at
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
WHERE domain = %s ORDER BY observed_at DESC LIMIT 10
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
_QUEUE = """
SELECT count(*) AS domains,
       count(*) FILTER (WHERE due_at <= %(now)s AND (leased_until IS NULL OR leased_until <= %(now)s)
                          AND (retry_after_until IS NULL OR retry_after_until <= %(now)s)) AS due,
       count(*) FILTER (WHERE leased_until > %(now)s) AS leased,
       count(*) FILTER (WHERE suspect) AS suspects,
       CASE WHEN count(*) FILTER (WHERE due_at <= %(now)s) = 0 THEN min(due_at) END AS next_due_at
FROM domains
"""
_VERSION_COUNTS = """
SELECT branch, support, fork, release, patched, count(*) AS instances, sum(active_users)::bigint AS active_users
FROM instances
GROUP BY branch, support, fork, release, patched
ORDER BY instances DESC, branch, fork, release
"""
