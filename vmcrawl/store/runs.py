"""The books of batch runs: when each began and ended, how far it came, and which one is still alive."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import LiteralString

import psycopg
from psycopg.types.json import Jsonb

#: A run that has said nothing for so long is dead, and what it holds is free.
SILENCE = timedelta(minutes=2)


class RunStatus(StrEnum):
    """How a run ended, or that it has not."""

    RUNNING = "running"
    #: It did what it planned.
    SUCCESS = "success"
    #: It ended by itself, but saw far less than it should have.
    PARTIAL = "partial"
    #: A fault of ours, of the machine or of the database.
    FAILED = "failed"
    #: SIGTERM or Ctrl-C; everything finished so far is written.
    INTERRUPTED = "interrupted"


#: What a run has come to when it has done what it was to do.
OVER = frozenset({RunStatus.SUCCESS, RunStatus.PARTIAL})


@dataclass(frozen=True, slots=True)
class Run:
    """One batch run as the database knows it."""

    id: int
    started_at: datetime
    finished_at: datetime | None
    heartbeat_at: datetime
    status: RunStatus
    host: str
    planned: int
    crawled: int
    outcomes: Mapping[str, int]
    #: By which others can join it.
    name: str | None = None


def start_run(connection: psycopg.Connection, now: datetime, host: str = "", *, by_hand: bool = False) -> int:
    """Open a run, ``by_hand`` if somebody named what to crawl; returns its id."""
    row = connection.execute(
        "INSERT INTO runs (started_at, heartbeat_at, host, by_hand)"
        " VALUES (%(now)s, %(now)s, %(host)s, %(by_hand)s) RETURNING id",
        {"now": now, "host": host, "by_hand": by_hand},
    ).fetchone()
    assert row is not None
    return int(row[0])


def plan(connection: psycopg.Connection, run_id: int, planned: int) -> None:
    """Write down how many domains the run covers."""
    connection.execute("UPDATE runs SET planned = %s WHERE id = %s", [planned, run_id])


def heartbeat(connection: psycopg.Connection, run_id: int, now: datetime, outcomes: Mapping[str, int]) -> None:
    """Say that the run is alive, and all its outcomes so far (totals, so that saying it twice does no harm)."""
    connection.execute(
        "UPDATE runs SET heartbeat_at = %(now)s, crawled = %(crawled)s, outcomes = %(outcomes)s"
        " WHERE id = %(run_id)s AND status = 'running'",
        {"run_id": run_id, "now": now, "crawled": sum(outcomes.values()), "outcomes": Jsonb(dict(outcomes))},
    )


def finish_run(
    connection: psycopg.Connection, run_id: int, now: datetime, status: RunStatus, outcomes: Mapping[str, int]
) -> None:
    """Close the run, also one that :func:`close_stale` had given up; that one has ended twice, and counts so."""
    connection.execute(
        "WITH before AS (SELECT status FROM runs WHERE id = %(run_id)s FOR UPDATE), ended AS ("
        " UPDATE runs SET finished_at = %(now)s, heartbeat_at = %(now)s, status = %(status)s,"
        " crawled = %(crawled)s, outcomes = %(outcomes)s WHERE id = %(run_id)s)"
        " INSERT INTO run_endings (status, runs) SELECT %(status)s, 1 FROM before WHERE before.status <> %(status)s"
        + _ONE_MORE,
        {
            "run_id": run_id,
            "now": now,
            "status": str(status),
            "crawled": sum(outcomes.values()),
            "outcomes": Jsonb(dict(outcomes)),
        },
    )


def count_outcomes(connection: psycopg.Connection, run_id: int) -> dict[str, int]:
    """Count the verdicts of a run, whoever recorded them.

    They stand in its tallies, or, where those may have been added up since it was closed, in the ledger, which is then
    read as a whole.
    """
    return dict(connection.execute(_COUNT_OUTCOMES, {"run_id": run_id}))


def count_so_far(connection: psycopg.Connection, run_id: int) -> dict[str, int]:
    """Count the verdicts of a run that goes on. Never reads the ledger, so that many may ask every few seconds."""
    return dict(
        connection.execute(
            "SELECT outcome, sum(crawls)::bigint FROM tallies WHERE run_id = %s GROUP BY outcome", [run_id]
        )
    )


def close_stale(connection: psycopg.Connection, now: datetime, but: str | None = None) -> list[int]:
    """Close, as ``failed``, the runs whose processes must be dead, except for the one that is called ``but``.

    Returns their ids. Their leases end by themselves.
    """
    rows = connection.execute(
        "WITH closed AS (UPDATE runs SET status = 'failed', finished_at = heartbeat_at"
        " WHERE status = 'running' AND heartbeat_at < %(alive_since)s AND (name = %(but)s) IS NOT TRUE"
        " RETURNING id), counted AS ("
        " INSERT INTO run_endings (status, runs) SELECT 'failed', count(*) FROM closed HAVING count(*) > 0"
        + _ONE_MORE
        + ") SELECT id FROM closed",
        {"alive_since": now - SILENCE, "but": but},
    )
    return sorted(run_id for (run_id,) in rows)


def find_run(connection: psycopg.Connection, run_id: int) -> Run:
    """One run that is known to be there."""
    (run,) = _runs(connection, "WHERE id = %s", [run_id])
    return run


def recent_runs(connection: psycopg.Connection, limit: int = 10) -> list[Run]:
    """The last runs, newest first."""
    return _runs(connection, "ORDER BY id DESC LIMIT %s", [limit])


def _runs(connection: psycopg.Connection, which: LiteralString, parameters: list[object]) -> list[Run]:
    rows = connection.execute(
        "SELECT id, started_at, finished_at, heartbeat_at, status, host, planned, crawled, outcomes, name"
        " FROM runs " + which,
        parameters,
    )
    return [
        Run(id_, started, finished, beat, RunStatus(status), host, planned, crawled, outcomes, name)
        for id_, started, finished, beat, status, host, planned, crawled, outcomes, name in rows
    ]


_COUNT_OUTCOMES = """
SELECT outcome, sum(crawls)::bigint FROM tallies
WHERE run_id = %(run_id)s AND EXISTS (SELECT FROM runs WHERE id = %(run_id)s AND status = 'running')
GROUP BY outcome
UNION ALL
SELECT outcome, count(*) FROM domains
WHERE crawled_in = %(run_id)s AND EXISTS (SELECT FROM runs WHERE id = %(run_id)s AND status <> 'running')
GROUP BY outcome
"""
_ONE_MORE = " ON CONFLICT (status) DO UPDATE SET runs = run_endings.runs + excluded.runs"
