"""One scrape, whatever the database does: what is served is true, or it is not there, and it comes in time."""

import logging
import socket
import threading
import time
from pathlib import Path

import psycopg
import pytest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.exporter.numbers import exporter, registry, scrape
from tests.exporter.published import prepared, publish
from tests.gateway import gateway
from tests.store.builders import column
from vmcrawl.embedded import running
from vmcrawl.exporter.family import Gauge, Limits, Subject
from vmcrawl.exporter.scrape import SUBJECTS
from vmcrawl.exporter.snapshot import DatabaseDown, take_snapshot
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.connection import connect
from vmcrawl.store.migrations import migrate, released

NAMES = {subject.name for subject in SUBJECTS}


def asking(query: str, name: str = "odd") -> Subject:
    """A subject that asks what the test wants, and serves one number."""
    family = Gauge("vmcrawl_odd", "Of a test.")

    def read(connection: psycopg.Connection, limits: Limits):
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return [family.of(float(row[0]))]

    return Subject(name, (family,), read)


def failed(numbers) -> set[object]:
    """The subjects that could not be read."""
    good = numbers.by("vmcrawl_scrape_collector_success", "collector")
    return {
        name for (of, pairs) in numbers.samples if of == "vmcrawl_scrape_collector_success" for _, name in pairs
    } - set(good)


def is_down(numbers) -> bool:
    """Whether this is what is served of a database that is down: that, and nothing of it."""
    ours = {name for name in numbers.names() if name.startswith("vmcrawl_")}
    own = {"vmcrawl_build_info", "vmcrawl_database_up"}
    own |= {"vmcrawl_scrape_collector_success", "vmcrawl_scrape_collector_duration_seconds"}
    return numbers.of("vmcrawl_database_up") == 0 and ours == own and len(failed(numbers)) >= len(NAMES)


def test_everything_is_read(connection, database_url):
    prepared(connection)
    numbers = scrape(database_url)
    assert numbers.of("vmcrawl_database_up") == 1
    assert failed(numbers) == set()
    assert numbers.of("vmcrawl_build_info", version="1.2.3", revision="abc", pythonversion="3.11.2") == 1
    durations = {pairs for (name, pairs) in numbers.samples if name == "vmcrawl_scrape_collector_duration_seconds"}
    assert len(durations) == len(NAMES)
    assert {"process_resident_memory_bytes", "process_start_time_seconds", "python_info"} <= numbers.names()
    assert not {name for name in numbers.names() if name.startswith("python_gc")}


def test_what_is_served_was_announced_and_can_be_asked_for_by_name(connection, database_url):
    prepared(connection)
    ours = exporter(database_url)
    announced = [family.name for family in ours.describe()]
    assert len(announced) == len(set(announced))
    assert {family.name for family in registry(ours).collect() if family.name.startswith("vmcrawl_")} <= set(announced)
    assert all(family.documentation.endswith(".") or family.documentation.endswith("1.") for family in ours.describe())
    few = registry(ours).restricted_registry(["vmcrawl_database_up", "vmcrawl_runs_total"])
    assert {sample.name for family in few.collect() for sample in family.samples} == {
        "vmcrawl_database_up",
        "vmcrawl_runs_total",
    }


def test_both_formats_say_the_same(connection, database_url):
    prepared(connection)
    publish(connection, "a.example")
    ours = exporter(database_url)
    again = openmetrics(registry(ours)).decode()
    read = {
        (sample.name, frozenset(sample.labels.items()))
        for family in read_openmetrics(again)
        for sample in family.samples
    }
    text = set(scrape(ours).samples)
    assert {key for key in text if key[0].startswith("vmcrawl_")} == {
        key for key in read if key[0].startswith("vmcrawl_")
    }


def test_without_a_database_it_says_so_and_nothing_else():
    started = time.monotonic()
    assert is_down(scrape("host=127.0.0.1 port=1"))
    assert is_down(scrape("nonsense"))
    assert time.monotonic() - started < 20


def test_a_database_that_says_nothing_keeps_nobody_waiting():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ours = exporter(f"host=127.0.0.1 port={silent.getsockname()[1]}")
        started = time.monotonic()
        assert is_down(scrape(ours, seconds=0.5))
        assert is_down(scrape(ours, seconds=0.5)), "the first is still waiting, and this one does not join it"
        assert time.monotonic() - started < 5


def test_what_nobody_waits_for_any_more_is_not_read(connection, database_url):
    """A connection that comes late would find no time for any subject, and complain of each."""
    with pytest.raises(DatabaseDown, match="too late"), take_snapshot(database_url, "", time.monotonic(), print):
        pytest.fail("it was given a snapshot")


def test_a_database_that_is_stopped_and_started_again(tmp_path: Path):
    with running(tmp_path) as url:
        with connect(DatabaseSettings(url=url)) as connection:
            prepared(connection)
            publish(connection, "a.example")
        ours = exporter(url)
        assert scrape(ours).total("vmcrawl_instances") == 1
    assert is_down(scrape(ours))
    with running(tmp_path) as again:
        assert again == url
        assert scrape(ours).total("vmcrawl_instances") == 1


def test_a_connection_that_is_cut_in_mid_scrape_leaves_nothing_half_read(connection, database_url, caplog):
    prepared(connection)
    ours = exporter(database_url, (*SUBJECTS, asking("SELECT pg_sleep(30) IS NULL")))
    found: list[object] = []
    scraping = threading.Thread(target=lambda: found.append(scrape(ours)))
    scraping.start()
    _kill_sleeper(connection)
    scraping.join()
    assert is_down(found[0])
    assert "the database cannot be read" in caplog.text


def test_a_network_that_swallows_everything_in_mid_scrape(connection, database_url):
    prepared(connection)
    parts = conninfo_to_dict(database_url)
    with gateway(str(parts["host"]), int(parts.get("port") or 5432)) as (port, swallow):
        through = make_conninfo(database_url, host="127.0.0.1", port=port)
        ours = exporter(through, (*SUBJECTS, asking("SELECT 1 FROM pg_sleep(0.5)")))
        assert scrape(ours).of("vmcrawl_database_up") == 1
        swallow.set()
        started = time.monotonic()
        assert is_down(scrape(ours, seconds=1.5))
        assert time.monotonic() - started < 10
        swallow.clear()


def test_a_slow_subject_costs_itself_alone(connection, database_url, caplog):
    prepared(connection)
    publish(connection, "a.example")
    numbers = scrape(exporter(database_url, (asking("SELECT pg_sleep(60) IS NULL"), *SUBJECTS)), seconds=4)
    assert failed(numbers) == {"odd"}
    assert numbers.of("vmcrawl_database_up") == 1
    assert numbers.total("vmcrawl_instances") == 1
    assert "the subject odd cannot be read: canceling statement due to statement timeout" in caplog.text


def test_many_slow_statements_cost_their_subject_alone(connection, database_url, caplog):
    prepared(connection)
    publish(connection, "a.example")

    def read(slow: psycopg.Connection, limits: Limits):
        for _ in range(9):
            slow.execute("SELECT pg_sleep(1.2)")
        return []

    numbers = scrape(exporter(database_url, (Subject("slow", (), read), *SUBJECTS)), seconds=4)
    assert numbers.of("vmcrawl_database_up") == 1
    assert failed(numbers) == {"slow"}
    assert numbers.total("vmcrawl_instances") == 1


def test_a_table_that_somebody_has_locked_costs_those_who_need_it(connection, database_url):
    prepared(connection)
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE uptakes IN ACCESS EXCLUSIVE MODE")
        numbers = scrape(database_url, seconds=4)
    assert failed(numbers) == {"delays"}
    assert failed(scrape(database_url)) == set()


def test_a_broken_query_is_named_once_and_again_when_it_is_over(connection, database_url, caplog):
    prepared(connection)
    caplog.set_level(logging.INFO)
    ours = exporter(database_url, (*SUBJECTS, asking("SELECT number FROM odd")))
    for _ in range(3):
        assert failed(scrape(ours)) == {"odd"}
    connection.execute("CREATE TABLE odd AS SELECT 7 AS number")
    connection.execute("GRANT SELECT ON odd TO vmcrawl_reader")
    for _ in range(2):
        assert scrape(ours).of("vmcrawl_odd") == 7
    said = [record.getMessage() for record in caplog.records if "odd" in record.getMessage()]
    assert [text.startswith("no more") for text in said] == [False, True]


def test_what_fails_now_this_way_now_that_way_is_named_once_each_way(connection, database_url, caplog):
    """As two Prometheis see a database that says nothing: one waits for it, the other for its turn."""
    prepared(connection)
    caplog.set_level(logging.INFO)
    missing = iter(["one", "other", "one", "other", "one"])
    family = Gauge("vmcrawl_odd", "Of a test.")

    def read(odd: psycopg.Connection, limits: Limits):
        if name := next(missing, ""):
            odd.execute(f"SELECT FROM {name}")
        return [family.of(1)]

    ours = exporter(database_url, (Subject("odd", (family,), read),))
    assert [scrape(ours).of("vmcrawl_odd") for _ in range(7)] == [*[None] * 5, 1, 1]
    said = [record.levelname for record in caplog.records if "subject odd" in record.getMessage()]
    assert said == ["WARNING", "WARNING", "INFO"]


@pytest.mark.parametrize("number", range(len(released())))
def test_a_database_that_is_not_yet_migrated_costs_what_it_lacks(empty_database_url: str, number: int, caplog):
    with connect(DatabaseSettings(url=empty_database_url)) as connection:
        migrate(connection, released()[:number])
        numbers = scrape(empty_database_url, role="")
        assert numbers.of("vmcrawl_database_up") == 1
        # Before 0007 there is nothing that it could read; what has come since concerns runs alone.
        assert failed(numbers) == (NAMES if number < 7 else {"runs"})
        assert "vmcrawl migrate brings the database to this version" in caplog.text
        prepared(connection)
    assert failed(scrape(empty_database_url)) == set()


def test_two_scrapes_at_once_both_get_everything(connection, database_url):
    prepared(connection)
    publish(connection, "a.example")
    ours = exporter(database_url, (*SUBJECTS, asking("SELECT 1 FROM pg_sleep(0.3)")))
    found: list[float] = []
    threads = [threading.Thread(target=lambda: found.append(scrape(ours).total("vmcrawl_instances"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1, 1, 1, 1]


def test_all_subjects_see_one_moment(connection, database_url):
    prepared(connection)

    def read(_: psycopg.Connection, limits: Limits):
        publish(connection, "late.example")
        return []

    late = Subject("late", (), read)
    numbers = scrape(exporter(database_url, (SUBJECTS[0], late, *SUBJECTS[1:])))
    assert column(connection, "SELECT count(*) FROM instances") == [1]
    assert (numbers.total("vmcrawl_instances"), numbers.total("vmcrawl_version_instances")) == (0, 0)
    assert numbers.total("vmcrawl_domains") == 0


def test_it_reads_as_the_role_that_sees_sums_alone(connection, database_url):
    prepared(connection)
    assert failed(scrape(exporter(database_url, (asking("SELECT count(*) FROM domains"),)))) == {"odd"}
    ours = exporter(database_url, (asking("SELECT (current_user = 'vmcrawl_reader')::int"),))
    assert scrape(ours).of("vmcrawl_odd") == 1
    assert scrape(exporter(database_url, (asking("SELECT count(*) FROM domains"),), role="")).of("vmcrawl_odd") == 0


def test_tables_in_a_schema_named_like_their_owner_are_found(empty_database_url):
    """The search path begins with the schema of whoever one is, and for this the exporter is somebody else."""
    with connect(DatabaseSettings(url=empty_database_url)) as owner:
        owner.execute("CREATE SCHEMA AUTHORIZATION CURRENT_USER")
        prepared(owner)
        publish(owner, "a.example")
        assert column(owner, "SELECT count(*) FROM pg_tables WHERE schemaname = current_user") != [0]
    numbers = scrape(empty_database_url)
    assert failed(numbers) == set()
    assert numbers.total("vmcrawl_instances") == 1


def test_it_can_write_nothing(connection, database_url):
    prepared(connection)
    ours = exporter(
        database_url, (asking("WITH gone AS (DELETE FROM dni RETURNING 1) SELECT count(*) FROM gone"),), role=""
    )
    assert failed(scrape(ours)) == {"odd"}


def test_without_the_role_the_rights_of_the_user_have_to_do(connection, database_url, caplog):
    prepared(connection)
    ours = exporter(database_url, role="nobody_has_made_it")
    for _ in range(2):
        assert failed(scrape(ours)) == set()
    assert caplog.text.count("the role nobody_has_made_it cannot be taken on") == 1


def test_a_number_that_is_too_big_for_prometheus_costs_one_subject(connection, database_url):
    prepared(connection)
    family = Gauge("vmcrawl_odd", "Of a test.")
    numbers = scrape(exporter(database_url, (Subject("odd", (family,), lambda *_: [family.of(10**400)]), *SUBJECTS)))
    assert failed(numbers) == {"odd"}


def test_an_answer_without_any_value_costs_one_subject_at_most(connection, database_url):
    """Whatever is NULL that never should be: the scrape comes, and the other subjects are whole."""
    prepared(connection)
    views = column(
        connection,
        "SELECT relname FROM pg_class WHERE relkind = 'v' AND has_table_privilege('vmcrawl_reader', oid, 'SELECT')"
        " AND relnamespace = 'public'::regnamespace AND relname <> 'public_instances'",
    )
    assert len(views) > 10
    for view in views:
        with connection.transaction(force_rollback=False):
            connection.execute(f"ALTER VIEW {view} RENAME TO hidden".encode())
            connection.execute(f"CREATE TABLE {view} AS SELECT * FROM hidden LIMIT 0".encode())
            connection.execute(f"INSERT INTO {view} DEFAULT VALUES".encode())
            connection.execute(f"GRANT SELECT ON {view} TO vmcrawl_reader".encode())
        numbers = scrape(database_url)
        assert numbers.of("vmcrawl_database_up") == 1
        # The view `adoption` has two readers, as have the states of branches.
        assert len(failed(numbers)) <= 2, view
        with connection.transaction():
            connection.execute(f"DROP TABLE {view}".encode())
            connection.execute(f"ALTER VIEW hidden RENAME TO {view}".encode())


def _kill_sleeper(connection: psycopg.Connection) -> None:
    for _ in range(200):
        killed = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'vmcrawl exporter' AND query LIKE '%pg_sleep%'"
        ).fetchall()
        if killed:
            return
        time.sleep(0.05)
    pytest.fail("nobody sleeps")
