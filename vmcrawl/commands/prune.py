"""``vmcrawl prune``: delete what is older than the settings of ``retention`` want it, as the end of each run does."""

import argparse
import logging
import sys
from dataclasses import asdict
from functools import partial

from vmcrawl.commands.database import readable_database, ready_database
from vmcrawl.commands.display import write_json, write_table
from vmcrawl.interruption import Interruption
from vmcrawl.settings import Settings
from vmcrawl.store.prune import Pruned, prunable, prune

log = logging.getLogger(__name__)

_DESCRIPTION = """Delete rules of robots.txt, runs, changes of versions and pages of history that are older than the
settings of "retention" want them. The end of each run does the same, a little at a time. It may be ended at any moment,
and run while crawls go on."""


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "prune",
        help="delete what is older than settings want it",
        description=_DESCRIPTION,
        epilog="for example:\n  vmcrawl prune --dry-run",
    )
    parser.add_argument("--dry-run", action="store_true", help="only count what would be deleted")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Prune, or count; 0 also where another process prunes just now, since it does the same."""
    opened = readable_database if arguments.dry_run else ready_database
    with Interruption(), opened(settings) as database:
        work = partial(prunable if arguments.dry_run else prune, now=database.now(), retention=settings.retention)
        pruned = database.run(work)
    if not pruned.complete:
        log.warning("another process prunes just now, and goes on with the rest")
    _write(pruned, dry=arguments.dry_run, as_json=arguments.json)
    return 0


def _write(pruned: Pruned, *, dry: bool, as_json: bool) -> None:
    if as_json:
        write_json(sys.stdout, {**asdict(pruned), "dry_run": dry})
        return
    rows = [
        ("rules of robots.txt", str(pruned.robots)),
        ("runs", str(pruned.runs)),
        ("changes of versions", str(pruned.changes)),
        ("rows of history", str(pruned.history)),
    ]
    write_table(sys.stdout, ("what", "would be deleted" if dry else "deleted"), rows)
