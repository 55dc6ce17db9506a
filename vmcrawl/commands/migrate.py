"""``vmcrawl migrate``: bring the database to this version."""

import argparse
import logging
import sys
from functools import partial

from vmcrawl.commands.database import opened
from vmcrawl.commands.display import write_json
from vmcrawl.interruption import Interruption
from vmcrawl.settings import Settings
from vmcrawl.store.database import Database
from vmcrawl.store.migrations import prepare
from vmcrawl.store.reader import let_read

log = logging.getLogger(__name__)


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "migrate", help="bring the database to this version", epilog="for example:\n  vmcrawl migrate"
    )
    parser.add_argument("--json", action="store_true", help="what was applied as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Apply what is missing and name it; safe while others do the same."""
    with Interruption(), opened(settings) as ready:
        database = Database(ready.database)
        try:
            applied = database.run(lambda connection: prepare(connection, settings.publish.retention))
            if role := settings.exporter.role:
                _let_read(database, role)
        finally:
            database.close()
    if arguments.json:
        write_json(sys.stdout, {"applied": applied})
        return 0
    for name in applied:
        sys.stdout.write(f"applied {name}\n")
    if not applied:
        sys.stdout.write("nothing to apply\n")
    return 0


def _let_read(database: Database, role: str) -> None:
    if why := database.run(partial(let_read, role=role)):
        log.warning(
            "the role %s cannot be given its rights, so the exporter reads with those of its user: %s. Let somebody who"
            " may CREATE ROLE %s, and GRANT it to the user of the exporter; then migrate again",
            role,
            why,
            role,
        )
