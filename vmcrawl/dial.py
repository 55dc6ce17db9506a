"""TCP connections to addresses that were judged before: several are tried, nearly at once, the first one wins."""

import errno
import os
import select
import socket
import time
from collections import deque
from collections.abc import Sequence

from vmcrawl.address import Address, socket_address
from vmcrawl.deadline import Budget
from vmcrawl.failure import outcome_of
from vmcrawl.outcome import Outcome

#: RFC 8305, 5: how long one attempt has the field to itself.
_ATTEMPT_DELAY_SECONDS = 0.25
#: A name may have hundreds of addresses; these are plenty to find one that lives.
_MOST_ATTEMPTS = 8
#: How soon a crawl notices that the process is ending.
_LONGEST_SLEEP_SECONDS = 0.5
#: If no attempt succeeds, the failure that says most about the server is the one to report.
_TELLING = (
    Outcome.CONNECTION_REFUSED,
    Outcome.CONNECTION_RESET,
    Outcome.TIMEOUT,
    Outcome.CONNECTION_UNREACHABLE,
)


def dial(addresses: Sequence[Address], port: int, limit: float, budget: Budget) -> tuple[socket.socket, Address]:
    """Connect to one of ``addresses``, in their order, within ``limit`` seconds over all of them.

    An attempt that fails gives way at once, one that is silent after a quarter of a second (RFC 8305). Raises
    ``OSError`` with the most telling failure, ``OutOfTime`` or ``Stopped`` as the budget does; errors that are our
    own (no more files, memory or ports) are raised whatever else happens.
    """
    race = _Race(port)
    waiting = deque(addresses[:_MOST_ATTEMPTS])
    end = time.monotonic() + limit
    try:
        while waiting or race.running:
            if waiting:
                race.start(waiting.popleft())
            turn = min(end, time.monotonic() + _ATTEMPT_DELAY_SECONDS) if waiting else end
            winner = race.watch(turn, budget)
            if winner is not None:
                return winner
            if time.monotonic() >= end:
                race.failures.append(TimeoutError(errno.ETIMEDOUT, "connecting took too long"))
                break
        raise min(race.failures, key=_rank)
    finally:
        race.close()


class _Race:
    """The attempts that are under way."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._poll = select.poll()
        self.running: dict[int, tuple[socket.socket, Address]] = {}
        self.failures: list[OSError] = []

    def start(self, address: Address) -> None:
        """Begin to connect to ``address``."""
        family, target = socket_address(address, self._port)
        try:
            attempt = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        except OSError as error:
            self._note(error, address)
            return
        self.running[attempt.fileno()] = (attempt, address)
        self._poll.register(attempt, select.POLLOUT)
        code = attempt.connect_ex(target)
        if code not in (0, errno.EINPROGRESS):
            self._lose(attempt.fileno(), code)

    def watch(self, until: float, budget: Budget) -> tuple[socket.socket, Address] | None:
        """Wait for the winner until the given time, or until an attempt has failed and another should start."""
        lost = len(self.failures)
        while self.running and len(self.failures) == lost:
            left = min(until - time.monotonic(), budget.left(), _LONGEST_SLEEP_SECONDS)
            if left <= 0:
                return None
            for descriptor, _ in self._poll.poll(left * 1000):
                attempt, address = self.running[descriptor]
                code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    self._lose(descriptor, code)
                    continue
                del self.running[descriptor]
                attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return attempt, address
        return None

    def close(self) -> None:
        """Give up all attempts still under way."""
        for attempt, _ in self.running.values():
            attempt.close()
        self.running.clear()
        # The error that is raised holds our caller's frame, which holds us: let go of it.
        self.failures.clear()

    def _lose(self, descriptor: int, code: int) -> None:
        self._poll.unregister(descriptor)
        attempt, address = self.running.pop(descriptor)
        attempt.close()
        self._note(OSError(code, os.strerror(code)), address)

    def _note(self, error: OSError, address: Address) -> None:
        # For IPv4, "no address available" means that our ports are used up; for IPv6, that we have no such address.
        ours = error.errno == errno.EADDRNOTAVAIL and address.version == 4
        if ours or outcome_of(error, answered=False) is None:
            raise error
        self.failures.append(error)


def _rank(failure: OSError) -> int:
    outcome = outcome_of(failure, answered=False)
    assert outcome is not None
    return _TELLING.index(outcome)
