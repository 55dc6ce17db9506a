"""Throwing away what is older than settings want it, in steps that hold nobody up and that vacuum keeps pace with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg

from vmcrawl.settings import RetentionSettings

#: Any number will do, as long as nothing else in the same database takes this advisory lock.
_LOCK = 0x766D_6372_6177_6C02
#: Rows that one transaction deletes at most; of history so many pages, each of a row for every release.
_STEP = 1_000
_PAGES = 10
_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows are gone, or would be."""

    robots: int = 0
    runs: int = 0
    changes: int = 0
    history: int = 0
    #: False: another process prunes just now, or there was more to do than was asked for.
    complete: bool = True

    @property
    def rows(self) -> int:
        """All of them."""
        return self.robots + self.runs + self.changes + self.history


def prune(
    connection: psycopg.Connection, now: datetime, retention: RetentionSettings, most_steps: int | None = None
) -> Pruned:
    """Delete what is too old: rules of robots.txt, runs, moves between versions, pages of history.

    Each step is a short transaction under an advisory lock that ends with it (so PgBouncer may stand between) and that
    nobody waits for: where another process has it, that one prunes. ``most_steps`` steps at most; the rest is for the
    next time.
    """
    steps = _Steps(connection, most_steps)
    robots = steps.from_the_front(_ROBOTS, now - retention.robots)
    runs = steps.from_the_front(_RUNS, _cutoff(connection, now, retention.runs))
    changes = steps.from_the_front(_MOVES, now - retention.changes)
    history = steps.pages(_excess(connection, now, retention))
    return Pruned(robots, runs, changes, history, not steps.over)


def prunable(connection: psycopg.Connection, now: datetime, retention: RetentionSettings) -> Pruned:
    """Count what :func:`prune` would delete; reads only."""

    def count(of: _Old, cutoff: datetime) -> int:
        found = connection.execute(
            f"SELECT count(*) FROM {of.table} WHERE {of.condition}".encode(), {"cutoff": cutoff}
        ).fetchone()
        return 0 if found is None else int(found[0])

    return Pruned(
        robots=count(_ROBOTS, now - retention.robots),
        runs=count(_RUNS, _cutoff(connection, now, retention.runs)),
        changes=count(_MOVES, now - retention.changes),
        history=_count_pages(connection, _excess(connection, now, retention)),
    )


@dataclass(frozen=True, slots=True)
class _Old:
    """Rows of a table that are old, in the order of an indexed column in which they are looked for."""

    table: str
    key: str
    condition: str
    #: Several rows may have the same key.
    unique: bool = True
    #: Where to begin.
    first: object = ""


_ROBOTS = _Old("robots", "host", "read_at < %(cutoff)s")
_RUNS = _Old("runs", "id", "status <> 'running' AND started_at < %(cutoff)s", first=0)
_MOVES = _Old("moves", "observed_at", "observed_at < %(cutoff)s", unique=False, first=_EVER)


class _Steps:
    """Short transactions, one after the other, until they are used up or another process takes its turn."""

    def __init__(self, connection: psycopg.Connection, most: int | None) -> None:
        self._connection = connection
        self._left = most
        self.over = False

    def from_the_front(self, old: _Old, cutoff: datetime) -> int:
        """Delete what is old, each step beyond where the last one ended: dead rows are never read again."""
        deleted, after = 0, old.first
        while (step := self._take(partial(_delete_some, old=old, cutoff=cutoff, after=after))) is not None:
            deleted += step.deleted
            if step.seen < _STEP:
                break
            after = step.last
        return deleted

    def pages(self, runs: Sequence[int]) -> int:
        """Delete the pages of history that these runs have left."""
        deleted = 0
        for at in range(0, len(runs), _PAGES):
            step = self._take(partial(_delete_pages, runs=runs[at : at + _PAGES]))
            if step is None:
                break
            deleted += step.deleted
        return deleted

    def _take(self, step: "Callable[[psycopg.Connection], _Step]") -> "_Step | None":
        if self.over or self._left == 0:
            self.over = True
            return None
        with self._connection.transaction():
            row = self._connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK]).fetchone()
            if row is None or not row[0]:
                self.over = True
                return None
            if self._left is not None:
                self._left -= 1
            return step(self._connection)


@dataclass(frozen=True, slots=True)
class _Step:
    deleted: int
    seen: int
    last: object = None


def _delete_some(connection: psycopg.Connection, old: _Old, cutoff: datetime, after: object) -> _Step:
    beyond = ">" if old.unique else ">="
    # By ctid, so that what somebody has renewed since is not found; in an array, so that no plan reads the table.
    query = (
        "WITH old AS MATERIALIZED ("
        f" SELECT ctid, {old.key} AS key FROM {old.table} WHERE {old.key} {beyond} %(after)s AND {old.condition}"
        f" ORDER BY {old.key} LIMIT %(step)s FOR UPDATE SKIP LOCKED"
        f"), gone AS (DELETE FROM {old.table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM old)) RETURNING 1)"
        " SELECT (SELECT count(*) FROM gone), count(*), max(key) FROM old"
    )
    parameters = {"after": after, "cutoff": cutoff, "step": _STEP}
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return _Step(*row)


def _delete_pages(connection: psycopg.Connection, runs: Sequence[int]) -> _Step:
    deleted = connection.execute("DELETE FROM adoption_history WHERE run_id = ANY (%s)", [list(runs)]).rowcount
    return _Step(deleted, deleted)


def _cutoff(connection: psycopg.Connection, now: datetime, kept: timedelta) -> datetime:
    """What :mod:`vmcrawl.sight` holds a run against is kept, whatever the settings say."""
    return now - max(kept, _published(connection) + timedelta(days=2))


def _published(connection: psycopg.Connection) -> timedelta:
    row = connection.execute("SELECT retention FROM publication").fetchone()
    assert row is not None
    published: timedelta = row[0]
    return published


def _excess(connection: psycopg.Connection, now: datetime, retention: RetentionSettings) -> list[int]:
    """The runs whose pages of history are too many, oldest first.

    Of each day (UTC) the last page that is believed stays, else the last one; where a page holds for less than two
    days (``publish.retention``), of each half of that time. So does the first after a time without any. Thus none of
    the moments that had a page is without one.
    """
    share = min(timedelta(days=1), _published(connection) / 2)
    daily = now - retention.history_daily if retention.history_daily else _EVER
    rows = connection.execute(
        _EXCESS,
        {"every": _cutoff(connection, now, retention.history_every_run), "daily": daily, "share": share},
    )
    return [run_id for (run_id,) in rows]


def _count_pages(connection: psycopg.Connection, runs: Sequence[int]) -> int:
    row = connection.execute("SELECT count(*) FROM adoption_history WHERE run_id = ANY (%s)", [list(runs)]).fetchone()
    return 0 if row is None else int(row[0])


_EXCESS = """
WITH pages AS (
    SELECT run_id, max(at) AS at, bool_or(invalid) AS invalid,
           floor(extract(epoch FROM max(at)) / extract(epoch FROM %(share)s::interval)) AS share
    FROM adoption_history
    WHERE at < %(every)s
    GROUP BY run_id
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY share ORDER BY invalid, at DESC, run_id DESC) AS place,
           lag(share) OVER (PARTITION BY invalid ORDER BY at, run_id) AS before
    FROM pages
)
SELECT run_id FROM placed
WHERE at < %(daily)s
   -- The share of time that is not over yet is thinned when it is; the first page after a hole ends that hole.
   OR place > 1 AND (invalid OR before >= share - 1)
      AND (share + 1) * extract(epoch FROM %(share)s::interval) <= extract(epoch FROM %(every)s::timestamptz)
ORDER BY at, run_id
"""
