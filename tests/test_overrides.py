"""``advisories override`` from the command line to what instances are stored as exposed to."""

import json
import time
from datetime import timedelta

import psycopg
import pytest

from tests.program import environment, start
from tests.store.builders import NOW, column, crawl, ok
from vmcrawl.cli import main
from vmcrawl.domain import Domain
from vmcrawl.knowledge import load_reader
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.advisories import override_advisory
from vmcrawl.store.catalogue import lock
from vmcrawl.store.database import Database
from vmcrawl.store.migrations import prepare
from vmcrawl.store.results import Result

GWHW = "GHSA-gwhw-gcjx-72v8"
SERVERS = {"4.3.2": Domain("old.example"), "4.3.15": Domain("between.example"), "4.5.2": Domain("new.example")}


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch, database_url: str, connection: psycopg.Connection) -> None:
    """Three servers, read with the packaged facts; all of them are exposed to what was published."""
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", database_url)
    prepare(connection, timedelta(days=3))
    database = Database(DatabaseSettings(url=database_url))
    reader = load_reader(database, NOW.date())
    database.close()
    looks = [ok(domain, version=version) for version, domain in SERVERS.items()]
    crawl(connection, *(Result(o.observation, o.appointment, reader.reading(o.observation)) for o in looks))


def exposed(connection: psycopg.Connection) -> dict[object, object]:
    rows = connection.execute("SELECT domain, fixed_in FROM instance_advisories WHERE ghsa_id = %s", [GWHW])
    return dict(rows.fetchall())


def override(*arguments: str, code: int = 0) -> None:
    assert main(["advisories", "override", *arguments]) == code


@pytest.mark.usefixtures("servers")
def test_an_override_changes_what_instances_are_stored_as_exposed_to(connection, capsys):
    published = {SERVERS["4.3.2"]: "4.3.16", SERVERS["4.3.15"]: "4.3.16", SERVERS["4.5.2"]: "4.5.3"}
    assert exposed(connection) == published
    override(GWHW, "--ranges", ">= 4.3.0, < 4.3.15", "--reason", "the changelog says so")
    assert "touches 1 instances; 3 distinct versions mean something else now" in capsys.readouterr().out
    assert exposed(connection) == {SERVERS["4.3.2"]: "4.3.15"}
    override(GWHW, "--ranges", "none")
    assert exposed(connection) == {}
    override(GWHW, "--clear")
    assert exposed(connection) == published


@pytest.mark.usefixtures("servers")
def test_ranges_that_lead_to_no_version_are_refused(connection, capsys):
    override(GWHW, "--ranges", ">= nightly.2020-01-01", code=2)
    assert "nobody can read" in capsys.readouterr().err
    assert column(connection, "SELECT count(*) FROM advisory_overrides") == [0]


@pytest.mark.usefixtures("servers")
def test_an_override_that_cannot_be_read_any_more_locks_nothing_and_can_be_lifted(connection, capsys):
    override_advisory(connection, GWHW, "whatever the old parser read", NOW)
    assert main(["advisories", "show", GWHW, "--json"]) == 0
    written = capsys.readouterr()
    assert f"the override does not count: {GWHW}" in written.err
    assert json.loads(written.out)["instances"] == 3
    override(GWHW, "--clear")
    override(GWHW, "--clear", code=1)
    assert column(connection, "SELECT count(*) FROM advisory_overrides") == [0]


def test_an_advisory_that_gets_another_id_meanwhile_is_named(database_url, connection):
    prepare(connection, timedelta(days=3))
    connection.execute("BEGIN")
    lock(connection)
    with start(["advisories", "override", GWHW, "--ranges", "none"], environment(database_url)) as program:
        deadline = time.monotonic() + 30
        while not column(connection, "SELECT count(*) FROM pg_locks WHERE NOT granted")[0]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        connection.execute("UPDATE advisories SET ghsa_id = 'GHSA-other' WHERE ghsa_id = %s", [GWHW])
        connection.execute("COMMIT")
        _, errors = program.communicate(timeout=30)
    assert program.returncode == 1, errors
    assert f"{GWHW} is not known by that id any more" in errors
    assert "Traceback" not in errors
