"""How much of what is published a run could see, and whether so little that it must be a fault of ours."""

from dataclasses import dataclass

#: Of fewer instances a share says little: two of seven may well be down at once.
_ENOUGH = 20


@dataclass(frozen=True, slots=True)
class Sight:
    """What is published at the end of a run, and how its looks at that ended."""

    #: Instances whose version can be read.
    published: int
    #: The most that a page of history of the last days of runs had; None: there is none.
    highest: int | None
    #: Published, though the last look at them, of this run or another, was in vain.
    missed: int
    #: Published, and looked at by this run.
    crawled: int
    #: Of these, in vain.
    in_vain: int


def find_gap(sight: Sight, history_drop: float) -> str:
    """What a run has missed more of than a share (0 to 1) of the whole, in words; empty: no more than that.

    Three ways to lose sight. Instances go from what is published, all at once or one run after the other: hence the
    comparison with the highest page of the last days. They are published still, because one bad run unpublishes
    nobody, but were last looked for in vain. Or a run that looks at a few of them finds many of those in trouble:
    with a look every three hours and a run every hour a third is all it sees, and after a failure even less.
    """
    before = sight.highest or 0
    if (missing := max(before - sight.published, sight.missed if before else 0)) > history_drop * before:
        return f"{missing} of the {before} instances of the last days are missing"
    if sight.crawled >= _ENOUGH and sight.in_vain > history_drop * sight.crawled:
        return f"{sight.in_vain} of the {sight.crawled} published instances that it looked at gave no good answer"
    return ""
