"""Who works on a run: joining, leaving, and which one closes it."""

import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import psycopg
import pytest

from tests.servers import eventually
from tests.store.builders import NOW, claim, column, failed, ok, start
from vmcrawl.domain import Domain
from vmcrawl.machine import process_identity
from vmcrawl.outcome import Outcome
from vmcrawl.settings import DatabaseSettings, ScheduleSettings
from vmcrawl.store import claims, ledger, parts, results, runs, tallies
from vmcrawl.store.claims import Left
from vmcrawl.store.connection import connect
from vmcrawl.store.database import Database
from vmcrawl.store.parts import Part
from vmcrawl.store.runs import SILENCE, RunStatus
from vmcrawl.takeover import bury_the_dead, judge, suspect, take_over

A, B, C = Domain("a.example"), Domain("b.example"), Domain("c.example")
ONE, TWO = Part("one", "machine-1", 0), Part("two", "machine-2", 1)
SECOND = timedelta(seconds=1)


def test_the_first_opens_a_run_and_plans_it_and_all_others_join_it(connection: psycopg.Connection):
    ledger.add_domains(connection, [A, B], "test", NOW)
    first = parts.join(connection, "run", ONE, NOW)
    ledger.add_domains(connection, [C], "test", NOW)
    second = parts.join(connection, "run", TWO, NOW + SECOND)
    assert (first.planned, first.started_at, first.over) == (2, NOW, False)
    assert second == first
    # A lost connection makes it say the same again.
    assert parts.join(connection, "run", TWO, NOW + SECOND) == first
    assert connection.execute("SELECT part, machine, number FROM run_parts ORDER BY part").fetchall() == [
        ("one", "machine-1", 0),
        ("two", "machine-2", 1),
    ]


def test_suspects_of_earlier_runs_are_a_part_of_the_plan(connection: psycopg.Connection):
    ledger.add_domains(connection, [A, B], "test", NOW)
    connection.execute("UPDATE domains SET suspect = true WHERE domain = %s", [A])
    assert parts.join(connection, "run", ONE, NOW).planned == 2


def test_many_that_come_at_once_are_on_one_run(connection: psycopg.Connection, database_url: str):
    ledger.add_domains(connection, [A, B, C], "test", NOW)
    found, barrier = [], threading.Barrier(8)

    def come(number: int) -> None:
        with connect(DatabaseSettings(url=database_url)) as own:
            barrier.wait()
            found.append(parts.join(own, "run", Part(str(number), "machine"), NOW))

    threads = [threading.Thread(target=come, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {joined.planned for joined in found} == {3}
    assert len({joined.run_id for joined in found}) == 1
    assert column(connection, "SELECT count(*) FROM run_parts") == [8]


@pytest.mark.parametrize("status", [RunStatus.SUCCESS, RunStatus.PARTIAL])
def test_a_run_that_is_over_is_not_joined(connection: psycopg.Connection, status: RunStatus):
    run_id = parts.join(connection, "run", ONE, NOW).run_id
    runs.finish_run(connection, run_id, NOW, status, {"ok": 1})
    joined = parts.join(connection, "run", TWO, NOW + SECOND)
    assert (joined.run_id, joined.status, joined.over) == (run_id, status, True)
    assert column(connection, "SELECT part FROM run_parts") == ["one"]
    assert column(connection, "SELECT status FROM runs") == [status]


@pytest.mark.parametrize("status", [RunStatus.INTERRUPTED, RunStatus.FAILED])
def test_a_run_that_was_cut_off_goes_on_and_counts_on(connection: psycopg.Connection, status: RunStatus):
    ledger.add_domains(connection, [A, B], "test", NOW)
    run_id = parts.join(connection, "run", ONE, NOW).run_id
    claim(connection, run_id, "one#1", limit=1)
    results.record(connection, [ok(A)], "one#1")
    runs.finish_run(connection, run_id, NOW, status, {"ok": 1})
    tallies.fold(connection)
    joined = parts.join(connection, "run", TWO, NOW + SECOND)
    assert (joined.run_id, joined.started_at, joined.planned, joined.over) == (run_id, NOW, 2, False)
    claim(connection, run_id, "two#1")
    results.record(connection, [failed(B, Outcome.TIMEOUT)], "two#1")
    assert runs.count_outcomes(connection, run_id) == {"ok": 1, "timeout": 1}


def test_the_last_to_leave_knows_that_it_is(connection: psycopg.Connection):
    run_id = parts.join(connection, "run", ONE, NOW).run_id
    parts.join(connection, "run", TWO, NOW)
    assert parts.leave(connection, run_id, "one", NOW)
    assert not parts.leave(connection, run_id, "two", NOW)


def test_who_is_silent_for_long_does_not_count_as_somebody_who_goes_on(connection: psycopg.Connection):
    run_id = parts.join(connection, "run", ONE, NOW).run_id
    parts.join(connection, "run", TWO, NOW)
    later = NOW + SILENCE + SECOND
    assert not parts.leave(connection, run_id, "one", later)
    parts.beat(connection, run_id, "two", later)
    assert parts.leave(connection, run_id, "one", later)


def test_one_closes_a_run_and_another_only_if_that_one_dies(connection: psycopg.Connection):
    run_id = parts.join(connection, "run", ONE, NOW).run_id
    parts.join(connection, "run", TWO, NOW)
    assert parts.may_close(connection, run_id, "one", NOW)
    assert parts.may_close(connection, run_id, "one", NOW)
    assert not parts.may_close(connection, run_id, "two", NOW)
    assert parts.may_close(connection, run_id, "two", NOW + SILENCE + SECOND)
    assert not parts.may_close(connection, run_id, "one", NOW)
    parts.leave(connection, run_id, "two", NOW)
    assert parts.may_close(connection, run_id, "one", NOW)
    runs.finish_run(connection, run_id, NOW, RunStatus.SUCCESS, {})
    assert not parts.may_close(connection, run_id, "one", NOW)


def test_what_a_part_on_another_machine_held_is_taken_over_when_its_leases_have_ended(
    connection: psycopg.Connection, database_url: str
):
    ledger.add_domains(connection, [A, B], "test", NOW)
    run_id = parts.join(connection, "run", TWO, NOW).run_id
    claim(connection, run_id, "elsewhere/x/1/2#1")
    (until,) = column(connection, "SELECT max(leased_until) FROM domains")
    assert isinstance(until, datetime)
    _take_over(database_url, run_id, until - SECOND)
    assert claims.what_is_left(connection, run_id, NOW + SECOND, NOW) == Left(due=False, in_flight=True)
    _take_over(database_url, run_id, until)
    # Due as when the run began, so that the others of this run take them, each alone.
    assert claims.what_is_left(connection, run_id, NOW + SECOND, NOW) == Left(due=True, in_flight=False)
    assert claims.count_due(connection, NOW + SECOND, due_before=NOW, suspects=True) == 2
    # Leases of another run are none of ours.
    other = start(connection, [C])
    claim(connection, other, "elsewhere/x/1/3#1")
    _take_over(database_url, run_id, until + timedelta(days=1))
    assert column(connection, "SELECT lease_run FROM domains WHERE lease_run IS NOT NULL") == [other]
    assert not claims.what_is_left(connection, run_id, NOW + SECOND, NOW).in_flight


def test_what_takes_three_machines_down_gets_its_verdict_and_who_was_there_does_not(
    connection: psycopg.Connection, database_url: str
):
    """The second time with other suspects, the third time with nothing else."""
    ledger.add_domains(connection, [A, B], "test", NOW)
    run_id = parts.join(connection, "run", TWO, NOW).run_id
    for holder, suspects in (("gone#1", False), ("gone#2", True)):
        assert [each.domain for each in claim(connection, run_id, holder, suspects=suspects)] == [A, B]
        _take_over(database_url, run_id, NOW + timedelta(days=1))
    assert column(connection, "SELECT outcome FROM domains") == [None, None]
    assert claim(connection, run_id, "gone#3") == claim(connection, run_id, "gone#3", suspects=True) == []
    assert claims.count_due(connection, NOW, suspects=True, isolated=False) == 0
    assert claims.count_due(connection, NOW, suspects=True, isolated=True) == 2
    alone = claims.claim(
        connection, "gone#3", 1, NOW, timedelta(minutes=1), run_id=run_id, suspects=True, isolated=True
    )
    assert [each.domain for each in alone] == [A]
    _take_over(database_url, run_id, NOW + timedelta(days=1))
    assert column(connection, "SELECT outcome FROM domains ORDER BY domain") == ["internal_error", None]
    assert column(connection, "SELECT isolated FROM domains ORDER BY domain") == [False, True]
    assert runs.count_outcomes(connection, run_id) == {"internal_error": 1}
    claims.claim(connection, "here#1", 1, NOW, timedelta(minutes=1), run_id=run_id, suspects=True, isolated=True)
    results.record(connection, [ok(B)], "here#1")
    assert column(connection, "SELECT domain FROM domains WHERE suspect OR isolated") == []


def test_a_process_that_lost_the_database_has_proved_nothing(connection: psycopg.Connection, database_url: str):
    run_id = start(connection, [A])
    database = Database(DatabaseSettings(url=database_url))
    try:
        for lost, crash in ((os.EX_TEMPFAIL, False), (-9, True)):
            claim(connection, run_id, "x#1", at=NOW + SECOND)
            suspect(database, "x#1", lost)
            assert column(connection, "SELECT suspect FROM domains") == [crash]
        for lost, verdict in ((os.EX_TEMPFAIL, None), (-9, "internal_error")):
            assert len(claim(connection, run_id, "x#1", at=NOW + SECOND, suspects=True)) == 1
            judge(database, "x#1", lost, ScheduleSettings())
            assert column(connection, "SELECT outcome FROM domains") == [verdict]
    finally:
        database.close()


def test_a_part_of_this_machine_that_is_gone_is_not_waited_for(connection: psycopg.Connection, database_url: str):
    with subprocess.Popen(["sleep", "60"]) as process:
        gone = Part(str(process_identity(process.pid)), "machine")
        run_id = parts.join(connection, "run", gone, NOW).run_id
        parts.join(connection, "run", TWO, NOW)
        assert parts.may_close(connection, run_id, gone.name, NOW)
        _take_over(database_url, run_id, NOW)
        assert not parts.may_close(connection, run_id, "two", NOW)
        process.kill()
    _take_over(database_url, run_id, NOW)
    assert parts.may_close(connection, run_id, "two", NOW)


@pytest.mark.parametrize(
    ("status", "others", "ends"),
    [
        (RunStatus.SUCCESS, True, "success"),
        (RunStatus.PARTIAL, True, "partial"),
        (RunStatus.INTERRUPTED, True, "running"),
        (RunStatus.FAILED, True, "running"),
        (RunStatus.INTERRUPTED, False, "interrupted"),
        (RunStatus.FAILED, False, "failed"),
    ],
)
def test_who_leaves_closes_a_run_that_is_done_or_that_nobody_else_works_on(
    connection: psycopg.Connection, status: RunStatus, others: bool, ends: str
):
    run_id = parts.join(connection, "run", ONE, NOW).run_id
    if others:
        parts.join(connection, "run", TWO, NOW)
    for _ in range(2):
        # A lost connection makes it say the same again.
        assert parts.end(connection, run_id, "one", NOW, status) is (ends == "running")
    assert column(connection, "SELECT status FROM runs") == [ends]
    assert column(connection, "SELECT sum(runs) FROM run_endings") == [None if ends == "running" else 1]


def test_who_leaves_a_run_that_is_over_changes_nothing(connection: psycopg.Connection):
    run_id = parts.join(connection, "run", ONE, NOW).run_id
    runs.finish_run(connection, run_id, NOW, RunStatus.SUCCESS, {"ok": 1})
    assert parts.end(connection, run_id, "one", NOW + SECOND, RunStatus.FAILED) is False
    assert column(connection, "SELECT status FROM runs") == ["success"]
    assert column(connection, "SELECT part FROM run_parts WHERE left_at IS NULL") == []


def test_a_deserted_run_that_somebody_is_just_joining_is_not_closed(connection: psycopg.Connection, database_url: str):
    run_id = parts.join(connection, "run", ONE, NOW).run_id
    parts.leave(connection, run_id, "one", NOW)
    with connect(DatabaseSettings(url=database_url)) as own, ThreadPoolExecutor() as pool:
        with connection.transaction():
            parts.join(connection, "run", TWO, NOW)
            closing = pool.submit(parts.close_deserted, own, NOW, None)
            assert eventually(lambda: column(connection, "SELECT count(*) FROM pg_locks WHERE NOT granted") == [1])
        assert closing.result() == []
    assert column(connection, "SELECT status FROM runs") == ["running"]


def test_nobody_joins_between_the_last_ones_leaving_and_the_end(connection: psycopg.Connection, database_url: str):
    run_id = parts.join(connection, "run", ONE, NOW).run_id
    joined = []
    with connect(DatabaseSettings(url=database_url)) as own, ThreadPoolExecutor() as pool:
        with connection.transaction():
            parts.end(connection, run_id, "one", NOW, RunStatus.INTERRUPTED)
            joined.append(pool.submit(parts.join, own, "run", TWO, NOW))
            assert eventually(lambda: column(connection, "SELECT count(*) FROM pg_locks WHERE NOT granted") == [1])
            assert parts.close_deserted(connection, NOW, None) == []
        assert not joined[0].result().over
    assert column(connection, "SELECT status FROM runs") == ["running"]
    assert column(connection, "SELECT status FROM run_endings") == ["interrupted"]


def test_a_run_whose_parts_are_all_gone_is_closed_unless_it_is_about_to_be_joined(
    connection: psycopg.Connection, database_url: str
):
    run_id = parts.join(connection, "run", ONE, NOW).run_id
    parts.leave(connection, run_id, "one", NOW)
    database = Database(DatabaseSettings(url=database_url))
    try:
        bury_the_dead(database, "run", NOW + SILENCE + SECOND)
        assert column(connection, "SELECT status FROM runs") == ["running"]
        bury_the_dead(database, None, NOW)
        assert column(connection, "SELECT status FROM runs") == ["failed"]
    finally:
        database.close()


def test_a_run_of_an_earlier_version_has_no_parts_and_is_left_to_its_silence(
    connection: psycopg.Connection, database_url: str
):
    start(connection)
    database = Database(DatabaseSettings(url=database_url))
    try:
        bury_the_dead(database, None, NOW)
        assert column(connection, "SELECT status FROM runs") == ["running"]
        bury_the_dead(database, None, NOW + SILENCE + SECOND)
        assert column(connection, "SELECT status FROM runs") == ["failed"]
    finally:
        database.close()


def _take_over(url: str, run_id: int, now: datetime) -> None:
    database = Database(DatabaseSettings(url=url))
    try:
        take_over(database, run_id, ScheduleSettings(), now)
    finally:
        database.close()
