"""Whether crawlers may begin anything: one pause for all of them on a database, whoever starts them."""

from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when crawlers rest, until when (None: until somebody says so), and who wants it why."""

    paused_at: datetime
    until: datetime | None
    paused_by: str
    reason: str


def current_pause(connection: psycopg.Connection, now: datetime) -> Pause | None:
    """The pause that holds, None if crawlers may work; reads only."""
    with connection.cursor(row_factory=class_row(Pause)) as cursor:
        return cursor.execute(
            "SELECT paused_at, until, paused_by, reason FROM pause WHERE until IS NULL OR until > %s", [now]
        ).fetchone()


def is_paused(connection: psycopg.Connection) -> bool:
    """Whether one holds, by the clock of the database."""
    row = connection.execute("SELECT paused FROM pause_state").fetchone()
    return row is not None and bool(row[0])


def pause(
    connection: psycopg.Connection, now: datetime, by: str, reason: str = "", until: datetime | None = None
) -> Pause:
    """Keep :func:`vmcrawl.store.claims.claim` from leasing anything from now on; returns the pause that holds then.

    One that holds already goes on from when it began, with the new end and reason.
    """
    with connection.cursor(row_factory=class_row(Pause)) as cursor:
        paused = cursor.execute(_PAUSE, {"now": now, "until": until, "by": by, "reason": reason}).fetchone()
    assert paused is not None
    return paused


def resume(connection: psycopg.Connection, now: datetime) -> Pause | None:
    """Let crawlers work again; returns the pause that has held until now, if one has."""
    with connection.transaction():
        held = current_pause(connection, now)
        connection.execute("DELETE FROM pause")
        return held


def in_words(pause: Pause) -> str:
    """One line that says all of it, in UTC."""
    until = "until vmcrawl resume" if pause.until is None else f"until {pause.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    since = (
        f"crawls are paused since {pause.paused_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC by {pause.paused_by}, {until}"
    )
    return f"{since} ({pause.reason})" if pause.reason else since


_PAUSE = """
INSERT INTO pause (paused_at, until, paused_by, reason) VALUES (%(now)s, %(until)s, %(by)s, %(reason)s)
ON CONFLICT (only_row) DO UPDATE
SET paused_at = CASE WHEN pause.until <= %(now)s THEN excluded.paused_at ELSE pause.paused_at END,
    until = excluded.until, paused_by = excluded.paused_by, reason = excluded.reason
RETURNING paused_at, until, paused_by, reason
"""
