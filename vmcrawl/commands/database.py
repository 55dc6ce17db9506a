"""The database as commands get it: found or started, brought to this version, closed at the end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from vmcrawl.embedded import names_a_database, resolved
from vmcrawl.exclusion import Exclusions
from vmcrawl.settings import Settings
from vmcrawl.store.claims import load_exclusions
from vmcrawl.store.database import Database
from vmcrawl.store.migrations import pending, prepare, released


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


def known_exclusions(settings: Settings) -> Exclusions:
    """Whom never to ask, without writing anything: nobody, where no database has been made yet."""
    if not names_a_database(settings.database, os.environ) and not settings.database.directory.exists():
        return Exclusions()
    with opened(settings) as ready:
        database = Database(ready.database)
        try:
            nothing_there = len(database.run(pending)) == len(released())
            return Exclusions() if nothing_there else database.run(load_exclusions)
        finally:
            database.close()
