"""Stored version strings follow what is known: read anew when it changes, at the end of every run, and only then."""

import threading
from datetime import timedelta

import psycopg
import pytest

from tests.program import environment, vmcrawl
from tests.store.builders import NOW, column, crawl, names, ok
from vmcrawl.domain import Domain
from vmcrawl.exposure import Reading
from vmcrawl.knowledge import load_reader, read_anew
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.catalogue import changed, revision
from vmcrawl.store.connection import connect
from vmcrawl.store.database import Database
from vmcrawl.store.meanings import needs_reclassify, reclassify
from vmcrawl.store.migrations import prepare
from vmcrawl.store.results import Result

TODAY = NOW.date()


@pytest.fixture
def database(connection: psycopg.Connection, database_url: str):
    prepare(connection, timedelta(days=3))
    database = Database(DatabaseSettings(url=database_url))
    yield database
    database.close()


def see(connection: psycopg.Connection, database: Database, domain: Domain, version: str) -> None:
    """A good look at a server, read with what is known now."""
    seen = ok(domain, version=version)
    reading = load_reader(database, TODAY).reading(seen.observation)
    crawl(connection, Result(seen.observation, seen.appointment, reading))


def publish(connection: psycopg.Connection, release: str) -> None:
    """Upstream releases something, and the catalogue learns of it."""
    connection.execute(
        "INSERT INTO releases (release, branch, released_on, prerelease, security, source, changed_at)"
        " VALUES (%s, substr(%s, 1, 3), %s, false, true, 'test', now())",
        [release, release, TODAY],
    )
    changed(connection)


def test_nothing_is_done_where_nothing_has_changed(connection: psycopg.Connection, database: Database):
    read_anew(database, TODAY)
    # Whoever looked for it would miss it.
    connection.execute("DELETE FROM releases")
    assert read_anew(database, TODAY) == 0
    with pytest.raises(ValueError, match="stable release"):
        read_anew(database, TODAY + timedelta(days=1))


def test_every_run_ends_with_it(connection: psycopg.Connection, database: Database, database_url: str):
    (domain,) = names(1)
    see(connection, database, domain, "4.7.0")
    publish(connection, "4.7.1")
    assert column(connection, "SELECT patched FROM instances") == [True]
    finished = vmcrawl(
        "crawl", "--json", "vmst.io", env=environment(database_url, VMCRAWL_NETWORK_NAMESERVERS="127.0.0.1:9")
    )
    assert finished.returncode == 0, finished.stderr
    assert column(connection, "SELECT patched FROM instances") == [False]
    assert column(connection, "SELECT patched FROM adoption_history") == [False]


def test_nobody_waits_while_strings_are_read(connection: psycopg.Connection, database: Database, database_url: str):
    see(connection, database, Domain("a.example"), "4.7.0")
    reader = load_reader(database, TODAY)
    asked: list[str] = []

    def read(software: str, version: str, upstream: str | None) -> Reading | None:
        asked.append(version)
        if len(asked) == 1:
            with connect(DatabaseSettings(url=database_url)) as own:
                own.execute("SELECT FROM catalogue_state FOR UPDATE NOWAIT")
                # What comes in meanwhile is read as well, and what goes is not made again.
                see(own, database, Domain("b.example"), "4.6.0")
                own.execute("DELETE FROM sightings WHERE domain = 'a.example'")
                own.execute("DELETE FROM versions WHERE version = '4.7.0'")
        return reader.read(software, version, upstream)

    number = revision(connection)
    reclassify(connection, read, today=TODAY + timedelta(days=1), revision=number, parser=1)
    assert asked == ["4.7.0", "4.6.0"]
    assert column(connection, "SELECT version FROM versions") == ["4.6.0"]


def test_of_several_who_read_anew_at_once_one_writes(
    connection: psycopg.Connection, database: Database, database_url: str
):
    see(connection, database, Domain("a.example"), "4.7.0")
    publish(connection, "4.7.1")
    number = revision(connection)
    reader = load_reader(database, TODAY)
    barrier, done = threading.Barrier(4), list[int]()

    def redo() -> None:
        with connect(DatabaseSettings(url=database_url)) as own:

            def read(software: str, version: str, upstream: str | None) -> Reading | None:
                barrier.wait(10)
                return reader.read(software, version, upstream)

            done.append(reclassify(own, read, today=TODAY, revision=number, parser=1))

    threads = [threading.Thread(target=redo) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(done) == [0, 0, 0, 1]
    # One that comes last, with what was known before, undoes nothing.
    assert reclassify(connection, reader.read, today=TODAY, revision=number - 1, parser=1) == 0
    assert not needs_reclassify(connection, TODAY, 1)
