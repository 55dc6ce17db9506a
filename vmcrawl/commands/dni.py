"""``vmcrawl dni``: whom to list nowhere, or never to ask: import a list, add and remove by hand, list, changes."""

import argparse
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, time
from functools import partial
from typing import TypeVar

from vmcrawl.commands import dni_import
from vmcrawl.commands.database import reading_database, with_database
from vmcrawl.commands.day import read_day
from vmcrawl.commands.display import write_json, write_table
from vmcrawl.commands.listing import Layout, add_form, document_of, pages_of, write_list
from vmcrawl.commands.names import read_domains
from vmcrawl.dnilist import Severity
from vmcrawl.domain import Domain
from vmcrawl.store import dni, dni_imports
from vmcrawl.store.database import Database
from vmcrawl.store.dni import Effect, Entry, Removal, Waiver
from vmcrawl.store.dni_imports import Change

log = logging.getLogger(__name__)

T = TypeVar("T", Entry, Waiver, Change)


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its actions."""
    parser = commands.add_parser("dni", help='the "do not interact" list: import, add, remove, restore, list, changes')
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    dni_import.configure(actions)
    adding = actions.add_parser(
        "add",
        help="enter domains by hand; an entry covers everything below it, too",
        epilog='for example:\n  vmcrawl dni add example.org --comment "asked by mail"',
    )
    adding.add_argument("domains", nargs="+", metavar="DOMAIN")
    adding.add_argument("--hard", action="store_true", help="never ask them (without it: counted, and listed nowhere)")
    adding.add_argument("--comment", help="why")
    adding.add_argument("--json", action="store_true", help="what came of it, one JSON object a line")
    adding.set_defaults(run=with_database(_add))
    removing = actions.add_parser(
        "remove",
        help="take entries out: those made by hand, and those of the list, which then stay out",
        epilog="for example:\n  vmcrawl dni remove example.org\n  vmcrawl dni remove --imported    all of the list",
    )
    removing.add_argument("domains", nargs="*", metavar="DOMAIN")
    removing.add_argument("--comment", default="", help="why an entry of the list does not count")
    removing.add_argument("--imported", action="store_true", help="drop the imported list, keep entries made by hand")
    removing.add_argument("--dry-run", action="store_true", help="with --imported: say how much that is")
    removing.add_argument("--json", action="store_true", help="what came of it, one JSON object a line")
    removing.set_defaults(run=with_database(_remove))
    restoring = actions.add_parser(
        "restore",
        help="let entries of the list count again that were taken out",
        epilog="for example:\n  vmcrawl dni restore example.org",
    )
    restoring.add_argument("domains", nargs="+", metavar="DOMAIN")
    restoring.add_argument("--json", action="store_true", help="what came of it, one JSON object a line")
    restoring.set_defaults(run=with_database(_restore))
    _configure_showing(actions)


def _configure_showing(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    listing = actions.add_parser(
        "list",
        help="the entries that count",
        epilog="for example:\n  vmcrawl dni list --source manual --csv > ours.csv",
    )
    listing.add_argument("--severity", choices=[str(severity) for severity in Severity])
    listing.add_argument("--source", choices=("import", "manual"), help="of the imported list, or made by hand")
    listing.add_argument("--removed", action="store_true", help="instead, what was taken out by hand")
    add_form(listing)
    listing.set_defaults(run=reading_database(_list))
    changes = actions.add_parser(
        "changes",
        help="what imports have changed: the last that changed anything, or all since a day",
        epilog="for example:\n  vmcrawl dni changes --since 2026-11-01",
    )
    changes.add_argument("--since", type=read_day, metavar="DATE", help="such as 2026-11-01 (UTC)")
    changes.add_argument("--json", action="store_true", help="one JSON object a line: an import, then its changes")
    changes.set_defaults(run=reading_database(_changes))


def _add(arguments: argparse.Namespace, database: Database) -> int:
    domains = read_domains(arguments.domains)
    if domains is None:
        return 2
    severity = Severity.HARD if arguments.hard else Severity.SOFT
    for domain in domains:
        entered = partial(dni.add, domain=domain, severity=severity, comment=arguments.comment, now=database.now())
        _tell(arguments, domain, _MEANING[severity], database.run(entered))
    return 0


def _remove(arguments: argparse.Namespace, database: Database) -> int:
    if arguments.imported == bool(arguments.domains) or (arguments.dry_run and not arguments.imported):
        log.error("name the domains, or say --imported (and with it --dry-run, if you like)")
        return 2
    if arguments.imported:
        drop = partial(dni_imports.drop_list, now=database.now(), dry_run=arguments.dry_run)
        number, effect = database.run(drop)
        dropped = "would be dropped" if arguments.dry_run else "dropped"
        _tell(arguments, f"the imported list of {number} entries", dropped, effect, entries=number)
        return 0
    domains = read_domains(arguments.domains)
    if domains is None:
        return 2
    found = [_remove_one(arguments, database, domain) for domain in domains]
    return 0 if all(found) else 1


def _remove_one(arguments: argparse.Namespace, database: Database, domain: Domain) -> bool:
    remove = partial(dni.remove, domain=domain, now=database.now(), comment=arguments.comment)
    removal, effect = database.run(remove)
    if removal is Removal.UNKNOWN:
        _tell_unknown(database, domain)
        return False
    _tell(arguments, domain, _REMOVAL[removal], effect)
    above = [entry.domain for entry in database.run(partial(dni.covers, domain=domain)) if entry.domain != domain]
    if above:
        log.warning("%s is still covered by the entry %s", domain, above[0])
    return True


def _tell_unknown(database: Database, domain: Domain) -> None:
    covers = database.run(partial(dni.covers, domain=domain))
    if covers:
        log.error("%s has no entry; it is covered by the one of %s", domain, covers[0].domain)
    else:
        log.error("%s has no entry; vmcrawl dni list shows all, with --removed what was taken out", domain)


def _restore(arguments: argparse.Namespace, database: Database) -> int:
    domains = read_domains(arguments.domains)
    if domains is None:
        return 2
    complete = True
    for domain in domains:
        lifted, effect = database.run(partial(dni.restore, domain=domain, now=database.now()))
        entries = [entry for entry in database.run(partial(dni.covers, domain=domain)) if entry.domain == domain]
        stands = _MEANING[Severity(entries[0].severity)] if entries else "the list does not have it now"
        if lifted:
            _tell(arguments, domain, f"counts again as the list has it; {stands}", effect)
        else:
            log.error("%s was not taken out; vmcrawl dni list --removed shows what was", domain)
        complete = complete and lifted
    return 0 if complete else 1


def _list(arguments: argparse.Namespace, database: Database) -> int:
    if arguments.removed:
        write_list(arguments, _WAIVERS, _pages(database, dni.list_waivers))
    else:
        page = partial(dni.list_page, severity=arguments.severity, source=arguments.source)
        write_list(arguments, _ENTRIES, _pages(database, page))
    return 0


def _pages(database: Database, page: Callable[..., list[T]]) -> Iterator[list[T]]:
    return pages_of(database, page, dni.PAGE_SIZE, lambda row: row.domain, "")


def _entry(row: Entry) -> tuple[str, ...]:
    return row.domain, row.severity, row.source, row.comment, f"{row.added_at:%Y-%m-%d}"


def _waiver(row: Waiver) -> tuple[str, ...]:
    return row.domain, "yes" if row.listed else "no", row.comment, f"{row.waived_at:%Y-%m-%d}"


def _changes(arguments: argparse.Namespace, database: Database) -> int:
    since = arguments.since and datetime.combine(arguments.since, time(), UTC)
    imports = database.run(partial(dni_imports.past_imports, since=since))
    if since is None:
        imports = [one for one in imports if one.added or one.removed or one.changed][:1]
    for one in imports:
        if arguments.json:
            write_json(sys.stdout, one)
        else:
            counts = f"{one.added} added, {one.removed} removed, {one.changed} changed"
            sys.stdout.write(f"{one.imported_at:%Y-%m-%d %H:%M %Z}, {one.origin}: {one.entries} entries; {counts}\n")
        for page in _pages(database, partial(dni_imports.changes_page, import_id=one.id)):
            if arguments.json:
                for change in page:
                    write_json(sys.stdout, {"id": one.id, **asdict(change)})
            elif page:
                rows = [(c.change, c.domain, c.old_severity or "", c.severity or "", c.comment) for c in page]
                write_table(sys.stdout, ("change", "domain", "was", "is", "comment"), rows)
    if not imports and not arguments.json:
        sys.stdout.write("no import has changed anything\n")
    return 0


def _tell(arguments: argparse.Namespace, what: str, result: str, effect: Effect, **more: object) -> None:
    if arguments.json:
        fields = more or {"domain": what}
        write_json(sys.stdout, {**fields, "result": result, **asdict(effect)})
    else:
        sys.stdout.write(f"{what}: {result}{_effect(effect)}\n")


def _effect(effect: Effect) -> str:
    taken_down = f"; {effect.taken_down} published rows taken down" if effect.taken_down else ""
    return taken_down + (f"; {effect.freed} domains due again" if effect.freed else "")


_MEANING = {
    Severity.HARD: "hard: never asked, nor anything below it",
    Severity.SOFT: "soft: counted, and listed nowhere, nor anything below it",
}
_REMOVAL = {
    Removal.GONE: "removed",
    Removal.LISTED: "no longer entered by hand; the imported list has it, and counts (remove it again to take it out)",
    Removal.WAIVED: "removed, and stays so when the list is imported again (vmcrawl dni restore brings it back)",
}
_ENTRIES: Layout[Entry] = Layout(
    ("domain", "severity", "source", "comment", "added"),
    _entry,
    ("domain", "severity", "source", "comment", "added_at"),
    document_of,
    # As the import knows them.
    ("#domain", "#severity", "#source", "#public_comment", "#added_at"),
)
_WAIVERS: Layout[Waiver] = Layout(
    ("domain", "listed", "comment", "removed"),
    _waiver,
    ("domain", "listed", "comment", "waived_at"),
    document_of,
    ("#domain", "#listed", "#public_comment", "#waived_at"),
)
