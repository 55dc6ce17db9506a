"""What crawls have cost and how they ended, added up."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from vmcrawl.observation import Observation

#: Upper bounds in seconds, each included, of the buckets that crawls are counted in by how long they took; one more
#: bucket has the rest. The database keeps counts by these bounds: to change them takes a migration.
DURATION_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(slots=True)
class Tally:
    """Crawls that ended in one outcome."""

    crawls: int
    requests: int
    #: What servers sent, as it came: TLS, heads, and bodies as they were coded.
    received_bytes: int
    seconds: float
    #: Crawls by duration: one number for each of ``DURATION_BOUNDS``, not cumulative, and one for what took longer.
    durations: list[int]


def add_up(crawls: Iterable[Observation]) -> dict[str, Tally]:
    """Crawls by outcome."""
    tallies: dict[str, Tally] = {}
    for seen in crawls:
        tally = tallies.setdefault(str(seen.outcome), Tally(0, 0, 0, 0.0, [0] * (len(DURATION_BOUNDS) + 1)))
        tally.crawls += 1
        tally.requests += seen.requests
        tally.received_bytes += seen.received_bytes
        tally.seconds += seen.duration_seconds
        tally.durations[bisect_left(DURATION_BOUNDS, seen.duration_seconds)] += 1
    return tallies
