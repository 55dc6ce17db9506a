"""A "do not interact" list as it arrives: Mastodon's CSV of domain blocks, as IFTAS publishes it, or plain names."""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from io import BytesIO, TextIOWrapper
from itertools import chain

from vmcrawl.document import clean_text
from vmcrawl.domain import Domain, InvalidDomain, parse_domain
from vmcrawl.namelist import bare_domain, column_names

#: Goes up whenever the same bytes are read differently, so that a list that has not changed is read once more.
PARSER = 1

#: Bytes. 250,000 lines as IFTAS writes them are 18 MB.
LARGEST = 64 << 20
#: Bad lines that are kept to be shown.
SHOWN = 20


class InvalidList(ValueError):
    """The bytes are no such list, or not the whole of one; the message says in one line why."""


class Severity(StrEnum):
    """What an entry does."""

    #: Never crawled.
    HARD = "hard"
    #: Crawled and counted, never listed.
    SOFT = "soft"


class Treatment(StrEnum):
    """What ``suspend`` and ``silence`` of a list come to; lines that say ``hard`` or ``soft`` mean it."""

    SOFT = "soft"
    HARD = "hard"
    #: As the list has it: hard where it suspends, soft where it silences.
    LISTED = "listed"


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list says of one domain."""

    severity: Severity
    comment: str


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that holds no entry, as it may be shown."""

    number: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class DniList:
    """What a list holds. It has at least one entry; at most a fifth of its lines are bad."""

    entries: Mapping[Domain, Listed]
    #: Its columns have names.
    header: bool
    #: Lines for a domain that had one; the stricter one counts.
    duplicates: int
    #: Lines that block nothing: Mastodon's ``noop``, and names that cannot be (RFC 6761, 6.4), such as IFTAS' canary.
    noop: int
    #: How many lines are bad, and the first of them.
    bad: int
    bad_lines: tuple[BadLine, ...]


def parse_dni_list(content: bytes, treatment: Treatment = Treatment.SOFT) -> DniList:
    """Read a whole list; raises :class:`InvalidList` for what cannot be one, is cut off, or is mostly something else.

    CSV as Mastodon exports domain blocks has a header that names the columns, each with or without ``#``: ``domain``,
    and if they are there ``severity`` and ``public_comment`` (or ``comment``); others are passed over. Anything else
    is read as one name a line; what stands behind ``#`` is its comment. A name may be written as ``*.example.com``,
    which covers ``example.com``, too, as any entry covers what is below it; with a port; or as the URL of a root.
    """
    _refuse_other_shapes(content)
    lines = TextIOWrapper(BytesIO(content), "utf-8-sig", "replace", newline="")
    reading = _Reading(treatment)
    numbered = enumerate(lines, 1)
    columns: Mapping[str, int] | None = None
    for number, line in numbered:
        if not line.strip():
            continue
        columns = _columns(line)
        if columns is not None:
            _read_csv(reading, columns, lines, number)
            break
        if not line.lstrip().startswith("#"):
            _read_names(reading, chain([(number, line)], numbered))
            break
    if not content.endswith((b"\n", b"\r")) and reading.last_is_bad:
        raise InvalidList("its last line is no entry and has no end: it was cut off")
    return reading.whole(columns is not None)


_MOST_LINES = 500_000
_LONGEST_COMMENT = 500
_QUOTED = 80
#: Columns that hold nothing else, so that a half word shows.
_FLAGS = ("reject_media", "reject_reports", "obfuscate")
_FLAG_WORDS = frozenset({"true", "false", ""})
_CANARY = ".invalid"
_BLOCKS_NOTHING = frozenset({"noop", "none"})


def _refuse_other_shapes(content: bytes) -> None:
    if len(content) > LARGEST:
        raise InvalidList(f"larger than {LARGEST >> 20} MiB")
    beginning = content[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not beginning:
        raise InvalidList("it is empty")
    if b"\0" in content:
        raise InvalidList("it is no text in UTF-8")
    if beginning.startswith(b"<"):
        raise InvalidList("it is a web page, not a list")
    if beginning.startswith((b"{", b"[")):
        raise InvalidList("it is JSON; a list is CSV with a header, or one name a line")


def _columns(line: str) -> Mapping[str, int] | None:
    """Where each column is, if the line is a header."""
    names = column_names(line)
    return names if "domain" in names else None


def _read_csv(reading: "_Reading", columns: Mapping[str, int], lines: Iterable[str], before: int) -> None:
    domain, severity = columns["domain"], columns.get("severity", -1)
    comment = columns.get("public_comment", columns.get("comment", -1))
    flags = [columns[name] for name in _FLAGS if name in columns]
    width, short = 1 + max(columns.values()), 0
    rows = csv.reader(lines, strict=True)
    row: list[str] = []
    try:
        for row in rows:
            if not row or row[domain : domain + 1] in ([""], []) or row[domain].lstrip().startswith("#"):
                reading.pass_over(row, before + rows.line_num)
                continue
            short += len(row) < width
            word = row[severity] if -1 < severity < len(row) else ""
            text = row[comment] if -1 < comment < len(row) else ""
            reading.take(before + rows.line_num, row[domain], word, text)
    except csv.Error as error:
        raise InvalidList(
            f"line {before + rows.line_num} is no CSV, or cut off: {clean_text(str(error), 60)}"
        ) from error
    half = any(place < len(row) and row[place].strip().lower() not in _FLAG_WORDS for place in flags)
    reading.last_is_bad |= half or (0 < len(row) < width and short == 1)


def _read_names(reading: "_Reading", lines: Iterable[tuple[int, str]]) -> None:
    for number, line in lines:
        name, _, comment = line.partition("#")
        if name.strip():
            reading.take(number, name, "", comment)


@dataclass(slots=True)
class _Reading:
    """What was read so far."""

    treatment: Treatment
    entries: dict[Domain, Listed] = field(default_factory=dict)
    #: Most lines say one of few things.
    said: dict[tuple[Severity, str], Listed] = field(default_factory=dict)
    lines: int = 0
    duplicates: int = 0
    noop: int = 0
    bad: int = 0
    bad_lines: list[BadLine] = field(default_factory=list)
    last_is_bad: bool = False

    def take(self, number: int, name: str, word: str, comment: str) -> None:
        self._count()
        try:
            severity = _severity(word.strip().lower(), self.treatment)
            domain = None if name.strip().lower().endswith(_CANARY) else _domain(name)
        except ValueError as error:
            self._spoiled(number, name, str(error))
            return
        self.last_is_bad = False
        if severity is None or domain is None:
            self.noop += 1
            return
        key = severity, clean_text(comment, _LONGEST_COMMENT)
        listed = self.said.setdefault(key, Listed(*key))
        before = self.entries.get(domain)
        if before is None:
            self.entries[domain] = listed
            return
        self.duplicates += 1
        if before.severity is Severity.SOFT and severity is Severity.HARD:
            self.entries[domain] = listed

    def pass_over(self, row: list[str], number: int) -> None:
        """A row without a name: an empty line, a comment, or one that lacks its name."""
        if any(row) and not row[0].lstrip().startswith("#"):
            self._count()
            self._spoiled(number, ",".join(row)[:_QUOTED], "no domain")

    def whole(self, header: bool) -> DniList:
        if self.bad * 5 > self.lines:
            first = self.bad_lines[0]
            hint = "" if header else "; a CSV needs a header that names its columns, such as #domain,#severity"
            raise InvalidList(
                f"{self.bad} of its {self.lines} lines are no entries, the first is line {first.number}"
                f" ({first.text!r}: {first.reason}){hint}"
            )
        if not self.entries:
            raise InvalidList("it has no entries")
        counts = self.duplicates, self.noop, self.bad
        return DniList(self.entries, header, *counts, tuple(self.bad_lines))

    def _count(self) -> None:
        self.lines += 1
        if self.lines > _MOST_LINES:
            raise InvalidList(f"more than {_MOST_LINES:,} lines")

    def _spoiled(self, number: int, text: str, reason: str) -> None:
        self.last_is_bad = True
        self.bad += 1
        if len(self.bad_lines) < SHOWN:
            self.bad_lines.append(BadLine(number, clean_text(text, _QUOTED), reason))


def _severity(word: str, treatment: Treatment) -> Severity | None:
    """What a line does to its domain; None: nothing. Raises ``ValueError`` for a word that nobody knows."""
    if word in ("hard", "soft"):
        return Severity(word)
    if word in _BLOCKS_NOTHING:
        return None
    if word not in ("suspend", "silence", "limit", ""):
        raise ValueError("a severity other than suspend, silence, limit, noop, hard and soft")
    if treatment is Treatment.LISTED:
        return Severity.HARD if word == "suspend" else Severity.SOFT
    return Severity(str(treatment))


_ADDRESS = re.compile(r"https?://([^/?#@]+)/?", re.IGNORECASE)


def _domain(text: str) -> Domain:
    """The name an entry is about; raises :class:`InvalidDomain`."""
    try:
        return parse_domain(text)
    except InvalidDomain:
        name = text.strip()
        if len(name) > 300:
            raise
        if match := _ADDRESS.fullmatch(name):
            name = match[1]
        return bare_domain(name)
