"""Connections: made, refused, lost and made again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.store.builders import column
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.connection import BadDatabaseUrl, DatabaseUnavailable, connect, conninfo
from vmcrawl.store.database import Database


def _nowhere(tmp_path: Path) -> DatabaseSettings:
    return DatabaseSettings(url=f"postgresql://me@/db?host={tmp_path}")


def _backend(connection: psycopg.Connection) -> int:
    return connection.info.backend_pid


def test_a_server_that_cannot_be_reached_is_unavailable(tmp_path: Path):
    with pytest.raises(DatabaseUnavailable, match="No such file"):
        connect(_nowhere(tmp_path))


@pytest.mark.parametrize("url", ["postgresql://me:s3cret@host/db?nonsense=1", "hunter2 s3cret", "host=x port=s3cret"])
def test_a_url_that_cannot_be_read_is_refused_without_repeating_a_password(url: str):
    with pytest.raises((BadDatabaseUrl, DatabaseUnavailable)) as caught:
        connect(DatabaseSettings(url=url))
    if isinstance(caught.value, BadDatabaseUrl):
        assert "s3cret" not in str(caught.value)


def test_a_password_of_its_own_takes_the_place_of_that_in_the_url():
    settings = DatabaseSettings(url="postgresql://me:old@host/db", password="it's n3w")
    told = conninfo_to_dict(conninfo(settings))
    assert told == {"user": "me", "host": "host", "dbname": "db", "password": "it's n3w"}
    with pytest.raises(BadDatabaseUrl):
        conninfo(DatabaseSettings(url="hunter2 s3cret", password="x"))


def test_nothing_stays_in_the_session(connection: psycopg.Connection):
    for _ in range(20):
        connection.execute("SELECT %s::int", [1])
    assert column(connection, "SELECT count(*) FROM pg_prepared_statements") == [0]
    assert connection.autocommit


def test_a_lost_connection_is_made_again(database_url: str, connection: psycopg.Connection):
    database = Database(DatabaseSettings(url=database_url))
    first = database.run(_backend)
    connection.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
    assert column(connection, "SELECT 1") == [1]
    assert database.run(lambda own: column(own, "SELECT pg_backend_pid()")) != [first]
    database.close()


def test_a_connection_that_does_not_come_back_is_unavailable(database_url: str, connection: psycopg.Connection):
    database = Database(DatabaseSettings(url=database_url), patience_seconds=(0.0, 0.0))
    attempts: list[int] = []

    def lose(own: psycopg.Connection) -> None:
        attempts.append(own.info.backend_pid)
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", [attempts[-1]])
        own.execute("SELECT 1")

    with pytest.raises(DatabaseUnavailable):
        database.run(lose)
    assert len(set(attempts)) == 3
    database.close()


@pytest.mark.parametrize("state", ["57P01", "57P02", "57P03", "08P01", "08006"])
def test_a_session_that_is_said_to_end_is_made_anew_though_nobody_has_hung_up_yet(database_url: str, state: str):
    said = iter([True, False])

    def work(connection: psycopg.Connection) -> int:
        if next(said):
            # What libpq makes of a FATAL that arrives before the end of the connection.
            connection.execute(
                psycopg.sql.SQL("DO $$ BEGIN RAISE EXCEPTION 'going down' USING ERRCODE = {}; END $$").format(state)
            )
        return _backend(connection)

    database = Database(DatabaseSettings(url=database_url))
    before = database.run(_backend)
    assert database.run(work) != before
    database.close()


def test_the_clock_of_the_database_is_looked_at_again(database_url: str):
    database = Database(DatabaseSettings(url=database_url))
    database.run(_backend)
    # As if this machine's clock had been set back by an hour.
    database._ahead -= timedelta(hours=1)
    assert datetime.now(UTC) - database.now() > timedelta(minutes=59)
    database.synchronize()
    assert abs(datetime.now(UTC) - database.now()) < timedelta(minutes=1)
    database.close()


def test_the_first_connection_is_tried_once(tmp_path: Path):
    database = Database(_nowhere(tmp_path), patience_seconds=(3600.0,))
    with pytest.raises(DatabaseUnavailable):
        database.run(_backend)
    database.close()


def test_an_error_of_the_statement_is_not_tried_again(database_url: str):
    database = Database(DatabaseSettings(url=database_url), patience_seconds=(3600.0,))
    attempts: list[int] = []

    def fail(connection: psycopg.Connection) -> None:
        attempts.append(1)
        connection.execute("SELECT 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        database.run(fail)
    assert attempts == [1]
    database.close()
