"""What a run was asked to crawl: domains named by a person, or everything, due or not."""

from collections.abc import Iterable
from datetime import datetime

import psycopg

from vmcrawl.domain import Domain
from vmcrawl.store.ledger import add_domains, chunks
from vmcrawl.store.runs import SILENCE

#: Rows marked in one transaction, so that no claim waits for a whole ledger to be marked.
_CHUNK = 5_000


def want(
    connection: psycopg.Connection, run_id: int, domains: Iterable[Domain], now: datetime, source: str = "named"
) -> int:
    """Mark ``domains`` as wanted by a run and due; unknown ones join the ledger. Returns how many the run may crawl.

    Not wanted are: what is under a live lease, what asked us to stay away (a 429) until later, and what another run
    that is still at it has crawled already, so that two runs given the same list never crawl a domain twice. What
    another run wants but has not begun moves to this one.
    """
    wanted = 0
    for chunk in chunks(sorted(set(domains)), _CHUNK):
        add_domains(connection, chunk, source, now)
        row = connection.execute(
            _WANTED + " AND domain = ANY (%(domains)s)" + _MARK,
            {**_parameters(run_id, now), "domains": chunk, "limit": None},
        ).fetchone()
        wanted += 0 if row is None else row[0]
    return wanted


def want_all(connection: psycopg.Connection, run_id: int, now: datetime, limit: int | None = None) -> int:
    """Mark the whole ledger as wanted by a run and due, or the ``limit`` domains that have waited longest.

    Not wanted, beside what :func:`want` leaves out: those that opted out, are excluded, or forbid us by robots.txt,
    before their time has come. Returns how many domains the run may crawl.
    """
    if limit is not None:
        return _want_longest_due(connection, _NOT_REFUSED, run_id, now, limit)
    wanted, last = 0, ""
    while True:
        row = connection.execute(
            _WANTED + _NOT_REFUSED + " AND domain > %(last)s" + _MARK,
            {**_parameters(run_id, now), "last": last, "limit": _CHUNK},
        ).fetchone()
        if row is None or row[1] is None:
            return wanted
        wanted, last = wanted + row[0], row[1]


def want_due(connection: psycopg.Connection, run_id: int, now: datetime, limit: int) -> int:
    """Mark the ``limit`` domains that have been due longest as wanted by a run; returns how many there are."""
    return _want_longest_due(connection, " AND due_at <= %(now)s", run_id, now, limit)


def _want_longest_due(connection: psycopg.Connection, condition: str, run_id: int, now: datetime, limit: int) -> int:
    row = connection.execute(
        _WANTED + condition + _MARK_LONGEST_DUE, {**_parameters(run_id, now), "limit": limit}
    ).fetchone()
    return 0 if row is None else int(row[0])


def _parameters(run_id: int, now: datetime) -> dict[str, object]:
    return {"run_id": run_id, "now": now, "alive_since": now - SILENCE}


_WANTED = """
WITH wanted AS MATERIALIZED (
    SELECT domain FROM domains
    WHERE (leased_until IS NULL OR leased_until <= %(now)s)
      AND (retry_after_until IS NULL OR retry_after_until <= %(now)s)
      AND (last_crawled_at IS NULL OR last_crawled_at < %(now)s)
      AND NOT EXISTS (
          SELECT FROM runs
          WHERE runs.id = domains.crawled_in AND runs.id <> %(run_id)s
            AND runs.status = 'running' AND runs.heartbeat_at >= %(alive_since)s
      )
"""
_NOT_REFUSED = """
      AND (outcome IS NULL OR outcome NOT IN ('opted_out', 'excluded', 'robots_disallowed') OR due_at <= %(now)s)
"""
_UPDATE = """
), marked AS (
    UPDATE domains SET wanted_by = %(run_id)s, due_at = least(domains.due_at, %(now)s)
    FROM wanted WHERE domains.domain = wanted.domain
)
SELECT count(*), max(domain) FROM wanted
"""
_MARK = " ORDER BY domain LIMIT %(limit)s FOR UPDATE OF domains" + _UPDATE
# Rows are locked in another order than elsewhere, so it waits for none.
_MARK_LONGEST_DUE = " ORDER BY due_at LIMIT %(limit)s FOR UPDATE OF domains SKIP LOCKED" + _UPDATE
