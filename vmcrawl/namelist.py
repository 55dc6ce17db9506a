"""A list of servers as people and sites keep it, read in pieces: plain text, CSV, JSON, or JSON lines."""

import csv
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import chain
from typing import NamedTuple

from vmcrawl.document import InvalidDocument, clean_text, parse_json
from vmcrawl.domain import Domain, InvalidDomain, parse_domain


class Format(StrEnum):
    """How a list is written."""

    #: One name a line, ``#`` before comments.
    TEXT = "text"
    #: With a header that names its columns, or without; separated by commas, semicolons or tabs.
    CSV = "csv"
    #: An array of names or of objects that have one, at the top or in an object (:mod:`vmcrawl.namejson`).
    JSON = "json"
    #: A name or an object that has one on each line.
    LINES = "jsonl"


class InvalidList(ValueError):
    """The bytes are no list of servers; the message says in one line what they are, and what can be done."""


class Item(NamedTuple):
    """One line (of JSON: one element) of a list: its domain, or what it says instead, as it may be shown, and why."""

    number: int
    domain: Domain | None
    text: str = ""
    reason: str = ""


#: Of a name, in the order in which they are believed: joinmastodon's and FediDB's lists, instances.social's, others.
NAME_KEYS = ("domain", "name", "host", "hostname")


def recognise(head: bytes) -> Format:
    """Tell by its beginning (some ten thousand bytes, if it has as many) how a list is written.

    Raises :class:`InvalidList` for what is none of ours: compressed, binary, a web page, not UTF-8.
    """
    _refuse_other_shapes(head)
    first, _, rest = head.removeprefix(_BYTE_ORDER_MARK).lstrip().partition(b"\n")
    if first.startswith(b"["):
        return Format.JSON
    if first.startswith(b'{"') or first.startswith(b"{ ") or first.rstrip() == b"{":
        return Format.LINES if rest.strip() and _is_json(first) else Format.JSON
    if first.startswith(b'"') and _is_json(first):
        return Format.LINES
    for line in _decoded(head).splitlines():
        if not line.strip():
            continue
        if _columns(line) is not None:
            return Format.CSV
        if not line.lstrip().startswith("#"):
            return Format.CSV if _DELIMITER.search(line.partition("#")[0]) else Format.TEXT
    return Format.TEXT


def read_lines(pieces: Iterable[bytes], form: Format) -> Iterator[Item]:
    """Read a list that is written in lines (any format but :attr:`Format.JSON`), as its bytes come in.

    Nothing stops it: what holds no name comes as an :class:`Item` without a domain. No more than a few lines are held
    at a time, and of a line no more than a mebibyte.
    """
    lines = _lines(pieces)
    if form is Format.LINES:
        return _read_json_lines(lines)
    return _read_csv(lines) if form is Format.CSV else _read_text(lines)


def read_name(text: str) -> Domain:
    """Read whatever stands for a server: its name, an account there (``user@domain``), an address on it.

    A port and the wildcard of ``*.example.org`` fall off. Raises :class:`InvalidDomain`.
    """
    try:
        return parse_domain(text)
    except InvalidDomain:
        name = text.strip()
        if len(name) > _LONGEST_REFERENCE:
            raise
        if match := _ADDRESS.match(name):
            name = match[1]
        # What stands before it is somebody's account, which we do not want to know.
        return bare_domain(name.rpartition("@")[2])


def bare_domain(name: str) -> Domain:
    """Read a name that may have a port, and begin with a wildcard; raises :class:`InvalidDomain`."""
    if match := _PORT.fullmatch(name):
        name = match[1]
    name = name.removeprefix("*").removeprefix(".")
    if "*" in name:
        raise InvalidDomain("obfuscated: letters are hidden by asterisks")
    return parse_domain(name)


def column_names(line: str, delimiter: str = ",") -> dict[str, int]:
    """Where each column is if the line is the header of a CSV: in small letters, without ``#``."""
    if len(line) > _LONGEST_REFERENCE:
        return {}
    names = [cell.strip().removeprefix("#").strip().lower() for cell in _cells(line, delimiter)[:_MOST_COLUMNS]]
    return {name: place for place, name in reversed([*enumerate(names)])}


def item_of(number: int, text: str | None) -> Item:
    """What one entry comes to; ``None``: it has nothing that could be a name."""
    if text is None:
        return Item(number, None, "", "no name in it")
    try:
        return Item(number, read_name(text))
    except InvalidDomain as error:
        return Item(number, None, _showable(text), str(error))


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_COMPRESSED = {
    b"\x1f\x8b": "gzip -d",
    b"PK\x03\x04": "unzip -p",
    b"BZh": "bzip2 -d",
    b"\xfd7zXZ": "xz -d",
    b"\x28\xb5\x2f\xfd": "zstd -d",
}
#: Of a line: objects of lists have descriptions in them.
_LONGEST_LINE = 1 << 20
#: Of a cell in quotation marks, in lines: whoever forgets the second mark loses no more than one line.
_LONGEST_CELL = 50
_LONGEST_REFERENCE = 2048
_MOST_COLUMNS = 64
_QUOTED = 80
_ADDRESS = re.compile(r"https?://([^/?#\\]+)", re.IGNORECASE)
_PORT = re.compile(r"(.*[^:]):[0-9]{1,5}")
_DELIMITER = re.compile("[,;\t]")
#: Headers of columns with a name of a server in them, in the order in which they are believed. Mastodon's exports have
#: "domain" or "#domain", and "Account address".
_COLUMNS = (*NAME_KEYS, "account address", "instance", "server", "url")


def _refuse_other_shapes(head: bytes) -> None:
    for magic, tool in _COMPRESSED.items():
        if head.startswith(magic):
            raise InvalidList(f"it is compressed; unpack it first: {tool} < LIST | vmcrawl domains import -")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head:
        raise InvalidList("it is no text in UTF-8; if it is UTF-16: iconv -f utf-16 -t utf-8 LIST > LIST.utf-8")
    if head.removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"<"):
        raise InvalidList("it is a web page (or XML), not a list; look for the address of its data")


def _is_json(line: bytes) -> bool:
    try:
        parse_json(line)
    except InvalidDocument:
        return False
    return True


def _decoded(line: bytes) -> str:
    return line.decode("utf-8-sig", "replace")


def _lines(pieces: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; of one that is too long only its beginning, which is too long, too."""
    number, held, cut = 0, b"", False
    for piece in chain(_with_one_end(pieces), [b"\n"]):
        first, *others = piece.split(b"\n")
        held = held if cut else held + first
        for following in others:
            number += 1
            yield number, _decoded(held)
            held, cut = following, False
        if len(held) > _LONGEST_LINE:
            held, cut = held[: _LONGEST_LINE + 1], True


def _with_one_end(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same with ``\\n`` at the end of all lines, also where a piece ends between the two of ``\\r\\n``."""
    kept = b""
    for piece in pieces:
        whole = kept + piece
        kept = b"\r" if whole.endswith(b"\r") else b""
        yield whole.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    yield kept.replace(b"\r", b"\n")


def _read_text(lines: Iterable[tuple[int, str]]) -> Iterator[Item]:
    for number, line in lines:
        name = line.partition("#")[0].strip()
        if name:
            yield _too_long(number, line) or item_of(number, name)


def _read_json_lines(lines: Iterable[tuple[int, str]]) -> Iterator[Item]:
    for number, line in lines:
        if not line.strip():
            continue
        if too_long := _too_long(number, line):
            yield too_long
            continue
        try:
            value = parse_json(line.encode())
        except InvalidDocument as error:
            # Not what it says: who knows what is in it.
            yield Item(number, None, "", f"not JSON: {error}")
            continue
        if isinstance(value, dict):
            value = next((value[key] for key in NAME_KEYS if isinstance(value.get(key), str)), None)
        yield item_of(number, value if isinstance(value, str) else None)


def _read_csv(lines: Iterator[tuple[int, str]]) -> Iterator[Item]:
    column: int | None = None
    delimiter = ","
    for number, line in _records(lines):
        if not line.strip():
            continue
        if column is None:
            found = _DELIMITER.search(line)
            delimiter = found[0] if found else ","
            column = _columns(line)
            if column is not None:
                continue
        if line.lstrip().startswith("#"):
            continue
        if too_long := _too_long(number, line):
            yield too_long
            continue
        cells = _cells(line, delimiter)
        if column is None:
            column = _first_name(cells)
        yield item_of(number, cells[column] if column < len(cells) and cells[column].strip() else None)


def _records(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Lines, those of a cell with line ends in it as one, under the number of the first."""
    pushed_back: list[tuple[int, str]] = []
    while True:
        number, line = pushed_back.pop() if pushed_back else next(lines, (0, ""))
        if not number:
            return
        if line.count('"') % 2 == 0:
            yield number, line
            continue
        more: list[tuple[int, str]] = []
        record = line
        while record.count('"') % 2 and len(more) < _LONGEST_CELL and len(record) <= _LONGEST_LINE:
            following = pushed_back.pop() if pushed_back else next(lines, (0, ""))
            if not following[0]:
                break
            more.append(following)
            record += f"\n{following[1]}"
        if record.count('"') % 2:
            pushed_back += reversed(more)
            record = line
        yield number, record


def _cells(line: str, delimiter: str) -> list[str]:
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        # A cell beyond the module's own limit.
        return [line[:_QUOTED]]


def _columns(line: str) -> int | None:
    """Which column has the names, if the line is a header."""
    found = _DELIMITER.search(line)
    names = column_names(line, found[0] if found else ",")
    return next((names[name] for name in _COLUMNS if name in names), None)


def _first_name(cells: list[str]) -> int:
    """Which column has the names, judged by the first row: Mastodon's lists begin with the name of the list."""
    for place, cell in enumerate(cells):
        if item_of(0, cell).domain is not None:
            return place
    return 0


def _too_long(number: int, line: str) -> Item | None:
    if len(line) <= _LONGEST_LINE:
        return None
    return Item(number, None, _showable(line), "longer than 1 MiB: no line of a list")


def _showable(text: str) -> str:
    """What may be shown of an entry that has no domain: no account, nor where on a server something is."""
    beginning = text.strip()[:_LONGEST_REFERENCE]
    if match := _ADDRESS.match(beginning):
        beginning = match[0] if match.end() == len(beginning) else f"{match[0]}/…"
    before, at, after = beginning.rpartition("@")
    if at:
        beginning = f"…@{after}" if before else "@…"
    return clean_text(beginning, _QUOTED)
