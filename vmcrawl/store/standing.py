"""How things stand: the queue, runs and who works on them, sources, what is published.

Each function is one question of its own, so that whoever may not ask one of them still gets the answers to the others.
Those that ask views alone (their names end in ``_sums``) can be answered to the role ``vmcrawl_reader``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TypeVar

import psycopg
from psycopg.rows import class_row

from vmcrawl.store.connection import NOT_PERMITTED

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LedgerPart:
    """The domains whose last crawl ended in one outcome; what is None may not be read."""

    #: None: never crawled.
    outcome: str | None
    domains: int
    due: int
    #: Due for more than six hours.
    overdue: int
    oldest_due_at: datetime | None
    leased: int | None = None
    suspects: int | None = None
    #: When the first of them falls due that is not due yet.
    next_due_at: datetime | None = None
    #: Crawled within the last day, and within the last minute.
    last_day: int | None = None
    last_minute: int | None = None


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run; what is None may not be read."""

    id: int
    name: str | None
    started_at: datetime
    finished_at: datetime | None
    heartbeat_at: datetime | None
    status: str
    host: str | None
    planned: int
    crawled: int
    outcomes: Mapping[str, int]
    requests: int
    received_bytes: int
    by_hand: bool


@dataclass(frozen=True, slots=True)
class PartLine:
    """One process that works, or has worked, on a run that has not ended."""

    run_id: int
    part: str
    machine: str
    number: int | None
    joined_at: datetime
    heartbeat_at: datetime
    left_at: datetime | None


@dataclass(frozen=True, slots=True)
class HolderLine:
    """What one crawler process holds and has done."""

    run_id: int | None
    #: ``boot/namespace/pid/start#uuid``.
    holder: str
    held: int = 0
    #: Leases that have run out, and that nobody has taken yet.
    expired: int = 0
    crawls: int = 0


@dataclass(frozen=True, slots=True)
class Failing:
    """A published instance that could not be seen the last time."""

    domain: str
    outcome: str
    failures: int
    active_users: int
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class FailingInstances:
    """Published instances that could not be seen the last time, by outcome, and the largest of them."""

    outcomes: Mapping[str, int]
    largest: Sequence[Failing] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Work:
    """All that was ever done: counters that only grow."""

    crawls: int
    requests: int
    received_bytes: int


@dataclass(frozen=True, slots=True)
class SourceLine:
    """How the last question to a source of the catalogue went; ``error`` is None if it may not be read."""

    name: str
    fetched_at: datetime | None
    failed_at: datetime | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class CatalogueLine:
    """The newest stable release that is known, and how many there are."""

    newest_release: str | None
    released_on: date | None
    releases: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Whether crawlers are told to begin nothing new; what is None is not so, or may not be read."""

    paused: bool
    paused_at: datetime | None = None
    until: datetime | None = None
    paused_by: str | None = None
    reason: str | None = None


def first_permitted(connection: psycopg.Connection, *questions: Callable[[psycopg.Connection], T]) -> T | None:
    """The answer to the first question that this user may ask; None if there is none."""
    for question in questions:
        try:
            return question(connection)
        except NOT_PERMITTED:
            continue
    return None


def ledger(connection: psycopg.Connection, now: datetime) -> list[LedgerPart]:
    """The ledger by outcome, most frequent first; one look through all of it."""
    with connection.cursor(row_factory=class_row(LedgerPart)) as cursor:
        return cursor.execute(_LEDGER, {"now": now}).fetchall()


def ledger_sums(connection: psycopg.Connection) -> list[LedgerPart]:
    """The same, as far as the view ``ledger_states`` has it."""
    with connection.cursor(row_factory=class_row(LedgerPart)) as cursor:
        return cursor.execute(
            "SELECT outcome, domains, due, overdue, oldest_due_at FROM ledger_states ORDER BY domains DESC, outcome"
        ).fetchall()


def runs(connection: psycopg.Connection, limit: int) -> list[RunLine]:
    """The last runs, newest first."""
    with connection.cursor(row_factory=class_row(RunLine)) as cursor:
        return cursor.execute(_RUNS, [limit]).fetchall()


def run_sums(connection: psycopg.Connection, limit: int) -> list[RunLine]:
    """The same, as far as the view ``run_states`` has it."""
    with connection.cursor(row_factory=class_row(RunLine)) as cursor:
        return cursor.execute(_RUN_SUMS, [limit]).fetchall()


def parts(connection: psycopg.Connection) -> list[PartLine]:
    """Who works, or has worked, on the runs that have not ended."""
    with connection.cursor(row_factory=class_row(PartLine)) as cursor:
        return cursor.execute(_PARTS).fetchall()


def holders(connection: psycopg.Connection, now: datetime) -> list[HolderLine]:
    """What each crawler process holds, and has done for a run that has not ended."""
    with connection.cursor(row_factory=class_row(HolderLine)) as cursor:
        return cursor.execute(_HOLDERS, {"now": now}).fetchall()


def lease_sums(connection: psycopg.Connection) -> tuple[int, int]:
    """Leases that are held, and that have run out without anybody taking them over."""
    row = connection.execute("SELECT held, expired FROM lease_states").fetchone()
    assert row is not None
    return row[0], row[1]


def failing(connection: psycopg.Connection, largest: int) -> FailingInstances:
    """Published instances that could not be seen the last time, and the ``largest`` of them by name."""
    outcomes: dict[str, int] = {}
    named: list[Failing] = []
    for number, *found in connection.execute(_FAILING, [largest]):
        if number is None:
            named.append(Failing(*found))
        else:
            outcomes[found[1]] = number
    return FailingInstances(outcomes, named)


def failing_sums(connection: psycopg.Connection) -> FailingInstances:
    """The same without names."""
    rows = connection.execute("SELECT outcome, instances FROM failing_states ORDER BY 2 DESC, 1")
    return FailingInstances({outcome or "never crawled": number for outcome, number in rows})


def work_sums(connection: psycopg.Connection) -> Work:
    """What has been done in all."""
    with connection.cursor(row_factory=class_row(Work)) as cursor:
        done = cursor.execute(_WORK).fetchone()
    assert done is not None
    return done


def sources(connection: psycopg.Connection) -> list[SourceLine]:
    """The sources of the catalogue that were ever asked, by name."""
    with connection.cursor(row_factory=class_row(SourceLine)) as cursor:
        return cursor.execute("SELECT name, fetched_at, failed_at, error FROM sources ORDER BY name").fetchall()


def source_sums(connection: psycopg.Connection) -> list[SourceLine]:
    """The same without why they failed."""
    with connection.cursor(row_factory=class_row(SourceLine)) as cursor:
        return cursor.execute("SELECT name, fetched_at, failed_at FROM source_states ORDER BY name").fetchall()


def catalogue_sums(connection: psycopg.Connection) -> CatalogueLine:
    """The newest stable release by number, and how many are known."""
    rows = connection.execute("SELECT release, released_on FROM release_days").fetchall()
    newest = max(rows, key=lambda row: tuple(map(int, row[0].split("."))), default=(None, None))
    return CatalogueLine(newest[0], newest[1], len(rows))


def pause(connection: psycopg.Connection) -> Pause | None:
    """Whether crawlers are paused, since when and why; None in a database whose version knows no pause."""
    if not _exists(connection, "pause"):
        return None
    with connection.cursor(row_factory=class_row(Pause)) as cursor:
        found = cursor.execute(
            "SELECT true AS paused, paused_at, until, paused_by, reason FROM pause WHERE until IS NULL OR until > now()"
        ).fetchone()
    return found or Pause(False)


def pause_sums(connection: psycopg.Connection) -> Pause | None:
    """The same without by whom and why."""
    if not _exists(connection, "pause_state"):
        return None
    row = connection.execute("SELECT paused FROM pause_state").fetchone()
    return Pause(row is not None and row[0])


def _exists(connection: psycopg.Connection, relation: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [relation]).fetchone()
    return row is not None and bool(row[0])


_LEDGER = """
SELECT outcome, count(*) AS domains,
       count(*) FILTER (WHERE waits) AS due,
       count(*) FILTER (WHERE waits AND due_at <= %(now)s - interval '6 hours') AS overdue,
       min(due_at) FILTER (WHERE waits) AS oldest_due_at,
       count(*) FILTER (WHERE leased_until > %(now)s) AS leased,
       count(*) FILTER (WHERE suspect) AS suspects,
       min(due_at) FILTER (WHERE due_at > %(now)s) AS next_due_at,
       count(*) FILTER (WHERE last_crawled_at > %(now)s - interval '1 day') AS last_day,
       count(*) FILTER (WHERE last_crawled_at > %(now)s - interval '1 minute') AS last_minute
FROM (
    SELECT outcome, due_at, leased_until, suspect, last_crawled_at,
           due_at <= %(now)s AND (leased_until IS NULL OR leased_until <= %(now)s)
           AND (retry_after_until IS NULL OR retry_after_until <= %(now)s) AS waits
    FROM domains
) AS each
GROUP BY outcome ORDER BY domains DESC, outcome
"""
_RUN_SUMS = """
SELECT id, NULL AS name, started_at, finished_at, NULL AS heartbeat_at, status, NULL AS host, planned, crawled,
       outcomes, requests, received_bytes, by_hand
FROM run_states ORDER BY id DESC LIMIT %s
"""
_RUNS = """
SELECT r.id, r.name, s.started_at, s.finished_at, r.heartbeat_at, s.status, r.host, s.planned, s.crawled,
       s.outcomes, s.requests, s.received_bytes, s.by_hand
FROM (SELECT id, name, heartbeat_at, host FROM runs ORDER BY id DESC LIMIT %s) AS r JOIN run_states AS s USING (id)
ORDER BY r.id DESC
"""
_PARTS = """
SELECT p.run_id, p.part, p.machine, p.number, p.joined_at, p.heartbeat_at, p.left_at
FROM run_parts AS p JOIN runs ON runs.id = p.run_id AND runs.status = 'running'
ORDER BY p.run_id, p.machine, p.part
"""
_HOLDERS = """
SELECT run_id, holder, sum(held)::bigint AS held, sum(expired)::bigint AS expired, sum(crawls)::bigint AS crawls
FROM (
    SELECT lease_run AS run_id, lease_holder AS holder, count(*) FILTER (WHERE leased_until > %(now)s) AS held,
           count(*) FILTER (WHERE leased_until <= %(now)s) AS expired, 0 AS crawls
    FROM domains WHERE lease_holder IS NOT NULL GROUP BY lease_run, lease_holder
    UNION ALL
    SELECT run_id, holder, 0, 0, sum(crawls)
    FROM tallies JOIN runs ON runs.id = tallies.run_id AND runs.status = 'running' GROUP BY run_id, holder
) AS each
GROUP BY run_id, holder ORDER BY holder, run_id
"""
# Both answers from one look at the ledger, which is what takes time.
_FAILING = """
WITH failing AS MATERIALIZED (
    SELECT d.domain, d.outcome, d.failures, s.active_users, s.last_seen_at
    FROM sightings AS s JOIN domains AS d USING (domain)
    WHERE s.last_seen_at > now() - (SELECT retention FROM publication) AND d.outcome <> 'ok'
)
(SELECT count(*), NULL, outcome, NULL, NULL, NULL FROM failing GROUP BY outcome ORDER BY 1 DESC, outcome)
UNION ALL
(SELECT NULL, domain, outcome, failures, active_users, last_seen_at FROM failing
 ORDER BY active_users DESC, domain LIMIT %s)
"""
_WORK = """
SELECT coalesce(sum(crawls), 0)::bigint AS crawls, coalesce(sum(requests), 0)::bigint AS requests,
       coalesce(sum(received_bytes), 0)::bigint AS received_bytes
FROM crawl_totals
"""
