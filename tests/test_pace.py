"""How much a process takes on."""

import pytest

from vmcrawl.pace import FLOOR, Load, Pace, pool_size

IDLE, SATURATED = Load(0.3, 0.2), Load(1.0, 1.0)


def after(pace: Pace, load: Load, seconds: int) -> Pace:
    for _ in range(2 * seconds):
        pace = pace.after(0.5, load)
    return pace


def test_the_pace_grows_from_the_floor_to_the_most_while_there_is_time_to_spare():
    assert Pace(256).in_flight == FLOOR
    assert after(Pace(256), IDLE, 3).in_flight < 128
    assert after(Pace(256), IDLE, 10).in_flight == 256


def test_a_busy_machine_holds_the_pace_and_a_saturated_one_takes_it_back():
    pace = Pace(128, allowed=100.0)
    assert pace.after(1.0, Load(0.9, 0.8)).in_flight == 100
    shrunk = pace.after(1.0, SATURATED)
    assert (shrunk.in_flight, shrunk.starving) == (70, True)
    assert after(pace, SATURATED, 20).in_flight == FLOOR
    assert not shrunk.after(0.5, IDLE).starving


def test_that_others_keep_the_machine_busy_is_no_reason_to_do_less_but_to_be_careful():
    others = Load(1.0, demand=0.3)
    pace = Pace(128, allowed=100.0).after(1.0, others)
    assert pace.in_flight > 100
    assert pace.starving


def test_whoever_comes_late_himself_does_less_whatever_the_machine_says():
    for busy in (None, 0.2, 1.0):
        pace = Pace(128, allowed=100.0).after(1.0, Load(busy, demand=0.1, lag=0.2))
        assert (pace.in_flight, pace.starving) == (70, True)
    held = Pace(128, allowed=100.0).after(1.0, Load(0.2, 0.2, lag=0.05))
    assert (held.in_flight, held.starving) == (100, False)


def test_a_process_that_wants_the_interpreter_all_the_time_does_less_however_many_cores_are_idle():
    assert Pace(128, allowed=100.0).after(1.0, Load(0.1, demand=1.0)).in_flight == 70


def test_where_nothing_can_be_measured_the_pace_only_grows():
    assert after(Pace(64), Load(None), 10).in_flight == 64
    assert Pace(128, allowed=100.0).after(1.0, Load(1.0)).in_flight == 70


@pytest.mark.parametrize("most", [1, 4])
def test_the_most_is_never_exceeded(most):
    assert Pace(most).in_flight == most
    assert Pace(most).after(9.0, IDLE).in_flight == most
    assert Pace(most).after(9.0, SATURATED).in_flight == most


def test_as_much_is_claimed_ahead_as_half_a_second_needs():
    pace = Pace(128)
    assert pace.ahead == 0
    for _ in range(10):
        pace = pace.after(0.5, IDLE, finished=50)
    assert pace.ahead == pytest.approx(50, abs=1)
    assert Pace(128).after(0.5, IDLE, finished=5_000).ahead == 256
    for _ in range(20):
        pace = pace.after(0.5, IDLE, finished=0)
    assert pace.ahead == 0


GIB = 1 << 30


@pytest.mark.parametrize(
    ("cores", "memory", "expected"),
    [
        (2, 24 * GIB, (4, 256)),
        (8, 16 * GIB, (16, 256)),
        (64, 256 * GIB, (24, 256)),
        (2, None, (4, 256)),
        # Containers.
        (1, GIB, (2, 256)),
        (2, GIB // 2, (4, 16)),
        (2, GIB // 8, (1, 16)),
        (1, 1, (1, 16)),
    ],
)
def test_a_pool_fits_its_machine(cores, memory, expected):
    assert pool_size(1_000_000, cores, memory) == expected


def test_a_small_run_needs_no_big_pool_and_an_operator_is_obeyed():
    assert pool_size(1, 8, None) == (1, 256)
    assert pool_size(33, 8, None) == (2, 256)
    assert pool_size(0, 8, None)[0] == 1
    assert pool_size(1_000_000, 1, GIB, processes=40, threads=3) == (40, 3)
    assert pool_size(64, 1, GIB, processes=40, threads=3) == (2, 3)
