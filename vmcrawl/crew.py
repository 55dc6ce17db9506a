"""The threads of one crawler process: each takes a claim and crawls it from start to finish."""

import queue
import threading
from collections.abc import Callable, Iterable

from vmcrawl.observation import Observation
from vmcrawl.store.claims import Claim


class Crew:
    """At most ``size`` threads, started as there is work for them.

    ``crawl_one`` must not raise; if it does all the same, :meth:`collect` raises that in the caller's thread: a bug
    ends the process loudly instead of leaving a domain in flight for ever.
    """

    def __init__(self, size: int, crawl_one: Callable[[Claim], Observation]) -> None:
        self.size = size
        self._crawl_one = crawl_one
        self._waiting: queue.SimpleQueue[Claim | None] = queue.SimpleQueue()
        self._finished: queue.SimpleQueue[Observation | BaseException] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._open = 0

    @property
    def idle(self) -> int:
        """How many claims more could be crawled at once."""
        return self.size - self._open

    def give(self, claims: Iterable[Claim]) -> None:
        """Hand claims to the threads; never more than :attr:`idle` at a time."""
        for claim in claims:
            self._open += 1
            if len(self._threads) < self._open:
                self._threads.append(threading.Thread(target=self._work, name=f"crawler-{self._open}", daemon=True))
                self._threads[-1].start()
            self._waiting.put(claim)

    def collect(self, timeout_seconds: float, at_most: int) -> list[Observation]:
        """Take what is finished, waiting up to ``timeout_seconds`` for the first."""
        observations: list[Observation] = []
        try:
            while len(observations) < at_most:
                finished = self._finished.get(block=not observations, timeout=timeout_seconds)
                if isinstance(finished, BaseException):
                    raise finished
                observations.append(finished)
        except queue.Empty:
            pass
        self._open -= len(observations)
        return observations

    def take_back(self) -> list[Claim]:
        """Take back what no thread has begun."""
        claims: list[Claim] = []
        try:
            while (claim := self._waiting.get_nowait()) is not None:
                claims.append(claim)
        except queue.Empty:
            pass
        self._open -= len(claims)
        return claims

    def dismiss(self) -> None:
        """Let the threads end when they have finished what they are doing."""
        for _ in self._threads:
            self._waiting.put(None)

    def _work(self) -> None:
        while (claim := self._waiting.get()) is not None:
            try:
                self._finished.put(self._crawl_one(claim))
            except BaseException as error:  # noqa: BLE001 - raised again by collect, in the thread that can end us
                self._finished.put(error)
                return
