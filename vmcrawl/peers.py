"""What ``/api/v1/instance/peers`` answers: a long JSON array of names, read as it comes in."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import ijson

from vmcrawl.document import InvalidDocument
from vmcrawl.domain import Domain, InvalidDomain, parse_domain, registrable
from vmcrawl.exclusion import Exclusions

#: No name is nearly as long, nor is white space between two: beyond this nothing is waited for.
_LONGEST_SILENCE = 64 * 1024
#: As in any document; a list of names needs one level.
_DEEPEST = 100
#: Longer texts are no names in ASCII, which peers are listed in (RFC 1035, 2.3.4), and are not looked at.
_LONGEST_NAME = 255
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class InvalidPeers(InvalidDocument):
    """The answer is no JSON array, or does not end as one; what came before it was seen counts."""


class PeersReader:
    """Reads an answer in pieces, and holds no more of it than one piece and one name, whatever is sent.

    Memory is bounded by refusing what goes on for 64 KiB without saying anything (a string, a number or white space
    without end) and what nests deeply. The parser is yajl, in C; it also holds that the text is UTF-8.
    """

    def __init__(self) -> None:
        self._events = ijson.sendable_list()
        # Numbers as C has them: with the other kind an integer of thousands of digits is an error within the library.
        self._parser = ijson.basic_parse_coro(self._events, use_float=True)
        self._depth = 0
        self._silent = 0
        self._begun = False

    def read(self, piece: bytes) -> Iterator[str | None]:
        """The items that ``piece`` completes: texts, and None for each that is none; raises :class:`InvalidPeers`."""
        if not self._begun:
            self._begun = True
            piece = piece.removeprefix(_BYTE_ORDER_MARK)
        if not piece:
            # For the parser that would be the end.
            return iter(())
        self._silent += len(piece)
        try:
            self._parser.send(piece)
        except (ijson.JSONError, ValueError) as error:
            # Not what it says: it quotes what a server calls its peers.
            raise InvalidPeers("not JSON") from error
        if self._events:
            self._silent = 0
        elif self._silent > _LONGEST_SILENCE:
            raise InvalidPeers("an item, or white space, that does not end")
        events = self._events[:]
        self._events.clear()
        return self._items(events)

    def close(self) -> None:
        """All has come; raises :class:`InvalidPeers` if that was not the whole of an array."""
        try:
            self._parser.close()
        except (ijson.JSONError, ValueError) as error:
            raise InvalidPeers("the JSON ends early") from error
        # Of a number that is all there is, only the end says that it is whole.
        list(self._items(self._events))

    def _items(self, events: list[tuple[str, object]]) -> Iterator[str | None]:
        for event, value in events:
            if self._depth == 0 and event != "start_array":
                raise InvalidPeers("not an array")
            if event.startswith("start_"):
                self._depth += 1
                if self._depth > _DEEPEST:
                    raise InvalidPeers("nested too deeply")
                if self._depth == 2:
                    yield None
            elif event.startswith("end_"):
                self._depth -= 1
            elif self._depth == 1:
                yield value if event == "string" and isinstance(value, str) else None


class Name(NamedTuple):
    """A name of a server, and the registrable domain it belongs to: whoever owns that can make any number of them."""

    domain: Domain
    registrable: Domain


@dataclass(slots=True)
class Sieve:
    """Counts what an answer holds, and lets through what may be a server that we may ask."""

    exclusions: Exclusions
    #: Items so far.
    read: int = 0
    #: Those that are no name of a server: no text, no domain, an address, under no public suffix.
    unusable: int = 0
    #: Those that are excluded from all crawls, or on a hard DNI entry.
    refused: int = 0

    def sift(self, items: Iterable[str | None]) -> Iterator[Name]:
        """The names among ``items``, in their order; repeats are not noticed."""
        for item in items:
            self.read += 1
            domain = _domain(item)
            if domain is None:
                self.unusable += 1
            elif self.exclusions.covers(domain):
                self.refused += 1
            else:
                yield Name(domain, registrable(domain))


def _domain(item: str | None) -> Domain | None:
    if item is None or len(item) > _LONGEST_NAME:
        return None
    try:
        return parse_domain(item)
    except InvalidDomain:
        return None
