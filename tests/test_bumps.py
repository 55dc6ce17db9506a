"""Main's history from looks and commits; N stands for 4.8.0-alpha.N, days are of November 2026."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from vmcrawl.bumps import Bump, Looks, MainStart, follow_main, last_sure
from vmcrawl.version import Version, parse_tag


def alpha(number: int) -> Version:
    return parse_tag(f"4.8.0-alpha.{number}")


def at(day: int, hour: int = 12, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def told(starts: Sequence[MainStart]) -> list[tuple[str, datetime, datetime | None]]:
    return [(start.version.prerelease, start.since, start.not_before) for start in starts]


ONE = MainStart(alpha(1), at(1))
NOTHING: frozenset[date] = frozenset()


def test_what_is_known_stays_as_it_is():
    assert follow_main([ONE], alpha(1), Looks(at(20), at(19)), [], NOTHING) == (ONE,)


def test_commits_tell_what_came_and_went_between_two_looks():
    bumps = [Bump(alpha(1), at(2)), Bump(alpha(2), at(3)), Bump(alpha(2), at(4)), Bump(alpha(3), at(9))]
    found = follow_main([ONE], alpha(3), Looks(at(20), at(1)), bumps, NOTHING)
    assert told(found[1:]) == [("alpha.2", at(3), None), ("alpha.3", at(9), None)]


def test_main_may_go_back():
    bumps = [Bump(alpha(2), at(3)), Bump(alpha(1), at(4))]
    assert told(follow_main([ONE], alpha(1), Looks(at(20), at(1)), bumps, NOTHING)) == [
        ("alpha.1", at(1), None),
        ("alpha.2", at(3), None),
        ("alpha.1", at(4), None),
    ]


def test_without_commits_a_version_is_no_younger_than_the_look_before():
    found = follow_main([ONE], alpha(2), Looks(at(20), at(19)), [], NOTHING)
    assert told(found[1:]) == [("alpha.2", at(20), at(19, 11))]
    never = follow_main([ONE], alpha(2), Looks(at(20), None), [], NOTHING)
    assert told(never[1:]) == [("alpha.2", at(20), at(1))]
    assert told(follow_main([], alpha(2), Looks(at(20), None), [], NOTHING)) == [("alpha.2", at(20), None)]


@pytest.mark.parametrize(
    ("last", "now", "fixes", "since", "not_before"),
    [
        # The one security release between the looks is what raised the number; done at the end of its day.
        (at(10), at(20), [15], at(15, 23, 59) + timedelta(seconds=59), None),
        (at(19), at(20, 15), [20], at(20, 15), None),
        (at(19), at(20), [19], at(19, 23, 59) + timedelta(seconds=59), None),
        # An edge may have been behind for an hour.
        (at(19, 0, 30), at(20), [18], at(18, 23, 59) + timedelta(seconds=59), None),
        (at(19, 1, 30), at(20), [18], at(20), at(19, 0, 30)),
        # Of several, nobody knows which; of none, what else.
        (at(10), at(20), [12, 15], at(20), at(10, 11)),
        (at(10), at(20), [9, 21], at(20), at(10, 11)),
    ],
)
def test_a_security_release_between_two_looks_dates_the_bump(last, now, fixes, since, not_before):
    security = {date(2026, 11, day) for day in fixes}
    found = follow_main([ONE], alpha(2), Looks(now, last), [], security)
    assert told(found[1:]) == [("alpha.2", since, not_before)]


def test_what_was_only_seen_is_told_better_when_commits_can_be_had():
    doubtful = MainStart(alpha(3), at(20), at(10))
    known = [ONE, doubtful]
    assert last_sure(known) == ONE.since
    bumps = [Bump(alpha(2), at(11)), Bump(alpha(3), at(15))]
    found = follow_main(known, alpha(3), Looks(at(21), at(20)), bumps, NOTHING)
    assert told(found[1:]) == [("alpha.2", at(11), None), ("alpha.3", at(15), None)]
    assert follow_main(known, alpha(3), Looks(at(21), at(20)), [], NOTHING) == tuple(known)
    # A list of commits that is behind does not take away what was seen.
    assert follow_main(known, alpha(3), Looks(at(21), at(20)), bumps[:1], NOTHING) == tuple(known)


def test_a_look_that_is_ahead_of_the_commits_is_added_to_them():
    found = follow_main([ONE], alpha(3), Looks(at(20), at(19)), [Bump(alpha(2), at(11))], NOTHING)
    assert told(found[1:]) == [("alpha.2", at(11), None), ("alpha.3", at(20), at(19, 11))]


def test_an_edge_that_has_not_heard_of_a_bump_of_the_last_hour_takes_nothing_back():
    two = MainStart(alpha(2), at(20))
    known = (ONE, two)
    assert follow_main(known, alpha(1), Looks(at(20, 12, 59), at(20, 12, 30)), [], NOTHING) == known
    back = follow_main(known, alpha(1), Looks(at(20, 13), at(20, 12, 30)), [], NOTHING)
    assert told(back[2:]) == [("alpha.1", at(20, 13), at(20))]
    other = follow_main(known, alpha(3), Looks(at(20, 12, 59), at(20, 12, 30)), [], NOTHING)
    assert told(other[2:]) == [("alpha.3", at(20, 12, 59), at(20))]


def test_commits_that_are_ahead_of_a_look_count():
    bumps = [Bump(alpha(2), at(20, 11, 30)), Bump(alpha(3), at(20, 11, 50))]
    found = follow_main([ONE], alpha(2), Looks(at(20), at(19)), bumps, NOTHING)
    assert told(found[1:]) == [("alpha.2", at(20, 11, 30), None), ("alpha.3", at(20, 11, 50), None)]


def test_a_commit_that_bears_an_earlier_date_than_the_one_before_it_is_left_out():
    bumps = [Bump(alpha(2), at(11)), Bump(alpha(3), at(10)), Bump(alpha(4), at(12))]
    found = follow_main([ONE], alpha(4), Looks(at(20), at(19)), bumps, NOTHING)
    assert told(found[1:]) == [("alpha.2", at(11), None), ("alpha.4", at(12), None)]
