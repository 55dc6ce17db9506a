"""One crawler process: claims domains, has them crawled, writes what was seen, until nothing is left to claim."""

import logging
import os
import random
import signal
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from platform import node

from vmcrawl.crawl import Standards, crawl
from vmcrawl.crew import Crew
from vmcrawl.domain import Domain
from vmcrawl.exclusion import CurrentExclusions
from vmcrawl.fetch import Client
from vmcrawl.gate import default_lock_file
from vmcrawl.knowledge import load_reader
from vmcrawl.log import configure_logging
from vmcrawl.machine import CpuMeter, DemandMeter, process_identity, raise_file_limit, spare_the_collector
from vmcrawl.memory import HostMemory, KnownHost
from vmcrawl.observation import Observation, RobotsRecord
from vmcrawl.orders import Orders, Progress, Word
from vmcrawl.outcome import Outcome
from vmcrawl.pace import Load, Pace
from vmcrawl.polite import Manners
from vmcrawl.reading import Reader
from vmcrawl.schedule import appoint, lease_time
from vmcrawl.settings import user_agent
from vmcrawl.store import claims, results, robots
from vmcrawl.store.catalogue import revision
from vmcrawl.store.claims import Claim
from vmcrawl.store.connection import DatabaseUnavailable
from vmcrawl.store.database import Database
from vmcrawl.store.pause import is_paused
from vmcrawl.store.results import Result

log = logging.getLogger(__name__)

#: Results are written together, so that Postgres commits twice a second at most; a crash loses no more than that.
_COLLECT_SECONDS = 0.5
_BATCH = 500
#: Endings that can be our own delay as well as the server's.
_SILENCES = frozenset({Outcome.TIMEOUT, Outcome.DNS_FAILURE})
#: How often a process shows that it is alive, and learns of new exclusions and releases.
_UPKEEP_SECONDS = 5.0
#: How often the pace is set anew.
_PACE_SECONDS = 0.5
#: How often to look what is finished.
_GLANCE_SECONDS = 0.02
#: How often to listen to the supervisor, and to look whether it is still there.
_LISTEN_SECONDS = 0.1
#: Fewer are not worth a statement, as long as others wait for a thread.
_CLAIM_AT_LEAST = 4
#: How long to wait before asking again whether anything is due, or whether a pause is over.
_CLAIM_AGAIN_SECONDS = 2.0


def work(orders: Orders, supervisor: Connection) -> None:
    """Be a crawler process (the target of ``multiprocessing.Process``); returns when nothing is left to claim."""
    # Ctrl-C and SIGTERM reach the whole process group: it is the supervisor that decides what they mean.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    configure_logging(orders.settings.log, stream=sys.stderr)
    # With hundreds of threads the default of 5 ms makes them fight for the interpreter instead of crawling.
    sys.setswitchinterval(0.05)
    raise_file_limit()
    try:
        worker = Worker(orders, supervisor)
        spare_the_collector()
        try:
            worker.run()
        finally:
            worker.close()
    except DatabaseUnavailable as error:
        log.error("the database cannot be reached: %s", error)
        sys.exit(os.EX_TEMPFAIL)


class Worker:
    """The loop of one crawler process: claim, crawl, record, report."""

    def __init__(self, orders: Orders, supervisor: Connection) -> None:
        settings = orders.settings
        self._orders = orders
        # By this name others can tell whether the process still is; the second half is for machines without procfs.
        self._holder = f"{process_identity() or node()[:100]}#{uuid.uuid4()}"
        self._supervisor = supervisor
        self._database = Database(settings.database)
        self._client = Client(
            settings.http, settings.network, user_agent=user_agent(settings.http), lock_file=default_lock_file()
        )
        self._read_with(load_reader(self._database, self._database.now().date()))
        self._exclusions = CurrentExclusions(self._database.run(claims.load_exclusions))
        self._memory = HostMemory(settings.crawl.robots_lifetime, self._look_up)
        # For the threads; whoever cannot recall a host's rules asks the host, so nobody waits for a lost connection.
        self._library = Database(settings.database, patience_seconds=())
        self._library_lock = threading.Lock()
        self._open: dict[Domain, Claim] = {}
        self._lease = lease_time(settings.crawl)
        self._listen_at = 0.0
        self._keep_up_at = 0.0
        self._prolong_at = 0.0
        self._claim_at = 0.0
        self._paused = False
        self._meter = CpuMeter()
        self._demand = DemandMeter()
        self._pace = Pace(orders.threads)
        self._paced_at = self._recorded_at = time.monotonic()
        self._lags: list[float] = []
        self._crew = Crew(self._pace.in_flight, self._crawl_one)
        #: Crawls that have ended since the pace was set.
        self._ended = 0
        self._finished: list[Observation] = []
        self._starved_at = float("-inf")
        #: Domains that are looked at twice, and the rules that the first look found.
        self._first_looks: dict[Domain, tuple[RobotsRecord, ...]] = {}
        self._to_look_at_again: list[Claim] = []
        self._stop_at: float | None = None

    def run(self) -> None:
        """Work until there is nothing to claim, or the supervisor says stop, or the supervisor is gone."""
        self._report({})
        self._work()
        # Also what a claim brought whose answer was lost with the connection.
        self._database.run(lambda connection: claims.release(connection, self._holder))

    def close(self) -> None:
        """Let the threads go, close what is open."""
        self._crew.dismiss()
        self._client.close()
        with self._library_lock:
            self._library.close()
        self._database.close()

    def _work(self) -> None:
        while True:
            self._listen()
            self._set_pace()
            exhausted = self._stop_at is not None or not self._claim()
            self._collect()
            if exhausted and not self._open:
                return
            if self._stop_at is not None and time.monotonic() > self._stop_at:
                self._abandon()
                return
            self._keep_up()
            self._pause()

    def _pause(self) -> None:
        """Let the threads work; how late we come back is how late they come to what they could do."""
        # To be woken for each crawl would cost each crawl two changes of thread.
        before = time.monotonic()
        time.sleep(_GLANCE_SECONDS)
        self._lags.append(max(0.0, time.monotonic() - before - _GLANCE_SECONDS))

    def _listen(self) -> None:
        if (moment := time.monotonic()) < self._listen_at:
            return
        self._listen_at = moment + _LISTEN_SECONDS
        parent = parent_process()
        orphaned = parent is not None and not parent.is_alive()
        try:
            told = self._supervisor.poll() and self._supervisor.recv() is Word.STOP
        except (EOFError, OSError):
            orphaned = True
        if (orphaned or told) and self._stop_at is None:
            self._stop_at = moment + self._orders.settings.crawl.grace.total_seconds()
            self._give_back(self._crew.take_back() + self._to_look_at_again)
            self._to_look_at_again.clear()

    def _set_pace(self) -> None:
        moment = time.monotonic()
        if moment - self._paced_at >= _PACE_SECONDS:
            lag = sum(self._lags) / max(1, len(self._lags))
            load = Load(self._meter.busy(), self._demand.demand(), lag)
            self._pace = self._pace.after(moment - self._paced_at, load, self._ended)
            self._paced_at, self._ended = moment, 0
            self._lags.clear()
            self._client.end_overdue()
            self._crew.allow(self._pace.in_flight)
            if self._pace.starving:
                self._starved_at = moment
            # When there is time again, nothing else is left to do, or too many wait.
            again = len(self._to_look_at_again)
            if not self._pace.starving or again >= min(len(self._open), self._pace.in_flight):
                self._crew.give(self._to_look_at_again)
                self._to_look_at_again.clear()

    def _claim(self) -> bool:
        """Claim what threads are free for, and some ahead; False if nothing was due, and nobody has called a pause."""
        moment = time.monotonic()
        if self._paused and moment < self._claim_at:
            return True
        orders = self._orders
        ahead = 0 if orders.suspects else self._pace.ahead
        begun = len(self._open) - len(self._finished) - len(self._to_look_at_again)
        room = self._pace.in_flight + ahead - begun
        enough = max(_CLAIM_AT_LEAST, ahead // 2) if self._crew.waiting else 1
        if self._open and (orders.suspects or moment < self._claim_at or room < enough):
            return True
        claimed = self._database.run(
            lambda connection: claims.claim(
                connection,
                self._holder,
                room,
                self._database.now(),
                self._lease,
                due_before=orders.due_before,
                run_id=orders.run_id,
                named=orders.named,
                suspects=orders.suspects,
                isolated=orders.isolated,
                robots_lifetime=orders.settings.crawl.robots_lifetime,
            )
        )
        self._open.update((claim.domain, claim) for claim in claimed)
        self._crew.give(claimed)
        # What ends between the two statements has kept us from claiming: then this once nothing is no answer.
        was_paused, self._paused = self._paused, not claimed and self._database.run(is_paused)
        if not claimed:
            self._claim_at = moment + _CLAIM_AGAIN_SECONDS
        return bool(claimed) or was_paused or self._paused

    def _crawl_one(self, claim: Claim) -> Observation:
        settings = self._orders.settings
        timeout = settings.crawl.domain_timeout
        manners = Manners(settings.http.robots_agent, timeout.total_seconds(), self._exclusions)
        for record in claim.robots:
            self._memory.remember(record)
        started = time.monotonic()
        with self._client.session(timeout) as session:
            now = self._database.now()
            seen = crawl(claim.domain, session, now, manners, self._memory, self._standards, claim.last)
            seconds = time.monotonic() - started
        return replace(seen, received_bytes=session.received_bytes, duration_seconds=seconds)

    def _look_up(self, host: str, oldest: datetime) -> KnownHost:
        """Find what other processes have learned of a host; of a domain that is claimed, its claim has brought all."""
        if host in self._open:
            return KnownHost()
        try:
            with self._library_lock:
                rules, opted_out = self._library.run(lambda connection: robots.recall(connection, host, oldest))
                return KnownHost(rules, opted_out)
        except DatabaseUnavailable as error:
            log.warning("the rules of %s cannot be looked up: %s", host, error)
            return KnownHost()

    def _collect(self) -> None:
        """Take what is finished; write it down when there is enough of it, or nothing else to wait for."""
        seen = self._crew.collect()
        self._ended += len(seen)
        late = [each for each in seen if self._may_be_our_delay(each)]
        again = {each.domain for each in late}
        self._first_looks |= {each.domain: each.robots for each in late}
        self._to_look_at_again += [self._open[each.domain] for each in late]
        self._finished += [
            replace(each, robots=self._first_looks.pop(each.domain, ()) + each.robots)
            for each in seen
            if each.domain not in again
        ]
        moment = time.monotonic()
        waited = moment - self._recorded_at >= _COLLECT_SECONDS
        if self._finished and (waited or len(self._finished) >= min(_BATCH, len(self._open))):
            self._recorded_at = moment
            self._record(self._finished)
            self._finished = []

    def _record(self, observations: list[Observation]) -> None:
        batch = [self._result(observation) for observation in observations]
        recorded = self._database.run(lambda connection: results.record(connection, batch, self._holder))
        for observation in observations:
            del self._open[observation.domain]
        if recorded.lost:
            log.warning("%d results came after their lease had ended and were dropped", recorded.lost)
        self._report(recorded.outcomes)

    def _may_be_our_delay(self, seen: Observation) -> bool:
        """Whether a silence fell into a time when this machine had no time to listen: once, that is no verdict."""
        return (
            seen.outcome in _SILENCES
            and self._starved_at > time.monotonic() - seen.duration_seconds - _PACE_SECONDS
            and seen.domain not in self._first_looks
            and self._stop_at is None
        )

    def _result(self, seen: Observation) -> Result:
        claim, settings = self._open[seen.domain], self._orders.settings
        appointment = appoint(seen, claim.failures, claim.last, self._database.now(), settings, random.random())
        return Result(seen, appointment, self._reader.reading(seen))

    def _report(self, outcomes: Mapping[str, int]) -> None:
        try:
            self._supervisor.send(Progress(self._holder, dict(outcomes), len(self._open)))
        except OSError:
            # The supervisor is gone; _listen notices and winds up.
            log.warning("nobody listens to this crawler process any more")

    def _keep_up(self) -> None:
        """Show that this process is alive, learn what is new, prolong the leases of what is in flight: waiting for a
        gate or a Crawl-delay may take its time.
        """
        moment = time.monotonic()
        if moment < self._keep_up_at:
            return
        self._keep_up_at = moment + _UPKEEP_SECONDS
        self._database.synchronize()
        self._exclusions.exclusions = self._database.run(claims.load_exclusions)
        self._learn()
        if self._open and moment >= self._prolong_at:
            self._prolong_at = moment + self._lease.total_seconds() / 3
            until = self._database.now() + self._lease
            self._database.run(lambda connection: claims.renew(connection, self._holder, until))
        self._report({})

    def _learn(self) -> None:
        """Read what comes in from now on with the catalogue of now, and for today."""
        today = self._database.now().date()
        if (self._database.run(revision), today) != (self._reader.revision, self._reader.today):
            self._read_with(load_reader(self._database, today))

    def _read_with(self, reader: Reader) -> None:
        self._reader = reader
        self._standards = Standards(reader.why_bad_version, self._orders.settings.publish.max_active_users)

    def _give_back(self, untouched: list[Claim]) -> None:
        for claim in untouched:
            del self._open[claim.domain]
        if untouched:
            domains = [claim.domain for claim in untouched]
            self._database.run(lambda connection: claims.release(connection, self._holder, domains))

    def _abandon(self) -> None:
        """The grace is over: cut the crawls off that are still in flight and give their domains back."""
        # What ends after this only says that we have stopped.
        self._collect()
        if self._finished:
            self._record(self._finished)
        self._client.stop()
        domains = list(self._open)
        self._database.run(lambda connection: claims.release(connection, self._holder, domains))
        self._open.clear()
