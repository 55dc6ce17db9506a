"""The role that may read sums and listed instances, and nothing else."""

from datetime import timedelta

import psycopg
import pytest
from psycopg import sql

from tests.store.builders import NOW, column, crawl, failed, ok
from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.connection import connect
from vmcrawl.store.migrations import migrate

A, B = Domain("a.example"), Domain("b.example")

#: What it may read; a view that is missing here must not be readable.
READABLE = {
    *("public_instances", "adoption", "exposure", "branch_states", "patch_uptake", "source_states", "ledger_states"),
    *("failing_states", "freshness", "lease_states", "run_states", "run_totals", "crawl_totals", "crawl_durations"),
}


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


def test_who_may_not_make_roles_can_migrate_all_the_same(empty_database_url: str):
    """The role of a whole server may be there already, or not: either way the tables come."""
    with psycopg.connect(empty_database_url, autocommit=True) as server:
        server.execute("DROP ROLE IF EXISTS plain_owner")
        server.execute("CREATE ROLE plain_owner LOGIN")
        try:
            server.execute("GRANT ALL ON SCHEMA public TO plain_owner")
            with connect(DatabaseSettings(url=empty_database_url)) as own:
                own.execute("SET ROLE plain_owner")
                assert "0007_counting" in migrate(own)
                assert column(own, "SELECT tableowner FROM pg_tables WHERE tablename = 'tallies'") == ["plain_owner"]
        finally:
            server.execute("DROP OWNED BY plain_owner")
            server.execute("DROP ROLE plain_owner")
