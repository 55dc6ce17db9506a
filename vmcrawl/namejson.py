"""A list of servers in JSON, read as it comes in: an array of names, or of objects that have one."""

from collections.abc import Callable, Iterable, Iterator

import ijson

from vmcrawl.namelist import NAME_KEYS, InvalidList, Item, item_of

#: Where lists are in the objects that APIs wrap them in: instances.social's ``instances``, GraphQL's ``data`` ...
_ENVELOPES = frozenset({"data", "domains", "instances", "items", "nodes", "peers", "results", "servers"})
#: As in any document.
_DEEPEST = 100
#: Bytes of one text, number or white space: an object may have a description in it, but none as long.
_LONGEST_SILENCE = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_json(pieces: Iterable[bytes]) -> Iterator[Item]:
    """Read an array, or the arrays in an object under the names that APIs give them, or one object with a name.

    Elements are counted from 1. The first piece must hold a byte order mark whole, if there is one.

    Raises :class:`InvalidList` where the bytes are no JSON, end early, nest deeply, go on without saying anything, or
    have no list in them; what came before that has come out.
    """
    events = ijson.sendable_list()
    # Numbers as C has them: with the other kind an integer of thousands of digits is an error within the library.
    parser = ijson.basic_parse_coro(events, use_float=True)
    reading = _Reading()
    silent, begun = 0, False
    for piece in pieces:
        fresh = piece if begun else piece.removeprefix(_BYTE_ORDER_MARK)
        begun = True
        # For the parser nothing would be the end.
        if fresh:
            silent += len(fresh)
            yield from reading.step(events, parser.send, fresh)
        if events:
            silent = 0
        elif silent > _LONGEST_SILENCE:
            raise InvalidList(f"{reading.where}: a text, or white space, that does not end")
        yield from reading.items(events)
    yield from reading.step(events, parser.close)
    yield from reading.items(events)
    if not reading.found:
        raise InvalidList(f"JSON without a list: no array, and none under any of {', '.join(sorted(_ENVELOPES))}")


class _Reading:
    """Where we are, and what the object that is open has said so far."""

    def __init__(self) -> None:
        self._number = 0
        #: Containers that are open.
        self._depth = 0
        #: How many were open when the array of names began, itself included; 0: we are in none.
        self._list = 0
        #: The same for something that is none of ours, with all in it.
        self._skipped = 0
        self._key = ""
        self._names: dict[str, str] = {}
        self.found = False

    @property
    def where(self) -> str:
        return f"after element {self._number}" if self._number else "at its beginning"

    def step(self, events: list[tuple[str, object]], parser: Callable[..., object], *piece: bytes) -> Iterator[Item]:
        """Let the parser go on; where it cannot, that is said after what came before has come out."""
        try:
            parser(*piece)
        except (ijson.JSONError, ValueError) as error:
            yield from self.items(events)
            raise InvalidList(f"{self.where}: not JSON in UTF-8, or cut off") from error

    def items(self, events: list[tuple[str, object]]) -> Iterator[Item]:
        """What the events complete, which are then taken."""
        taken = events[:]
        events.clear()
        for event, value in taken:
            if event == "map_key":
                if not self._skipped and (not self._list or self._depth == self._list + 1):
                    self._key = str(value)
            elif event.startswith("start_"):
                self._open(is_array=event == "start_array")
            elif event.startswith("end_"):
                yield from self._close()
            elif not self._skipped:
                yield from self._take(value if isinstance(value, str) else None)

    def _open(self, *, is_array: bool) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise InvalidList(f"{self.where}: nested too deeply")
        if self._skipped:
            return
        if self._list:
            if is_array or self._depth > self._list + 1:
                self._skipped = self._depth
            else:
                self._names.clear()
        elif self._depth > 1 and self._key not in _ENVELOPES:
            self._skipped = self._depth
        elif is_array:
            self._list, self.found = self._depth, True

    def _close(self) -> Iterator[Item]:
        self._depth -= 1
        if self._skipped:
            if self._depth < self._skipped:
                self._skipped = 0
                # An array where a name should be.
                if self._list and self._depth == self._list:
                    yield self._item(None)
        elif self._list and self._depth == self._list:
            yield self._item(self._named())
        elif self._depth < self._list:
            self._list = 0
        elif not self._depth and not self.found and self._names:
            # No list, but a server.
            self.found = True
            yield self._item(self._named())

    def _take(self, text: str | None) -> Iterator[Item]:
        """A value that is no container."""
        if not self._depth:
            raise InvalidList("JSON without a list: one value")
        if self._list and self._depth == self._list:
            yield self._item(text)
        elif text is not None and self._key in NAME_KEYS and self._depth == (self._list or 0) + 1:
            self._names[self._key] = text

    def _named(self) -> str | None:
        return next((self._names[key] for key in NAME_KEYS if key in self._names), None)

    def _item(self, text: str | None) -> Item:
        self._number += 1
        return item_of(self._number, text)
