"""One look at the database: read-only, all at one moment, as a role that sees sums alone, and over in time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

T = TypeVar("T")

#: libpq waits two seconds at least.
_CONNECT_SECONDS = (2, 5)


class DatabaseDown(Exception):
    """The snapshot cannot be taken, or is lost: the database cannot be reached, refuses us, or has hung up."""


class OutOfTime(Exception):
    """The scrape has had its time before this could be read."""


class QueryFailed(Exception):
    """The database does not answer one query; others may go well."""


class _Connection(psycopg.Connection[TupleRow]):
    """A connection whose statements share their time: each has what those before it have left."""

    #: Monotonic seconds; None: there is time enough.
    deadline: float | None = None

    def execute(self, *query: Any, **options: Any) -> psycopg.Cursor[TupleRow]:
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise OutOfTime("its statements together took too long")
            milliseconds = str(max(1, round(left * 1000)))
            super().execute("SELECT set_config('statement_timeout', %s, true)", [milliseconds])
        return super().execute(*query, **options)


class Snapshot:
    """What the database was at one moment. For one thread."""

    def __init__(self, connection: _Connection, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def read(self, query: Callable[[psycopg.Connection], T]) -> T:
        """Return ``query(connection)``, whose statements together may take half of the time that is left.

        So one slow query leaves time to the others. Whatever it ends in, the snapshot can be read on, except for
        :class:`DatabaseDown`. Raises :class:`OutOfTime`, :class:`QueryFailed`.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise OutOfTime("there was no time left to read it")
        try:
            with self._connection.transaction():
                self._connection.deadline = time.monotonic() + left / 2
                return query(self._connection)
        except psycopg.Error as error:
            if self._connection.broken or self._connection.closed:
                raise DatabaseDown(_line(error)) from error
            hint = "; vmcrawl migrate brings the database to this version" if isinstance(error, _NOT_MIGRATED) else ""
            raise QueryFailed(_line(error) + hint) from error
        finally:
            self._connection.deadline = None


# "$user" in the search path would be somebody else after SET ROLE, and tables in the user's own schema out of sight.
_PIN_SCHEMAS = """
SELECT set_config('search_path', coalesce(string_agg(quote_ident(schema), ', ' ORDER BY place), ''), true)
FROM unnest(current_schemas(false)) WITH ORDINALITY AS each (schema, place)
"""
_NOT_MIGRATED = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)


@contextmanager
def take_snapshot(url: str, role: str, deadline: float, warn: Callable[[str], None]) -> Iterator[Snapshot]:
    """Connect to ``url`` (as in ``database.url``) and give a snapshot to read until ``deadline`` (monotonic seconds).

    Takes on ``role`` if that is not empty; where that is not possible ``warn`` is told why, and the rights of the user
    have to do. Works through PgBouncer in transaction mode. Raises :class:`DatabaseDown`.
    """
    with _connect(url, deadline) as connection:
        try:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            with connection.transaction():
                warn(_take_on(connection, role))
                # Compiling a query costs more than any of ours takes.
                connection.execute("SET LOCAL jit = off")
                if time.monotonic() >= deadline:
                    raise DatabaseDown("it has answered too late")
                yield Snapshot(connection, deadline)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise DatabaseDown(_line(error)) from error


@contextmanager
def _connect(url: str, deadline: float) -> Iterator[_Connection]:
    least, most = _CONNECT_SECONDS
    seconds = max(least, min(most, int(deadline - time.monotonic())))
    try:
        connection = _Connection.connect(
            url,
            prepare_threshold=None,
            connect_timeout=seconds,
            application_name="vmcrawl exporter",
            client_encoding="UTF8",
            # A machine that is gone without a word is noticed within some ten seconds.
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=2,
            tcp_user_timeout=9_000,
        )
    except psycopg.ProgrammingError:
        # Without the cause: libpq quotes the string it cannot read, and a password may be in it.
        raise DatabaseDown("exporter.database_url or database.url cannot be read by libpq") from None
    except psycopg.Error as error:
        raise DatabaseDown(_line(error)) from error
    try:
        yield connection
    finally:
        # Never a commit: there is nothing to keep.
        connection.close()


def _take_on(connection: psycopg.Connection, role: str) -> str:
    """Become ``role`` for this transaction; returns why that was not possible, or nothing."""
    if not role:
        return ""
    try:
        with connection.transaction():
            connection.execute(_PIN_SCHEMAS)
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
    except psycopg.errors.OperationalError:
        raise
    except psycopg.Error as error:
        return f"the role {role} cannot be taken on, so the rights of the user have to do: {_line(error)}"
    return ""


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
