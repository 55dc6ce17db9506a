"""How long a release took to reach half of its branch: tables of dates in, lengths of time out."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.delay import Taker, Uptake, patch_delays, read_uptake

RELEASED = date(2026, 7, 1)
START = datetime(2026, 7, 1, tzinfo=UTC)


def adopted(*days: float | None, users: int = 10) -> list[tuple[datetime | None, int]]:
    return [(None if day is None else START + timedelta(days=day), users) for day in days]


def days(delay: timedelta | None) -> float | None:
    return None if delay is None else delay / timedelta(days=1)


@pytest.mark.parametrize(
    ("seen", "half", "most"),
    [
        ([], None, None),
        ([None], None, None),
        ([1], 1, 1),
        ([1, None], 1, None),
        ([1, None, None], None, None),
        ([3, 1, 2, 4], 2, 4),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, None], 5, 9),
        ([1, 2, 3, 4, 5, 6, 7, 8, None, None], 5, None),
        # Seen before midnight of the day it came out: at once, not before.
        ([-0.5, -0.1], 0, 0),
    ],
)
def test_half_and_nearly_all_of_the_instances(seen, half, most):
    fifty, ninety = patch_delays(RELEASED, adopted(*seen))
    assert (days(fifty.instances), days(ninety.instances)) == (half, most)


def test_users_weigh_their_instances():
    one_big_late = [*adopted(1, 1, 1, users=1), *adopted(20, users=97)]
    half, most = patch_delays(RELEASED, one_big_late)
    assert (days(half.instances), days(most.instances)) == (1, 20)
    assert (days(half.users), days(most.users)) == (20, 20)


def test_instances_without_users_have_a_delay_and_their_users_have_none():
    half, _ = patch_delays(RELEASED, adopted(1, 2, users=0))
    assert (days(half.instances), half.users) == (1, None)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.none() | st.integers(-100, 10_000)), max_size=40))
def test_a_larger_share_never_comes_earlier(seen):
    adoptions = [(None if hour is None else START + timedelta(hours=hour), users) for users, hour in seen]
    delays = patch_delays(RELEASED, adoptions, (0.1, 0.5, 0.9, 1.0))
    for earlier, later in pairwise(delays):
        for kind in ("instances", "users"):
            if (after := getattr(later, kind)) is not None:
                assert getattr(earlier, kind) <= after


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=40))
def test_everybody_has_it_when_the_last_one_has(hours):
    adoptions = [(START + timedelta(hours=hour), 1) for hour in hours]
    (delay,) = patch_delays(RELEASED, adoptions, (1.0,))
    assert delay.instances == delay.users == timedelta(hours=max(hours))


def taker(seen: float, arrived: float | None = None, has_it: bool = True, users: int = 10) -> Taker:
    """Known, and seen to take it, so many days after the start of the day of the release."""
    return Taker(
        START + timedelta(days=seen), has_it, None if arrived is None else START + timedelta(days=arrived), users
    )


def waiting(seen: float, users: int = 10) -> Taker:
    return taker(seen, has_it=False, users=users)


def in_days(uptake: Uptake) -> list[float | None]:
    return [days(delay) for share in uptake.delays for delay in (share.instances, share.users)]


def test_on_a_fresh_installation_nobody_knows_how_long_it_took():
    # Imported 147 days after the release: that is the age of the import, and no delay of theirs.
    uptake = read_uptake(RELEASED, [taker(147.8) for _ in range(8)] + [waiting(147.8), waiting(147.8)])
    assert (uptake.instances, uptake.have_it, uptake.unknown_since, uptake.watched) == (10, 8, 8, 0)
    assert (uptake.instances_known, uptake.users_known) == (False, False)
    assert in_days(uptake) == [None] * 4


def test_the_delay_is_that_of_those_who_were_known_when_it_came_out():
    cohort = [taker(-9, 1), taker(-9, 3), taker(-9, 5), waiting(-9)]
    alone = read_uptake(RELEASED, cohort)
    assert in_days(alone) == [3, 3, None, None]
    # Found since: with it, without it, and one that was seen to take it late.
    later = [taker(30), waiting(30), taker(30, 40)]
    uptake = read_uptake(RELEASED, [*cohort, *later])
    assert in_days(uptake) == in_days(alone)
    assert (uptake.instances, uptake.have_it, uptake.unknown_since, uptake.watched) == (7, 5, 1, 4)


def test_a_cohort_of_less_than_half_says_nothing_of_all():
    half = [taker(-1, 2), taker(-1, 4), taker(30), taker(30)]
    assert in_days(read_uptake(RELEASED, half)) == [2, 2, 4, 4]
    less = read_uptake(RELEASED, [*half, taker(30)])
    assert (less.instances_known, less.users_known, in_days(less)) == (False, False, [None] * 4)


def test_a_cohort_may_be_enough_of_the_instances_and_too_little_of_the_users():
    uptake = read_uptake(RELEASED, [taker(-1, 2), taker(-1, 4), taker(30, users=1000)])
    assert (uptake.instances_known, uptake.users_known) == (True, False)
    assert in_days(uptake) == [2, None, 4, None]


@pytest.mark.parametrize(("first", "watched", "unknown"), [(0, 1, 0), (0.99, 1, 0), (1, 0, 1)])
def test_who_had_it_when_found_on_the_day_of_the_release_took_it_on_that_day(first, watched, unknown):
    uptake = read_uptake(RELEASED, [taker(first)])
    assert (uptake.watched, uptake.unknown_since) == (watched, unknown)
    if watched:
        assert in_days(uptake) == [max(first, 0)] * 4


def test_who_was_known_before_and_has_it_without_a_move_took_it_nobody_knows_when():
    uptake = read_uptake(RELEASED, [taker(-3) for _ in range(4)])
    assert (uptake.watched, uptake.unknown_since) == (4, 4)
    assert (uptake.instances_known, uptake.users_known, in_days(uptake)) == (False, False, [None] * 4)


def test_the_first_moments_may_be_lost_if_no_share_was_reached_by_them():
    some = read_uptake(RELEASED, [taker(-3), taker(-3), taker(-3, 801), taker(-3, 802), waiting(-3)])
    assert (some.unknown_since, in_days(some)) == (2, [801, 801, None, None])
    half = read_uptake(RELEASED, [taker(-3), taker(-3), taker(-3, 801), waiting(-3)])
    assert (half.instances_known, in_days(half)) == (False, [None] * 4)
    large = read_uptake(RELEASED, [taker(-3, users=1000), taker(-3, 801), taker(-3, 802)])
    assert (large.instances_known, large.users_known) == (True, False)


def test_of_no_instances_nothing_is_reached():
    assert in_days(read_uptake(RELEASED, [])) == [None] * 4
