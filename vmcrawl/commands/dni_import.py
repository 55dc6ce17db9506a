"""``vmcrawl dni import``: a whole list from a file, stdin or an address takes the place of the one before."""

import argparse
import logging
import os
import re
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

from vmcrawl.asker import SourceFailed
from vmcrawl.commands.database import ready_database
from vmcrawl.commands.display import shown, write_json
from vmcrawl.commands.names import UnreadableList
from vmcrawl.commands.refreshing import exit_code
from vmcrawl.config_values import read_value
from vmcrawl.dnilist import LARGEST, DniList, InvalidList, Treatment, parse_dni_list
from vmcrawl.interruption import Interruption
from vmcrawl.plausible import Implausible
from vmcrawl.refresh import Answer, dni_origin, refresh_dni
from vmcrawl.settings import Settings
from vmcrawl.sources import fetch_dni
from vmcrawl.store import dni_imports
from vmcrawl.store.database import Database
from vmcrawl.store.dni_imports import Imported, Origin

log = logging.getLogger(__name__)

#: More changes are only counted, unless as JSON.
_SHOWN = 20
#: More are only counted even so: a first list may be long, and then all of it is new.
_SHOWN_AS_JSON = 10_000

_EPILOG = """for example:
  vmcrawl dni import iftas-dni-latest.csv --dry-run

The list takes the place of the one imported before; entries made by hand, and what was taken out by hand, stay. CSV as
Mastodon exports domain blocks and IFTAS publishes its list, or one name a line, # before a comment. Everything on it is
soft (counted, listed nowhere), unless --severity or a word in its column severity (hard, soft) says otherwise.

A list that is empty, cut off, mostly something else, or lacks more than a fifth of the entries of the one before
changes nothing (exit code 1); neither does an address that does not answer (75)."""


def configure(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the action."""
    parser = actions.add_parser(
        "import",
        help="put a list in the place of the one before",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "source", nargs="?", metavar="LIST", help="a file, - for stdin, or an https address (default: dni.url)"
    )
    parser.add_argument(
        "--severity",
        choices=[str(treatment) for treatment in Treatment],
        help="what its entries are; listed: hard where it suspends, soft where it silences (default: dni.severity)",
    )
    parser.add_argument("--force", action="store_true", help="even if it lacks much of the list before")
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    parser.add_argument("--json", action="store_true", help="as one JSON object, with up to 10,000 changes")
    parser.set_defaults(run=run, overrides=_overrides)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Import; 0 done, 1 the list cannot be used, 2 no source, 75 the address is down, slow or rate-limited."""
    source = arguments.source or settings.dni.url
    if not source:
        log.error("say which list: a file, - for stdin, or an https address; or set dni.url")
        return 2
    is_address = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source) is not None
    if is_address:
        try:
            read_value("dni.url", str, source)
        except ValueError as error:
            log.error("the address of a list %s", error)
            return 2
    with Interruption(), ready_database(settings) as database:
        if source == settings.dni.url and not arguments.dry_run:
            return _refresh(arguments, settings, database)
        try:
            listed = fetch_dni(settings, url=source).items[0] if is_address else _read(source, settings)
            origin = dni_origin(settings, source) if is_address else Origin("stdin" if source == "-" else source)
            imported = _replace(arguments, database, listed, origin)
        except SourceFailed as failure:
            log.error("%s; nothing is changed", failure.reason)
            return os.EX_TEMPFAIL if failure.temporary else 1
        except InvalidList as error:
            log.error("%s is no DNI list: %s; nothing is changed", source, error)
            return 1
        except Implausible as error:
            log.error("%s; nothing is changed. If the list is right as it is, add --force", error)
            return 1
    _tell(arguments, origin.name, listed, imported)
    if settings.dni.url and source != settings.dni.url and not arguments.dry_run:
        log.warning("dni.url is set: the next refresh puts the list from there in the place of this one")
    return 0


def _refresh(arguments: argparse.Namespace, settings: Settings, database: Database) -> int:
    limit = _SHOWN_AS_JSON if arguments.json else _SHOWN
    refreshed, heard = refresh_dni(database, settings, force=arguments.force, shown=limit)
    (asked,) = refreshed.sources
    if heard is not None:
        _tell(arguments, dni_origin(settings).name, *heard)
    elif arguments.json:
        write_json(sys.stdout, {"origin": dni_origin(settings).name, "answer": asked.answer, "detail": asked.detail})
    elif asked.answer is Answer.UNCHANGED:
        sys.stdout.write("nothing has changed since the last import\n")
    if asked.answer is Answer.FAILED:
        log.error("vmcrawl dni import --dry-run shows what the list would change; --force takes in a shorter one")
    return exit_code(asked.answer)


def _read(source: str, settings: Settings) -> DniList:
    if source == "-":
        content = sys.stdin.buffer.read(LARGEST + 1)
    else:
        try:
            with Path(source).open("rb") as file:
                content = file.read(LARGEST + 1)
        except (OSError, ValueError) as error:
            raise UnreadableList(f"{source} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse_dni_list(content, Treatment(settings.dni.severity))


def _replace(arguments: argparse.Namespace, database: Database, listed: DniList, origin: Origin) -> Imported:
    replace = partial(
        dni_imports.replace_list,
        listed=listed,
        origin=origin,
        now=database.now(),
        force=arguments.force,
        dry_run=arguments.dry_run,
        shown=_SHOWN_AS_JSON if arguments.json else _SHOWN,
    )
    return database.run(replace)


def _tell(arguments: argparse.Namespace, origin: str, listed: DniList, imported: Imported) -> None:
    for line in listed.bad_lines:
        log.warning("line %d: %r: %s", line.number, line.text, line.reason)
    if listed.bad > len(listed.bad_lines):
        log.warning("%d more bad lines", listed.bad - len(listed.bad_lines))
    if arguments.json:
        write_json(sys.stdout, _document(arguments, origin, listed, imported))
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(arguments, listed, imported))


def _document(arguments: argparse.Namespace, origin: str, listed: DniList, imported: Imported) -> dict[str, object]:
    return {
        "origin": origin,
        "answer": Answer.CHANGED if any(imported.counts.values()) else Answer.UNCHANGED,
        "dry_run": arguments.dry_run,
        "entries": imported.entries,
        **imported.counts,
        "changes": [asdict(change) for change in imported.changes],
        "changes_left_out": sum(imported.counts.values()) - len(imported.changes),
        "manual": imported.manual,
        "waived": imported.waived,
        "duplicates": listed.duplicates,
        "noop": listed.noop,
        "bad": listed.bad,
        "bad_lines": [asdict(line) for line in listed.bad_lines],
        **asdict(imported.effect),
    }


def _lines(arguments: argparse.Namespace, listed: DniList, imported: Imported) -> list[str]:
    counts = ", ".join(f"{number} {kind}" for kind, number in imported.counts.items())
    lines = [f"{imported.entries} entries: {counts}"]
    if sum(imported.counts.values()) <= _SHOWN:
        lines += [f"  {change.change}: {change.domain} {shown(change.comment)}".rstrip() for change in imported.changes]
    if not arguments.dry_run and sum(imported.counts.values()) > _SHOWN and imported.added < imported.entries:
        lines.append("  vmcrawl dni changes names them")
    rest = {
        "entries made by hand, too, which count as they are": imported.manual,
        "taken out by hand, and still out": imported.waived,
        "duplicates": listed.duplicates,
        "lines that block nothing": listed.noop,
        "bad lines": listed.bad,
        "published rows taken down": imported.effect.taken_down,
        "domains due again": imported.effect.freed,
    }
    lines += [f"{number} {name}" for name, number in rest.items() if number]
    return [*lines, "dry run: nothing is changed"] if arguments.dry_run else lines


def _overrides(arguments: argparse.Namespace) -> dict[tuple[str, str], object]:
    return {} if arguments.severity is None else {("dni", "severity"): arguments.severity}
