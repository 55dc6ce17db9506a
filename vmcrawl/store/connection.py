"""One connection to Postgres: how it is made, and what it means when it cannot be."""

import psycopg
from psycopg.conninfo import make_conninfo

from vmcrawl.settings import DatabaseSettings

#: What a statement may end in that the database does not take.
StoreError = psycopg.Error
#: What it ends in where one may only read: for want of a privilege, or on a standby.
NOT_PERMITTED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)


class DatabaseUnavailable(Exception):
    """The database cannot be reached now; trying again later may help."""


class BadDatabaseUrl(ValueError):
    """``database.url`` is not something libpq can read."""


def connect(settings: DatabaseSettings) -> psycopg.Connection:
    """Open a connection in autocommit mode; every function of the store opens its own short transaction.

    An empty ``url`` leaves everything to libpq's own ``PG*`` variables; for the embedded server,
    :func:`vmcrawl.embedded.running` gives a url. Works through PgBouncer in transaction mode: no statement is prepared,
    no session state is kept, and nothing but ``application_name`` and ``client_encoding`` is sent at the start.

    Raises :class:`DatabaseUnavailable`, :class:`BadDatabaseUrl`.
    """
    try:
        return psycopg.connect(
            conninfo(settings),
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=max(2, round(settings.connect_timeout.total_seconds())),
            application_name="vmcrawl",
            client_encoding="UTF8",
        )
    except psycopg.ProgrammingError:
        # Without the cause: libpq quotes the string it cannot read, and a password may be in it.
        raise BadDatabaseUrl(_UNREADABLE) from None
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(" ".join(str(error).split())) from error


def conninfo(settings: DatabaseSettings) -> str:
    """What libpq is told: the url, with the password if that is set apart. Raises :class:`BadDatabaseUrl`."""
    if not settings.password:
        return settings.url
    try:
        return make_conninfo(settings.url, password=settings.password)
    except psycopg.ProgrammingError:
        # Without the cause: libpq quotes the string it cannot read, and a password may be in it.
        raise BadDatabaseUrl(_UNREADABLE) from None


_UNREADABLE = "database.url is neither a postgresql:// URL nor a libpq connection string"
