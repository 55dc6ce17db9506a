"""The seam between deciding and fetching: one request, one response, no behaviour."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Download:
    """Where a body goes that is too long to be held, and its own limits in place of those of ordinary documents.

    Both functions may raise :class:`vmcrawl.observation.CrawlFailed`, which ends the request. The time they take is
    ours, not the server's.
    """

    #: Called once with the media type, before the first piece, and only for status 200.
    begin: Callable[[str], None]
    #: Called with each piece of the decoded body, of at most 64 KiB; False: enough, the rest is not read.
    take: Callable[[bytes], bool]
    timeout_seconds: float
    max_wire_bytes: int
    max_body_bytes: int


@dataclass(frozen=True, slots=True)
class Request:
    """One GET. ``url`` is https, its host lower-case ASCII (or an IP literal), without user info or fragment."""

    url: str
    accept: str = "application/json"
    #: Cut a longer body off instead of failing with ``too_large`` (robots.txt: only the first 500 KiB count).
    truncate_at: int | None = None
    #: Of an earlier answer: if nothing has changed since, the answer may be 304 without a body.
    validator: str = ""
    #: Take the body of a 200 piece by piece; the response has none then.
    download: Download | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What came back for one GET; redirects are not followed at this storey.

    ``content_type`` is the media type in lower case without parameters, ``""`` where the header is missing;
    ``body`` is decoded (gzip, deflate) and within the limits; ``location`` and ``retry_after`` are raw header values.
    """

    url: str
    status: int
    content_type: str = ""
    body: bytes = b""
    location: str | None = None
    retry_after: str | None = None
    #: By what to ask whether the document has changed (:func:`vmcrawl.caching.validator_of`); "" for nothing.
    validator: str = ""
    #: For how long the server wants the document to be used again.
    fresh_seconds: int = 0


class Turn(Protocol):
    """What a request has to do with others to the same host, while nobody else may ask it."""

    def begin(self) -> None:
        """The host is ours to ask: the last moment to raise :class:`vmcrawl.observation.CrawlFailed` instead."""

    def end(self, response: Response) -> None:
        """The answer has come; whoever waits for the host asks it next."""


class Session(Protocol):
    """The network as one crawl of one domain sees it; :mod:`vmcrawl.fetch` has the real one, tests a dict."""

    def get(self, request: Request, turn: Turn | None = None) -> Response:
        """Make one request; raises :class:`vmcrawl.observation.CrawlFailed` for every transport failure."""

    def pause(self, seconds: float) -> None:
        """Wait as a ``Crawl-delay`` asks; the time is ours and is not counted against the server."""
