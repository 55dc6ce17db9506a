"""What a chart is made of: areas in order, parts between gaps, labels that do not touch, colours that stay."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from vmcrawl.chart import OTHERS, Series, _apart, _colours, arrange, stretches

DAY = timedelta(days=1)
FIRST = datetime(2026, 11, 1, 3, tzinfo=UTC)


def days(*numbers: int) -> list[datetime]:
    return [FIRST + number * DAY for number in numbers]


def test_areas_are_stacked_from_what_is_small_and_old_to_what_is_new():
    points = [
        (FIRST, "4.10", 50),
        (FIRST, "4.9", 40),
        (FIRST, "other", 9),
        (FIRST, "3.1", 0),
        (FIRST + DAY, "4.9", 60),
        (FIRST + DAY, "3.0", 0),
    ]
    moments, series = arrange(points)
    assert moments == [FIRST, FIRST + DAY]
    assert series == [Series(OTHERS, [9, 0]), Series("4.9", [40, 60]), Series("4.10", [50, 0])]


def test_only_so_many_branches_have_a_colour_and_nothing_is_lost():
    points = [(FIRST, f"4.{minor}", 10 + minor) for minor in range(14)]
    _, series = arrange(points)
    assert [one.name for one in series] == [OTHERS, *(f"4.{minor}" for minor in range(5, 14))]
    assert sum(one.values[0] for one in series) == sum(value for _, _, value in points)
    colours = _colours(series)
    assert len(set(colours)) == len(colours)


def test_a_branch_keeps_its_colour_when_another_comes():
    before = [Series("4.6", [1]), Series("4.7", [1])]
    assert _colours([*before, Series("4.8", [1])])[:2] == _colours(before)


@pytest.mark.parametrize(
    ("moments", "parts"),
    [
        (days(0), [(0, 0)]),
        (days(0, 1, 2, 3), [(0, 3)]),
        (days(0, 1, 2, 4, 5), [(0, 2), (3, 4)]),
        (days(0, 1, 2, 9, 16, 17), [(0, 2), (3, 3), (4, 5)]),
        (days(0, 7, 14, 21), [(0, 3)]),
    ],
)
def test_nothing_is_drawn_across_a_day_that_is_missing(moments, parts):
    assert stretches(moments) == parts


def test_labels_do_not_touch_and_stay_in_order():
    places = _apart([0.0, 0.01, 0.02, 0.5, 0.97, 0.98, 0.99])
    assert places == sorted(places)
    assert all(later - earlier > 0.05 for earlier, later in pairwise(places))
    assert places[0] >= 0
    assert places[-1] <= 1
