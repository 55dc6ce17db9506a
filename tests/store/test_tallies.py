"""Counters in the database: exact through retries and deaths, never going back."""

import threading
from datetime import timedelta
from decimal import Decimal

import psycopg

from tests.store.builders import NOW, claim, column, crawl, failed, names, ok, start
from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome
from vmcrawl.settings import DatabaseSettings, RetentionSettings
from vmcrawl.store import results, runs
from vmcrawl.store.connection import connect
from vmcrawl.store.runs import RunStatus
from vmcrawl.store.tallies import fold
from vmcrawl.store.upkeep import sweep

A, B, C = Domain("a.example"), Domain("b.example"), Domain("c.example")


def totals(connection: psycopg.Connection) -> dict[str, tuple[object, ...]]:
    rows = connection.execute("SELECT outcome, crawls, requests, received_bytes, seconds FROM crawl_totals").fetchall()
    return {outcome: tuple(numbers) for outcome, *numbers in rows}


def durations(connection: psycopg.Connection) -> dict[object, object]:
    return dict(connection.execute("SELECT bucket, crawls FROM crawl_durations WHERE crawls > 0").fetchall())


def test_crawls_are_counted_by_outcome_with_what_they_cost(connection: psycopg.Connection):
    crawl(
        connection,
        ok(A, requests=4, received_bytes=9_000, duration_seconds=0.1),
        ok(B, requests=1, received_bytes=1_000, duration_seconds=0.11),
        failed(C, Outcome.TIMEOUT, requests=1, duration_seconds=31.0),
    )
    assert totals(connection) == {"ok": (2, 5, 10_000, Decimal("0.21")), "timeout": (1, 1, 0, 31)}
    # A bound belongs to its bucket, as Prometheus' "le" has it.
    assert durations(connection) == {1: 1, 2: 1, 9: 1}


def test_what_is_recorded_twice_counts_once(connection: psycopg.Connection):
    batch = [ok(A, requests=4), failed(B, Outcome.TIMEOUT, requests=1)]
    crawl(connection, *batch)
    before = totals(connection)
    assert results.record(connection, batch, "me").outcomes == {"ok": 1, "timeout": 1}
    assert totals(connection) == before


def test_a_result_that_comes_too_late_does_not_count(connection: psycopg.Connection):
    start(connection, [A])
    assert results.record(connection, [ok(A, requests=4)], "somebody else").lost == 1
    assert totals(connection) == {}


def test_what_cannot_be_stored_counts_as_what_it_became(connection: psycopg.Connection):
    crawl(connection, ok(A, requests=4, version="4.5.6\x00"), ok(B, requests=1))
    assert {outcome: numbers[:2] for outcome, numbers in totals(connection).items()} == {
        "internal_error": (1, 4),
        "ok": (1, 1),
    }


def test_folding_changes_no_sum_and_leaves_what_still_runs(connection: psycopg.Connection):
    crawl(connection, ok(A, requests=4, received_bytes=9_000, duration_seconds=0.3), holder="one")
    crawl(connection, ok(B, requests=1, received_bytes=1_000, duration_seconds=4), holder="two")
    first, second = column(connection, "SELECT DISTINCT run_id FROM tallies ORDER BY 1")
    runs.finish_run(connection, int(str(first)), NOW, RunStatus.SUCCESS, {})
    before, bars = totals(connection), durations(connection)
    assert fold(connection) == 1
    assert (totals(connection), durations(connection)) == (before, bars)
    assert column(connection, "SELECT run_id FROM tallies ORDER BY 1") == [0, second]
    runs.finish_run(connection, int(str(second)), NOW, RunStatus.SUCCESS, {})
    assert fold(connection) == 1
    assert fold(connection) == 0
    assert (totals(connection), durations(connection)) == (before, bars)
    assert column(connection, "SELECT run_id FROM tallies") == [0]
    noted = connection.execute("SELECT requests, received_bytes FROM runs ORDER BY id").fetchall()
    assert noted == [(4, 9_000), (1, 1_000)]


def test_folding_moves_no_sum_by_as_little_as_a_rounding(connection: psycopg.Connection):
    """To Prometheus a counter that falls by the last bit has begun anew: its rate would jump by all it ever was."""
    sums = []
    for position, seconds in enumerate((0.1, 0.2, 0.3)):
        crawl(connection, ok(names(3)[position], duration_seconds=seconds), holder=f"p{position}")
    ids = [int(str(run_id)) for run_id in column(connection, "SELECT id FROM runs ORDER BY id")]
    sums.append(totals(connection)["ok"][3])
    for some in (ids[1:], ids[:1]):
        for run_id in some:
            runs.finish_run(connection, run_id, NOW, RunStatus.SUCCESS, {})
        fold(connection)
        sums.append(totals(connection)["ok"][3])
    assert sums[0] == sums[1] == sums[2] == Decimal("0.6")


def test_what_comes_after_a_run_was_folded_is_added_to_it(connection: psycopg.Connection):
    run = start(connection, [A, B])
    claim(connection, run)
    results.record(connection, [ok(A, requests=4)], "me")
    runs.finish_run(connection, run, NOW, RunStatus.FAILED, {})
    fold(connection)
    results.record(connection, [ok(B, requests=1)], "me")
    assert totals(connection)["ok"][:2] == (2, 5)
    fold(connection)
    assert column(connection, "SELECT requests FROM runs") == [5]


def test_many_may_fold_at_once(connection: psycopg.Connection, database_url: str):
    for position, domain in enumerate(names(40)):
        crawl(connection, ok(domain, requests=1), holder=f"p{position}")
    connection.execute("UPDATE runs SET status = 'success', finished_at = now()")
    before = totals(connection)

    def work() -> None:
        with connect(DatabaseSettings(url=database_url)) as own:
            fold(own)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fold(connection)
    assert totals(connection) == before
    assert column(connection, "SELECT count(*) FROM tallies") == [1]


def test_counters_outlive_the_rows_of_runs(connection: psycopg.Connection):
    long_ago = NOW - timedelta(days=500)
    run = runs.start_run(connection, long_ago)
    runs.finish_run(connection, run, long_ago, RunStatus.PARTIAL, {"ok": 1})
    sweep(connection, NOW, RetentionSettings())
    assert runs.recent_runs(connection) == []
    assert connection.execute("SELECT * FROM run_totals").fetchall() == [("partial", 1)]


def test_endings_are_counted_once_each(connection: psycopg.Connection):
    run = runs.start_run(connection, NOW)
    for _ in range(2):
        runs.finish_run(connection, run, NOW, RunStatus.SUCCESS, {})
    given_up = runs.start_run(connection, NOW - timedelta(hours=1))
    for _ in range(2):
        runs.close_stale(connection, NOW)
    assert dict(connection.execute("SELECT * FROM run_totals")) == {"success": 1, "failed": 1}
    # It was only silent: it has ended twice, since no counter may go back.
    runs.finish_run(connection, given_up, NOW, RunStatus.SUCCESS, {})
    assert dict(connection.execute("SELECT * FROM run_totals")) == {"success": 2, "failed": 1}
