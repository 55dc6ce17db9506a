"""What the crawls of one process know of hosts: their rules, when they were asked last, who wants to be left alone."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock

from vmcrawl.observation import RobotsRecord

#: Hosts whose rules are kept in memory, and characters of them: those that many domains lead to are few, the rest is in
#: the database.
_MOST_RULES = 5_000
_MOST_CHARACTERS = 16 << 20
#: The same run does not ask again for rules that could not be had; the next one may.
_UNREACHABLE_SECONDS = 1800.0
#: Hosts with a time before which they may not be asked; those whose time has passed are dropped first.
_MOST_TIMES = 50_000


@dataclass(frozen=True, slots=True)
class KnownHost:
    """What the database knows of a host that some domain leads to."""

    rules: RobotsRecord | None = None
    opted_out: bool = False


class HostMemory:
    """Shared by the threads of a process: every crawl that comes to a host knows what the others have learned.

    One look into a dict needs no lock: the interpreter does it in one step. Whatever takes more than one, does.

    ``look_up(host, oldest)`` finds what other processes have learned of a host: rules that were read after ``oldest``,
    and whether it has opted out. ``lifetime`` is how long rules hold (RFC 9309, 2.4: a day at most). ``clock`` gives
    seconds that only grow.
    """

    def __init__(
        self,
        lifetime: timedelta,
        look_up: Callable[[str, datetime], KnownHost] = lambda host, oldest: KnownHost(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lifetime = lifetime
        self._look_up = look_up
        self._clock = clock
        self._lock = Lock()
        self._being_read: set[str] = set()
        self._rules: dict[str, RobotsRecord] = {}
        self._characters = 0
        self._opted_out: dict[str, None] = {}
        self._unreachable: dict[str, float] = {}
        self._next_request: dict[str, float] = {}
        self._left_alone: dict[str, float] = {}

    def recall(self, host: str) -> RobotsRecord | None:
        """The rules of ``host``, if they are young enough."""
        oldest = datetime.now(UTC) - self._lifetime
        with self._lock:
            record = self._rules.get(host)
        if record is not None and record.read_at > oldest:
            return record
        known = self._look_up(host, oldest)
        if known.opted_out:
            self.note_opt_out(host)
        if known.rules is not None:
            self.remember(known.rules)
        return known.rules

    def remember(self, record: RobotsRecord) -> None:
        """Keep rules that have just been read, for others that come to the same host before they are written."""
        with self._lock:
            known = self._rules.get(record.host)
            if known is not None and known.read_at > record.read_at:
                return
            self._forget(record.host)
            self._rules[record.host] = record
            self._characters += len(record.host) + len(record.rules)
            while self._characters > _MOST_CHARACTERS or len(self._rules) > _MOST_RULES:
                self._forget(next(iter(self._rules)))

    def note_opt_out(self, host: str) -> None:
        """``host`` has answered that it wants none of this."""
        with self._lock:
            self._opted_out[host] = None
            if len(self._opted_out) > _MOST_TIMES:
                del self._opted_out[next(iter(self._opted_out))]

    def opted_out(self, host: str) -> bool:
        """Whether ``host`` has opted out, as far as this process has learned; nobody else's word leads us there."""
        return host in self._opted_out

    def note_unreachable(self, host: str) -> None:
        """robots.txt of ``host`` has answered 5xx: nothing is asked of it for a while (RFC 9309, 2.3.1.4)."""
        with self._lock:
            self._note(self._unreachable, host, self._clock() + _UNREACHABLE_SECONDS)

    def unreachable(self, host: str) -> bool:
        """Whether that has happened just now."""
        until = self._unreachable.get(host)
        return until is not None and self._clock() < until

    def begin_reading(self, host: str) -> bool:
        """Take the right to read robots.txt of ``host``; False while somebody else is reading it."""
        with self._lock:
            if host in self._being_read:
                return False
            self._being_read.add(host)
            return True

    def end_reading(self, host: str) -> None:
        """Give that right back."""
        with self._lock:
            self._being_read.discard(host)

    def seconds_until_next(self, host: str, delay: float) -> float:
        """Seconds to wait before the next request to a host that wants ``delay`` between them; 0: make it now."""
        with self._lock:
            moment = self._clock()
            next_request = self._next_request.get(host, 0.0)
            if moment < next_request:
                return next_request - moment
            self._note(self._next_request, host, moment + delay)
            return 0.0

    def asked(self, host: str, delay: float) -> None:
        """A request to a host that wants ``delay`` between them has just ended."""
        with self._lock:
            self._note(self._next_request, host, self._clock() + delay)

    def leave_alone(self, host: str, seconds: float) -> None:
        """``host`` has asked to be left alone for so long (``Retry-After``)."""
        with self._lock:
            self._note(self._left_alone, host, max(self._clock() + seconds, self._left_alone.get(host, 0.0)))

    def seconds_left_alone(self, host: str) -> int:
        """Seconds, rounded up, for which ``host`` still wants to be left alone; 0: it may be asked."""
        until = self._left_alone.get(host)
        return 0 if until is None else math.ceil(max(0.0, until - self._clock()))

    def _forget(self, host: str) -> None:
        if (record := self._rules.pop(host, None)) is not None:
            self._characters -= len(record.host) + len(record.rules)

    def _note(self, times: dict[str, float], host: str, until: float) -> None:
        times[host] = until
        if len(times) > _MOST_TIMES:
            moment = self._clock()
            for other in [name for name, passed in times.items() if passed <= moment]:
                del times[other]
