"""One answer of HTTP/1.1 (RFC 9112), read as its bytes come in: status, header fields, and pieces of the body.

llhttp, by way of httptools, does the parsing: written in C, it costs an eighth of what ``http.client`` takes.
"""

import contextlib

import httptools

from vmcrawl.document import clean_text

#: As ``http.client`` has it: nobody needs more, and whoever sends more wants to fill our memory.
MAX_HEAD_BYTES = 64 * 1024
MAX_FIELDS = 100
#: What anybody asks for; a real server sends three times as many.
_KEPT = frozenset(
    name.encode()
    for name in (
        *("age", "cache-control", "content-encoding", "content-length", "content-type", "etag"),
        *("last-modified", "location", "retry-after", "transfer-encoding"),
    )
)
#: Fields whose values are lists, so that several of a name are one (RFC 9110, 5.3); of the others the first counts.
_LISTS = frozenset({"content-encoding", "cache-control", "transfer-encoding"})
_SWITCHING_PROTOCOLS = 101


class BrokenAnswer(Exception):
    """What came is no HTTP, or ended too early."""


class HungUp(BrokenAnswer):
    """The connection ended before the first byte of an answer."""


class OverlongHead(Exception):
    """More header fields, or longer ones, than anybody needs."""


class Answer:
    """Parses what :meth:`feed` gets; used once. Interim answers (RFC 9110, 15.2) are passed over."""

    __slots__ = (
        *("_body", "_begun", "_ended", "_fields", "_head", "_head_bytes", "_keep_alive", "_parser"),
        *("headers", "status"),
    )

    def __init__(self) -> None:
        #: Those that are of use, by name in small letters; values as they were sent, each byte a character.
        self.headers: dict[str, str] = {}
        #: The status code; 0 until all header fields have come.
        self.status = 0
        self._fields = 0
        self._head_bytes = 0
        self._begun = self._head = self._ended = self._keep_alive = False
        self._body: list[bytes] = []
        parser = httptools.HttpResponseParser(self)
        # What is often seen, and cannot be taken for anything else.
        parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_chunked_length=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._parser: httptools.HttpResponseParser | None = parser

    @property
    def head(self) -> bool:
        """Whether all header fields have come."""
        return self._head

    @property
    def ended(self) -> bool:
        """Whether the body is complete."""
        return self._ended

    @property
    def length(self) -> int | None:
        """The length of the body, where it is announced."""
        text = self.headers.get("content-length", "")
        # The interpreter converts no more than some thousand digits, and zeros in front are digits, too.
        return int(text.lstrip("0") or "0") if text.isascii() and text.isdigit() and not self.chunked else None

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    @property
    def reusable(self) -> bool:
        """Whether the connection can carry another request."""
        return self._ended and self._keep_alive

    def feed(self, received: bytes) -> None:
        """Take what has come from the socket, ``b""`` for its end.

        Raises :class:`BrokenAnswer` and :class:`OverlongHead`.
        """
        parser = self._parser
        if not received or parser is None:
            self._end()
            return
        try:
            parser.feed_data(received)
        except httptools.HttpParserUpgrade:
            self._ended, self._keep_alive = True, False
        except httptools.HttpParserError as error:
            self._keep_alive = False
            if not self._ended:
                raise BrokenAnswer(f"no HTTP: {error}") from error
        if not self._head:
            self._head_bytes += len(received)
        if self._fields > MAX_FIELDS or self._head_bytes > MAX_HEAD_BYTES:
            raise OverlongHead("its header fields do not end")
        if self._head and self.status < 100:
            raise BrokenAnswer(f"no HTTP: status {self.status}")

    def close(self) -> None:
        """Let go of the parser, which calls us and so holds us: only the garbage collector would part the two."""
        self._parser = None

    def take_body(self) -> bytes:
        """What has come of the body since this was asked for last."""
        piece = b"".join(self._body)
        self._body.clear()
        return piece

    def _end(self) -> None:
        self._keep_alive = False
        if not self._begun:
            raise HungUp("the server hung up without an answer")
        framed = self.chunked or "content-length" in self.headers
        if not self._ended and (not self._head or framed):
            raise BrokenAnswer("the answer ends early")
        self._ended = True

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._ended:
            # Something follows that nobody has asked for.
            self._keep_alive = False
        self._begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head:
            # A trailer, or of something that nobody has asked for.
            return
        self._fields += 1
        if (lower := name.lower()) not in _KEPT:
            return
        key, text = lower.decode("ascii"), value.decode("latin-1")
        if key in _LISTS and key in self.headers:
            self.headers[key] += f", {text}"
        else:
            self.headers.setdefault(key, text)

    def on_headers_complete(self) -> None:
        if self._head or self._parser is None:
            return
        status = int(self._parser.get_status_code())
        if 100 <= status < 200 and status != _SWITCHING_PROTOCOLS:
            self.headers.clear()
            return
        self.status = status
        self._head = True
        self._keep_alive = bool(self._parser.should_keep_alive())

    def on_body(self, piece: bytes) -> None:
        if not self._ended:
            self._body.append(piece)

    def on_message_complete(self) -> None:
        if self._head:
            self._ended = True


def media_type(field: str) -> str:
    """The media type in a ``Content-Type``, in small letters and without parameters.

    What cannot be shown as it is ends in ``?``, as no media type does.
    """
    named = field.partition(";")[0].partition(",")[0].strip().lower()
    shown = clean_text(named, _LONGEST_TYPE)
    return shown if shown == named else f"{shown}?"


def field_text(value: str | None) -> str | None:
    """A field's value as one printable line; UTF-8 that a server sent raw is read as such."""
    if value is None or (value.isascii() and value.isprintable()):
        return value
    with contextlib.suppress(UnicodeError):
        value = value.encode("latin-1").decode()
    return clean_text(value, MAX_HEAD_BYTES)


_LONGEST_TYPE = 100
