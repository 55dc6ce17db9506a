"""One batch run: decide what it covers, keep the pool at work on it, settle the suspects, close the books."""

import logging
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from functools import partial
from platform import node

from vmcrawl.assignment import Control, RunSummary, Selection, Sharing, Standing
from vmcrawl.chronicle import leave_history, memory_of, note_uptakes
from vmcrawl.duration import format_duration
from vmcrawl.finder import discover_some
from vmcrawl.knowledge import read_anew
from vmcrawl.machine import process_identity, usable_cores, usable_memory
from vmcrawl.orders import Orders, Progress
from vmcrawl.pace import pool_size
from vmcrawl.pool import Death, Pool, Watch
from vmcrawl.settings import Settings
from vmcrawl.store import claims, parts, runs, upkeep, wants
from vmcrawl.store.database import Database
from vmcrawl.store.migrations import prepare
from vmcrawl.store.parts import Part
from vmcrawl.store.pause import Pause, current_pause, in_words
from vmcrawl.store.runs import OVER, RunStatus
from vmcrawl.takeover import bury_the_dead, judge, suspect, take_over

log = logging.getLogger(__name__)

_HEARTBEAT_SECONDS = 5.0
#: How often a part that has nothing to do looks how far the others are.
_GLANCE_SECONDS = 0.25


class CrawlsPaused(Exception):
    """Somebody has told all crawlers on this database to pause; ``pause`` is who, since when, and why."""

    def __init__(self, pause: Pause) -> None:
        super().__init__(in_words(pause))
        self.pause = pause


def run_batch(settings: Settings, selection: Selection, control: Control, sharing: Sharing | None = None) -> RunSummary:
    """Crawl what ``selection`` covers and write every verdict to the database; returns how it ended.

    With ``sharing`` the run is that of all who give the same name, and it is over for all of them at the same time:
    when nothing is left to claim and nothing in flight anywhere. Whatever one of them leaves behind, others crawl.

    Raises :class:`CrawlsPaused`, with nothing done, while all crawlers are to pause. A pause that comes later lets the
    run wait, for ``crawl.max_duration`` at most, which ends it as ``partial``.

    Raises :class:`vmcrawl.store.connection.DatabaseUnavailable` when the database cannot be reached, and
    :class:`vmcrawl.pool.PoolBroken` when crawler processes only die; the run is then closed as ``failed``, if it can
    and nobody else works on it.
    """
    database = Database(settings.database)
    try:
        database.run(partial(prepare, retention=settings.publish.retention))
        if pause := database.run(partial(current_pause, now=database.now())):
            raise CrawlsPaused(pause)
        return _Run(settings, database, selection, control, sharing).run()
    finally:
        database.close()


class _Run:
    """One run in progress: the parent's side of it."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        selection: Selection,
        control: Control,
        sharing: Sharing | None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._selection = selection
        self._control = control
        self._name = sharing.name if sharing else None
        number = sharing.number if sharing else None
        self._part = Part(process_identity() or f"{node()[:100]}#{uuid.uuid4()}", node()[:100], number)
        self._run_id = 0
        self._started_at = database.now()
        self._ends: float | None = None
        self._planned = 0
        #: What our own crawlers have reported.
        self._outcomes: Counter[str] = Counter()
        #: What all have recorded, at the last heartbeat.
        self._counted: Mapping[str, int] = {}
        self._in_flight: dict[str, int] = {}
        self._beat_at = 0.0
        self._pause: Pause | None = None

    def run(self) -> RunSummary:
        bury_the_dead(self._database, self._name, self._started_at)
        if self._open():
            status = RunStatus.FAILED
            try:
                status = self._work_off()
                if status in OVER:
                    status = self._look_back(status)
                    self._discover()
            finally:
                self._leave(status)
        return self._summary()

    def _open(self) -> bool:
        """Open the run, or join it; False if it is over."""
        now = self._started_at
        if name := self._name:
            joined = self._database.run(partial(parts.join, name=name, part=self._part, now=now))
            self._run_id, self._started_at, self._planned = joined.run_id, joined.started_at, joined.planned
            log.info("run %d (%s): %d domains%s", joined.run_id, name, joined.planned, ", over" if joined.over else "")
            if joined.over:
                return False
        else:
            by_hand = self._selection.names is not None
            self._run_id = self._database.run(partial(parts.open_run, part=self._part, now=now, by_hand=by_hand))
            self._planned = self._plan()
            log.info("run %d: %d domains", self._run_id, self._planned)
            self._explain_what_is_left_out()
        if limit := self._settings.crawl.max_duration:
            self._ends = time.monotonic() + (limit - (now - self._started_at)).total_seconds()
        return True

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
            planned = self._database.run(lambda connection: claims.count_all_due(connection, now))
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

    def _work_off(self) -> RunStatus:
        """Crawl until nothing is left; returns as what to close the run, or ``running`` if others have closed it."""
        if self._planned:
            self._crawl()
        self._settle_suspects()
        if self._name is None:
            return self._status()
        while (status := self._wait_for_others()) is None:
            self._crawl()
            self._settle_suspects()
        return status

    def _crawl(self) -> None:
        if self._should_stop():
            return
        size, threads = self._pool_size(max(1, self._planned))
        watch = Watch(self._note, self._suspect, self._should_stop, self._tick)
        orders = partial(self._orders, threads=threads, suspects=False)
        Pool(size, orders, watch).run(self._grace)

    def _settle_suspects(self) -> None:
        """Crawl alone what was in flight when a process died: whoever kills again is found out.

        One per process; but what was in flight when a machine died for the second time, one at a time.
        """
        for isolated in (False, True):
            if self._should_stop():
                return
            count = partial(
                claims.count_due,
                now=self._database.now(),
                run_id=self._run_id,
                named=self._named,
                suspects=True,
                isolated=isolated,
                due_before=self._started_at,
            )
            if suspects := self._database.run(count):
                log.warning("%d domains were in flight when a crawler died: crawled alone now", suspects)
                size = 1 if isolated else min(suspects, self._pool_size(1_000_000)[0])
                watch = Watch(self._note, self._convict, self._should_stop, self._tick)
                orders = partial(self._orders, threads=1, suspects=True, isolated=isolated)
                Pool(size, orders, watch).run(self._grace)

    def _wait_for_others(self) -> RunStatus | None:
        """Wait until nothing is left of the run, or somebody has closed it; None as soon as there is more to crawl.

        Returns as what it ends, if it is us who close it; otherwise ``interrupted`` or ``running``.
        """
        run_id = self._run_id
        while not self._control.interrupted():
            now = self._database.now()
            take_over(self._database, run_id, self._settings.schedule, now)
            left = self._database.run(partial(claims.what_is_left, run_id=run_id, now=now, due_before=self._started_at))
            if left.due and not self._out_of_time:
                return None
            if not left.in_flight and self._database.run(
                partial(parts.may_close, run_id=run_id, part=self._part.name, now=now)
            ):
                # Whose time was up over waiting, and nothing else, has done it all.
                return RunStatus.PARTIAL if left.due else RunStatus.SUCCESS
            if self._database.run(partial(runs.find_run, run_id=run_id)).status in OVER:
                return RunStatus.RUNNING
            self._tick()
            time.sleep(_GLANCE_SECONDS)
        return RunStatus.INTERRUPTED

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

    def _orders(self, *, threads: int, suspects: bool, isolated: bool = False) -> Orders:
        # What falls due after the run has begun is left to the next one.
        return Orders(self._settings, threads, self._run_id, self._named, suspects, self._started_at, isolated)

    def _note(self, progress: Progress) -> None:
        self._outcomes.update(progress.outcomes)
        self._in_flight[progress.holder] = progress.in_flight

    def _suspect(self, death: Death) -> bool:
        if (holder := death.holder) is None:
            return False
        self._in_flight.pop(holder, None)
        return suspect(self._database, holder, death.exit_code) > 0

    def _convict(self, death: Death) -> bool:
        """A process that crawled one domain alone has died: that domain gets its verdict from us."""
        if (holder := death.holder) is None:
            return False
        self._in_flight.pop(holder, None)
        recorded = judge(self._database, holder, death.exit_code, self._settings.schedule)
        self._outcomes.update(recorded.outcomes)
        return bool(recorded.outcomes)

    def _tick(self) -> None:
        moment = time.monotonic()
        if moment - self._beat_at >= _HEARTBEAT_SECONDS:
            self._beat_at = moment
            self._beat()
        outcomes = self._counted if self._name else dict(self._outcomes)
        self._control.show(Standing(self._planned, sum(self._in_flight.values()), outcomes))

    def _beat(self) -> None:
        """Say that we are alive, and how far all have come."""
        self._database.synchronize()
        now, run_id = self._database.now(), self._run_id
        self._counted = counted = self._database.run(partial(runs.count_so_far, run_id=run_id))
        self._database.run(lambda connection: runs.heartbeat(connection, run_id, now, counted))
        self._database.run(partial(parts.beat, run_id=run_id, part=self._part.name, now=now))
        before, self._pause = self._pause, self._database.run(partial(current_pause, now=now))
        if self._pause and self._pause != before:
            log.warning("%s: nothing new is crawled until then", in_words(self._pause))
        elif before and not self._pause:
            log.info("crawls go on")

    def _should_stop(self) -> bool:
        return self._control.interrupted() or self._out_of_time

    @property
    def _out_of_time(self) -> bool:
        return self._ends is not None and time.monotonic() > self._ends

    def _status(self) -> RunStatus:
        if self._control.interrupted():
            return RunStatus.INTERRUPTED
        return RunStatus.PARTIAL if self._out_of_time else RunStatus.SUCCESS

    def _look_back(self, status: RunStatus) -> RunStatus:
        """Bring what versions mean up to date and leave a page of history; ``partial`` if too much is missing for it.

        A run that was cut off by ``crawl.max_duration`` leaves one, too: what is published is not what it crawled.
        """
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

    def _discover(self) -> None:
        """Look for new domains, a little, if settings want it; the next run crawls them."""
        if not self._named:
            number = self._settings.discovery.per_run
            discover_some(self._settings, self._database, number, self._should_stop, self._tick)

    def _leave(self, status: RunStatus) -> None:
        """Close the run, unless somebody has closed it, or others go on with what we could not do."""
        now, run_id = self._database.now(), self._run_id
        if self._database.run(partial(parts.end, run_id=run_id, part=self._part.name, now=now, status=status)):
            log.warning("run %d goes on without us", run_id)
        elif status not in (RunStatus.RUNNING, RunStatus.INTERRUPTED):
            # Whoever tells us to end does not wait for long; the next run does it.
            self._database.run(partial(upkeep.sweep, now=now, retention=self._settings.retention))

    def _summary(self) -> RunSummary:
        run = self._database.run(partial(runs.find_run, run_id=self._run_id))
        seconds = ((run.finished_at or self._database.now()) - run.started_at).total_seconds()
        return RunSummary(run.id, run.status, run.planned, run.crawled, run.outcomes, seconds)
