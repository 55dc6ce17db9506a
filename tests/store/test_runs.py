"""The books of runs, and what is thrown away."""

from datetime import timedelta

import psycopg
import pytest

from tests.store.builders import NOW, column, crawl, failed, ok, start
from vmcrawl.domain import Domain
from vmcrawl.observation import RobotsRecord
from vmcrawl.outcome import Outcome
from vmcrawl.settings import RetentionSettings
from vmcrawl.store import robots, runs
from vmcrawl.store.runs import RunStatus
from vmcrawl.store.upkeep import sweep

A, B = Domain("a.example"), Domain("b.example")


def test_a_run_is_opened_kept_alive_and_closed(connection: psycopg.Connection):
    run = runs.start_run(connection, NOW, "host")
    runs.plan(connection, run, 9)
    later = NOW + timedelta(seconds=5)
    runs.heartbeat(connection, run, later, {"ok": 2, "timeout": 1})
    [entry] = runs.recent_runs(connection)
    assert (entry.id, entry.status, entry.started_at, entry.heartbeat_at) == (run, RunStatus.RUNNING, NOW, later)
    assert (entry.planned, entry.crawled, entry.outcomes, entry.host) == (9, 3, {"ok": 2, "timeout": 1}, "host")
    runs.finish_run(connection, run, later, RunStatus.INTERRUPTED, {"ok": 4})
    [entry] = runs.recent_runs(connection)
    assert (entry.status, entry.finished_at, entry.crawled) == (RunStatus.INTERRUPTED, later, 4)


def test_a_run_that_fell_silent_is_closed_as_failed_at_its_last_word(connection: psycopg.Connection):
    silent = runs.start_run(connection, NOW)
    alive = runs.start_run(connection, NOW + timedelta(minutes=2))
    assert runs.close_stale(connection, NOW + timedelta(minutes=3)) == [silent]
    newest, oldest = runs.recent_runs(connection)
    assert (newest.id, newest.status) == (alive, RunStatus.RUNNING)
    assert (oldest.id, oldest.status, oldest.finished_at) == (silent, RunStatus.FAILED, NOW)


def test_a_run_has_no_other_status_than_those_that_are_promised(connection: psycopg.Connection):
    run = runs.start_run(connection, NOW)
    with pytest.raises(psycopg.IntegrityError):
        connection.execute("UPDATE runs SET status = 'odd', finished_at = now() WHERE id = %s", [run])


def test_the_verdicts_of_a_run_are_counted_in_the_ledger(connection: psycopg.Connection):
    crawl(connection, ok(A), failed(B, Outcome.TIMEOUT))
    run = start(connection)
    assert runs.count_outcomes(connection, run) == {}
    assert runs.count_outcomes(connection, run - 1) == {"ok": 1, "timeout": 1}


def test_rules_of_robots_txt_are_recalled_while_they_are_young(connection: psycopg.Connection):
    record = RobotsRecord("backend.example", NOW, "rules")
    crawl(connection, ok(A, robots=(record,)))
    assert robots.recall(connection, "backend.example", NOW - timedelta(hours=24)) == (record, False)
    assert robots.recall(connection, "backend.example", NOW) == (None, False)
    assert robots.recall(connection, "other.example", NOW - timedelta(hours=24)) == (None, False)


def test_an_opt_out_is_recalled_until_its_time_has_come(connection: psycopg.Connection):
    crawl(connection, failed(A, Outcome.OPTED_OUT))
    assert robots.recall(connection, A, NOW) == (None, True)
    connection.execute("UPDATE domains SET due_at = now()")
    assert robots.recall(connection, A, NOW) == (None, False)


def test_the_sweep_takes_what_nothing_needs_and_nothing_else(connection: psycopg.Connection):
    rules = (RobotsRecord("a.example", NOW - timedelta(days=8), ""), RobotsRecord("b.example", NOW, ""))
    crawl(connection, ok(A, NOW - timedelta(minutes=1), version="4.5.0"), ok(B, NOW - timedelta(minutes=1)))
    crawl(connection, ok(A, version="4.5.7", robots=rules))
    ancient = runs.start_run(connection, NOW - timedelta(days=500))
    runs.finish_run(connection, ancient, NOW - timedelta(days=499), RunStatus.SUCCESS, {})
    assert sweep(connection, NOW, RetentionSettings()) == 2
    assert column(connection, "SELECT host FROM robots") == ["b.example"]
    assert sweep(connection, NOW, RetentionSettings()) == 0


def test_a_version_goes_when_nobody_runs_it_and_nobody_is_known_to_have_run_it(connection: psycopg.Connection):
    crawl(connection, ok(A, NOW - timedelta(minutes=1), version="4.5.0"), ok(B, version="4.5.6"))
    crawl(connection, ok(A, version="4.5.7"))
    crawl(connection, failed(A, Outcome.NOT_MASTODON, NOW + timedelta(minutes=1)))
    assert sweep(connection, NOW + timedelta(days=799), RetentionSettings()) == 0
    # The move, and both of its ends.
    assert sweep(connection, NOW + timedelta(days=801), RetentionSettings()) == 3
    assert column(connection, "SELECT version FROM versions") == ["4.5.6"]
