"""The database as commands get it: found or started, brought to this version, closed at the end."""

import argparse
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from vmcrawl.catalogue import Catalogue, packaged_catalogue
from vmcrawl.embedded import names_a_database, resolved
from vmcrawl.exclusion import Exclusions
from vmcrawl.interruption import Interruption
from vmcrawl.settings import Settings
from vmcrawl.store.branches import list_branches
from vmcrawl.store.catalogue import load_catalogue
from vmcrawl.store.claims import load_exclusions
from vmcrawl.store.connection import DatabaseUnavailable
from vmcrawl.store.database import Database
from vmcrawl.store.migrations import pending, prepare, released

log = logging.getLogger(__name__)


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


def with_database(
    action: Callable[[argparse.Namespace, Database], int], first: Callable[[Database], object] = lambda database: None
) -> Callable[[argparse.Namespace, Settings], int]:
    """The ``run`` of a command that works on the database; ``first`` is what has to be so before."""

    def run(arguments: argparse.Namespace, settings: Settings) -> int:
        with Interruption(), ready_database(settings) as database:
            first(database)
            return action(arguments, database)

    return run


def known_facts(settings: Settings) -> tuple[Exclusions, Catalogue]:
    """Whom never to ask, and what is known of upstream, without writing anything.

    Where no database has been made yet that is nobody, and what ships inside the package.
    """
    if not names_a_database(settings.database, os.environ) and not settings.database.directory.exists():
        return Exclusions(), packaged_catalogue()
    with opened(settings) as ready:
        database = Database(ready.database)
        try:
            nothing_there = len(database.run(pending)) == len(released())
            exclusions = Exclusions() if nothing_there else database.run(load_exclusions)
            return exclusions, _catalogue(database)
        finally:
            database.close()


def known_catalogue(settings: Settings) -> Catalogue:
    """What is known of upstream, without writing anything and without starting a server.

    The catalogue of the database that the settings or libpq's variables name; the packaged one where they name none,
    or one that has no catalogue yet, and (said in the log) where it cannot be reached.
    """
    if not names_a_database(settings.database, os.environ):
        return packaged_catalogue()
    database = Database(settings.database)
    try:
        return _catalogue(database)
    except DatabaseUnavailable as error:
        log.warning("the database cannot be reached, so the packaged releases have to do: %s", error)
        return packaged_catalogue()
    finally:
        database.close()


def _catalogue(database: Database) -> Catalogue:
    # A database of an older version has no table for it, or nothing in it.
    if database.run(pending) or not database.run(list_branches):
        return packaged_catalogue()
    return database.run(load_catalogue)
