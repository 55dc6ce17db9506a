"""The seam between deciding and fetching: one request, one response, no behaviour."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One GET. ``url`` is https, its host lower-case ASCII (or an IP literal), without user info or fragment."""

    url: str
    accept: str = "application/json"
    #: Cut a longer body off instead of failing with ``too_large`` (robots.txt: only the first 500 KiB count).
    truncate_at: int | None = None


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


class Session(Protocol):
    """The network as one crawl of one domain sees it; :mod:`vmcrawl.fetch` has the real one, tests a dict."""

    def get(self, request: Request) -> Response:
        """Make one request; raises :class:`vmcrawl.observation.CrawlFailed` for every transport failure."""

    def pause(self, seconds: float) -> None:
        """Wait as a ``Crawl-delay`` asks; the time is ours and is not counted against the server."""
