"""Commands that only show work for a user who may only read; others say in one line that they may not."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.store.builders import crawl, ok
from vmcrawl.cli import main
from vmcrawl.domain import Domain
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.connection import connect
from vmcrawl.store.migrations import migrate, prepare, released

SHOWING = [
    ["releases", "show"],
    ["releases", "show", "4.7", "--json"],
    ["advisories", "show"],
    ["advisories", "show", "--json"],
    ["history", "list"],
    ["history", "list", "--delays"],
    ["show", "vmst.io"],
    ["status"],
    ["domains", "list", "--json"],
    ["classify", "4.7.0"],
]
WRITING = [
    ["releases", "set-branch", "4.7", "--support", "eol"],
    ["releases", "refresh"],
    ["advisories", "override", "GHSA-ccpr-m53r-mfwr", "--ranges", "none"],
    ["domains", "exclude", "vmst.io"],
    ["history", "invalidate", "2026-11-23"],
]


@pytest.fixture
def seeded(connection: psycopg.Connection) -> psycopg.Connection:
    prepare(connection, timedelta(days=5))
    crawl(connection, ok(Domain("vmst.io"), version="4.7.0"))
    return connection


@pytest.fixture(params=["without the privilege", "on a standby"])
def reader(request, monkeypatch, seeded: psycopg.Connection, database_url: str) -> Iterator[None]:
    """All settings lead to a database that can be read only; another day has begun there meanwhile."""
    seeded.execute("UPDATE catalogue_state SET read_on = '2020-01-01'")
    if request.param == "on a standby":
        options = "-c default_transaction_read_only=on"
    else:
        seeded.execute("CREATE ROLE vmcrawl_test_reader")
        seeded.execute("GRANT USAGE ON SCHEMA public TO vmcrawl_test_reader")
        seeded.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO vmcrawl_test_reader")
        options = "-c role=vmcrawl_test_reader"
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", make_conninfo(database_url, options=options))
    yield
    if request.param != "on a standby":
        seeded.execute("DROP OWNED BY vmcrawl_test_reader")
        seeded.execute("DROP ROLE vmcrawl_test_reader")


@pytest.mark.parametrize("arguments", SHOWING, ids=" ".join)
def test_what_only_shows_needs_no_more_than_reading(reader, capsys, arguments):
    assert main(arguments) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("arguments", WRITING, ids=" ".join)
def test_what_writes_says_in_one_line_that_it_may_not(reader, capsys, arguments):
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "permission denied" in line or "read-only transaction" in line


def test_showing_leaves_the_database_as_it_is(seeded: psycopg.Connection, monkeypatch, database_url: str, capsys):
    """Also where the settings of who looks are not those of who crawls."""
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", database_url)
    monkeypatch.setenv("VMCRAWL_PUBLISH_RETENTION", "3d")
    # What versions mean today is written once a day, whoever finds out.
    assert main(["advisories", "show"]) == 0
    rows = "SELECT xmin::text, ctid::text, * FROM"
    tables = ("catalogue_state", "publication", "branches", "versions", "sources", "schema_migrations", "domains")
    before = [seeded.execute(f"{rows} {table} ORDER BY 2".encode()).fetchall() for table in tables]
    for arguments in SHOWING:
        assert main(arguments) == 0
    assert [seeded.execute(f"{rows} {table} ORDER BY 2".encode()).fetchall() for table in tables] == before
    assert seeded.execute("SELECT retention FROM publication").fetchone() == (timedelta(days=5),)
    capsys.readouterr()


def test_a_reader_of_a_database_that_nobody_has_brought_to_this_version_is_told_who_has_to(
    empty_database_url: str, monkeypatch, capsys
):
    with connect(DatabaseSettings(url=empty_database_url)) as connection:
        migrate(connection, released()[:-1])
    options = "-c default_transaction_read_only=on"
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", make_conninfo(empty_database_url, options=options))
    assert main(["status"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "vmcrawl migrate" in line
    # Whoever may, is not bothered with it.
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", empty_database_url)
    assert main(["releases", "show", "4.7"]) == 0


def test_whatever_else_the_database_refuses_is_one_line(seeded: psycopg.Connection, monkeypatch, database_url, capsys):
    seeded.execute("ALTER TABLE domains RENAME TO elsewhere")
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", database_url)
    assert main(["status"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert 'relation "domains" does not exist' in line
