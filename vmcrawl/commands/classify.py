"""``vmcrawl classify``: how a version string is read, and why it is refused."""

import argparse
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime

from vmcrawl.catalogue import Catalogue
from vmcrawl.commands.database import known_catalogue
from vmcrawl.commands.display import write_table
from vmcrawl.document import InvalidJson, parse_json
from vmcrawl.interruption import Interruption
from vmcrawl.meaning import find_meaning, read_version
from vmcrawl.settings import Settings
from vmcrawl.version import InvalidVersion

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Classification:
    """How one string is read; ``reason`` and ``detail`` say why it is refused, texts are empty where nothing is known.

    ``branch`` and ``fork`` may be known of a refused string, too (``4.1``: the branch, but no patch).
    """

    software: object
    version: object
    valid: bool
    release: str = ""
    prerelease: str = ""
    branch: str = ""
    fork: str = ""
    support: str = ""
    patched: bool | None = None
    reason: str = ""
    detail: str = ""


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "classify",
        help="how a version string is read",
        epilog='for example:\n  vmcrawl classify "4.5.6+glitch" v4.6.0rc1\n'
        '\nWith --json and "-": JSON lines {"software", "version"[, "upstream"]} on stdin; --software and --upstream'
        " stand for what a line does not name. The releases are those of the database, if there is one, else the"
        " packaged ones.",
    )
    parser.add_argument("versions", nargs="+", metavar="VERSION", help="as a server sent it; - with --json: stdin")
    parser.add_argument("--software", default="mastodon", metavar="NAME", help="software.name (default: mastodon)")
    parser.add_argument("--upstream", metavar="VERSION", help="metadata.upstream.version, as some forks send it")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Read each string; 0 also for those that are refused, 1 if a line of stdin could not be answered."""
    from_stdin = "-" in arguments.versions
    if from_stdin and not arguments.json:
        log.error("reading from stdin needs --json: one object a line")
        return 2
    if from_stdin and len(arguments.versions) > 1:
        log.error("either versions or -, for stdin, not both")
        return 2
    software, upstream = arguments.software, arguments.upstream
    with Interruption():
        catalogue, today = known_catalogue(settings), datetime.now(UTC).date()
        if from_stdin:
            defaults = {"software": software, "version": None, "upstream": upstream}
            return _answer_lines(sys.stdin.buffer, defaults, catalogue, today)
        read = [classify(software, version, upstream, catalogue, today) for version in arguments.versions]
    if arguments.json:
        for one in read:
            _write_line(_format(one))
    else:
        headings = ("version", "release", "branch", "fork", "support", "patched", "refused")
        write_table(sys.stdout, headings, list(_rows(read)))
    return 0


def classify(
    software: object, version: object, upstream: str | None, catalogue: Catalogue, today: date
) -> Classification:
    """Read one string, of whatever type; never raises."""
    try:
        read = read_version(software, version, upstream, catalogue)
    except InvalidVersion as refusal:
        return Classification(
            software,
            version,
            valid=False,
            branch=refusal.branch,
            fork=refusal.fork,
            reason=str(refusal.reason),
            detail=refusal.detail,
        )
    meaning = find_meaning(read, catalogue, today)
    return Classification(
        software,
        version,
        valid=True,
        release=read.release,
        prerelease=read.prerelease,
        branch=read.branch,
        fork=read.fork,
        support=str(meaning.support),
        patched=meaning.patched,
    )


def _answer_lines(lines: Iterable[bytes], defaults: Mapping[str, object], catalogue: Catalogue, today: date) -> int:
    """One line out for each line in, in order and at once, so that a program can talk with us."""
    code = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            asked = {**defaults, **_read_object(line)}
            upstream = asked["upstream"] if isinstance(asked["upstream"], str) else None
            answer = _format(classify(asked["software"], asked["version"], upstream, catalogue, today))
        except ValueError as error:
            log.error("line %d cannot be answered: %s", number, error)
            refused = Classification(None, None, valid=False, reason="bad_line", detail=f"line {number}: {error}")
            answer = _format(refused)
            code = 1
        _write_line(answer)
    return code


def _read_object(line: bytes) -> dict[str, object]:
    """Raises :class:`InvalidJson`."""
    asked = parse_json(line)
    if not isinstance(asked, dict):
        raise InvalidJson("no JSON object")
    return asked


def _format(one: Classification) -> str:
    """Raises ``ValueError`` for what JSON has no word for: 1e999 is read as infinity."""
    return json.dumps({field.name: getattr(one, field.name) for field in fields(one)}, allow_nan=False)


def _write_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _rows(read: Iterable[Classification]) -> Iterator[tuple[str, ...]]:
    patched = {True: "yes", False: "no", None: "?"}
    for one in read:
        known = (one.support, patched[one.patched]) if one.valid else ("", "")
        yield str(one.version), one.release, one.branch, one.fork, *known, one.reason
