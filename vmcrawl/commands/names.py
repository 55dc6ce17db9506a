"""Names as people give them: as arguments of a command, and as lists of many kinds."""

import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from vmcrawl.asker import SourceFailed
from vmcrawl.config_values import read_value
from vmcrawl.domain import Domain, InvalidDomain, parse_domain
from vmcrawl.namejson import read_json
from vmcrawl.namelist import Format, InvalidList, Item, read_lines, recognise
from vmcrawl.seen import Seen
from vmcrawl.settings import Settings
from vmcrawl.sources import fetch_names

log = logging.getLogger(__name__)

#: Bad lines, and repeats, shown one by one; the rest is only counted.
_SHOWN = 20
#: Longer texts are not quoted whole.
_QUOTED = 80
_PIECE = 64 << 10


class UnreadableList(Exception):
    """The list of names cannot be read; the message says which, why, and what can be done.

    ``code`` is what the program returns: 75 where trying again later may help.
    """

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Names:
    """The domains of a list in their order, each once, read as they are asked for.

    What is no domain, or is there already, is counted, and the first of it shown by number in the log; it never stops
    the reading. Raises :class:`UnreadableList` while it is read for what is no list, or does not go on as one.
    """

    def __init__(self, pieces: Iterable[bytes], origin: str, form: Format | None = None) -> None:
        self._pieces = pieces
        self._origin = origin
        self.form = form
        self.domains = self.duplicates = self.bad = 0
        #: The first of each.
        self.bad_lines: list[Item] = []
        self.duplicate_lines: list[Item] = []

    def __iter__(self) -> Iterator[Domain]:
        seen = Seen()
        try:
            for item in self._items():
                if item.domain is None:
                    self.bad += 1
                    self._show(self.bad_lines, item, f"{item.text!r}: {item.reason}" if item.text else item.reason)
                elif seen.add(item.domain):
                    self.domains += 1
                    yield item.domain
                else:
                    self.duplicates += 1
                    self._show(self.duplicate_lines, item, f"{item.domain} again")
        except InvalidList as error:
            raise UnreadableList(f"{self._origin} cannot be used: {error}") from error
        for number, kind in ((self.bad, "bad"), (self.duplicates, "repeated")):
            if number > _SHOWN:
                log.warning("%s: %d more %s %ss", self._origin, number - _SHOWN, kind, self._unit)

    def _items(self) -> Iterator[Item]:
        pieces = iter(self._pieces)
        head = b""
        for piece in pieces:
            head += piece
            if len(head) >= _PIECE:
                break
        recognised = recognise(head)
        self.form = self.form or recognised
        whole = chain([head], pieces)
        return read_json(whole) if self.form is Format.JSON else read_lines(whole, self.form)

    @property
    def _unit(self) -> str:
        return "element" if self.form is Format.JSON else "line"

    def _show(self, shown: list[Item], item: Item, what: str) -> None:
        if len(shown) < _SHOWN:
            shown.append(item)
            log.warning("%s, %s %d: %s", self._origin, self._unit, item.number, what)


def read_domain(text: str) -> Domain | None:
    """Read one name from the command line; None, and a line in the log that says why, if it cannot be crawled."""
    try:
        return parse_domain(text)
    except InvalidDomain as error:
        log.error("%r is not a domain that can be crawled: %s", text[:_QUOTED], error)
        return None


def read_domains(texts: Iterable[str]) -> tuple[Domain, ...] | None:
    """Read names as :func:`read_domain` does, in order without repeats; None at the first that is none."""
    domains: dict[Domain, None] = {}
    for text in texts:
        if (domain := read_domain(text)) is None:
            return None
        domains[domain] = None
    return tuple(domains)


def open_names(source: str, settings: Settings, form: Format | None = None) -> Names:
    """A list from a file, from stdin for ``-``, or from an https address; raises :class:`UnreadableList`."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source):
        return Names(_fetch(source, settings), source.partition("?")[0], form)
    return Names(_read(source), "stdin" if source == "-" else source, form)


def read_names(source: str | Path, settings: Settings) -> tuple[Domain, ...]:
    """All domains of a list at once, as :func:`open_names` finds them."""
    return tuple(open_names(str(source), settings))


def _read(source: str) -> Iterator[bytes]:
    try:
        with closing(_opened(source)) as file:
            while piece := file.read(_PIECE):
                yield piece
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableList(f"{source} cannot be read: {reason}") from error


def _opened(source: str) -> BinaryIO:
    if source != "-":
        return Path(source).open("rb")
    if sys.stdin is None:
        raise OSError(0, "standard input is closed")
    return os.fdopen(os.dup(sys.stdin.fileno()), "rb")


def _fetch(url: str, settings: Settings) -> Iterator[bytes]:
    try:
        read_value("dni.url", str, url)
    except ValueError as error:
        raise UnreadableList(f"the address of a list {error}", 2) from error
    try:
        body = fetch_names(settings, url)
    except SourceFailed as failure:
        code = os.EX_TEMPFAIL if failure.temporary else 1
        raise UnreadableList(f"{failure.reason}; nothing is changed", code) from failure
    yield from (body[start : start + _PIECE] for start in range(0, len(body), _PIECE))
