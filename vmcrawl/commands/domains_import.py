"""``vmcrawl domains import``: names from a file, stdin or an address into the ledger."""

import argparse
import logging
import sys
from functools import partial
from itertools import islice

from vmcrawl.commands.database import ready_database
from vmcrawl.commands.display import write_json
from vmcrawl.commands.names import Names, UnreadableList, open_names
from vmcrawl.interruption import Interruption
from vmcrawl.namelist import Format
from vmcrawl.settings import Settings
from vmcrawl.store import ledger
from vmcrawl.store.database import Database
from vmcrawl.store.ledger import Added

log = logging.getLogger(__name__)

_CHUNK = 5_000
_EPILOG = """for example:
  vmcrawl domains import servers.txt
  vmcrawl domains import https://api.joinmastodon.org/servers --source joinmastodon
  curl -H "Authorization: Bearer $TOKEN" "https://instances.social/api/1.0/instances/list?count=0" |
    vmcrawl domains import - --source instances.social

What a list is written in is seen: one name a line (# before comments); CSV, with or without a header, as Mastodon
exports domain blocks, follows and lists (of user@domain only the domain is read, and nobody's name is kept); JSON: an
array of names or of objects with a domain, also within an object, as joinmastodon and instances.social have it; JSON
lines. What is no domain is counted and shown by its line, and stops nothing.

Exit codes: 0 done; 1 it is no list, has no name in it, or breaks off (what came before that is in the ledger); 75 the
address does not answer now."""


def configure(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the action."""
    parser = actions.add_parser(
        "import",
        help="add names from a file, from stdin, or from an https address",
        epilog=_EPILOG,
    )
    parser.add_argument("file", metavar="LIST", help="a file, - for stdin, or an https address")
    parser.add_argument("--source", default="import", help="where the names are from (default: import)")
    parser.add_argument("--format", choices=[str(form) for form in Format], help="instead of what it looks like")
    parser.add_argument("--dry-run", action="store_true", help="say what would be added, and add nothing")
    parser.add_argument("--json", action="store_true", help="as one JSON object, with the first bad lines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Import; 0, or 1 if there was nothing to import."""
    if not arguments.source.isprintable() or not 1 <= len(arguments.source) <= 100:
        log.error("--source must be 1 to 100 printable characters")
        return 2
    names = open_names(arguments.file, settings, arguments.format and Format(arguments.format))
    with Interruption(), ready_database(settings) as database:
        added, broken = _import(arguments, names, database)
    _write(arguments, names, added)
    if broken is not None:
        log.error("%s", broken)
        return broken.code
    if names.bad and not names.domains:
        log.error("there is no name of a server in it; if it is read as what it is not (%s), say --format", names.form)
        return 1
    return 0


def _import(arguments: argparse.Namespace, names: Names, database: Database) -> tuple[Added, UnreadableList | None]:
    """What became of the names, and why there were no more of them, if they broke off."""
    added, broken = Added(), None
    add = partial(ledger.add_and_tell, source=arguments.source, now=database.now(), dry_run=arguments.dry_run)
    domains, chunk = iter(names), [""]
    while chunk and broken is None:
        chunk = []
        try:
            chunk += islice(domains, _CHUNK)
        except UnreadableList as error:
            broken = error
        added += database.run(partial(add, domains=chunk))
    return added, broken


def _write(arguments: argparse.Namespace, names: Names, added: Added) -> None:
    counts = {"added": added.added, "known": added.known, "duplicates": names.duplicates, "bad": names.bad}
    apart = {"excluded": added.excluded, "on_dni": added.on_dni}
    if arguments.json:
        document = {
            **counts,
            **apart,
            "format": names.form,
            "dry_run": arguments.dry_run,
            "bad_lines": [_line(item._asdict()) for item in names.bad_lines],
            "duplicate_lines": [_line(item._asdict()) for item in names.duplicate_lines],
        }
        write_json(sys.stdout, document)
        return
    words = [f"{number} {name}" for name, number in counts.items()]
    words += [f"{number} {_APART[name]}" for name, number in apart.items() if number]
    sys.stdout.write(", ".join(words) + "\n")
    if arguments.dry_run:
        sys.stdout.write("dry run: nothing is changed\n")


def _line(item: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in item.items() if value not in (None, "")}


_APART = {
    "excluded": "excluded (in the ledger, never asked)",
    "on_dni": "with a hard DNI entry (in the ledger, never asked)",
}
