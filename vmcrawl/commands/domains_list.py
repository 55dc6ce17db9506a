"""``vmcrawl domains list`` and ``requeue``: a choice of the ledger, shown or made due."""

import argparse
import logging
import sys
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from functools import partial

from vmcrawl.catalogue import Support
from vmcrawl.commands.age import moment_of, read_age
from vmcrawl.commands.database import reading_database, with_database
from vmcrawl.commands.display import write_json
from vmcrawl.commands.listing import Layout, add_dni, add_form, document_of, first, pages_of, without_dni, write_list
from vmcrawl.commands.names import read_domains
from vmcrawl.commands.number import read_positive
from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome
from vmcrawl.store import ledger
from vmcrawl.store.database import Database
from vmcrawl.store.ledger import Entry
from vmcrawl.store.matching import Filter

log = logging.getLogger(__name__)

#: For what was never crawled.
_NONE = "none"
_PATCHED = {"yes": True, "no": False, "unknown": None}
_AGES = ("seen", "crawled", "added")
_AGES_HELP = {"seen": "last seen well", "crawled": "last crawled", "added": "added to the ledger"}


def configure(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare both actions."""
    listing = actions.add_parser(
        "list",
        help="names, verdicts and versions",
        epilog="for example:\n  vmcrawl domains list --branch 4.3 --patched no --csv > to-write-to.csv",
    )
    add_filters(listing)
    add_dni(listing)
    listing.add_argument("--limit", type=read_positive, metavar="N", help="the first N, by name")
    add_form(listing)
    listing.set_defaults(run=reading_database(_list))
    requeue = actions.add_parser(
        "requeue",
        help="make domains due now, as far as nobody asked us to wait",
        epilog="for example:\n  vmcrawl domains requeue --outcome timeout --outcome dns_failure --crawled-before 2d",
    )
    requeue.add_argument("domains", nargs="*", metavar="DOMAIN")
    add_filters(requeue)
    requeue.add_argument("--dry-run", action="store_true", help="say how many that would be, and change nothing")
    requeue.add_argument("--json", action="store_true", help="as one JSON object")
    requeue.set_defaults(run=with_database(_requeue))


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Let the command be told which domains are meant; what is said of each must all be so."""
    which = parser.add_argument_group("which domains (all of what is given must be so)")
    which.add_argument(
        "--outcome",
        action="append",
        choices=[str(outcome) for outcome in Outcome] + [_NONE],
        metavar="OUTCOME",
        help="of the last crawl; none: not crawled yet; may be given several times, as alternatives",
    )
    which.add_argument("--name", metavar="PATTERN", help="such as '*.example.org', with * and ?")
    which.add_argument("--source", help="where the name is from: import, named, peers, alias ...")
    which.add_argument("--software", help="that a published instance runs: mastodon, hometown ...")
    which.add_argument("--branch", help="that a published instance runs: 4.5 ...")
    which.add_argument("--support", choices=[str(support) for support in Support], help="of that branch")
    which.add_argument("--patched", choices=tuple(_PATCHED))
    for what in _AGES:
        for side, direction in (("before", "longer ago than"), ("after", "since")):
            which.add_argument(
                f"--{what}-{side}",
                type=read_age,
                metavar="AGE",
                help=f"{_AGES_HELP[what]} {direction} this: 7d, 12h, or a day such as 2026-11-01",
            )
    which.add_argument("--due", action="store_true", help="whose turn it is now")


def filter_of(arguments: argparse.Namespace, now: datetime, domains: tuple[Domain, ...] | None = None) -> Filter:
    """What the arguments choose."""
    outcomes = arguments.outcome or ()
    ages = {
        f"{what}_{side}": moment_of(getattr(arguments, f"{what}_{side}"), now)
        for what in _AGES
        for side in ("before", "after")
    }
    return Filter(
        domains=domains,
        outcomes=tuple(None if outcome == _NONE else outcome for outcome in outcomes),
        source=arguments.source,
        name=arguments.name,
        software=arguments.software,
        branch=arguments.branch,
        support=arguments.support,
        patched=() if arguments.patched is None else (_PATCHED[arguments.patched],),
        due_by=now if arguments.due else None,
        **ages,
    )


def _list(arguments: argparse.Namespace, database: Database) -> int:
    which = filter_of(arguments, database.now())
    listed = without_dni(_pages(database, which, arguments.limit), keep=arguments.with_dni)
    write_list(arguments, _LAYOUT_WITH_DNI if arguments.with_dni else _LAYOUT, first(listed, arguments.limit))
    return 0


def _pages(database: Database, which: Filter, limit: int | None) -> Iterator[list[Entry]]:
    size = ledger.PAGE_SIZE if limit is None else min(limit, ledger.PAGE_SIZE)
    return pages_of(database, partial(ledger.list_page, which=which), size, lambda entry: entry.domain, "")


def _requeue(arguments: argparse.Namespace, database: Database) -> int:
    domains = read_domains(arguments.domains) if arguments.domains else None
    if arguments.domains and domains is None:
        return 2
    now = database.now()
    which = filter_of(arguments, now, domains)
    if which == Filter():
        log.error("name the domains, or say which, as by --outcome or --source; --name '*' means all")
        return 2
    number = database.run(partial(ledger.requeue, now=now, which=which, dry_run=arguments.dry_run))
    if arguments.json:
        write_json(sys.stdout, {"due": number, "dry_run": arguments.dry_run})
    else:
        sys.stdout.write(f"{number} domains {'would be' if arguments.dry_run else 'are'} due now\n")
    if domains is not None and number < len(domains):
        log.info("those that are unknown, due already, being crawled, or have asked us to wait are left as they are")
    return 0


def _cells(entry: Entry) -> tuple[str, ...]:
    patched = {True: "yes", False: "no", None: ""}[entry.patched]
    return (
        entry.domain,
        entry.outcome or "-",
        entry.version or "",
        entry.branch or "",
        patched,
        entry.detail or "",
    )


_HEADINGS = ("domain", "verdict", "version", "branch", "patched", "detail")
_COLUMNS = tuple(field.name for field in fields(Entry))
_LAYOUT: Layout[Entry] = Layout(_HEADINGS, _cells, _COLUMNS, document_of)
_LAYOUT_WITH_DNI: Layout[Entry] = Layout(
    (*_HEADINGS, "DNI"), lambda entry: (*_cells(entry), entry.dni or ""), _COLUMNS, document_of
)
