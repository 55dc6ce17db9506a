"""``vmcrawl classify``: how a version string is read, and why it is refused."""

import argparse
import json
import logging
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime

from vmcrawl.catalogue import Catalogue
from vmcrawl.commands.database import known_catalogue
from vmcrawl.commands.display import write_table
from vmcrawl.interruption import Interruption
from vmcrawl.meaning import read_meaning, read_version
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
        epilog='With --json and "-": JSON lines {"software", "version"[, "upstream"]} on stdin; software is mastodon'
        " where it is missing. The releases are those of a database that is configured, else the packaged ones.",
    )
    parser.add_argument("versions", nargs="+", metavar="VERSION", help="as a server sent it; - with --json: stdin")
    parser.add_argument("--software", default="mastodon", metavar="NAME", help="software.name (default: mastodon)")
    parser.add_argument("--upstream", metavar="VERSION", help="metadata.upstream.version, as some forks send it")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Read each string; 0 also for those that are refused, 1 if a line of stdin was no JSON object."""
    from_stdin = arguments.versions == ["-"]
    if from_stdin and not arguments.json:
        log.error("reading from stdin needs --json: one object a line")
        return 2
    with Interruption():
        catalogue, today = known_catalogue(settings), datetime.now(UTC).date()
        if from_stdin:
            return _answer_lines(sys.stdin.buffer, catalogue, today)
        software, upstream = arguments.software, arguments.upstream
        read = [classify(software, version, upstream, catalogue, today) for version in arguments.versions]
    if arguments.json:
        for one in read:
            _write_line(one)
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
    # What can be read is text.
    meaning = read_meaning(str(software), str(version), upstream, catalogue, today)
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


def _answer_lines(lines: Iterable[bytes], catalogue: Catalogue, today: date) -> int:
    """One line out for each line in, in order and at once, so that a program can talk with us."""
    code = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            asked = json.loads(line.decode("utf-8-sig"))
            if not isinstance(asked, dict):
                raise ValueError("no JSON object")
        except (ValueError, RecursionError) as error:
            log.error("line %d is no JSON object: %s", number, error)
            _write_line(Classification(None, None, valid=False, reason="bad_line", detail=f"line {number}: {error}"))
            code = 1
            continue
        upstream = asked.get("upstream")
        known = upstream if isinstance(upstream, str) else None
        _write_line(classify(asked.get("software", "mastodon"), asked.get("version"), known, catalogue, today))
    return code


def _write_line(one: Classification) -> None:
    sys.stdout.write(json.dumps(asdict(one)) + "\n")
    sys.stdout.flush()


def _rows(read: Iterable[Classification]) -> Iterator[tuple[str, ...]]:
    patched = {True: "yes", False: "no", None: "?"}
    for one in read:
        known = (one.support, patched[one.patched]) if one.valid else ("", "")
        yield str(one.version), one.release, one.branch, one.fork, *known, one.reason
