"""Who was asked for peers and when, who is asked next, and the names that come of it: never both in one row."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from vmcrawl.asking import Ending, Turnaround, day_of
from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome
from vmcrawl.peers import Name
from vmcrawl.store.ledger import add_domains
from vmcrawl.store.pause import is_paused

#: What a name's row says of where it is from.
SOURCE = "peers"
#: Any number will do, as long as nothing else in the same database takes this advisory lock.
_LOCK = 0x766D_6372_6177_6C01


@dataclass(frozen=True, slots=True)
class Asking:
    """A server that is ours to ask until the lease ends, and the host that serves its API, by its last good crawl."""

    domain: Domain
    host: str
    #: Failures in a row of its crawls.
    failures: int


@dataclass(frozen=True, slots=True)
class Added:
    """What became of some names."""

    #: Already in the ledger.
    known: int = 0
    #: Left out, since their registrable domain has enough names.
    crowded: int = 0
    new: int = 0


def choose(connection: psycopg.Connection, now: datetime, limit: int, turns: Turnaround) -> list[Domain]:
    """The published instances to ask next, ``limit`` at most; reads only.

    Never asked before asked long ago (by day), and among those the largest first. Only those whose last crawl was
    good; whoever is on a DNI list, soft ones too, is not asked what it knows.
    """
    rows = connection.execute(
        _CHOOSE, {"now": now, "limit": limit, "by_name": False, "domain": None, **_parameters(turns)}
    )
    return [domain for (domain,) in rows]


def why_not(connection: psycopg.Connection, domain: Domain, now: datetime) -> Ending | Outcome | None:
    """Why ``domain`` may not be asked, not even if somebody names it; None: it may. Reads only."""
    row = connection.execute(
        "SELECT refused_by(%(domain)s) IS NOT NULL, outcome = 'opted_out', retry_after_until > %(now)s,"
        " leased_until > %(now)s FROM (VALUES (1)) AS one LEFT JOIN domains ON domain = %(domain)s",
        {"domain": domain, "now": now},
    ).fetchone()
    assert row is not None
    reasons: tuple[Ending | Outcome, ...] = (Outcome.EXCLUDED, Outcome.OPTED_OUT, Outcome.RATE_LIMITED, Ending.BUSY)
    return next((reason for reason, holds in zip(reasons, row, strict=True) if holds), None)


def claim(
    connection: psycopg.Connection,
    domain: Domain,
    holder: str,
    now: datetime,
    until: datetime,
    turns: Turnaround | None,
) -> Asking | Ending | Outcome:
    """Lease ``domain`` to ``holder`` for asking it, or say why that cannot be.

    The lease is the one of crawls, so that nobody crawls it meanwhile, on whichever machine, and nobody asks it twice.
    That it is asked is noted before it is: one that kills us is not the first again. ``turns`` None: by name, also if
    it was asked a short while ago; then it joins the ledger, if it is not in it.
    """
    refusal = Ending.PAUSED if is_paused(connection) else why_not(connection, domain, now)
    if refusal is not None:
        return refusal
    if turns is None:
        add_domains(connection, [domain], "named", now)
    with connection.transaction():
        row = connection.execute(_HOLD, {"domain": domain, "now": now}).fetchone()
        if row is None:
            return Ending.BUSY
        turn = {"by_name": turns is None, **(_NO_TURNS if turns is None else _parameters(turns))}
        note = {"domain": domain, "today": day_of(now), "unfinished": str(Ending.UNFINISHED), **turn}
        # Seen as it is now that the row is ours: who held it before may have asked.
        if connection.execute(_NOTE, note).rowcount == 0:
            return Ending.BUSY
        connection.execute(
            "UPDATE domains SET leased_until = %s, lease_holder = %s, lease_run = NULL WHERE domain = %s",
            [until, holder, domain],
        )
    return Asking(domain, row[0] or domain, row[1])


def finish(
    connection: psycopg.Connection, domain: Domain, holder: str, ended: str, not_before: datetime | None = None
) -> None:
    """Note how asking ended and give the lease back; nobody asks or crawls before ``not_before``, if there is one."""
    with connection.transaction():
        connection.execute("UPDATE peers_asked SET ended = %s WHERE domain = %s", [ended, domain])
        connection.execute(
            "UPDATE domains SET leased_until = NULL, lease_holder = NULL,"
            " retry_after_until = greatest(retry_after_until, %(not_before)s)"
            " WHERE domain = %(domain)s AND lease_holder = %(holder)s",
            {"domain": domain, "holder": holder, "not_before": not_before},
        )


def give_back(connection: psycopg.Connection, holder: str) -> None:
    """Give back every lease of ``holder``, also one that it was never told of; due times stay."""
    connection.execute("UPDATE domains SET leased_until = NULL, lease_holder = NULL WHERE lease_holder = %s", [holder])


def add(
    connection: psycopg.Connection,
    names: Sequence[Name],
    now: datetime,
    *,
    names_per_domain: int,
    at_most: int,
    spread: timedelta,
) -> Added:
    """Add what is new to the ledger, ``at_most`` names, in one transaction; they come due one by one within ``spread``.

    Under a registrable domain names are added, the shortest first, as long as the ledger has fewer than
    ``names_per_domain``. Whoever else adds names just now waits, so that this holds for all together. That they came
    is noted by the day.
    """
    unique = dict(names)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        row = connection.execute(
            _ADD,
            {
                "domains": list(unique),
                "registrable": list(unique.values()),
                "names_per_domain": names_per_domain,
                "at_most": at_most,
                "source": SOURCE,
                "now": now,
                "spread": spread,
            },
        ).fetchone()
    assert row is not None
    fresh, fitting, new = row
    return Added(len(unique) - fresh, fresh - fitting, new)


def _parameters(turns: Turnaround) -> dict[str, object]:
    return {
        "good": list(turns.good),
        "good_until": turns.good_until,
        "settled": list(turns.settled),
        "settled_until": turns.settled_until,
        "failed_until": turns.failed_until,
    }


_NO_TURNS: dict[str, object] = {
    "good": [],
    "good_until": None,
    "settled": [],
    "settled_until": None,
    "failed_until": None,
}
_ITS_TURN = """
    peers_asked.asked_on <= CASE WHEN peers_asked.ended = ANY (%(good)s::text[]) THEN %(good_until)s::date
                                 WHEN peers_asked.ended = ANY (%(settled)s::text[]) THEN %(settled_until)s::date
                                 ELSE %(failed_until)s::date END
"""
_FREE = """
    domains.outcome IS DISTINCT FROM 'opted_out'
    AND (domains.leased_until IS NULL OR domains.leased_until <= %(now)s)
    AND (domains.retry_after_until IS NULL OR domains.retry_after_until <= %(now)s)
"""
_CHOOSE = f"""
SELECT domain FROM public_instances JOIN domains USING (domain) LEFT JOIN peers_asked USING (domain)
WHERE {_FREE} AND domains.outcome = 'ok' AND (peers_asked.domain IS NULL OR {_ITS_TURN}) AND refused_by(domain) IS NULL
ORDER BY peers_asked.asked_on NULLS FIRST, public_instances.active_users DESC, domain LIMIT %(limit)s
"""
_HOLD = f"""
SELECT substring(nodeinfo_url from '^https://([^/:?#]+)'), failures FROM domains
WHERE domain = %(domain)s AND {_FREE} FOR UPDATE SKIP LOCKED
"""
_NOTE = f"""
INSERT INTO peers_asked (domain, asked_on, ended) VALUES (%(domain)s, %(today)s, %(unfinished)s)
ON CONFLICT (domain) DO UPDATE SET asked_on = excluded.asked_on, ended = excluded.ended
WHERE %(by_name)s OR {_ITS_TURN}
"""
# The limit of one row, and the order, leave the planner nothing but indexes, however large the ledger is.
_ADD = """
WITH fresh AS MATERIALIZED (
    SELECT name.domain, name.registrable
    FROM unnest(%(domains)s::text[], %(registrable)s::text[]) AS name (domain, registrable)
    LEFT JOIN LATERAL (SELECT domain FROM domains WHERE domains.domain = name.domain LIMIT 1) AS known ON true
    WHERE known.domain IS NULL
), crowds AS MATERIALIZED (
    -- "/" is what comes after ".".
    SELECT registrable,
           (SELECT count(*) FROM domains WHERE domains.domain = each.registrable)
           + (SELECT count(*) FROM (
                 SELECT FROM domains_backwards
                 WHERE name >= reverse(each.registrable) || '.' AND name < reverse(each.registrable) || '/'
                 ORDER BY name LIMIT %(names_per_domain)s
              ) AS below) AS names
    FROM (SELECT DISTINCT registrable FROM fresh) AS each
), fitting AS MATERIALIZED (
    SELECT domain FROM (
        SELECT fresh.domain, crowds.names
               + row_number() OVER (PARTITION BY registrable ORDER BY length(fresh.domain), fresh.domain) AS place
        FROM fresh JOIN crowds USING (registrable)
    ) AS placed
    WHERE place <= %(names_per_domain)s
), added AS (
    INSERT INTO domains (domain, source, added_at, due_at)
    SELECT domain, %(source)s, date_trunc('day', %(now)s::timestamptz, 'UTC'), %(now)s + random() * %(spread)s
    FROM (SELECT domain FROM fitting LIMIT %(at_most)s) AS chosen
    ORDER BY domain COLLATE "C"
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM fresh), (SELECT count(*) FROM fitting), (SELECT count(*) FROM added)
"""
