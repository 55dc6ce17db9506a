"""``vmcrawl migrate``: bring the database to this version."""

import argparse
import sys

from vmcrawl.commands.database import opened
from vmcrawl.interruption import Interruption
from vmcrawl.settings import Settings
from vmcrawl.store.database import Database
from vmcrawl.store.migrations import prepare


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser("migrate", help="bring the database to this version")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Apply what is missing and name it; safe while others do the same."""
    with Interruption(), opened(settings) as ready:
        database = Database(ready.database)
        try:
            applied = database.run(lambda connection: prepare(connection, settings.publish.retention))
        finally:
            database.close()
    for name in applied:
        sys.stdout.write(f"applied {name}\n")
    if not applied:
        sys.stdout.write("nothing to apply\n")
    return 0
