"""The threads of one crawler process: each takes a claim and crawls it from start to finish."""

import logging
import queue
import threading
from collections.abc import Callable, Iterable

from vmcrawl.observation import Observation
from vmcrawl.store.claims import Claim

log = logging.getLogger(__name__)


class Crew:
    """Threads that crawl what is given to them, at most ``allowed`` at a time; more can be given, and waits.

    ``crawl_one`` must not raise; if it does all the same, :meth:`collect` raises that in the caller's thread: a bug
    ends the process loudly instead of leaving a domain in flight for ever.
    """

    def __init__(self, allowed: int, crawl_one: Callable[[Claim], Observation]) -> None:
        self._allowed = allowed
        self._crawl_one = crawl_one
        self._waiting: queue.SimpleQueue[Claim | None] = queue.SimpleQueue()
        self._finished: queue.SimpleQueue[Observation | BaseException] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._started = 0

    @property
    def waiting(self) -> int:
        """How many claims no thread has begun."""
        return self._waiting.qsize()

    def allow(self, number: int) -> None:
        """Let so many be crawled at a time. Threads come as there is work for them, and go after their crawl."""
        self._allowed = number
        self._reinforce()

    def give(self, claims: Iterable[Claim]) -> None:
        """Hand claims to the threads."""
        for claim in claims:
            self._waiting.put(claim)
        self._reinforce()

    def collect(self) -> list[Observation]:
        """Take what is finished."""
        observations: list[Observation] = []
        try:
            while True:
                finished = self._finished.get_nowait()
                if isinstance(finished, BaseException):
                    raise finished
                observations.append(finished)
        except queue.Empty:
            return observations

    def take_back(self) -> list[Claim]:
        """Take back what no thread has begun."""
        claims: list[Claim] = []
        try:
            while (claim := self._waiting.get_nowait()) is not None:
                claims.append(claim)
        except queue.Empty:
            pass
        return claims

    def dismiss(self) -> None:
        """Let the threads end when they have finished what they are doing."""
        with self._lock:
            for _ in range(self._threads):
                self._waiting.put(None)

    def _reinforce(self) -> None:
        with self._lock:
            for _ in range(min(self._waiting.qsize(), self._allowed - self._threads)):
                thread = threading.Thread(target=self._work, name=f"crawler-{self._started + 1}", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    # A limit of the system (pids): it goes on with those that there are, if there are any.
                    if not self._threads:
                        raise
                    log.warning("no more than %d threads: %s (set crawl.threads lower)", self._threads, error)
                    return
                self._threads += 1
                self._started += 1

    def _work(self) -> None:
        while not self._is_surplus() and (claim := self._waiting.get()) is not None:
            if self._is_surplus():
                # It has idled while fewer were allowed.
                self._waiting.put(claim)
                return
            try:
                self._finished.put(self._crawl_one(claim))
            except BaseException as error:  # noqa: BLE001 - raised again by collect, in the thread that can end us
                self._finished.put(error)
                return

    def _is_surplus(self) -> bool:
        if self._threads <= self._allowed:
            return False
        with self._lock:
            if self._threads <= self._allowed:
                return False
            self._threads -= 1
            return True
