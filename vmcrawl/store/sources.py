"""How the last question to each source went: its ETag, when it answered, why it did not, when to ask it again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

#: Writes an answer, and says what of it is new.
Save = Callable[[psycopg.Connection], Sequence[str]]


@dataclass(frozen=True, slots=True)
class SourceState:
    """One row of ``sources``. ``error`` is empty once it has answered again."""

    name: str
    etag: str
    fetched_at: datetime | None
    failed_at: datetime | None
    error: str
    #: Until when it wants to be left alone; None if it does not say.
    retry_at: datetime | None = None


def state_of(connection: psycopg.Connection, name: str) -> SourceState:
    """What is known of a source, also of one that was never asked."""
    with connection.cursor(row_factory=class_row(SourceState)) as cursor:
        row = cursor.execute(_STATES + " WHERE name = %s", [name]).fetchone()
    return row or SourceState(name, "", None, None, "")


def answered(connection: psycopg.Connection, name: str, now: datetime, etag: str = "") -> None:
    """Note a good answer, also one that nothing has changed (then with the same ETag).

    Called inside the transaction that saves what was answered (``with connection.transaction():``), so that an ETag
    is never kept without its content.
    """
    connection.execute(
        "INSERT INTO sources (name, etag, fetched_at) VALUES (%(name)s, %(etag)s, %(now)s)"
        " ON CONFLICT (name) DO UPDATE SET etag = excluded.etag, fetched_at = excluded.fetched_at, error = '',"
        " retry_at = NULL",
        {"name": name, "etag": etag, "now": now},
    )


def take_in(connection: psycopg.Connection, name: str, now: datetime, etag: str, save: Save) -> Sequence[str]:
    """Save what a source has answered and note that it did, both or neither; returns what ``save`` says is new."""
    with connection.transaction():
        changes = save(connection)
        answered(connection, name, now, etag)
    return changes


def failed(
    connection: psycopg.Connection, name: str, now: datetime, error: str, retry_at: datetime | None = None
) -> None:
    """Note that a source did not answer, or not usably, why (one line), and until when it wants to be left alone."""
    connection.execute(
        "INSERT INTO sources (name, failed_at, error, retry_at) VALUES (%(name)s, %(now)s, %(error)s, %(retry_at)s)"
        " ON CONFLICT (name) DO UPDATE"
        " SET failed_at = excluded.failed_at, error = excluded.error, retry_at = excluded.retry_at",
        {"name": name, "now": now, "error": error, "retry_at": retry_at},
    )


def forget(connection: psycopg.Connection, name: str) -> None:
    """Know nothing of a source any more, since nobody asks it."""
    connection.execute("DELETE FROM sources WHERE name = %s", [name])


def list_sources(connection: psycopg.Connection) -> list[SourceState]:
    """All sources that were ever asked, by name."""
    with connection.cursor(row_factory=class_row(SourceState)) as cursor:
        return cursor.execute(_STATES + " ORDER BY name").fetchall()


_STATES = "SELECT name, etag, fetched_at, failed_at, error, retry_at FROM sources"
