"""``vmcrawl releases``: upstream's releases and branches: bring them up to date, show them, overrule them."""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from functools import partial

from vmcrawl.bumps import MainStart
from vmcrawl.catalogue import Support
from vmcrawl.commands.database import reading_database, with_database
from vmcrawl.commands.day import read_day
from vmcrawl.commands.display import write_json, write_table
from vmcrawl.commands.refreshing import refreshing
from vmcrawl.knowledge import read_anew
from vmcrawl.refresh import refresh_releases
from vmcrawl.store import branches, catalogue
from vmcrawl.store.branches import BranchRow, UnknownBranch
from vmcrawl.store.catalogue import ReleaseRow
from vmcrawl.store.database import Database
from vmcrawl.store.sources import SourceState, list_sources

log = logging.getLogger(__name__)


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its actions."""
    parser = commands.add_parser("releases", help="the catalogue of releases and branches: refresh, show, set-branch")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    refresh = actions.add_parser(
        "refresh", help="bring it up to date from upstream", epilog="for example:\n  vmcrawl releases refresh --json"
    )
    refresh.add_argument("--json", action="store_true", help="as one JSON object")
    refresh.set_defaults(run=refreshing(refresh_releases))
    showing = actions.add_parser(
        "show", help="branches, or the releases of one", epilog="for example:\n  vmcrawl releases show 4.5"
    )
    showing.add_argument("branch", nargs="?", metavar="BRANCH", help="such as 4.5")
    showing.add_argument("--json", action="store_true", help="as one JSON object")
    showing.set_defaults(run=reading_database(_show))
    setting = actions.add_parser(
        "set-branch",
        help="overrule what sources say of the support of a branch",
        epilog='for example:\n  vmcrawl releases set-branch 4.3 --until 2027-02-20 --reason "announced by mail"',
    )
    setting.add_argument("branch", metavar="BRANCH", help="such as 4.5")
    setting.add_argument("--until", type=read_day, metavar="DATE", help="the last day of support, such as 2027-02-20")
    setting.add_argument(
        "--support",
        choices=[str(support) for support in Support if support is not Support.UNKNOWN],
        help="where the branch stands, whatever releases and dates lead to; without it, it follows from --until",
    )
    setting.add_argument("--reason", default="", help="shown beside the override")
    setting.add_argument("--clear", action="store_true", help="lift the override")
    setting.add_argument("--json", action="store_true", help="the branch as one JSON object")
    setting.set_defaults(run=with_database(_set_branch))


def _show(arguments: argparse.Namespace, database: Database) -> int:
    listed = database.run(partial(branches.list_branches, today=database.now().date()))
    if arguments.branch is None:
        states = database.run(list_sources)
        if arguments.json:
            known = {"branches": [asdict(row) for row in listed], "sources": [asdict(row) for row in states]}
            write_json(sys.stdout, known)
        else:
            headings = ("branch", "support", "until", "according to", "first", "newest", "released")
            write_table(sys.stdout, headings, [_branch_row(row) for row in listed])
            sys.stdout.writelines(_source_lines(states))
        return 0
    found = [row for row in listed if row.branch == arguments.branch]
    releases = database.run(partial(catalogue.list_releases, branch=arguments.branch))
    main = [start for start in database.run(catalogue.load_main) if start.version.branch == arguments.branch]
    if not found and not releases and not main:
        log.error("no branch %r is known; vmcrawl releases show lists them", arguments.branch[:40])
        return 1
    if arguments.json:
        known = {"branches": [asdict(row) for row in found], "releases": [asdict(row) for row in releases]}
        write_json(sys.stdout, {**known, "main": [_main_fields(start) for start in main]})
    elif main and not releases:
        write_table(sys.stdout, ("main, without a release yet", "since"), [_main_row(start) for start in main[::-1]])
    else:
        write_table(
            sys.stdout, ("release", "released", "fixes security", "source"), [_release_row(r) for r in releases]
        )
    return 0


def _branch_row(row: BranchRow) -> tuple[str, ...]:
    return (
        row.branch,
        row.support,
        _text(row.supported_until),
        _according_to(row),
        _text(row.first_released_on),
        row.latest_release or "",
        _text(row.latest_released_on),
    )


def _according_to(row: BranchRow) -> str:
    """Where the end of support is from: its source, or marked as derived or as an override."""
    if row.support_source == "derived":
        return f"derived: {row.support_note}"
    return row.support_note


def _release_row(row: ReleaseRow) -> tuple[str, ...]:
    return row.release, str(row.released_on), {True: "yes", False: "no", None: ""}[row.security], row.source


def _main_fields(start: MainStart) -> dict[str, object]:
    return {"version": start.version.release, "since": start.since, "not_before": start.not_before}


def _main_row(start: MainStart) -> tuple[str, str]:
    since = f"{start.since:%Y-%m-%d %H:%M}"
    if start.not_before:
        since = f"between {start.not_before:%Y-%m-%d %H:%M} and {since}"
    return start.version.release, since


def _source_lines(states: Sequence[SourceState]) -> Iterator[str]:
    if not states:
        yield "from the packaged snapshot; vmcrawl releases refresh brings it up to date\n"
    for state in states:
        answered = f"answered {state.fetched_at:%Y-%m-%d %H:%M}" if state.fetched_at else "never answered"
        failed = f"; failed {state.failed_at:%Y-%m-%d %H:%M}: {state.error}" if state.error else ""
        waits = f"; not asked before {state.retry_at:%Y-%m-%d %H:%M}" if state.retry_at else ""
        yield f"{state.name}: {answered}{failed}{waits}\n"


def _set_branch(arguments: argparse.Namespace, database: Database) -> int:
    name, now, until = arguments.branch, database.now(), arguments.until
    support = Support(arguments.support) if arguments.support else None
    if arguments.clear:
        if until or support:
            log.error("--clear goes with neither --until nor --support")
            return 2
        if not database.run(partial(branches.unset_branch, branch=name, now=now)):
            log.error("%s is not overridden", name)
            return 1
        return _tell(arguments, database, now.date())
    if until is None and support is None:
        log.error("say until when it is supported (--until DATE), or where it stands (--support)")
        return 2
    if until and support and (support is Support.EOL) != (until < now.date()):
        log.error("a branch that is supported until %s is not %s today", until, support)
        return 2
    if until is None and support is Support.EOL:
        until = now.date() - timedelta(days=1)
    override = partial(
        branches.set_branch, branch=name, now=now, supported_until=until, support=support, reason=arguments.reason
    )
    try:
        database.run(override)
    except UnknownBranch:
        log.error("no branch %r is known; vmcrawl releases show lists them", name[:40])
        return 1
    return _tell(arguments, database, now.date())


def _tell(arguments: argparse.Namespace, database: Database, today: date) -> int:
    name = arguments.branch
    changed = read_anew(database, today)
    listed = database.run(partial(branches.list_branches, today=today))
    (row,) = (row for row in listed if row.branch == name)
    end = f", until {row.supported_until}" if row.supported_until else ""
    source = f" ({_according_to(row)})" if row.support_source else ""
    if arguments.json:
        write_json(sys.stdout, {**asdict(row), "versions_changed": changed})
    else:
        sys.stdout.write(f"{name}: {row.support}{end}{source}; {changed} distinct versions mean something else now\n")
    others = [other.branch for other in listed if other.support == row.support and other is not row]
    if others and row.support in (Support.MAIN, Support.LATEST, Support.PREVIOUS):
        log.warning("%s is called %s, too", ", ".join(others), row.support)
    return 0


def _text(value: object) -> str:
    return "" if value is None else str(value)
