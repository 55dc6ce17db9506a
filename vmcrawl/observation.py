"""What one crawl saw: the value that travels from the crawler to the store."""

from dataclasses import dataclass
from datetime import datetime

from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome


class CrawlFailed(Exception):
    """An expected ending of a crawl other than success.

    ``outcome`` names it, ``detail`` is one line for people, ``status`` is the HTTP status if that was the reason,
    ``retry_after_seconds`` is what the answer asked for.
    """

    def __init__(
        self, outcome: Outcome, detail: str, *, status: int | None = None, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(outcome, detail)
        self.outcome = outcome
        self.detail = detail
        self.status = status
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        return f"{self.outcome}: {self.detail}"


@dataclass(frozen=True, slots=True)
class RobotsRecord:
    """The rules one host gave us: kept for a day, so that robots.txt is read at most once a day (RFC 9309, 2.4).

    ``rules`` is what :func:`vmcrawl.robots.reduce_robots` made of the file: only the groups that concern us.
    """

    host: str
    read_at: datetime
    rules: str


@dataclass(frozen=True, slots=True)
class LastLook:
    """What the last good look at a server saw: while it is trusted, one request shows whether it is still so."""

    #: Where NodeInfo was found.
    nodeinfo_url: str
    #: By what to ask whether that document has changed; "" where the server gave nothing.
    validator: str
    software: str
    version: str
    upstream_version: str | None
    active_users: int
    #: Discovery and identity hold until then without being confirmed again.
    trusted_until: datetime


@dataclass(frozen=True, slots=True)
class Observation:
    """One finished crawl of one domain.

    ``version`` is what the server sent, ``software`` the same in small letters; they are set whenever NodeInfo was
    read, also when the crawl failed afterwards. What could not be stored or shown is cleaned of such characters.
    """

    domain: Domain
    observed_at: datetime
    outcome: Outcome
    detail: str = ""
    alias_of: Domain | None = None
    software: str | None = None
    version: str | None = None
    upstream_version: str | None = None
    active_users: int | None = None
    nodeinfo_url: str | None = None
    retry_after_seconds: int | None = None
    robots: tuple[RobotsRecord, ...] = ()
    requests: int = 0
    #: What servers sent, as it came: TLS, heads, and bodies as they were coded.
    received_bytes: int = 0
    duration_seconds: float = 0.0
    #: Discovery and identity were looked at, too, and not only whether NodeInfo is still what it was.
    confirmed: bool = True
    #: Of the NodeInfo document; None where it was not read.
    validator: str | None = None
    #: For how long the server wants it to be used again.
    fresh_seconds: int = 0
    #: When the oldest rules of robots.txt were read that this crawl went by.
    rules_read_at: datetime | None = None
