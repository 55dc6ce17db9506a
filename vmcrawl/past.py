"""The past as samples: which value a series had at each instant that a scrape might have come at."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise


@dataclass(frozen=True, slots=True)
class Stretch:
    """For how long one value held: from the end of one run to that of the next, or until nobody believes it any more.

    Moments are seconds since 1970, UTC.
    """

    #: What tells the series from others of its family.
    labels: tuple[str, ...]
    begins: int
    #: It does not hold at this moment any more.
    ends: int
    #: When the next run ended, which may be later; None: there has been none.
    followed_at: int | None
    value: int


@dataclass(frozen=True, slots=True)
class Points:
    """One value of one series, at some instants, or at none."""

    labels: tuple[str, ...]
    instants: range
    value: int


@dataclass(frozen=True, slots=True)
class Window:
    """Which instants there are: the multiples of ``step`` from ``since`` on and before ``until`` (seconds since 1970).

    Multiples, and not steps from wherever a run ended: then two windows that overlap agree where they do, and two that
    meet make the same samples as one.
    """

    since: int
    until: int
    step: int

    def instants(self, begins: int, ends: int) -> range:
        """All instants from one moment on and before another, also outside of the window."""
        return range(-(-begins // self.step) * self.step, -(-ends // self.step) * self.step, self.step)

    def clip(self, instants: range) -> range:
        """Those of the instants that lie in the window."""
        mine = self.instants(self.since, self.until)
        return range(max(instants.start, mine.start), min(instants.stop, mine.stop), self.step)


def draw(stretches: Iterable[Stretch], window: Window) -> Iterator[Points]:
    """The samples of a family in a window, given its stretches: series by series, each in the order of time.

    A series that the next run has nothing of ends with one 0: what reads the samples believes each for some minutes,
    and would otherwise count those twice that have moved from this series to another. Where nothing followed it just
    ends: nobody knows.
    """
    # Of several runs between two instants only the last one is seen.
    seen = (stretch for stretch in stretches if window.instants(stretch.begins, stretch.ends))
    for stretch, after in pairwise(chain(seen, (None,))):
        assert stretch is not None
        instants = window.instants(stretch.begins, stretch.ends)
        yield Points(stretch.labels, window.clip(instants), stretch.value)
        end = range(instants.stop, instants.stop + window.step, window.step)
        goes_on = after and _goes_on(after, stretch.labels, end.start, window)
        if _is_followed(stretch, end.start, window) and not goes_on:
            yield Points(stretch.labels, window.clip(end), 0)


def _is_followed(stretch: Stretch, instant: int, window: Window) -> bool:
    """Whether the next run is what the instant after the last one of a stretch shows."""
    return stretch.followed_at is not None and window.instants(stretch.followed_at, instant + 1).start == instant


def _goes_on(after: Stretch, labels: tuple[str, ...], instant: int, window: Window) -> bool:
    return after.labels == labels and window.instants(after.begins, after.ends).start == instant
