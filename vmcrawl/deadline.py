"""What a server may still cost us: the seconds and bytes left to one crawl and to its current request."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class OutOfTime(TimeoutError):
    """A limit of ours has been reached: one operation, one request, or the whole domain."""


class OutOfBytes(Exception):
    """The server has sent more than one request may bring."""


class Stopped(Exception):
    """The process is ending; whatever was under way says nothing about the server."""


_OVERDUE_SECONDS = 0.5


class Budget:
    """The time of one crawl and of its current request, and the bytes of the request; used by one thread.

    ``timeout`` bounds the whole crawl. Our own waiting (:meth:`ours`) moves both ends, so that a server is never
    blamed for it. ``clock`` gives seconds that only grow.
    """

    __slots__ = (
        "_clock",
        "_domain_end",
        "_operation",
        "_ours",
        "_request_end",
        "_stop",
        "bytes_left",
        "received",
        "received_in_all",
    )

    def __init__(
        self, timeout: float, operation: float, stop: threading.Event, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._stop = stop
        self._operation = operation
        self._domain_end = clock() + timeout
        self._request_end = self._domain_end
        self._ours = False
        self.bytes_left: float = math.inf
        self.received = 0
        self.received_in_all = 0

    def start_request(self, timeout: float, max_bytes: int) -> None:
        """Give the next request ``timeout`` seconds, as far as the domain has them, and ``max_bytes`` to receive."""
        self._request_end = min(self._domain_end, self._clock() + timeout)
        self.bytes_left = max_bytes
        self.received = 0

    def left(self) -> float:
        """Seconds left for the request, more than 0; raises :class:`OutOfTime` or :class:`Stopped`."""
        if self._stop.is_set():
            raise Stopped
        left = self._request_end - self._clock()
        if left <= 0:
            whole = self._request_end >= self._domain_end
            raise OutOfTime("the domain ran out of time" if whole else "the request ran out of time")
        return left

    def overdue(self) -> bool:
        """Whether the request has had more than its time, by so much that it cannot be busy with its last words."""
        return not self._ours and self._clock() > self._request_end + _OVERDUE_SECONDS

    def wait(self) -> float:
        """Seconds that one socket operation may take, more than 0; raises as :meth:`left` does."""
        return min(self._operation, self.left())

    def spend(self, count: int) -> None:
        """Account for ``count`` bytes received; raises :class:`OutOfBytes` beyond the limit."""
        self.received += count
        self.received_in_all += count
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise OutOfBytes

    def shorten_request(self, timeout: float, max_bytes: int) -> None:
        """Leave the request no more than ``timeout`` seconds and ``max_bytes`` from now on."""
        self._request_end = min(self._request_end, self._clock() + timeout)
        self.bytes_left = min(self.bytes_left, max_bytes)

    @contextmanager
    def ours(self) -> Iterator[None]:
        """Within this block we make the server wait, not it us: both ends move by the time it takes."""
        started = self._clock()
        # Asked by another thread: as long as the ends have not moved, they say nothing.
        self._ours = True
        try:
            yield
        finally:
            taken = self._clock() - started
            self._domain_end += taken
            self._request_end += taken
            self._ours = False
