"""How long a release took to reach half of its branch: tables of dates in, lengths of time out."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.delay import patch_delays

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
