"""The books of batch runs: when each began and ended, how far it came, and which one is still alive."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

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
    """Count the verdicts of a run in the ledger itself: also those whose process died before it could report them.

    Reads the whole ledger, once per run.
    """
    return dict(
        connection.execute("SELECT outcome, count(*) FROM domains WHERE crawled_in = %s GROUP BY outcome", [run_id])
    )


def close_stale(connection: psycopg.Connection, now: datetime) -> list[int]:
    """Close, as ``failed``, the runs whose process must be dead; returns their ids. Their leases end by themselves."""
    rows = connection.execute(
        "WITH closed AS (UPDATE runs SET status = 'failed', finished_at = heartbeat_at"
        " WHERE status = 'running' AND heartbeat_at < %s RETURNING id), counted AS ("
        " INSERT INTO run_endings (status, runs) SELECT 'failed', count(*) FROM closed HAVING count(*) > 0"
        + _ONE_MORE
        + ") SELECT id FROM closed",
        [now - SILENCE],
    )
    return sorted(run_id for (run_id,) in rows)


def running(connection: psycopg.Connection) -> list[tuple[int, str]]:
    """Id and host (a process, where that has a name) of the runs that have not ended."""
    return connection.execute("SELECT id, host FROM runs WHERE status = 'running' ORDER BY id").fetchall()


def recent_runs(connection: psycopg.Connection, limit: int = 10) -> list[Run]:
    """The last runs, newest first."""
    rows = connection.execute(
        "SELECT id, started_at, finished_at, heartbeat_at, status, host, planned, crawled, outcomes"
        " FROM runs ORDER BY id DESC LIMIT %s",
        [limit],
    )
    return [
        Run(id_, started, finished, beat, RunStatus(status), host, planned, crawled, outcomes)
        for id_, started, finished, beat, status, host, planned, crawled, outcomes in rows
    ]


_ONE_MORE = " ON CONFLICT (status) DO UPDATE SET runs = run_endings.runs + excluded.runs"
