"""Any database, however old and however many start at once, comes to this version, or says why not."""

import hashlib
import threading

import psycopg
import pytest

from tests.store.builders import column
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.connection import connect
from vmcrawl.store.migrations import DatabaseTooNew, migrate, pending, released

#: Of every migration that was released. If this fails, add a migration; databases out there have the old one.
RELEASED = {"0001_ledger": "d1449e55e80759e81357d88fc40d08940cd52a7a39af73adf8ed7972c295256a"}


def test_a_released_migration_is_never_edited():
    assert {m.name: hashlib.sha256(m.sql.encode()).hexdigest() for m in released()} == RELEASED


def test_migrations_are_numbered_without_gaps_and_say_why():
    assert [migration.number for migration in released()] == list(range(1, len(released()) + 1))
    for migration in released():
        assert migration.sql.startswith("-- Why: ")


def test_an_empty_database_gets_all_and_then_nothing(empty_database_url: str):
    with connect(DatabaseSettings(url=empty_database_url)) as connection:
        assert [migration.name for migration in pending(connection)] == [m.name for m in released()]
        assert migrate(connection) == [migration.name for migration in released()]
        assert migrate(connection) == []


@pytest.mark.parametrize("number", range(len(released())))
def test_every_earlier_version_is_brought_up_to_date(empty_database_url: str, number: int):
    with connect(DatabaseSettings(url=empty_database_url)) as connection:
        migrate(connection, released()[:number])
        assert migrate(connection) == [migration.name for migration in released()[number:]]


def test_of_many_that_start_at_once_one_migrates_and_all_go_on(empty_database_url: str):
    applied: list[list[str]] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        with connect(DatabaseSettings(url=empty_database_url)) as connection:
            barrier.wait()
            applied.append(migrate(connection))

    starters = [threading.Thread(target=start) for _ in range(8)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join(30)
    assert sorted(applied) == [[]] * 7 + [[migration.name for migration in released()]]


def test_a_database_of_a_later_version_is_refused_and_left_alone(connection: psycopg.Connection):
    connection.execute("INSERT INTO schema_migrations (number, name) VALUES (9999, '9999_future')")
    with pytest.raises(DatabaseTooNew, match="update the program"):
        migrate(connection)


def test_a_migration_that_fails_leaves_no_trace(empty_database_url: str):
    good, bad = released()[0], type(released()[0])(2, "0002_bad", "CREATE TABLE half (x text); SELECT 1 / 0")
    with connect(DatabaseSettings(url=empty_database_url)) as connection:
        with pytest.raises(psycopg.DataError):
            migrate(connection, [good, bad])
        assert column(connection, "SELECT to_regclass('domains')::text") == [None]
