"""The database as commands get it: found or started, brought to this version, closed at the end."""

import argparse
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from vmcrawl.catalogue import Catalogue, packaged_catalogue
from vmcrawl.embedded import EmbeddedUnavailable, names_a_database, resolved
from vmcrawl.exclusion import Exclusions
from vmcrawl.interruption import Interruption
from vmcrawl.settings import Settings
from vmcrawl.store.catalogue import load_catalogue
from vmcrawl.store.claims import load_exclusions
from vmcrawl.store.connection import NOT_PERMITTED, DatabaseUnavailable
from vmcrawl.store.database import Database
from vmcrawl.store.migrations import DatabaseTooNew, is_prepared, pending, prepare, released

log = logging.getLogger(__name__)


class NotPrepared(Exception):
    """The database is not of this version, and this user may not bring it there."""


@contextmanager
def opened(settings: Settings) -> Iterator[Settings]:
    """Give settings whose database can be connected to: the one they name, else the embedded one, kept running."""
    with resolved(settings.database, os.environ) as database:
        yield replace(settings, database=database)


@contextmanager
def ready_database(settings: Settings) -> Iterator[Database]:
    """Give the database, migrated and in line with the settings."""
    with opened(settings) as ready:
        database = Database(ready.database)
        try:
            database.run(lambda connection: prepare(connection, settings.publish.retention))
            yield database
        finally:
            database.close()


@contextmanager
def readable_database(settings: Settings, patience_seconds: tuple[float, ...] | None = None) -> Iterator[Database]:
    """Give the database to what only reads: whoever may not write can use it, once somebody has prepared it.

    ``patience_seconds`` as :class:`Database` has it, if not its own. Raises :class:`NotPrepared`.
    """
    with opened(settings) as ready:
        database = Database(ready.database) if patience_seconds is None else Database(ready.database, patience_seconds)
        try:
            if not _may_be_read(database):
                _prepare(database, settings)
            yield database
        finally:
            database.close()


def with_database(
    action: Callable[[argparse.Namespace, Database], int], first: Callable[[Database], object] = lambda database: None
) -> Callable[[argparse.Namespace, Settings], int]:
    """The ``run`` of a command that works on the database; ``first`` is what has to be so before."""

    def run(arguments: argparse.Namespace, settings: Settings) -> int:
        with Interruption(), ready_database(settings) as database:
            first(database)
            return action(arguments, database)

    return run


def reading_database(
    action: Callable[[argparse.Namespace, Database], int], first: Callable[[Database], object] = lambda database: None
) -> Callable[[argparse.Namespace, Settings], int]:
    """As :func:`with_database`, for a command that only shows."""

    def run(arguments: argparse.Namespace, settings: Settings) -> int:
        with Interruption(), readable_database(settings) as database:
            try:
                first(database)
            except NOT_PERMITTED as error:
                log.warning("what is shown may be of an earlier day, since this user may not write: %s", error)
            return action(arguments, database)

    return run


def known_facts(settings: Settings) -> tuple[Exclusions, Catalogue]:
    """Whom never to ask, and what is known of upstream, without writing anything.

    Where no database has been made yet that is nobody, and what ships inside the package.
    """
    with existing_database(settings) as database:
        return facts_of(database)


@contextmanager
def existing_database(settings: Settings) -> Iterator[Database | None]:
    """Give the database as it is, of whatever version; None where none has been made yet."""
    if not _is_somewhere(settings):
        yield None
        return
    with opened(settings) as ready:
        database = Database(ready.database)
        try:
            yield database
        finally:
            database.close()


def facts_of(database: Database | None) -> tuple[Exclusions, Catalogue]:
    """As :func:`known_facts`, of a database of any version."""
    if database is None:
        return Exclusions(), packaged_catalogue()
    nothing_there = len(database.run(pending)) == len(released())
    exclusions = Exclusions() if nothing_there else database.run(load_exclusions)
    return exclusions, _catalogue(database)


def known_catalogue(settings: Settings) -> Catalogue:
    """What is known of upstream, without writing anything.

    The catalogue of the database, also of the embedded one, if there is one; the packaged one where there is none, or
    one that has no catalogue yet, and (said in the log) where it cannot be reached or is of another version.
    """
    if not _is_somewhere(settings):
        return packaged_catalogue()
    try:
        with opened(settings) as ready:
            database = Database(ready.database)
            try:
                return _catalogue(database)
            finally:
                database.close()
    except (DatabaseUnavailable, EmbeddedUnavailable) as error:
        log.warning("the database cannot be reached, so the packaged releases have to do: %s", error)
        return packaged_catalogue()


def _may_be_read(database: Database) -> bool:
    try:
        return database.run(is_prepared)
    except NOT_PERMITTED as error:
        # Whoever may read views only cannot look; what they ask will show whether it is there.
        log.debug("whether the database is of this version cannot be seen: %s", error)
        return True


def _prepare(database: Database, settings: Settings) -> None:
    try:
        database.run(lambda connection: prepare(connection, settings.publish.retention))
    except NOT_PERMITTED as error:
        raise NotPrepared(f"vmcrawl migrate has to be run first, by a user who may: {error}") from error


def _is_somewhere(settings: Settings) -> bool:
    """Whether there is a database: one that is named, or the embedded one, which is made when something is written."""
    return names_a_database(settings.database, os.environ) or os.path.isdir(settings.database.directory / "data")


def _catalogue(database: Database) -> Catalogue:
    """The catalogue of the database, if its tables are those of this version; what ships in the package else."""
    try:
        missing = database.run(pending)
    except DatabaseTooNew as error:
        log.warning("the packaged releases have to do: %s", error)
        return packaged_catalogue()
    if missing:
        # It may well have a catalogue, but in which shape only the migrations know. An empty one is nothing to tell of.
        if len(missing) < len(released()):
            log.warning(
                "the packaged releases have to do: the database lacks %s; vmcrawl migrate brings it there",
                ", ".join(migration.name for migration in missing),
            )
        return packaged_catalogue()
    # Migrated, but nothing was ever taken in.
    return database.run(load_catalogue) if database.run(is_prepared) else packaged_catalogue()
