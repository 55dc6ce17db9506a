"""The Postgres that tests run on: one server for the session, one database, empty again for each test.

``VMCRAWL_TEST_DATABASE_URL`` may name a server of one's own (a role that may create databases); otherwise it is the
embedded one, in a temporary directory. Without either, tests that need it are skipped, but fail in CI.
"""

import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql
from psycopg.conninfo import make_conninfo

from vmcrawl.embedded import EmbeddedUnavailable, running
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.connection import connect
from vmcrawl.store.migrations import migrate

if TYPE_CHECKING:
    from tests.measured import Measured

# How long an example takes says more of the machine, and of who else is at work on it, than of the code.
settings.register_profile("on any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("on any machine")


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """Leave logging as it was, whoever configures it: every test that calls ``main`` does."""
    root, ours = logging.getLogger(), logging.getLogger("vmcrawl")
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A server on which tests may create databases."""
    if url := os.environ.get("VMCRAWL_TEST_DATABASE_URL"):
        yield url
        return
    with TemporaryDirectory(prefix="vmcrawl-test-") as directory:
        try:
            with running(Path(directory)) as url:
                with psycopg.connect(url, autocommit=True) as server:
                    # Tables are made anew for each test, and none of them has to last.
                    server.execute("ALTER SYSTEM SET fsync = off")
                    server.execute("SELECT pg_reload_conf()")
                yield url
        except EmbeddedUnavailable as error:
            if os.environ.get("CI") == "true":
                pytest.fail(f"no Postgres: {error}")
            pytest.skip(f"no Postgres: {error}")


@pytest.fixture(scope="session")
def _shared_database_url(server_url: str) -> Iterator[str]:
    with temporary_database(server_url) as url:
        yield url


@pytest.fixture
def database_url(_shared_database_url: str) -> Iterator[str]:
    """A migrated, empty database of one's own. Emptied, not made anew: that would cost each test a quarter second."""
    with connect(DatabaseSettings(url=_shared_database_url)) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
        migrate(connection)
    yield _shared_database_url
    with connect(DatabaseSettings(url=_shared_database_url)) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """A database of one's own that no migration has seen."""
    with temporary_database(server_url) as url:
        yield url


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection to ``database_url``."""
    with connect(DatabaseSettings(url=database_url)) as connection:
        yield connection


@pytest.fixture(scope="session")
def measured(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Measured]":
    """A crawled simulated Fediverse in a Prometheus, made once for all tests that ask for it."""
    from tests.measured import measuring  # it needs what is below

    with measuring(server_url, tmp_path_factory.mktemp("measured")) as found:
        yield found


@contextmanager
def temporary_database(server_url: str) -> Iterator[str]:
    """A new, empty database on the server, for as long as the context lasts."""
    name = f"vmcrawl_test_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name)))
    try:
        yield make_conninfo(server_url, dbname=name)
    finally:
        with psycopg.connect(server_url, autocommit=True) as server:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
