"""One batch run: decide what it covers, keep the pool at work on it, settle the suspects, close the books."""

import logging
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from platform import node

from vmcrawl.chronicle import leave_history, memory_of, note_uptakes
from vmcrawl.domain import Domain
from vmcrawl.duration import format_duration
from vmcrawl.knowledge import read_anew
from vmcrawl.machine import is_gone, process_identity, usable_cores, usable_memory
from vmcrawl.observation import Observation
from vmcrawl.orders import Orders, Progress
from vmcrawl.outcome import Outcome
from vmcrawl.pace import pool_size
from vmcrawl.pool import Death, Pool, Watch
from vmcrawl.schedule import next_appointment
from vmcrawl.settings import Settings
from vmcrawl.store import claims, results, runs, upkeep, wants
from vmcrawl.store.claims import Claim
from vmcrawl.store.database import Database
from vmcrawl.store.migrations import prepare
from vmcrawl.store.results import Result
from vmcrawl.store.runs import RunStatus

log = logging.getLogger(__name__)

_HEARTBEAT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Selection:
    """What a run covers: the named domains, or (``names`` None) whatever is due, or everything; ``limit`` at most."""

    names: Sequence[Domain] | None = None
    everything: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a run has come."""

    planned: int
    in_flight: int
    outcomes: Mapping[str, int]

    @property
    def crawled(self) -> int:
        """Domains with a verdict so far."""
        return sum(self.outcomes.values())


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended."""

    run_id: int
    status: RunStatus
    planned: int
    crawled: int
    outcomes: Mapping[str, int]
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class Control:
    """How the outside steers and watches a run."""

    #: SIGTERM or Ctrl-C has come.
    interrupted: Callable[[], bool] = lambda: False
    #: Called a few times a second with how far the run has come.
    show: Callable[[Standing], None] = lambda standing: None


def run_batch(settings: Settings, selection: Selection, control: Control) -> RunSummary:
    """Crawl what ``selection`` covers and write every verdict to the database; returns how it ended.

    Raises :class:`vmcrawl.store.connection.DatabaseUnavailable` when the database cannot be reached, and
    :class:`vmcrawl.pool.PoolBroken` when crawler processes only die; the run is then closed as ``failed``, if it can.
    """
    database = Database(settings.database)
    try:
        database.run(partial(prepare, retention=settings.publish.retention))
        return _Run(settings, database, selection, control).run()
    finally:
        database.close()


class _Run:
    """One run in progress: the parent's side of it."""

    def __init__(self, settings: Settings, database: Database, selection: Selection, control: Control) -> None:
        self._settings = settings
        self._database = database
        self._selection = selection
        self._control = control
        self._started = time.monotonic()
        self._started_at = database.now()
        self._run_id = 0
        self._planned = 0
        self._outcomes: Counter[str] = Counter()
        self._in_flight: dict[str, int] = {}
        self._beat_at = 0.0
        self._somebody_died = False

    def run(self) -> RunSummary:
        now = self._started_at
        self._database.run(lambda connection: runs.close_stale(connection, now))
        self._free_what_the_dead_held()
        us = process_identity() or node()
        by_hand = self._selection.names is not None
        self._run_id = self._database.run(lambda c: runs.start_run(c, now, host=us, by_hand=by_hand))
        status = RunStatus.FAILED
        try:
            self._planned = self._plan()
            log.info("run %d: %d domains", self._run_id, self._planned)
            self._explain_what_is_left_out()
            self._crawl()
            self._settle_suspects()
            status = self._look_back(self._status())
        finally:
            self._close(status)
        seconds = time.monotonic() - self._started
        outcomes = dict(self._outcomes)
        return RunSummary(self._run_id, status, self._planned, sum(outcomes.values()), outcomes, seconds)

    def _free_what_the_dead_held(self) -> None:
        """Take leases over from processes of this machine that are gone, instead of waiting for their end."""
        # Due when this run began: what falls due later is left to the next one.
        now = self._started_at
        for run_id, host in self._database.run(runs.running):
            if is_gone(host):
                counted = self._database.run(partial(runs.count_outcomes, run_id=run_id))
                failed = partial(runs.finish_run, run_id=run_id, now=now, status=RunStatus.FAILED, outcomes=counted)
                self._database.run(failed)
        for holder in self._database.run(lambda connection: claims.holders(connection, now)):
            if is_gone(holder.partition("#")[0]):
                number = self._database.run(partial(claims.release, holder=holder, due_at=now))
                log.warning("%d domains were left under lease by a process that is gone", number)

    def _plan(self) -> int:
        selection, run_id, now = self._selection, self._run_id, self._started_at
        if selection.names is not None:
            names = selection.names[: selection.limit]
            planned = self._database.run(lambda connection: wants.want(connection, run_id, names, now))
        elif selection.everything:
            planned = self._database.run(lambda connection: wants.want_all(connection, run_id, now, selection.limit))
        elif (limit := selection.limit) is not None:
            planned = self._database.run(lambda connection: wants.want_due(connection, run_id, now, limit))
        else:
            planned = self._database.run(lambda connection: claims.count_due(connection, now))
        self._database.run(lambda connection: runs.plan(connection, run_id, planned))
        return planned

    def _explain_what_is_left_out(self) -> None:
        names = self._selection.names
        left_out = 0 if names is None else len(names[: self._selection.limit]) - self._planned
        if left_out > 0:
            log.warning(
                "%d named domains are left out: they are being crawled by another run, or have asked to be left alone"
                " until later (see vmcrawl show)",
                left_out,
            )

    def _crawl(self) -> None:
        if not self._planned:
            return
        size, threads = self._pool_size(self._planned)
        watch = Watch(self._note, self._suspect, self._should_stop, self._tick)
        orders = partial(self._orders, threads=threads, suspects=False)
        Pool(size, orders, watch).run(self._grace)

    def _settle_suspects(self) -> None:
        """Crawl alone, one per process, what was in flight when a process died: whoever kills again is found out."""
        if self._should_stop():
            return
        run_id, now = self._run_id, self._database.now()
        named = self._named
        suspects = self._database.run(
            lambda connection: claims.count_due(connection, now, run_id=run_id, named=named, suspects=True)
        )
        if not suspects:
            return
        log.warning("%d domains were in flight when a crawler process died: crawled alone now", suspects)
        size = min(suspects, self._pool_size(1_000_000)[0])
        watch = Watch(self._note, self._convict, self._should_stop, self._tick)
        Pool(size, partial(self._orders, threads=1, suspects=True), watch).run(self._grace)

    def _pool_size(self, domains: int) -> tuple[int, int]:
        crawl = self._settings.crawl
        wanted = {"processes": crawl.processes, "threads": crawl.threads}
        return pool_size(domains, usable_cores(), usable_memory(), **wanted)

    @property
    def _named(self) -> bool:
        return self._selection != Selection()

    @property
    def _grace(self) -> float:
        return self._settings.crawl.grace.total_seconds()

    def _orders(self, *, threads: int, suspects: bool) -> Orders:
        due_before = self._database.now() if suspects else self._started_at
        return Orders(self._settings, threads, self._run_id, self._named, suspects, due_before)

    def _note(self, progress: Progress) -> None:
        self._outcomes.update(progress.outcomes)
        self._in_flight[progress.holder] = progress.in_flight

    def _suspect(self, death: Death) -> bool:
        self._somebody_died = True
        if (holder := death.holder) is None:
            return False
        self._in_flight.pop(holder, None)
        if death.exit_code == os.EX_TEMPFAIL:
            # It lost the database, for longer than it may: no domain is to blame.
            self._database.run(lambda connection: claims.release(connection, holder))
            return False
        number = self._database.run(lambda connection: claims.release_dead(connection, holder))
        log.warning("%d domains were in flight in the process that died", number)
        return number > 0

    def _convict(self, death: Death) -> bool:
        """A process that crawled one domain alone has died: that domain gets its verdict from us."""
        if (holder := death.holder) is None:
            return False
        self._in_flight.pop(holder, None)
        held = self._database.run(lambda connection: claims.held_by(connection, holder))
        batch = [self._verdict_of_death(claim, death) for claim in held]
        recorded = self._database.run(lambda connection: results.record(connection, batch, holder))
        self._outcomes.update(recorded.outcomes)
        return bool(recorded.outcomes)

    def _verdict_of_death(self, claim: Claim, death: Death) -> Result:
        now = self._database.now()
        detail = f"its crawl, alone in a process, ended that process with exit code {death.exit_code}"
        log.error("%s: %s", claim.domain, detail)
        outcome = Outcome.INTERNAL_ERROR
        appointment = next_appointment(outcome, claim.failures, now, None, self._settings.schedule, random.random())
        return Result(Observation(claim.domain, now, outcome, detail), appointment)

    def _tick(self) -> None:
        standing = Standing(self._planned, sum(self._in_flight.values()), dict(self._outcomes))
        self._control.show(standing)
        moment = time.monotonic()
        if moment - self._beat_at >= _HEARTBEAT_SECONDS:
            self._beat_at = moment
            now, outcomes = self._database.now(), standing.outcomes
            self._database.run(lambda connection: runs.heartbeat(connection, self._run_id, now, outcomes))

    def _should_stop(self) -> bool:
        return self._control.interrupted() or self._out_of_time

    @property
    def _out_of_time(self) -> bool:
        limit = self._settings.crawl.max_duration.total_seconds()
        return 0 < limit < time.monotonic() - self._started

    def _status(self) -> RunStatus:
        if self._control.interrupted():
            return RunStatus.INTERRUPTED
        return RunStatus.PARTIAL if self._out_of_time else RunStatus.SUCCESS

    def _look_back(self, status: RunStatus) -> RunStatus:
        """Bring what versions mean up to date and leave a page of history; ``partial`` if too much is missing for it.

        A run that was cut off by ``crawl.max_duration`` leaves one, too: what is published is not what it crawled.
        """
        if status is RunStatus.INTERRUPTED:
            return status
        now = self._database.now()
        if changed := read_anew(self._database, now.date()):
            log.info("%d distinct versions mean something else than before", changed)
        publish = self._settings.publish
        if gap := leave_history(self._database, self._run_id, now, publish):
            log.error(
                "%s: so many do not go at once, so this run is partial and adds no history. vmcrawl status shows the"
                " verdicts. If they are gone for good, history goes on by itself within %s; a larger"
                " publish.history_drop lets it go on until then",
                gap,
                format_duration(memory_of(publish)),
            )
            return RunStatus.PARTIAL
        note_uptakes(self._database, now)
        return status

    def _close(self, status: RunStatus) -> None:
        now = self._database.now()
        if self._somebody_died:
            # What a process wrote just before it died was never reported; the ledger knows.
            self._outcomes = Counter(self._database.run(lambda c: runs.count_outcomes(c, self._run_id)))
        outcomes = dict(self._outcomes)
        self._database.run(lambda connection: runs.finish_run(connection, self._run_id, now, status, outcomes))
        self._database.run(lambda connection: upkeep.sweep(connection, now))
