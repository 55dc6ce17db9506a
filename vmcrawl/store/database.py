"""A connection that comes back: what a long-lived process holds instead of one connection."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import psycopg

from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.connection import DatabaseUnavailable, connect

T = TypeVar("T")

#: Waits between attempts: a restart or a failover takes seconds, and a run need not die of it.
_PATIENCE_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)


class Database:
    """Runs functions of the store, over one connection that is opened when needed and again when it is lost.

    For one thread. What is run must bear being run twice, since a connection can be lost after the commit.
    """

    def __init__(self, settings: DatabaseSettings, patience_seconds: tuple[float, ...] = _PATIENCE_SECONDS) -> None:
        self._settings = settings
        self._patience_seconds = patience_seconds
        self._connection: psycopg.Connection | None = None
        self._ahead = timedelta(0)

    def run(self, work: Callable[[psycopg.Connection], T]) -> T:
        """Return ``work(connection)``; when the connection is lost, try again on a new one.

        Raises :class:`DatabaseUnavailable` when that does not help for some fifteen seconds, and whatever ``work``
        raises for other reasons. The first connection is tried once: a wrong address should not take as long.
        """
        self._open()
        for wait_seconds in (*self._patience_seconds, None):
            try:
                return work(self._open())
            except (DatabaseUnavailable, psycopg.OperationalError, psycopg.InterfaceError) as error:
                if not self._lost() and not _ends_a_session(error):
                    raise
                self.close()
                if wait_seconds is None:
                    raise DatabaseUnavailable(" ".join(str(error).split())) from error
                time.sleep(wait_seconds)
        raise AssertionError("the last round returns or raises")

    def now(self) -> datetime:
        """What the database's clock says: the one clock of all machines that share its leases. For any thread.

        As it was at the last :meth:`synchronize`, and the time since then by this machine.
        """
        return datetime.now(UTC) + self._ahead

    def synchronize(self) -> None:
        """Look at the database's clock again: this machine's may have been set meanwhile."""
        self.run(self._set_clock)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = None
            self._connection = connect(self._settings)
            self._set_clock(self._connection)
        return self._connection

    def _set_clock(self, connection: psycopg.Connection) -> None:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        self._ahead = row[0] - datetime.now(UTC)

    def _lost(self) -> bool:
        return self._connection is None or self._connection.closed


def _ends_a_session(error: Exception) -> bool:
    """Whether Postgres, or a pooler in its place, has said that it is about to hang up; it may not have done so yet.

    Class 08 (connection exception) and 57P01 to 57P03 (shutdown, crash, not up yet): PostgreSQL, appendix A. PgBouncer
    says 08P01 when it has lost its server.
    """
    state = getattr(error, "sqlstate", None) or ""
    return state.startswith("08") or state in ("57P01", "57P02", "57P03")
