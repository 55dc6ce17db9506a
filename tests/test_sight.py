"""When a run has seen too little: counts in, words out."""

import pytest

from vmcrawl.sight import Sight, find_gap


@pytest.mark.parametrize(
    ("sight", "gap"),
    [
        # Nothing to be held against.
        (Sight(0, None, 0, 0, 0), ""),
        (Sight(5, None, 5, 5, 5), ""),
        (Sight(300, None, 0, 300, 0), ""),
        # A fifth may go.
        (Sight(80, 100, 0, 0, 0), ""),
        (Sight(79, 100, 0, 0, 0), "21 of the 100 instances of the last days are missing"),
        (Sight(100, 100, 20, 0, 0), ""),
        (Sight(100, 100, 21, 0, 0), "21 of the 100 instances of the last days are missing"),
        (Sight(79, 100, 30, 0, 0), "30 of the 100 instances of the last days are missing"),
        (Sight(120, 100, 0, 0, 0), ""),
        # Of those it looked at, too, but not of a handful.
        (Sight(300, 300, 20, 100, 20), ""),
        (Sight(300, 300, 21, 100, 21), "21 of the 100 published instances that it looked at gave no good answer"),
        (Sight(300, None, 21, 100, 21), "21 of the 100 published instances that it looked at gave no good answer"),
        (Sight(300, 300, 5, 20, 5), "5 of the 20 published instances that it looked at gave no good answer"),
        (Sight(300, 300, 19, 19, 19), ""),
    ],
)
def test_a_gap_is_more_than_a_fifth(sight, gap):
    assert find_gap(sight, 0.2) == gap


def test_nothing_is_a_gap_if_everything_may_go():
    assert find_gap(Sight(0, 100, 0, 50, 50), 1.0) == ""


def test_anything_is_a_gap_if_nothing_may_go():
    assert find_gap(Sight(99, 100, 0, 0, 0), 0.0) == "1 of the 100 instances of the last days are missing"
    assert find_gap(Sight(100, 100, 0, 50, 0), 0.0) == ""
