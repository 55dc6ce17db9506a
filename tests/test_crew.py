"""The threads of a crawler process: no more than are allowed, also after others have idled."""

import threading
import time

from tests.servers import eventually
from tests.store.builders import NOW
from vmcrawl.crew import Crew
from vmcrawl.domain import Domain
from vmcrawl.observation import Observation
from vmcrawl.outcome import Outcome
from vmcrawl.store.claims import Claim


class Busy:
    """Crawls that take until they are let go, and how many there have been at a time."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, claim: Claim) -> Observation:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.let_go.wait(10)
        with self._lock:
            self.now -= 1
        return Observation(claim.domain, NOW, Outcome.TIMEOUT)


def claims(number: int) -> list[Claim]:
    return [Claim(Domain(f"{index}.example.org"), 0, None, ()) for index in range(number)]


def collected(crew: Crew, number: int) -> bool:
    seen: list[Observation] = []

    def more() -> bool:
        seen.extend(crew.collect())
        return len(seen) >= number

    return eventually(more) and len(seen) == number


def test_more_can_be_given_than_are_crawled_at_a_time_and_all_is_done_once():
    busy = Busy()
    crew = Crew(4, busy)
    crew.give(claims(20))
    assert eventually(lambda: busy.now == 4)
    assert crew.waiting == 16
    busy.let_go.set()
    assert collected(crew, 20)
    assert busy.most == 4
    crew.dismiss()


def test_threads_that_have_idled_take_nothing_once_fewer_are_allowed():
    busy = Busy()
    crew = Crew(16, busy)
    busy.let_go.set()
    crew.give(claims(16))
    assert collected(crew, 16)
    busy.let_go.clear()
    busy.most = 0
    crew.allow(2)
    crew.give(claims(12))
    assert eventually(lambda: busy.now == 2)
    time.sleep(0.2)
    assert busy.most == 2
    busy.let_go.set()
    assert collected(crew, 12)
    crew.dismiss()


def test_what_nobody_has_begun_is_given_back():
    busy = Busy()
    crew = Crew(1, busy)
    crew.give(claims(3))
    assert eventually(lambda: busy.now == 1)
    assert len(crew.take_back()) == 2
    busy.let_go.set()
    assert collected(crew, 1)
    crew.dismiss()
