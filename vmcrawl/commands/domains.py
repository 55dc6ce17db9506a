"""``vmcrawl domains``: the ledger: import names, list them, make them due, exclude them."""

import argparse
import logging
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from vmcrawl.commands.database import reading_database, with_database
from vmcrawl.commands.display import write_json, write_table
from vmcrawl.commands.names import read_domains, read_names
from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome
from vmcrawl.store import ledger
from vmcrawl.store.database import Database
from vmcrawl.store.ledger import Entry, Filter

log = logging.getLogger(__name__)


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its actions."""
    parser = commands.add_parser("domains", help="the ledger: import, list, requeue, exclude, include")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    importing = actions.add_parser("import", help="add names from a file, one a line; - for stdin")
    importing.add_argument("file", type=Path, metavar="FILE")
    importing.add_argument("--source", default="import", help="where the names are from (default: import)")
    importing.add_argument("--json", action="store_true")
    importing.set_defaults(run=with_database(_import))
    listing = actions.add_parser("list", help="names, verdicts and versions")
    _add_filters(listing)
    listing.add_argument("--limit", type=int, metavar="N")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    listing.set_defaults(run=reading_database(_list))
    requeue = actions.add_parser("requeue", help="make domains due now, as far as nobody asked us to wait")
    requeue.add_argument("domains", nargs="*", metavar="DOMAIN")
    _add_filters(requeue)
    requeue.set_defaults(run=with_database(_requeue))
    exclude = actions.add_parser("exclude", help="never ask these again, and take them off what is published")
    exclude.add_argument("domains", nargs="+", metavar="DOMAIN")
    exclude.add_argument("--subdomains", action="store_true", help="and everything below them")
    exclude.add_argument("--reason", default="")
    exclude.set_defaults(run=with_database(_exclude))
    include = actions.add_parser("include", help="lift an exclusion")
    include.add_argument("domains", nargs="+", metavar="DOMAIN")
    include.set_defaults(run=with_database(_include))


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--outcome", choices=[str(outcome) for outcome in Outcome], metavar="OUTCOME")
    parser.add_argument("--source")
    parser.add_argument("--support", help="of the branch that a published instance runs")
    parser.add_argument("--patched", choices=("yes", "no"))


def _filter(arguments: argparse.Namespace, domains: tuple[Domain, ...] | None = None) -> Filter:
    return Filter(
        domains=domains,
        outcome=None if arguments.outcome is None else Outcome(arguments.outcome),
        source=arguments.source,
        support=arguments.support,
        patched=None if arguments.patched is None else arguments.patched == "yes",
    )


def _import(arguments: argparse.Namespace, database: Database) -> int:
    names = read_names(arguments.file)
    now = datetime.now(UTC)
    added = database.run(lambda connection: ledger.add_domains(connection, names.domains, arguments.source, now))
    counts = {
        "added": added,
        "known": len(names.domains) - added,
        "duplicates": names.duplicates,
        "bad": names.bad,
    }
    if arguments.json:
        write_json(sys.stdout, counts)
    else:
        sys.stdout.write(", ".join(f"{number} {name}" for name, number in counts.items()) + "\n")
    return 0


def _list(arguments: argparse.Namespace, database: Database) -> int:
    entries = _entries(database, _filter(arguments), arguments.limit)
    if arguments.json:
        for entry in entries:
            write_json(sys.stdout, entry)
    else:
        write_table(sys.stdout, ("domain", "verdict", "version", "branch", "patched", "detail"), _rows(entries))
    return 0


def _entries(database: Database, which: Filter, limit: int | None) -> Iterator[Entry]:
    """The domains that match, page by page: a connection may be lost between pages, and no row comes twice."""
    after, left = "", sys.maxsize if limit is None else limit
    while left > 0:
        size = min(left, ledger.PAGE_SIZE)
        page = database.run(partial(ledger.list_page, which=which, after=after, size=size))
        yield from page
        if len(page) < size:
            return
        after, left = page[-1].domain, left - size


def _rows(entries: Iterable[Entry]) -> list[tuple[str, ...]]:
    patched = {True: "yes", False: "no", None: ""}
    return [
        (e.domain, e.outcome or "-", e.version or "", e.branch or "", patched[e.patched], e.detail or "")
        for e in entries
    ]


def _requeue(arguments: argparse.Namespace, database: Database) -> int:
    domains = read_domains(arguments.domains) if arguments.domains else None
    if arguments.domains and domains is None:
        return 2
    if domains is None and _filter(arguments) == Filter():
        log.error("name the domains, or say which by --outcome, --source, --support or --patched")
        return 2
    now = datetime.now(UTC)
    number = database.run(lambda connection: ledger.requeue(connection, now, _filter(arguments, domains)))
    sys.stdout.write(f"{number} domains are due now\n")
    return 0


def _exclude(arguments: argparse.Namespace, database: Database) -> int:
    domains = read_domains(arguments.domains)
    if domains is None:
        return 2
    now = datetime.now(UTC)
    subdomains, reason = arguments.subdomains, arguments.reason
    for domain in domains:
        exclude = partial(ledger.exclude, domain=domain, now=now, subdomains=subdomains, reason=reason)
        sys.stdout.write(f"{domain}: excluded; {database.run(exclude)} published rows taken down\n")
    return 0


def _include(arguments: argparse.Namespace, database: Database) -> int:
    domains = read_domains(arguments.domains)
    if domains is None:
        return 2
    now = datetime.now(UTC)
    lifted = [database.run(partial(ledger.include, domain=domain, now=now)) for domain in domains]
    for domain, was_excluded in zip(domains, lifted, strict=True):
        sys.stdout.write(f"{domain}: {'no longer excluded' if was_excluded else 'was not excluded'}\n")
    return 0 if any(lifted) else 1
