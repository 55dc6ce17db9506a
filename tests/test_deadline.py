"""The budget of a crawl, with a clock that stands still unless it is told."""

import threading

import pytest

from vmcrawl.deadline import Budget, OutOfBytes, OutOfTime, Stopped


class Clock:
    """Seconds that grow when somebody adds to them."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def budget(clock: Clock, timeout: float = 30, operation: float = 5) -> Budget:
    return Budget(timeout, operation, threading.Event(), clock)


def test_an_operation_gets_its_own_limit_or_what_is_left(clock):
    crawl = budget(clock)
    crawl.start_request(10, 100)
    assert crawl.wait() == 5
    clock.now += 7
    assert crawl.wait() == crawl.left() == 3


def test_the_request_ends_with_the_domain(clock):
    crawl = budget(clock, timeout=3)
    crawl.start_request(10, 100)
    assert crawl.left() == 3
    clock.now += 3
    with pytest.raises(OutOfTime, match="domain"):
        crawl.left()


def test_a_request_that_is_out_of_time_leaves_the_domain_its_rest(clock):
    crawl = budget(clock)
    crawl.start_request(10, 100)
    clock.now += 10
    with pytest.raises(OutOfTime, match="request"):
        crawl.wait()
    crawl.start_request(25, 100)
    assert crawl.left() == 20


def test_our_own_waiting_moves_both_ends(clock):
    crawl = budget(clock, timeout=20)
    crawl.start_request(10, 100)
    with crawl.ours():
        clock.now += 1000
    assert crawl.left() == 10
    clock.now += 10
    crawl.start_request(99, 100)
    assert crawl.left() == 10


def test_bytes_are_counted_per_request(clock):
    crawl = budget(clock)
    crawl.start_request(10, 100)
    crawl.spend(100)
    with pytest.raises(OutOfBytes):
        crawl.spend(1)
    crawl.start_request(10, 5)
    crawl.spend(5)
    assert crawl.received == 5


def test_a_request_can_only_be_shortened(clock):
    crawl = budget(clock)
    crawl.start_request(10, 100)
    crawl.shorten_request(20, 1000)
    assert (crawl.left(), crawl.bytes_left) == (10, 100)
    crawl.shorten_request(1, 10)
    assert (crawl.left(), crawl.bytes_left) == (1, 10)


def test_a_process_that_stops_stops_everything(clock):
    stop = threading.Event()
    crawl = Budget(30, 5, stop, clock)
    stop.set()
    with pytest.raises(Stopped):
        crawl.wait()
