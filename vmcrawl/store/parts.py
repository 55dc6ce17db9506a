"""Who works on which run: processes on any number of machines join it, say that they are alive, leave and close it."""

from dataclasses import dataclass
from datetime import datetime

import psycopg

from vmcrawl.store.claims import count_all_due
from vmcrawl.store.runs import OVER, SILENCE, RunStatus, count_outcomes, find_run, finish_run, plan, start_run


@dataclass(frozen=True, slots=True)
class Part:
    """One process that works on a run."""

    #: Unique for all time; see :func:`vmcrawl.machine.process_identity`.
    name: str
    machine: str
    #: Which of a Kubernetes Job's completions it is.
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """The run that was joined, as it was then."""

    run_id: int
    started_at: datetime
    status: RunStatus
    planned: int

    @property
    def over(self) -> bool:
        """It has done what it was to do: there is nothing to join."""
        return self.status in OVER


def open_run(connection: psycopg.Connection, part: Part, now: datetime, *, by_hand: bool = False) -> int:
    """Open a run that nobody else is to join; returns its id."""
    with connection.transaction():
        run_id = start_run(connection, now, part.name, by_hand=by_hand)
        add_part(connection, run_id, part, now)
        return run_id


def join(connection: psycopg.Connection, name: str, part: Part, now: datetime) -> Joined:
    """Join the run of that name: the first opens it and plans what is due now, the others wait for that.

    A run that was interrupted or has failed goes on; one that is over is left as it is.
    """
    with connection.transaction():
        # Whoever comes second waits here until the first has planned.
        opened = connection.execute(
            "INSERT INTO runs (name, started_at, heartbeat_at, host) VALUES (%(name)s, %(now)s, %(now)s, %(host)s)"
            " ON CONFLICT (name) DO NOTHING RETURNING id",
            {"name": name, "now": now, "host": part.name},
        ).fetchone()
        if opened is not None:
            plan(connection, opened[0], count_all_due(connection, now))
        row = connection.execute(
            "SELECT id, started_at, status, planned FROM runs WHERE name = %s FOR UPDATE", [name]
        ).fetchone()
        assert row is not None
        joined = Joined(row[0], row[1], RunStatus(row[2]), row[3])
        if not joined.over:
            connection.execute(
                "UPDATE runs SET status = 'running', finished_at = NULL, heartbeat_at = %s WHERE id = %s",
                [now, joined.run_id],
            )
            add_part(connection, joined.run_id, part, now)
        return joined


def add_part(connection: psycopg.Connection, run_id: int, part: Part, now: datetime) -> None:
    """Note who works on a run; once, however often it is said."""
    connection.execute(
        "INSERT INTO run_parts (run_id, part, machine, number, joined_at, heartbeat_at)"
        " VALUES (%(run_id)s, %(part)s, %(machine)s, %(number)s, %(now)s, %(now)s)"
        " ON CONFLICT (run_id, part) DO UPDATE SET heartbeat_at = excluded.heartbeat_at, left_at = NULL",
        {"run_id": run_id, "part": part.name, "machine": part.machine, "number": part.number, "now": now},
    )


def beat(connection: psycopg.Connection, run_id: int, part: str, now: datetime) -> None:
    """Say that a part is alive; :func:`vmcrawl.store.runs.heartbeat` says it of the run."""
    connection.execute(
        "UPDATE run_parts SET heartbeat_at = %s WHERE run_id = %s AND part = %s AND left_at IS NULL",
        [now, run_id, part],
    )


def leave(connection: psycopg.Connection, run_id: int, part: str, now: datetime) -> bool:
    """Note that a part works on a run no more; returns whether another one does. Of two that leave, one is the last."""
    with connection.transaction():
        connection.execute("SELECT FROM runs WHERE id = %s FOR UPDATE", [run_id])
        connection.execute(
            "UPDATE run_parts SET left_at = coalesce(left_at, %s) WHERE run_id = %s AND part = %s", [now, run_id, part]
        )
        others = connection.execute(
            "SELECT FROM run_parts WHERE run_id = %s AND left_at IS NULL AND heartbeat_at >= %s LIMIT 1",
            [run_id, now - SILENCE],
        )
        return others.fetchone() is not None


def end(connection: psycopg.Connection, run_id: int, part: str, now: datetime, status: RunStatus) -> bool:
    """Leave a run and, if it is done with that or nobody else works on it, close it; returns whether others go on.

    One transaction: nobody can join a run between its last part's leaving and its end, or find it deserted.
    """
    with connection.transaction():
        others = leave(connection, run_id, part, now)
        if find_run(connection, run_id).status in OVER:
            return False
        if others and status not in OVER:
            return True
        finish_run(connection, run_id, now, status, count_outcomes(connection, run_id))
        return False


def may_close(connection: psycopg.Connection, run_id: int, part: str, now: datetime) -> bool:
    """Whether this part is the one to close a run that nothing is left of: the first that asks, as long as it lives."""
    return bool(
        connection.execute(
            "UPDATE runs SET closer = %(part)s WHERE id = %(run_id)s AND status NOT IN ('success', 'partial') AND ("
            " closer IS NULL OR closer = %(part)s OR NOT EXISTS ("
            "  SELECT FROM run_parts WHERE run_parts.run_id = runs.id AND run_parts.part = runs.closer"
            "  AND left_at IS NULL AND run_parts.heartbeat_at >= %(alive_since)s))",
            {"run_id": run_id, "part": part, "alive_since": now - SILENCE},
        ).rowcount
    )


def at_work(connection: psycopg.Connection) -> list[tuple[int, str]]:
    """Run and part of everybody who has joined a run that has not ended, and has not left."""
    return connection.execute(
        "SELECT run_id, part FROM run_parts JOIN runs ON runs.id = run_id"
        " WHERE status = 'running' AND left_at IS NULL ORDER BY run_id, part"
    ).fetchall()


def at_work_on(connection: psycopg.Connection, run_id: int) -> list[str]:
    """Everybody who has joined a run and has not left."""
    rows = connection.execute(
        "SELECT part FROM run_parts WHERE run_id = %s AND left_at IS NULL ORDER BY part", [run_id]
    )
    return [part for (part,) in rows]


def close_deserted(connection: psycopg.Connection, now: datetime, but: str | None) -> list[int]:
    """Close, as ``failed``, the runs that all have left who worked on them, but the one of that name; returns them."""
    # Those of an earlier version have no parts.
    deserted = connection.execute(
        "SELECT id FROM runs WHERE status = 'running' AND (name = %(but)s) IS NOT TRUE"
        " AND EXISTS (SELECT FROM run_parts WHERE run_id = runs.id) AND " + _NOBODY_AT_WORK + " ORDER BY id",
        {"but": but},
    ).fetchall()
    return [run_id for (run_id,) in deserted if _close_deserted(connection, run_id, now)]


def _close_deserted(connection: psycopg.Connection, run_id: int, now: datetime) -> bool:
    with connection.transaction():
        # Somebody may have come, or closed it, before the lock; what is read now is what holds.
        connection.execute("SELECT FROM runs WHERE id = %s FOR UPDATE", [run_id])
        still = connection.execute(
            "SELECT FROM runs WHERE id = %s AND status = 'running' AND " + _NOBODY_AT_WORK, [run_id]
        ).fetchone()
        if still is not None:
            finish_run(connection, run_id, now, RunStatus.FAILED, count_outcomes(connection, run_id))
        return still is not None


_NOBODY_AT_WORK = "NOT EXISTS (SELECT FROM run_parts WHERE run_id = runs.id AND left_at IS NULL)"
