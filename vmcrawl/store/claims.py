"""Who crawls what: leases on due domains, so that any number of processes never crawl one twice."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from vmcrawl.domain import Domain
from vmcrawl.exclusion import Exclusions
from vmcrawl.observation import LastLook, RobotsRecord

_ROBOTS_LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Claim:
    """A domain that is ours to crawl until the lease ends, and what earlier crawls know that this one can use."""

    domain: Domain
    #: Failures in a row before this crawl.
    failures: int
    #: The last look, if it was good and is still trusted.
    last: LastLook | None
    #: Rules of the domain itself and of the host in ``nodeinfo_url``, as far as they are young enough to hold.
    robots: tuple[RobotsRecord, ...]


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a run."""

    #: There is something to claim, suspect or not.
    due: bool
    #: Somebody has something of it under lease, alive or not.
    in_flight: bool


def claim(
    connection: psycopg.Connection,
    holder: str,
    limit: int,
    now: datetime,
    lease: timedelta,
    *,
    run_id: int,
    named: bool = False,
    suspects: bool = False,
    isolated: bool = False,
    due_before: datetime | None = None,
    robots_lifetime: timedelta = _ROBOTS_LIFETIME,
) -> list[Claim]:
    """Lease up to ``limit`` due domains to ``holder``, a process of run ``run_id``, until ``now + lease``.

    Longest due first; one statement. The due time moves, too: a domain that kills its crawler is not first in line
    again. With ``named`` only domains that :mod:`vmcrawl.store.wants` marked for this run; with ``suspects`` only
    domains that were in flight when their process died, otherwise only others; of suspects, only those that have to be
    ``isolated``, or only others; with ``due_before`` nothing that fell due after that moment. Domains under another
    lease, and those that asked us to stay away for a time, are left alone.

    Rows that others are just claiming are passed over, so fewer than ``limit`` does not mean that no more are due.
    While crawlers are to pause (:mod:`vmcrawl.store.pause`) nobody gets anything.
    """
    rows = connection.execute(
        _CLAIM[named, suspects],
        {
            "holder": holder,
            "limit": limit,
            "now": now,
            "until": now + lease,
            "run_id": run_id,
            "due_before": now if due_before is None else min(now, due_before),
            "isolated": isolated,
            "rules_since": now - robots_lifetime,
        },
    )
    return [_claim(*row) for row in rows]


def renew(connection: psycopg.Connection, holder: str, until: datetime) -> int:
    """Prolong every lease of ``holder``; returns how many there are. Does not touch an index (a HOT update)."""
    return connection.execute(
        "WITH held AS MATERIALIZED ("
        " SELECT domain FROM domains WHERE lease_holder = %(holder)s ORDER BY domain FOR UPDATE)"
        " UPDATE domains SET leased_until = %(until)s FROM held WHERE domains.domain = held.domain",
        {"holder": holder, "until": until},
    ).rowcount


def release(connection: psycopg.Connection, holder: str, domains: Collection[Domain] | None = None) -> int:
    """Give leases of ``holder`` back, all or those of ``domains``; returns how many.

    They are due again as when their run began, so that others who work on it can take them.
    """
    return connection.execute(
        "WITH held AS MATERIALIZED ("
        " SELECT domain FROM domains"
        " WHERE lease_holder = %(holder)s AND (%(domains)s::text[] IS NULL OR domain = ANY (%(domains)s))"
        " ORDER BY domain FOR UPDATE)"
        " UPDATE domains SET leased_until = NULL, lease_holder = NULL, lease_run = NULL,"
        " due_at = least(due_at, coalesce((SELECT started_at FROM runs WHERE runs.id = domains.lease_run), now()))"
        " FROM held WHERE domains.domain = held.domain",
        {"holder": holder, "domains": None if domains is None else list(domains)},
    ).rowcount


def release_dead(connection: psycopg.Connection, holder: str) -> int:
    """Give back what a process held that died, all under suspicion of having killed it; returns how many.

    What was suspect already is to be crawled in isolation: who has it in flight has nothing else, in any process.
    """
    with connection.transaction():
        row = connection.execute(
            "WITH held AS MATERIALIZED ("
            " SELECT domain FROM domains WHERE lease_holder = %(holder)s ORDER BY domain FOR UPDATE),"
            " suspected AS ("
            " UPDATE domains SET isolated = suspect, suspect = true FROM held"
            " WHERE domains.domain = held.domain RETURNING 1)"
            " SELECT count(*) FROM suspected",
            {"holder": holder},
        ).fetchone()
        release(connection, holder)
    return 0 if row is None else int(row[0])


def held_by(
    connection: psycopg.Connection, holder: str, *, suspect: bool | None = None, isolated: bool | None = None
) -> list[Claim]:
    """What ``holder`` has under lease, all or what is (not) suspect or isolated, without the rules of robots.txt."""
    rows = connection.execute(
        "SELECT domain, failures FROM domains WHERE lease_holder = %(holder)s"
        " AND (%(suspect)s::boolean IS NULL OR suspect = %(suspect)s)"
        " AND (%(isolated)s::boolean IS NULL OR isolated = %(isolated)s) ORDER BY domain",
        {"holder": holder, "suspect": suspect, "isolated": isolated},
    )
    return [Claim(Domain(domain), failures, None, ()) for domain, failures in rows]


def holders(connection: psycopg.Connection, run_id: int | None = None) -> list[tuple[str, datetime]]:
    """Everybody who has a lease, of one run or of any, and until when; all that one holds is renewed together."""
    return connection.execute(
        "SELECT lease_holder, max(leased_until) FROM domains"
        " WHERE lease_holder IS NOT NULL AND (%(run_id)s::bigint IS NULL OR lease_run = %(run_id)s)"
        " GROUP BY lease_holder ORDER BY lease_holder",
        {"run_id": run_id},
    ).fetchall()


def count_due(
    connection: psycopg.Connection,
    now: datetime,
    *,
    run_id: int | None = None,
    named: bool = False,
    suspects: bool = False,
    isolated: bool | None = None,
    due_before: datetime | None = None,
) -> int:
    """Count what :func:`claim` could lease now; all that is named means the same, ``isolated`` None either."""
    row = connection.execute(
        f"SELECT count(*) FROM domains WHERE {_FREE} AND suspect = %(suspects)s"
        " AND (%(isolated)s::boolean IS NULL OR isolated = %(isolated)s)"
        " AND (NOT %(named)s OR wanted_by = %(run_id)s)",
        {
            "now": now,
            "due_before": due_before or now,
            "run_id": run_id,
            "named": named,
            "suspects": suspects,
            "isolated": isolated,
        },
    ).fetchone()
    return 0 if row is None else int(row[0])


def count_all_due(connection: psycopg.Connection, now: datetime) -> int:
    """Count what a run that covers whatever is due has before it, suspects among it; an index serves each."""
    return count_due(connection, now) + count_due(connection, now, suspects=True)


def what_is_left(connection: psycopg.Connection, run_id: int, now: datetime, due_before: datetime) -> Left:
    """What a run that covers whatever was due before a moment has not come to yet, all as of one instant.

    One statement: read one after the other, a domain that is claimed or given back in between would be in neither.
    """
    row = connection.execute(
        f"SELECT EXISTS (SELECT FROM domains WHERE {_FREE} AND NOT suspect)"
        f" OR EXISTS (SELECT FROM domains WHERE {_FREE} AND suspect),"
        " EXISTS (SELECT FROM domains WHERE lease_holder IS NOT NULL AND lease_run = %(run_id)s)",
        {"now": now, "due_before": due_before, "run_id": run_id},
    ).fetchone()
    assert row is not None
    return Left(*row)


def load_exclusions(connection: psycopg.Connection) -> Exclusions:
    """Read whom never to ask: the operator's exclusions, and the hard entries of the DNI list with all below them."""
    rows = connection.execute(
        "SELECT domain, subdomains FROM exclusions UNION ALL SELECT domain, true FROM dni WHERE severity = 'hard'"
    ).fetchall()
    return Exclusions(
        exact=frozenset(domain for domain, subdomains in rows if not subdomains),
        trees=frozenset(domain for domain, subdomains in rows if subdomains),
    )


_FREE = """
    due_at <= %(due_before)s
    AND (leased_until IS NULL OR leased_until <= %(now)s)
    AND (retry_after_until IS NULL OR retry_after_until <= %(now)s)
"""
# The CTE is materialized, or a join could run it, and lease, more than once. The array and the limits of one row leave
# the planner nothing but indexes, whatever it believes of the numbers: a plan for a small ledger is one for a big one.
_DUE = f"""
WITH due AS MATERIALIZED (
    SELECT domain, due_at FROM domains WHERE {_FREE}
    AND NOT EXISTS (SELECT FROM pause WHERE until IS NULL OR until > %(now)s)
"""
_LEASE = """
    ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE domains
    SET leased_until = %(until)s, lease_holder = %(holder)s, lease_run = %(run_id)s, due_at = %(until)s
    WHERE domain = ANY (ARRAY(SELECT domain FROM due))
    RETURNING domain, failures, nodeinfo_url, nodeinfo_validator, trusted_until
)
SELECT leased.domain, leased.failures, own.host, own.read_at, own.rules, backend.host, backend.read_at, backend.rules,
       leased.nodeinfo_url, coalesce(leased.nodeinfo_validator, ''), last.software, last.version,
       last.upstream_version, last.active_users, leased.trusted_until
FROM leased JOIN due USING (domain)
LEFT JOIN LATERAL (
    SELECT host, read_at, rules FROM robots
    WHERE robots.host = leased.domain AND robots.read_at > %(rules_since)s LIMIT 1
) AS own ON true
LEFT JOIN LATERAL (
    SELECT host, read_at, rules FROM robots
    WHERE robots.host = substring(leased.nodeinfo_url from '^https://([^/:?#]+)')
      AND robots.host <> leased.domain AND robots.read_at > %(rules_since)s LIMIT 1
) AS backend ON true
LEFT JOIN LATERAL (
    SELECT versions.software, versions.version, versions.upstream_version, sightings.active_users
    FROM sightings JOIN versions ON versions.id = sightings.version_id
    WHERE sightings.domain = leased.domain AND leased.trusted_until > %(now)s LIMIT 1
) AS last ON true
ORDER BY due.due_at, leased.domain
"""
# By (named, suspects): the text decides which partial index serves, so it is no parameter.
_CLAIM = {
    (False, False): _DUE + " AND NOT suspect" + _LEASE,
    (False, True): _DUE + " AND suspect AND isolated = %(isolated)s" + _LEASE,
    (True, False): _DUE + " AND NOT suspect AND wanted_by = %(run_id)s" + _LEASE,
    (True, True): _DUE + " AND suspect AND isolated = %(isolated)s AND wanted_by = %(run_id)s" + _LEASE,
}


def _claim(domain: str, failures: int, *known: Any) -> Claim:
    records = (_robots_record(*known[:3]), _robots_record(*known[3:6]))
    nodeinfo_url, _, software, *_ = last = known[6:]
    return Claim(
        Domain(domain),
        failures,
        LastLook(*last) if nodeinfo_url is not None and software is not None else None,
        tuple(record for record in records if record is not None),
    )


def _robots_record(host: object, read_at: object, rules: object) -> RobotsRecord | None:
    if isinstance(host, str) and isinstance(read_at, datetime) and isinstance(rules, str):
        return RobotsRecord(host, read_at, rules)
    return None
