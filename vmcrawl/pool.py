"""The pool of crawler processes: starts them, hears them, replaces the ones that die, stops them together."""

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess

from vmcrawl.orders import Orders, Progress, Word
from vmcrawl.worker import work

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.25
#: A process says something every few seconds; one that is silent for so long hangs in C code or holds the GIL.
_SILENCE_SECONDS = 120.0
#: Whoever does not come to look at the others for so long has been stopped, or waits for the database.
_STOPPED_SECONDS = 10.0
#: Deaths in a row, per process, without anything recorded in between: then it is us, not a domain.
_DEATHS_PER_PROCESS = 3
#: What a crawler process may still need after its grace, to write its last results.
_WIND_UP_SECONDS = 20.0


class PoolBroken(Exception):
    """Crawler processes die without achieving anything: a fault of ours, of the machine or of the database."""


@dataclass(frozen=True, slots=True)
class Death:
    """A crawler process ended otherwise than by finishing; ``exit_code`` is negative for a signal.

    ``holder`` is the name of its leases; None if it died before it could have any.
    """

    holder: str | None
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class Watch:
    """What the pool tells and asks while it runs."""

    progress: Callable[[Progress], None]
    #: Says whether that has brought the run on: then others may die, too.
    died: Callable[[Death], bool]
    should_stop: Callable[[], bool]
    #: Called several times a second.
    tick: Callable[[], None]


@dataclass(slots=True)
class _Member:
    process: ForkServerProcess
    pipe: Connection
    holder: str | None = None
    heard_at: float = field(default_factory=time.monotonic)


class Pool:
    """Keeps ``size`` crawler processes at work until all of them have found nothing more to claim."""

    def __init__(self, size: int, orders: Callable[[], Orders], watch: Watch) -> None:
        # forkserver: never fork a process that has threads or connections; preloading shares the code's memory.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["vmcrawl.worker"])
        self._size = size
        self._orders = orders
        self._watch = watch
        self._members: list[_Member] = []
        self._deaths = 0
        self._stopped_at: float | None = None
        self._minded_at = time.monotonic()

    def run(self, grace_seconds: float) -> None:
        """Run until all is done or ``should_stop``; raises :class:`PoolBroken` if processes only die."""
        try:
            self._start_fork_server()
            for _ in range(self._size):
                self._start()
            while self._members:
                self._hear()
                self._watch.tick()
                self._bury()
                self._mind_the_silent()
                self._stop_if_told(grace_seconds)
        finally:
            for member in self._members:
                member.process.kill()
                member.process.join()

    def _start_fork_server(self) -> None:
        """Start it with SIGTERM blocked: sent to the whole group it would end the server, and us with no children."""
        # Started together with the server otherwise, and it unblocks the signal.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        # glibc gives every few threads a heap of their own, and hundreds of threads keep a third more memory so.
        os.environ.setdefault("MALLOC_ARENA_MAX", "2")
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(self._orders(), theirs), name="vmcrawl-crawler")
        process.start()
        theirs.close()
        self._members.append(_Member(process, ours))

    def _hear(self) -> None:
        by_pipe = {member.pipe: member for member in self._members}
        sentinels = [member.process.sentinel for member in self._members]
        for ready in wait([*by_pipe, *sentinels], timeout=_TICK_SECONDS):
            if isinstance(ready, Connection):
                self._hear_one(by_pipe[ready])

    def _hear_one(self, member: _Member) -> None:
        try:
            while member.pipe.poll():
                progress: Progress = member.pipe.recv()
                member.heard_at = time.monotonic()
                if progress.outcomes:
                    self._deaths = 0
                member.holder = progress.holder
                self._watch.progress(progress)
        except (EOFError, OSError):
            # It has hung up: its process is ending, and _bury sees how.
            member.process.join(timeout=_TICK_SECONDS)

    def _bury(self) -> None:
        for member in [member for member in self._members if not member.process.is_alive()]:
            self._hear_one(member)
            self._members.remove(member)
            member.pipe.close()
            exit_code = member.process.exitcode
            if exit_code == 0:
                continue
            log.error("crawler process %d died with exit code %s", member.process.pid, exit_code)
            brought_on = self._watch.died(Death(member.holder, exit_code))
            self._deaths = 0 if brought_on else self._deaths + 1
            if self._deaths > _DEATHS_PER_PROCESS * self._size:
                raise PoolBroken(f"{self._deaths} crawler processes died one after the other without a result")
            if self._stopped_at is None:
                self._start()

    def _mind_the_silent(self) -> None:
        moment, last = time.monotonic(), self._minded_at
        self._minded_at = moment
        if moment - last > _STOPPED_SECONDS:
            # All of us were stopped (SIGSTOP, a frozen cgroup, a paused machine): then their silence says nothing.
            for member in self._members:
                member.heard_at = moment
        for member in self._members:
            if time.monotonic() - member.heard_at > _SILENCE_SECONDS:
                log.error("crawler process %d has said nothing for %d s: killed", member.process.pid, _SILENCE_SECONDS)
                member.process.kill()

    def _stop_if_told(self, grace_seconds: float) -> None:
        if self._stopped_at is None:
            if self._watch.should_stop():
                self._stopped_at = time.monotonic()
                for member in self._members:
                    self._tell_to_stop(member)
        elif time.monotonic() - self._stopped_at > grace_seconds + _WIND_UP_SECONDS:
            for member in self._members:
                member.process.kill()

    def _tell_to_stop(self, member: _Member) -> None:
        try:
            member.pipe.send(Word.STOP)
        except OSError:
            log.warning("crawler process %d is gone before it could be told to stop", member.process.pid)
