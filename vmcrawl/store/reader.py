"""The role that may read what is published, and nothing else: for the exporter, Grafana and whoever else only looks."""

import psycopg
from psycopg import sql

from vmcrawl.store.migrations import LOCK


def let_read(connection: psycopg.Connection, role: str) -> str:
    """Make ``role``, if it is not there, and let it read sums and ``public_instances``; returns why that failed.

    Meant to be called with each migration: what was not allowed once may be allowed now, or the role may have been
    made by somebody who may. As migrations do, any number may do it at the same moment.
    """
    with connection.transaction():
        # Two that grant the same at once would fail, not wait: "tuple concurrently updated".
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        return _grant(connection, role)


def _grant(connection: psycopg.Connection, role: str) -> str:
    name = sql.Identifier(role)
    try:
        with connection.transaction():
            if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(name))
            connection.execute("SELECT grant_reading(%s::name)", [role])
    except (psycopg.ProgrammingError, psycopg.IntegrityError) as error:
        return " ".join(str(error).split())
    if connection.execute("SELECT current_user = %s", [role]).fetchone() == (True,):
        return ""
    try:
        # So that whoever migrates can also take it on.
        with connection.transaction():
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(name))
    except (psycopg.ProgrammingError, psycopg.errors.InvalidGrantOperation) as error:
        return " ".join(str(error).split())
    return ""
