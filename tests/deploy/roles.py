"""A Postgres of one's own, for what changes roles: they are the whole server's."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.prometheus import wait_until
from vmcrawl.embedded import EmbeddedUnavailable, running

#: Each user, the file of its password as ``compose/postgres/roles.sh`` reads it, and what is in it.
PASSWORDS = {
    "vmcrawl": ("database_password", "the owner's; DROP"),
    "vmcrawl_exporter": ("exporter_database_password", "the \"exporter's"),
    "vmcrawl_grafana": ("grafana_database_password", "Grafana's \\ $HOME `id`"),
}


@contextmanager
def postgres_of_its_own(directory: Path) -> Iterator[str]:
    """A server with a superuser postgres, who needs no password; all others do. Skips, or fails in CI, without one."""
    try:
        with running(directory / "postgres") as url:
            postgres = make_conninfo(url, user="postgres")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE ROLE postgres LOGIN SUPERUSER")
                rules = directory / "postgres" / "data" / "pg_hba.conf"
                rules.write_text("local all postgres trust\nlocal all all scram-sha-256\n")
                connection.execute("SELECT pg_reload_conf()")
            wait_until(lambda: can_log_in(postgres), "the new rules hold")
            with psycopg.connect(postgres, autocommit=True) as connection:
                connection.execute("ALTER ROLE vmcrawl RENAME TO made_by_initdb")
            yield postgres
    except EmbeddedUnavailable as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no Postgres: {error}")
        pytest.skip(f"no Postgres: {error}")


def can_log_in(conninfo: str) -> bool:
    """Whether a connection comes about."""
    try:
        psycopg.connect(conninfo).close()
    except psycopg.OperationalError:
        return False
    return True
