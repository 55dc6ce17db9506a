"""How asking a server for its peers can end, one word each, and when to ask it again."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

from vmcrawl.observation import CrawlFailed
from vmcrawl.outcome import Outcome
from vmcrawl.settings import DiscoverySettings


class Ending(StrEnum):
    """Endings that a crawl does not have; all others are called as the :class:`Outcome` of a crawl is."""

    #: The whole array was read.
    ANSWERED = "answered"
    #: As much was read as one server may tell us.
    CAPPED = "capped"
    #: An empty array.
    EMPTY = "empty"
    #: 404: peers are not shown (Mastodon's ``peers_api_enabled``), or there is no such endpoint.
    NOT_OFFERED = "not_offered"
    #: We were cut off, or are still at it: no word of the server's.
    UNFINISHED = "unfinished"
    #: Somebody else is crawling it, or asking it, just now.
    BUSY = "busy"
    #: All crawlers are to pause, and whoever finds servers is one.
    PAUSED = "paused"


_GOOD = frozenset[str]({Ending.ANSWERED, Ending.CAPPED})
#: What will be the same for a long time.
_SETTLED = frozenset[str](
    {
        Ending.EMPTY,
        Ending.NOT_OFFERED,
        *(Outcome.API_AUTH_REQUIRED, Outcome.ROBOTS_DISALLOWED, Outcome.OPTED_OUT, Outcome.EXCLUDED),
        *(Outcome.HTTP_4XX, Outcome.BAD_CONTENT_TYPE, Outcome.BAD_JSON, Outcome.TOO_LARGE, Outcome.BAD_REDIRECT),
    }
)


@dataclass(frozen=True, slots=True)
class Turnaround:
    """By how the last asking ended: who was asked on this day or before it may be asked again."""

    good: tuple[str, ...]
    good_until: date
    settled: tuple[str, ...]
    settled_until: date
    #: For all other endings.
    failed_until: date


def turnaround(settings: DiscoverySettings, now: datetime) -> Turnaround:
    """Decide who may be asked at ``now``. Days are enough: when exactly somebody was asked is not kept."""
    return Turnaround(
        tuple(sorted(_GOOD)),
        day_of(now - settings.again),
        tuple(sorted(_SETTLED)),
        day_of(now - settings.refused),
        day_of(now - settings.failed),
    )


def day_of(moment: datetime) -> date:
    """The day in UTC."""
    return moment.astimezone(UTC).date()


def ending_of(failure: CrawlFailed) -> Ending | Outcome:
    """How asking ended that failed."""
    if failure.status == 401:
        return Outcome.API_AUTH_REQUIRED
    if failure.status == 404:
        return Ending.NOT_OFFERED
    return failure.outcome
