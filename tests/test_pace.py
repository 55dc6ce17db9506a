"""How many crawls are kept in flight."""

import pytest

from vmcrawl.pace import FLOOR, Pace


def test_the_pace_grows_from_the_floor_to_the_most_while_there_is_time_to_spare():
    pace = Pace(128)
    assert pace.in_flight == FLOOR
    for _ in range(20):
        pace = pace.after(0.5, busy=0.3)
    assert pace.in_flight == 128


def test_a_busy_machine_holds_the_pace_and_a_saturated_one_takes_it_back():
    pace = Pace(128, allowed=100.0)
    assert pace.after(1.0, busy=0.9).in_flight == 100
    shrunk = pace.after(1.0, busy=0.99)
    assert (shrunk.in_flight, shrunk.starving) == (70, True)
    for _ in range(20):
        shrunk = shrunk.after(1.0, busy=1.0)
    assert shrunk.in_flight == FLOOR
    assert not shrunk.after(0.5, busy=0.5).starving


def test_where_nothing_can_be_measured_the_pace_only_grows():
    assert Pace(64).after(10.0, busy=None).in_flight == 64


@pytest.mark.parametrize("most", [1, 4])
def test_the_most_is_never_exceeded(most):
    assert Pace(most).in_flight == most
    assert Pace(most).after(9.0, busy=0.0).in_flight == most
    assert Pace(most).after(9.0, busy=1.0).in_flight == most


def test_as_much_is_claimed_ahead_as_half_a_second_needs():
    pace = Pace(128)
    assert pace.ahead == 0
    for _ in range(10):
        pace = pace.after(0.5, busy=0.5, finished=50)
    assert pace.ahead == pytest.approx(50, abs=1)
    assert Pace(128).after(0.5, busy=0.5, finished=5_000).ahead == 256
    for _ in range(20):
        pace = pace.after(0.5, busy=0.5, finished=0)
    assert pace.ahead == 0
