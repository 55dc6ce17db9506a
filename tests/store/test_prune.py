"""What is too old goes, in small steps and one process at a time; what anybody still needs stays."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.pooler import pooled
from tests.program import environment, start, vmcrawl
from tests.store.builders import NOW, column, crawl, leave_page, ok
from vmcrawl.domain import Domain
from vmcrawl.past import Stretch, Window
from vmcrawl.settings import DatabaseSettings, RetentionSettings
from vmcrawl.store.connection import connect
from vmcrawl.store.migrations import prepare
from vmcrawl.store.past import read_past
from vmcrawl.store.prune import _LOCK, _STEP, Pruned, prunable, prune

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
KEPT = RetentionSettings()
_ROBOTS = "INSERT INTO robots SELECT 'r' || n || '.example', now() - %s::interval, '' FROM generate_series(1, %s) AS n"


@pytest.fixture(autouse=True)
def _prepared(connection: psycopg.Connection):
    prepare(connection, timedelta(days=3))


def test_of_each_kind_what_is_older_than_settings_say_goes_and_nothing_else(connection: psycopg.Connection):
    crawl(connection, ok(Domain("a.example"), NOW - 900 * DAY, version="4.5.0"))
    for days, version in ((801, "4.5.1"), (799, "4.5.2")):
        crawl(connection, ok(Domain("a.example"), NOW - days * DAY, version=version))
    connection.execute("DELETE FROM runs")
    connection.execute(
        "INSERT INTO runs (started_at, finished_at, heartbeat_at, status, host)"
        " SELECT t, CASE WHEN s <> 'running' THEN t END, t, s, 'x'"
        " FROM unnest(ARRAY[now() - interval '401 days', now() - interval '399 days']) AS t,"
        " unnest(ARRAY['success', 'running', 'failed']) AS s"
    )
    connection.execute(_ROBOTS, ["8 days", 2])
    connection.execute("INSERT INTO robots VALUES ('young.example', now() - interval '6 days', '')")
    expected = Pruned(robots=2, runs=2, changes=1)
    assert prunable(connection, NOW, KEPT) == expected
    assert prune(connection, NOW, KEPT) == expected
    assert prune(connection, NOW, KEPT) == prunable(connection, NOW, KEPT) == Pruned()
    assert column(connection, "SELECT host FROM robots") == ["young.example"]
    assert column(connection, "SELECT count(*) FROM runs WHERE status = 'running'") == [2]
    assert column(connection, "SELECT to_version FROM version_changes") == ["4.5.2"]


def test_who_worked_on_a_run_goes_with_it(connection: psycopg.Connection):
    connection.execute(
        "WITH old AS (INSERT INTO runs (started_at, finished_at, heartbeat_at, status, host) VALUES"
        " (now() - interval '401 days', now(), now(), 'success', 'x') RETURNING id)"
        " INSERT INTO run_parts (run_id, part, machine, joined_at, heartbeat_at)"
        " SELECT id, 'p', 'm', now(), now() FROM old"
    )
    assert prune(connection, NOW, KEPT).runs == 1
    assert column(connection, "SELECT count(*) FROM run_parts") == [0]


def test_it_goes_in_steps_and_what_is_left_is_for_the_next_time(connection: psycopg.Connection):
    connection.execute(_ROBOTS, ["8 days", 2 * _STEP + 10])
    assert prune(connection, NOW, KEPT, 1) == Pruned(robots=_STEP, complete=False)
    assert prune(connection, NOW, KEPT) == Pruned(robots=_STEP + 10)


def test_moves_of_the_same_moment_all_go_however_many(connection: psycopg.Connection):
    crawl(connection, ok(Domain("a.example"), NOW - DAY, version="4.5.0"))
    crawl(connection, ok(Domain("a.example"), NOW, version="4.5.1"))
    connection.execute("INSERT INTO domains (domain) SELECT 'd' || n FROM generate_series(1, %s) AS n", [2 * _STEP + 3])
    connection.execute(
        "INSERT INTO moves SELECT d.domain, m.from_id, m.to_id, '2020-01-01Z' FROM domains AS d, moves AS m"
        " WHERE d.domain <> 'a.example'"
    )
    assert prune(connection, NOW, KEPT).changes == 2 * _STEP + 3


def test_nobody_is_waited_for(connection: psycopg.Connection, database_url: str):
    """Neither whoever prunes just now, nor whoever is writing to what is old."""
    connection.execute(_ROBOTS, ["8 days", 3])
    with connect(DatabaseSettings(url=database_url)) as other:
        with other.transaction():
            other.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            assert prune(connection, NOW, KEPT) == Pruned(complete=False)
        with other.transaction():
            other.execute("UPDATE robots SET read_at = now() WHERE host = 'r2.example'")
            assert prune(connection, NOW, KEPT) == Pruned(robots=2)
    assert column(connection, "SELECT host FROM robots") == ["r2.example"]


def test_two_that_prune_through_pgbouncer_do_not_get_in_each_others_way(
    connection: psycopg.Connection, database_url: str, server_url: str, tmp_path: Path
):
    connection.execute(_ROBOTS, ["8 days", 20 * _STEP])
    with pooled(server_url, tmp_path) as pooler:
        env = environment(make_conninfo(pooler, dbname=conninfo_to_dict(database_url)["dbname"]))
        both = [start(["prune", "--json"], env) for _ in range(2)]
        outputs = [each.communicate(timeout=60) for each in both]
        assert [each.returncode for each in both] == [0, 0], outputs
        again = vmcrawl("prune", "--json", env=env)
    assert again.returncode == 0
    assert column(connection, "SELECT count(*) FROM robots") == [0]


def pages(connection: psycopg.Connection, days: int, apart: timedelta, invalid: frozenset[int] = frozenset()) -> None:
    """Pages up to now, each of its own numbers; those of some days (counted back from today) are not believed."""
    for number in range(days * DAY // apart):
        at = NOW - number * apart
        rows = ("4.5", "4.5.6", True, 1_000 - number, 1), ("4.4", "4.4.9", None, number + 1, 1)
        leave_page(connection, 1_000_000 - number, at, *rows, invalid=(NOW.date() - at.date()).days in invalid)


def stretches(connection: psycopg.Connection) -> list[Stretch]:
    found: list[Stretch] = []
    window = Window(0, int((NOW + DAY).timestamp()), 300)
    read_past(connection, window, lambda past: found.extend(past.by_branch("instances", {"4.5", "4.4"})))
    return found


def value_at(found: list[Stretch], moment: float) -> int | None:
    return next((s.value for s in found if s.labels == ("4.5", "true") and s.begins <= moment < s.ends), None)


def test_history_is_thinned_to_the_last_page_of_each_day(connection: psycopg.Connection):
    pages(connection, 20, 2 * HOUR)
    before = stretches(connection)
    kept = replace(KEPT, history_every_run=7 * DAY)
    expected = prunable(connection, NOW, kept)
    assert prune(connection, NOW, kept) == expected
    assert expected.history > 200
    assert prune(connection, NOW, kept).history == 0
    after = stretches(connection)
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    for days in range(19):
        end = (midnight - days * DAY).timestamp() - 1
        assert value_at(after, end) == value_at(before, end), "at the end of each day nothing has changed"
    for hours in range(7 * 24):
        moment = (NOW - hours * HOUR).timestamp()
        assert value_at(after, moment) == value_at(before, moment), "of the last days all is there"
    per_day = (
        "SELECT count(DISTINCT run_id) FROM adoption_history GROUP BY (at AT TIME ZONE 'UTC')::date ORDER BY min(at)"
    )
    assert set(column(connection, per_day)[1:11]) == {1}


@pytest.mark.parametrize("published", [timedelta(hours=5), DAY, 3 * DAY])
def test_no_moment_that_had_a_page_is_without_one_afterwards(connection: psycopg.Connection, published: timedelta):
    """A page holds for publish.retention: where that is short, more of them are kept."""
    connection.execute("UPDATE publication SET retention = %s", [published])
    pages(connection, 12, HOUR, invalid=frozenset({6, 8}))
    before = stretches(connection)
    assert prune(connection, NOW, replace(KEPT, history_every_run=DAY)).history > 0
    after = stretches(connection)
    first = min(s.begins for s in after)
    moments = range(first, int(NOW.timestamp()), 600)
    assert first == min(s.begins for s in before)
    assert [m for m in moments if value_at(before, m) is not None and value_at(after, m) is None] == []


def test_of_a_day_with_some_bad_pages_a_believed_one_is_kept_and_of_a_bad_day_its_mark(connection: psycopg.Connection):
    pages(connection, 12, 2 * HOUR, invalid=frozenset({9}))
    day = (NOW - 8 * DAY).date()
    connection.execute(
        "UPDATE adoption_history SET invalid = true WHERE (at AT TIME ZONE 'UTC')::date = %s"
        " AND extract(hour FROM at AT TIME ZONE 'UTC') >= 12",
        [day],
    )
    prune(connection, NOW, replace(KEPT, history_every_run=DAY))
    of_day = "SELECT DISTINCT invalid FROM adoption_history WHERE (at AT TIME ZONE 'UTC')::date = %s"
    assert column(connection, of_day, day) == [False]
    assert column(connection, of_day, (NOW - 9 * DAY).date()) == [True]


def test_what_runs_are_held_against_is_kept_whatever_settings_say(connection: psycopg.Connection):
    connection.execute("UPDATE publication SET retention = '30 days'")
    pages(connection, 40, 6 * HOUR)
    prune(connection, NOW, replace(KEPT, history_every_run=DAY, runs=7 * DAY))
    recent = "SELECT count(DISTINCT run_id) FROM adoption_history WHERE at > %s"
    assert column(connection, recent, NOW - 31 * DAY) == [31 * 4]


def test_pages_of_each_day_can_have_an_end(connection: psycopg.Connection):
    pages(connection, 40, 6 * HOUR)
    prune(connection, NOW, replace(KEPT, history_every_run=7 * DAY, history_daily=20 * DAY))
    (oldest,) = column(connection, "SELECT min(at) FROM adoption_history")
    assert isinstance(oldest, datetime)
    assert timedelta(days=19) <= NOW - oldest <= 20 * DAY


def test_the_command_tells_what_it_does_and_what_it_would_do(connection: psycopg.Connection, database_url: str):
    connection.execute(_ROBOTS, ["8 days", 3])
    env = environment(database_url)
    tried = vmcrawl("prune", "--dry-run", "--json", env=env)
    assert tried.stdout == (
        '{"robots": 3, "runs": 0, "changes": 0, "history": 0, "complete": true, "dry_run": true}\n'
    ), tried.stderr
    assert column(connection, "SELECT count(*) FROM robots") == [3]
    done = vmcrawl("prune", env={**env, "VMCRAWL_RETENTION_ROBOTS": "9d"})
    assert "rules of robots.txt" in done.stdout
    assert column(connection, "SELECT count(*) FROM robots") == [3]
    assert vmcrawl("prune", env=env).returncode == 0
    assert column(connection, "SELECT count(*) FROM robots") == [0]
