"""``vmcrawl domains exclude``, ``opt-out``, ``include`` and ``exclusions``: whom never to ask."""

import argparse
import logging
import sys
from dataclasses import fields
from functools import partial

from vmcrawl.commands.database import reading_database, ready_database
from vmcrawl.commands.display import write_json
from vmcrawl.commands.listing import Layout, add_form, document_of, pages_of, write_list
from vmcrawl.commands.names import read_domains, read_names
from vmcrawl.domain import Domain
from vmcrawl.interruption import Interruption
from vmcrawl.settings import Settings
from vmcrawl.store import exclusions
from vmcrawl.store.database import Database
from vmcrawl.store.exclusions import Effect, Exclusion, Lifted
from vmcrawl.store.ledger import chunks

log = logging.getLogger(__name__)

_CHUNK = 5_000
#: More are only counted.
_SHOWN = 20
_LONGEST_REASON = 500


def configure(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the actions."""
    exclude = actions.add_parser(
        "exclude",
        help="never ask these again, and take them off what is published",
        epilog='for example:\n  vmcrawl domains exclude example.org --subdomains --reason "a test network"',
    )
    _add_names(exclude)
    exclude.add_argument("--subdomains", action="store_true", help="and everything below them")
    exclude.add_argument("--reason", help="why")
    exclude.set_defaults(run=_exclude, requested=False)
    opting = actions.add_parser(
        "opt-out",
        help="somebody has asked to be left alone: as exclude, and include does not lift it by accident",
        epilog="for example:\n"
        '  vmcrawl domains opt-out example.org --subdomains --by "its admin, by mail of 2026-11-20"\n'
        "\nIt holds until it is lifted: nobody who wants to be left alone is asked again because a day has come.",
    )
    _add_names(opting)
    opting.add_argument("--subdomains", action="store_true", help="and everything below them")
    opting.add_argument("--by", dest="reason", metavar="WORDS", help="who asked, and how; no more than you need")
    opting.set_defaults(run=_exclude, requested=True)
    include = actions.add_parser(
        "include", help="lift an exclusion", epilog="for example:\n  vmcrawl domains include example.org"
    )
    _add_names(include)
    include.add_argument("--requested", action="store_true", help="also those that somebody has asked for (opt-out)")
    include.set_defaults(run=_include)
    listing = actions.add_parser(
        "exclusions",
        help="whom we never ask, why, and since when",
        epilog="for example:\n  vmcrawl domains exclusions --csv > exclusions.csv",
    )
    listing.add_argument("--requested", action="store_true", help="only those that somebody has asked for (opt-out)")
    add_form(listing)
    listing.set_defaults(run=reading_database(_list))


def _add_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domains", nargs="*", metavar="DOMAIN")
    parser.add_argument("--file", metavar="LIST", help="a list of names, as domains import reads them; - for stdin")
    parser.add_argument("--dry-run", action="store_true", help="say what would come of it, and change nothing")
    parser.add_argument("--json", action="store_true", help="as JSON")


def _exclude(arguments: argparse.Namespace, settings: Settings) -> int:
    domains = _names(arguments, settings)
    if domains is None:
        return 2
    reason = arguments.reason
    if reason is not None and (len(reason) > _LONGEST_REASON or not reason.isprintable()):
        log.error("the reason must be one line of at most %d characters", _LONGEST_REASON)
        return 2
    effect = Effect()
    with Interruption(), ready_database(settings) as database:
        for chunk in chunks(domains, _CHUNK):
            exclude = partial(
                exclusions.exclude,
                domains=chunk,
                now=database.now(),
                subdomains=arguments.subdomains,
                reason=reason,
                requested=arguments.requested,
                dry_run=arguments.dry_run,
            )
            effect += database.run(exclude)
    if arguments.json:
        counts = {"domains": len(domains), "changed": effect.changed, "taken_down": effect.taken_down}
        write_json(sys.stdout, {**counts, "dry_run": arguments.dry_run})
        return 0
    below = ", with everything below" if arguments.subdomains else ""
    _tell(domains, f"excluded{below}", arguments.dry_run)
    sys.stdout.write(f"{effect.taken_down} published rows {'would be ' if arguments.dry_run else ''}taken down\n")
    return 0


def _include(arguments: argparse.Namespace, settings: Settings) -> int:
    domains = _names(arguments, settings)
    if domains is None:
        return 2
    lifted: list[Domain] = []
    kept: list[Domain] = []
    freed = 0
    with Interruption(), ready_database(settings) as database:
        for chunk in chunks(domains, _CHUNK):
            done = _lift(arguments, database, chunk)
            lifted += done.domains
            kept += done.kept
            freed += done.freed
        refusals = {domain: database.run(partial(exclusions.refusal_of, domain=domain)) for domain in lifted[:_SHOWN]}
    excluded = {*lifted, *kept}
    strangers = [domain for domain in domains if domain not in excluded]
    if arguments.json:
        counts = {"lifted": len(lifted), "kept": len(kept), "not_excluded": len(strangers), "due": freed}
        write_json(sys.stdout, {**counts, "dry_run": arguments.dry_run})
    else:
        _tell(lifted, "no longer excluded", arguments.dry_run)
        _tell(strangers, "was not excluded", dry_run=False)
    for domain in kept[:_SHOWN]:
        log.error("%s has asked to be left alone, and stays excluded; --requested lifts that, too", domain)
    if not arguments.dry_run:
        for domain, refusal in refusals.items():
            if refusal is not None:
                log.warning("%s is still not asked: %s", domain, refusal)
    return 0 if lifted and not kept else 1


def _lift(arguments: argparse.Namespace, database: Database, chunk: list[Domain]) -> Lifted:
    return database.run(
        partial(
            exclusions.include,
            domains=chunk,
            now=database.now(),
            requested=arguments.requested,
            dry_run=arguments.dry_run,
        )
    )


def _names(arguments: argparse.Namespace, settings: Settings) -> tuple[Domain, ...] | None:
    """Whom the arguments name; None, and a line in the log, if that is nobody."""
    named = read_domains(arguments.domains)
    if named is None:
        return None
    if arguments.file is not None:
        named = tuple(dict.fromkeys((*named, *read_names(arguments.file, settings))))
    if not named:
        log.error("name the domains, or give a list of them by --file")
        return None
    return named


def _tell(domains: list[Domain] | tuple[Domain, ...], what: str, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    if len(domains) > _SHOWN:
        sys.stdout.write(f"{len(domains)} domains: {would}{what}\n")
        return
    for domain in domains:
        sys.stdout.write(f"{domain}: {would}{what}\n")


def _list(arguments: argparse.Namespace, database: Database) -> int:
    page = partial(exclusions.list_page, requested=True if arguments.requested else None)
    write_list(
        arguments, _LAYOUT, pages_of(database, page, exclusions.PAGE_SIZE, lambda exclusion: exclusion.domain, "")
    )
    return 0


def _cells(exclusion: Exclusion) -> tuple[str, ...]:
    return (
        exclusion.domain,
        "yes" if exclusion.subdomains else "no",
        "somebody asked" if exclusion.requested else "operator",
        exclusion.reason,
        f"{exclusion.added_at:%Y-%m-%d}",
    )


_LAYOUT: Layout[Exclusion] = Layout(
    ("domain", "and all below", "by", "reason", "since"),
    _cells,
    tuple(field.name for field in fields(Exclusion)),
    document_of,
)
