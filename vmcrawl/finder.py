"""New domains from the peers of known instances: who is asked, a few at a time, and when to stop."""

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from platform import node

from vmcrawl.asking import Ending, Turnaround, turnaround
from vmcrawl.domain import Domain
from vmcrawl.fetch import Client
from vmcrawl.gate import default_lock_file
from vmcrawl.inquiry import Asked, inquire
from vmcrawl.machine import process_identity
from vmcrawl.memory import HostMemory, KnownHost
from vmcrawl.settings import Settings, user_agent
from vmcrawl.store import claims, peers, robots
from vmcrawl.store.connection import DatabaseUnavailable, StoreError
from vmcrawl.store.database import Database
from vmcrawl.store.peers import Asking

log = logging.getLogger(__name__)

#: Renewed long before it ends, as long as somebody is at it.
_LEASE = timedelta(minutes=2)
_RENEW_SECONDS = 20.0
#: How often to look whether all is done, and to end what no limit of its own thread can end.
_GLANCE_SECONDS = 0.1


def discover(
    settings: Settings,
    database: Database,
    *,
    limit: int,
    names: Sequence[Domain] | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    tick: Callable[[], None] = lambda: None,
) -> list[Asked]:
    """Ask ``names``, or the instances whose turn it is, ``limit`` at most; returns how that ended.

    When ``interrupted`` nobody more is asked; what is under way gets ``crawl.grace``. It and ``tick`` are called a few
    times a second, in the caller's thread. Raises
    :class:`DatabaseUnavailable`, and ``OSError`` if the lock file of all crawlers cannot be used.
    """
    finder = _Finder(settings, interrupted, tick)
    try:
        if names is not None:
            return finder.ask(names[:limit], None)
        asked: list[Asked] = []
        while (left := limit - len(asked)) > 0 and not interrupted():
            now = database.now()
            turns = turnaround(settings.discovery, now)
            chosen = database.run(partial(peers.choose, now=now, limit=left, turns=turns))
            answers = [each for each in finder.ask(chosen, turns) if each.ended not in (Ending.BUSY, Ending.PAUSED)]
            if not answers:
                # None is left, or others are asking those that are, or nobody is to ask just now.
                break
            asked += answers
        return asked
    finally:
        finder.close()


def discover_some(
    settings: Settings,
    database: Database,
    limit: int,
    interrupted: Callable[[], bool],
    tick: Callable[[], None] = lambda: None,
) -> int:
    """What a run does at its end: ask ``limit`` instances (0: none); returns how many domains are new.

    ``tick`` is called a few times a second, in the caller's thread. A failure that is not the database's being away
    ends this, not the run: it has done what it is for.
    """
    if limit <= 0:
        return 0
    try:
        new = sum(each.new for each in discover(settings, database, limit=limit, interrupted=interrupted, tick=tick))
    except (StoreError, OSError) as error:
        log.error("no new domains were looked for: %s", " ".join(str(error).split()))
        return 0
    log.info("%d new domains from the peers of known instances", new)
    return new


class _Finder:
    """Threads that ask one server each, and the one who watches them."""

    def __init__(self, settings: Settings, interrupted: Callable[[], bool], tick: Callable[[], None]) -> None:
        self._settings = settings
        self._interrupted = interrupted
        self._tick = tick
        self._client = Client(
            settings.http, settings.network, user_agent=user_agent(settings.http), lock_file=default_lock_file()
        )
        self._holder = f"{process_identity() or node()[:100]}#{uuid.uuid4()}"
        self._memory = HostMemory(settings.crawl.robots_lifetime, self._look_up)
        self._lock = threading.Lock()
        # For all threads, behind the lock; whoever cannot recall a host's rules asks the host.
        self._library = Database(settings.database, patience_seconds=())
        self._database = Database(settings.database)
        self._waiting: deque[Domain] = deque()
        self._finished: list[Asked] = []
        self._errors: list[BaseException] = []

    def ask(self, domains: Sequence[Domain], turns: Turnaround | None) -> list[Asked]:
        """Ask all of them, unless somebody interrupts; raises what a thread ended in."""
        self._waiting.extend(domains)
        self._finished = []
        work = partial(self._work, turns)
        threads = [
            threading.Thread(target=work, name=f"finder-{number + 1}", daemon=True)
            for number in range(min(len(domains), self._settings.discovery.at_a_time))
        ]
        for thread in threads:
            thread.start()
        try:
            self._watch(threads)
        except BaseException:
            self._waiting.clear()
            self._client.stop()
            raise
        finally:
            for thread in threads:
                thread.join()
        if self._errors:
            raise self._errors[0]
        return self._finished

    def close(self) -> None:
        """Give everything back."""
        self._client.close()
        with self._lock:
            self._library.close()
        try:
            # Also what a claim brought whose answer was lost with the connection.
            self._database.run(partial(peers.give_back, holder=self._holder))
        except DatabaseUnavailable as error:
            log.warning("leases end by themselves within %s: %s", _LEASE, error)
        self._database.close()

    def _watch(self, threads: Sequence[threading.Thread]) -> None:
        renew_at, stop_at = time.monotonic() + _RENEW_SECONDS, float("inf")
        while any(thread.is_alive() for thread in threads):
            time.sleep(_GLANCE_SECONDS)
            moment = time.monotonic()
            self._client.end_overdue()
            self._tick()
            if stop_at == float("inf") and (self._interrupted() or self._errors):
                self._waiting.clear()
                stop_at = moment + self._settings.crawl.grace.total_seconds()
            if moment >= stop_at:
                self._client.stop()
            if moment >= renew_at:
                # Waiting for a gate, or for a Crawl-delay, may take its time.
                renew_at = moment + _RENEW_SECONDS
                until = self._database.now() + _LEASE
                self._database.run(partial(claims.renew, holder=self._holder, until=until))

    def _work(self, turns: Turnaround | None) -> None:
        database = Database(self._settings.database)
        try:
            while (domain := self._next()) is not None:
                asked = self._ask_one(database, domain, turns)
                with self._lock:
                    self._finished.append(asked)
        except BaseException as error:  # noqa: BLE001 - raised again by ask, in the thread that can end us
            self._errors.append(error)
        finally:
            database.close()

    def _next(self) -> Domain | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _ask_one(self, database: Database, domain: Domain, turns: Turnaround | None) -> Asked:
        now = database.now()
        until = now + _LEASE
        claim = partial(peers.claim, domain=domain, holder=self._holder, now=now, until=until, turns=turns)
        asking = database.run(claim)
        if not isinstance(asking, Asking):
            return Asked(domain, str(asking))
        asked = inquire(asking, self._holder, database, self._client, self._memory, self._settings)
        log.info("%s, asked for its peers: %s; %d names, %d new", domain, asked.ended, asked.read, asked.new)
        return asked

    def _look_up(self, host: str, oldest: datetime) -> KnownHost:
        """What crawls have learned of a host: its rules, and whether it has opted out."""
        try:
            with self._lock:
                rules, opted_out = self._library.run(partial(robots.recall, host=host, oldest=oldest))
        except DatabaseUnavailable as error:
            log.warning("the rules of %s cannot be looked up: %s", host, error)
            return KnownHost()
        return KnownHost(rules, opted_out)
