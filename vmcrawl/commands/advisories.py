"""``vmcrawl advisories``: upstream's security advisories: refresh them, show whom they touch, overrule them."""

import argparse
import logging
import sys
from dataclasses import asdict
from functools import partial

from vmcrawl.advisory import InvalidAdvisory, Override, read_override
from vmcrawl.commands.database import reading_database, with_database
from vmcrawl.commands.display import write_facts, write_json, write_table
from vmcrawl.commands.refreshing import refreshing
from vmcrawl.knowledge import read_anew
from vmcrawl.refresh import refresh_advisories
from vmcrawl.store import advisories, catalogue
from vmcrawl.store.advisories import AdvisoryRow, UnknownAdvisory
from vmcrawl.store.database import Database

log = logging.getLogger(__name__)


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its actions."""
    parser = commands.add_parser("advisories", help="security advisories and whom they touch: refresh, show, override")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    refresh = actions.add_parser(
        "refresh", help="bring them up to date from upstream", epilog="for example:\n  vmcrawl advisories refresh"
    )
    refresh.add_argument("--json", action="store_true", help="as one JSON object")
    refresh.set_defaults(run=refreshing(refresh_advisories))
    showing = actions.add_parser(
        "show",
        help="all, or one with everything that is known of it",
        epilog="for example:\n  vmcrawl advisories show CVE-2024-23832",
    )
    showing.add_argument("id", nargs="?", metavar="ID", help="a GHSA or CVE id")
    showing.add_argument("--json", action="store_true", help="one JSON object a line")
    showing.set_defaults(run=reading_database(_show, _read_anew))
    override = actions.add_parser(
        "override",
        help="say what an advisory touches, against its published ranges",
        epilog='for example:\n  vmcrawl advisories override CVE-2024-23832 --ranges ">= 4.2.0, < 4.2.5"',
    )
    override.add_argument("id", metavar="ID", help="a GHSA or CVE id")
    override.add_argument("--ranges", metavar="RANGES", help='such as ">= 4.4.0, < 4.4.9"; none: it touches nothing')
    override.add_argument("--reason", default="", help="shown beside the override")
    override.add_argument("--clear", action="store_true", help="lift the override")
    override.add_argument("--json", action="store_true", help="what has changed as one JSON object")
    override.set_defaults(run=with_database(_override))


def _read_anew(database: Database) -> int:
    """Whom an advisory touches follows from what versions mean now."""
    return read_anew(database, database.now().date())


def _show(arguments: argparse.Namespace, database: Database) -> int:
    listed = database.run(advisories.list_advisories)
    if arguments.id is not None:
        row = _find(database, arguments.id)
        if row is None:
            return 1
        listed = [row]
    if arguments.json:
        for row in listed:
            write_json(sys.stdout, row)
    elif arguments.id is not None:
        write_facts(sys.stdout, ((name, value) for name, value in asdict(listed[0]).items() if value not in (None, "")))
    else:
        headings = ("id", "CVE", "published", "severity", "instances", "active users", "mark", "title")
        write_table(sys.stdout, headings, [_row(row) for row in listed])
    return 0


def _row(row: AdvisoryRow) -> tuple[str, ...]:
    mark = "override" if row.override_ranges is not None else "ambiguous" if row.ambiguous else ""
    published = "" if row.published is None else str(row.published)
    touched = str(row.instances), str(row.active_users)
    return row.ghsa_id, row.cve_id, published, row.severity, *touched, mark, row.title


def _override(arguments: argparse.Namespace, database: Database) -> int:
    if arguments.clear == (arguments.ranges is not None):
        log.error("say either --ranges or --clear")
        return 2
    row = _find(database, arguments.id)
    if row is None:
        return 1
    if arguments.clear:
        if not database.run(partial(advisories.lift_override, ghsa_id=row.ghsa_id)):
            log.error("%s is not overridden", row.ghsa_id)
            return 1
    elif (code := _set_override(database, Override(row.ghsa_id, arguments.ranges, arguments.reason))) != 0:
        return code
    changed = _read_anew(database)
    touched = _find(database, row.ghsa_id)
    number = touched.instances if touched else 0
    if arguments.json:
        write_json(sys.stdout, {"ghsa_id": row.ghsa_id, "instances": number, "versions_changed": changed})
        return 0
    sys.stdout.write(
        f"{row.ghsa_id}: touches {number} instances; {changed} distinct versions mean something else now\n"
    )
    return 0


def _set_override(database: Database, override: Override) -> int:
    known = database.run(catalogue.load_catalogue)
    try:
        read_override(override, known)
    except InvalidAdvisory as error:
        log.error("the ranges cannot be read: %s", error)
        return 2
    try:
        save = partial(advisories.override_advisory, ghsa_id=override.ghsa_id, ranges=override.ranges)
        database.run(partial(save, now=database.now(), reason=override.reason))
    except UnknownAdvisory:
        log.error("%s is not known by that id any more; vmcrawl advisories show lists all", override.ghsa_id)
        return 1
    return 0


def _find(database: Database, name: str) -> AdvisoryRow | None:
    """The advisory with a GHSA or CVE id, in whatever case; None, and a line in the log, if there is none."""
    wanted = name.casefold()
    for row in database.run(advisories.list_advisories):
        if wanted in (row.ghsa_id.casefold(), row.cve_id.casefold()):
            return row
    log.error("no advisory %r is known; vmcrawl advisories show lists them", name[:40])
    return None
