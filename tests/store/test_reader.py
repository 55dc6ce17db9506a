"""The role that may read sums and listed instances, and nothing else."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from psycopg import sql

from tests.store.builders import NOW, column, crawl, failed, ok
from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.connection import connect
from vmcrawl.store.migrations import migrate, released
from vmcrawl.store.reader import let_read

A, B = Domain("a.example"), Domain("b.example")

#: What it may read; a view that is missing here must not be readable.
READABLE = {
    *(
        "public_instances",
        "adoption",
        "exposure",
        "branch_states",
        "release_days",
        "patch_uptake",
        "source_states",
        "ledger_states",
    ),
    *("failing_states", "freshness", "lease_states", "run_states", "run_totals", "crawl_totals", "crawl_durations"),
    *("pause_state", "bad_day_states"),
}


def test_whoever_migrates_at_the_same_moment_waits(empty_database_url: str):
    with connect(DatabaseSettings(url=empty_database_url)) as first, ThreadPoolExecutor(1) as elsewhere:
        migrate(first)
        with first.transaction():
            assert let_read(first, "vmcrawl_reader") == ""
            second = elsewhere.submit(_migrate_and_let_read, empty_database_url)
            with connect(DatabaseSettings(url=empty_database_url)) as watching:
                while not second.done() and not column(watching, "SELECT 1 FROM pg_locks WHERE NOT granted"):
                    pass
        assert second.result() == ""


def _migrate_and_let_read(url: str) -> str:
    with connect(DatabaseSettings(url=url)) as connection:
        migrate(connection)
        return let_read(connection, "vmcrawl_reader")


def relations(connection: psycopg.Connection) -> list[str]:
    return [
        str(name)
        for name in column(
            connection,
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')",
        )
    ]


def test_it_reads_sums_and_listed_instances_and_nothing_else(connection: psycopg.Connection):
    crawl(connection, ok(A), ok(B), failed(Domain("c.example"), Outcome.TIMEOUT))
    connection.execute("INSERT INTO dni (domain) VALUES ('b.example')")
    everything = relations(connection)
    connection.execute("SET ROLE vmcrawl_reader")
    readable = set()
    for relation in everything:
        try:
            connection.execute(sql.SQL("SELECT * FROM {} LIMIT 1").format(sql.Identifier(relation)))
            readable.add(relation)
        except psycopg.errors.InsufficientPrivilege:
            continue
    assert readable == READABLE
    assert column(connection, "SELECT domain FROM public_instances") == ["a.example"]
    assert column(connection, "SELECT sum(instances) FROM adoption") == [2]


def test_it_changes_nothing(connection: psycopg.Connection):
    connection.execute("SET ROLE vmcrawl_reader")
    for statement in ("UPDATE public_instances SET patched = true", "INSERT INTO run_totals VALUES ('success', 1)"):
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)):
            connection.execute(statement)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("CREATE TABLE mine (id integer)")


def test_no_view_it_reads_names_a_server_that_is_not_listed(connection: psycopg.Connection):
    crawl(connection, ok(A), ok(B, NOW - timedelta(seconds=1)))
    connection.execute("INSERT INTO dni (domain) VALUES ('b.example')")
    connection.execute("SET ROLE vmcrawl_reader")
    for view in READABLE:
        rows = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(view))).fetchall()
        assert "b.example" not in str(rows), view


def test_no_question_makes_an_error_tell_what_is_not_listed(connection: psycopg.Connection):
    """The planner asks whatever is cheap first: here, whether the name of each server is a number."""
    crawl(connection, ok(B))
    connection.execute("INSERT INTO dni (domain) VALUES ('b.example')")
    connection.execute("SET ROLE vmcrawl_reader")
    for told in ("domain", "version"):
        assert column(connection, f"SELECT domain FROM public_instances WHERE {told}::integer = 1") == []


def test_what_a_view_calls_is_granted_too(connection: psycopg.Connection):
    """Careful owners take from everybody what Postgres lets everybody do."""
    crawl(connection, ok(A))
    connection.execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC")
    connection.execute("SELECT grant_reading('vmcrawl_reader')")
    connection.execute("SET ROLE vmcrawl_reader")
    assert column(connection, "SELECT domain FROM public_instances") == ["a.example"]


@pytest.fixture
def plain_owner(empty_database_url: str) -> Iterator[psycopg.Connection]:
    """A connection of somebody who owns the tables, and may make no roles; the server has none of ours."""
    with psycopg.connect(empty_database_url, autocommit=True) as server:
        server.execute("DROP ROLE IF EXISTS plain_owner, some_reader")
        server.execute("CREATE ROLE plain_owner LOGIN")
        server.execute("GRANT ALL ON SCHEMA public TO plain_owner")
        try:
            with connect(DatabaseSettings(url=empty_database_url)) as own:
                own.execute("SET ROLE plain_owner")
                yield own
        finally:
            server.execute("DROP OWNED BY plain_owner")
            server.execute("DROP ROLE plain_owner")
            if server.execute("SELECT FROM pg_roles WHERE rolname = 'some_reader'").fetchone() is not None:
                server.execute("DROP OWNED BY some_reader")
                server.execute("DROP ROLE some_reader")


def test_who_may_make_no_roles_can_migrate_all_the_same(plain_owner: psycopg.Connection):
    assert "0007_counting" in migrate(plain_owner)
    assert column(plain_owner, "SELECT tableowner FROM pg_tables WHERE tablename = 'tallies'") == ["plain_owner"]
    assert "permission denied" in let_read(plain_owner, "some_reader")


def test_a_name_that_no_role_may_have_is_said_and_breaks_nothing(connection: psycopg.Connection):
    for name in ("public", "none", "pg_mine"):
        assert "is reserved" in let_read(connection, name)


def test_who_reads_as_themselves_has_nothing_to_be_told(connection: psycopg.Connection):
    (myself,) = column(connection, "SELECT current_user")
    assert let_read(connection, str(myself)) == ""


def test_no_function_of_a_stranger_is_called_in_place_of_ours(connection: psycopg.Connection):
    """On an old server everybody may make functions in public, and text suits a parameter better than a name."""
    connection.execute(
        "CREATE FUNCTION grant_reading(stranger text) RETURNS void LANGUAGE plpgsql AS $$BEGIN RAISE 'ha'; END$$"
    )
    assert let_read(connection, "vmcrawl_reader") == ""


def test_a_role_that_is_made_later_gets_its_rights_with_the_next_migration(plain_owner: psycopg.Connection):
    migrate(plain_owner)
    plain_owner.execute("RESET ROLE")
    plain_owner.execute("CREATE ROLE some_reader")
    plain_owner.execute("SET ROLE plain_owner")
    # It can read; only that plain_owner becomes it is for others to allow.
    assert "some_reader" in let_read(plain_owner, "some_reader")
    assert column(plain_owner, "SELECT has_table_privilege('some_reader', 'adoption', 'SELECT')") == [True]
    assert column(plain_owner, "SELECT has_table_privilege('some_reader', 'sightings', 'SELECT')") == [False]
    plain_owner.execute("RESET ROLE")
    assert let_read(plain_owner, "some_reader") == ""


def test_whoever_could_read_before_can_read_what_a_migration_adds(empty_database_url: str):
    """An exporter with a role of its own does not wait for somebody to call migrate with its settings."""
    with connect(DatabaseSettings(url=empty_database_url)) as connection:
        migrate(connection, [migration for migration in released() if migration.number < 12])
        role = f"own_{uuid.uuid4().hex[:8]}"
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        try:
            connection.execute("SELECT grant_reading(%s::name)", [role])
            migrate(connection)
            assert column(connection, "SELECT has_table_privilege(%s, 'pause_state', 'SELECT')", role) == [True]
            assert column(connection, "SELECT has_table_privilege(%s, 'pause', 'SELECT')", role) == [False]
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
