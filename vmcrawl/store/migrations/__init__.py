"""Bringing a database to this version: numbered SQL files, applied in order, once each, forward only."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files

import psycopg

from vmcrawl.advisory import packaged_advisories
from vmcrawl.catalogue import SNAPSHOT_DATE, packaged_catalogue
from vmcrawl.store.snapshot import is_taken_in, take_in

#: Who changes tables or rights holds this advisory lock. Any number will do that nothing else in the database takes.
LOCK = 0x766D_6372_6177_6C00
_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class DatabaseTooNew(Exception):
    """A later version of the program has migrated this database; this one must not write to it."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One released step; never edited afterwards, since databases out there have it."""

    number: int
    name: str
    sql: str


def released() -> list[Migration]:
    """Read the migrations that come with this version, in their order."""
    found = (
        Migration(int(match[1]), file.name.removesuffix(".sql"), file.read_text("utf-8"))
        for file in files(__name__).iterdir()
        if (match := _FILE_NAME.fullmatch(file.name))
    )
    return sorted(found, key=lambda migration: migration.number)


def migrate(connection: psycopg.Connection, known: Sequence[Migration] | None = None) -> list[str]:
    """Apply what is missing, all in one transaction; returns the names of what was applied.

    ``known`` is what this version comes with, unless somebody wants an older one.

    Any number of processes may call this at the same moment: the first does it, the others wait and find it done.
    The lock ends with the transaction, so it works through PgBouncer. Raises :class:`DatabaseTooNew`.
    """
    if not pending(connection, known):
        return []
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations ("
            " number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        missing = pending(connection, known)
        for migration in missing:
            connection.execute(migration.sql.encode())
            connection.execute(
                "INSERT INTO schema_migrations (number, name) VALUES (%s, %s)", [migration.number, migration.name]
            )
    return [migration.name for migration in missing]


def pending(connection: psycopg.Connection, known: Sequence[Migration] | None = None) -> list[Migration]:
    """What :func:`migrate` would apply; reads only. Raises :class:`DatabaseTooNew`."""
    known = released() if known is None else known
    applied = _applied(connection)
    newest = max((migration.number for migration in known), default=0)
    if (there := max(applied, default=0)) > newest:
        raise DatabaseTooNew(f"the database has migration {there}, this program knows {newest}: update the program")
    return [migration for migration in known if migration.number not in applied]


def prepare(connection: psycopg.Connection, retention: timedelta) -> list[str]:
    """What every command that writes does first: :func:`migrate`, and publish for as long as the settings say.

    A database that does not have them yet gets the facts that ship inside the package.
    """
    applied = migrate(connection)
    # Asked first, since reading the packaged facts takes a tenth of a second.
    if not is_taken_in(connection, SNAPSHOT_DATE):
        take_in(connection, SNAPSHOT_DATE, packaged_catalogue(), packaged_advisories())
    connection.execute(
        "UPDATE publication SET retention = %(retention)s WHERE retention <> %(retention)s", {"retention": retention}
    )
    return applied


def is_prepared(connection: psycopg.Connection) -> bool:
    """Whether :func:`prepare` was ever done for this version's tables, so that they can be read; reads only."""
    return not pending(connection) and is_taken_in(connection, date.min)


def _applied(connection: psycopg.Connection) -> set[int]:
    exists = connection.execute("SELECT to_regclass('schema_migrations') IS NOT NULL").fetchone()
    if exists is None or not exists[0]:
        return set()
    return {number for (number,) in connection.execute("SELECT number FROM schema_migrations")}
