"""``vmcrawl history``: adoption at the end of each run, days that do not count, how fast fixes spread, its export."""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial

from vmcrawl.commands import export
from vmcrawl.commands.database import reading_database, with_database
from vmcrawl.commands.day import read_day
from vmcrawl.commands.display import write_json, write_table
from vmcrawl.commands.number import read_positive
from vmcrawl.delay import Uptake, read_uptake
from vmcrawl.store import catalogue, history
from vmcrawl.store.database import Database
from vmcrawl.store.history import Adoption, HistoryEntry

log = logging.getLogger(__name__)

_ENTRY = ("at", "run", "releases", "instances", "active users", "patched", "invalid")
_SPREAD = (
    *("branch", "release", "released", "instances", "have it", "since unknown"),
    *("half", "half of users", "90 %", "90 % of users"),
)


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its actions."""
    parser = commands.add_parser("history", help="adoption over time: list, invalidate, export")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser(
        "list", help="what each run found, newest first", epilog="for example:\n  vmcrawl history list --delays"
    )
    which = listing.add_mutually_exclusive_group()
    which.add_argument("--run", type=read_positive, metavar="ID", dest="run_id", help="the releases that it found")
    which.add_argument("--delays", action="store_true", help="how long fixes took to reach the instances of a branch")
    listing.add_argument("--limit", type=read_positive, default=50, metavar="N", help="runs (default: 50)")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    listing.set_defaults(run=reading_database(_list))
    bad = actions.add_parser(
        "invalidate",
        help="mark a day (UTC) as not to be believed",
        description="Mark a day (UTC): what was and will be written on it does not count, later runs are not held"
        " against it, and dashboards leave it out. What is published now stays.",
        epilog='for example:\n  vmcrawl history invalidate 2026-11-23 --reason "our resolver was broken"',
    )
    bad.add_argument("day", type=read_day, metavar="DATE", help="such as 2026-11-23")
    bad.add_argument("--reason", default="", help="why; kept with the numbers")
    bad.add_argument("--undo", action="store_true", help="believe it again")
    bad.add_argument("--json", action="store_true", help="as one JSON object")
    bad.set_defaults(run=with_database(_invalidate))
    export.configure(actions)


def _list(arguments: argparse.Namespace, database: Database) -> int:
    if arguments.run_id is not None:
        rows = database.run(partial(history.history_rows, run_id=arguments.run_id))
        if not rows:
            log.error("run %d has left no history", arguments.run_id)
            return 1
        patched = {True: "yes", False: "no", None: "?"}
        table = [(r.branch, r.version, str(r.instances), str(r.active_users), patched[r.patched]) for r in rows]
        values = [asdict(row) for row in rows]
        _write(arguments, values, ("branch", "release", "instances", "active users", "patched"), table)
    elif arguments.delays:
        known = database.run(catalogue.load_catalogue)
        adoptions = database.run(partial(history.adoptions, catalogue=known))
        found = [(one, read_uptake(one.released_on, one.takers)) for one in adoptions]
        values = [_spread(*one) for one in found]
        _write(arguments, values, _SPREAD, [_spread_row(*one) for one in found])
    else:
        entries = database.run(partial(history.list_history, limit=arguments.limit))
        values = [asdict(entry) for entry in entries]
        _write(arguments, values, _ENTRY, [_entry_row(entry) for entry in entries])
    return 0


def _write(
    arguments: argparse.Namespace,
    values: Sequence[Mapping[str, object]],
    headings: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
) -> None:
    if not arguments.json:
        write_table(sys.stdout, headings, rows)
        return
    for value in values:
        write_json(sys.stdout, value)


def _entry_row(entry: HistoryEntry) -> tuple[str, ...]:
    share = f"{entry.patched / entry.instances:.0%}" if entry.instances else ""
    invalid = (entry.reason or "yes") if entry.invalid else ""
    numbers = (str(entry.run_id), str(entry.releases), str(entry.instances), str(entry.active_users))
    return f"{entry.at:%Y-%m-%d %H:%M}", *numbers, share, invalid


def _spread(adoption: Adoption, uptake: Uptake) -> dict[str, object]:
    of = {"branch": adoption.branch, "release": adoption.release, "released_on": adoption.released_on}
    return {**of, **asdict(uptake)}


def _spread_row(adoption: Adoption, uptake: Uptake) -> tuple[str, ...]:
    counts = (str(uptake.instances), str(uptake.have_it), str(uptake.unknown_since))
    delays = (
        text
        for delay in uptake.delays
        for text in (_days(delay.instances, uptake.instances_known), _days(delay.users, uptake.users_known))
    )
    return adoption.branch, adoption.release, str(adoption.released_on), *counts, *delays


def _days(delay: timedelta | None, known: bool) -> str:
    if not known:
        return "unknown"
    return "not yet" if delay is None else f"{delay / timedelta(days=1):.1f} days"


def _invalidate(arguments: argparse.Namespace, database: Database) -> int:
    day = arguments.day
    if day > database.now().date():
        log.error("%s is still to come", day)
        return 2
    if arguments.undo:
        rows = database.run(partial(history.restore, day=day))
        if rows is None:
            log.error("%s is not marked", day)
            return 1
    else:
        rows = database.run(partial(history.invalidate, day=day, reason=arguments.reason))
    if arguments.json:
        write_json(sys.stdout, {"day": day, "invalid": not arguments.undo, "rows": rows})
    elif arguments.undo:
        sys.stdout.write(f"{day}: believed again; {rows} rows of history count again\n")
    else:
        sys.stdout.write(f"{day}: marked; {rows} rows of history do not count, and dashboards leave the day out\n")
    return 0
