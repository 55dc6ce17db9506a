"""One scrape: every subject read from one snapshot, what failed said as a metric, and never later than promised."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from vmcrawl.exporter.family import Gauge, Limits, Numbers, Subject
from vmcrawl.exporter.snapshot import DatabaseDown, OutOfTime, QueryFailed, Snapshot, take_snapshot
from vmcrawl.exporter.subjects.adoption import ADOPTION
from vmcrawl.exporter.subjects.catalogue import CATALOGUE
from vmcrawl.exporter.subjects.delays import DELAYS
from vmcrawl.exporter.subjects.exposure import EXPOSURE
from vmcrawl.exporter.subjects.queue import QUEUE
from vmcrawl.exporter.subjects.runs import RUN_HISTORY
from vmcrawl.exporter.subjects.versions import VERSIONS
from vmcrawl.exporter.subjects.work import WORK
from vmcrawl.settings import ExporterSettings

log = logging.getLogger(__name__)

#: In the order they are read: what takes the series that are left comes last.
SUBJECTS = (ADOPTION, CATALOGUE, EXPOSURE, DELAYS, RUN_HISTORY, WORK, QUEUE, VERSIONS)

BUILD_INFO = Gauge(
    "vmcrawl_build_info", "Which vmcrawl serves these metrics; 1.", ("version", "revision", "pythonversion")
)
DATABASE_UP = Gauge("vmcrawl_database_up", "1 if this scrape could read the database, else 0.")
SUCCESS = Gauge("vmcrawl_scrape_collector_success", "1 if this scrape could read the subject, else 0.", ("collector",))
DURATION = Gauge(
    "vmcrawl_scrape_collector_duration_seconds", "How long this scrape took to read the subject.", ("collector",)
)

#: What it says of itself.
OWN = (BUILD_INFO, DATABASE_UP, SUCCESS, DURATION)

#: process_* and python_info of prometheus_client, at most.
_OF_THE_PROCESS = 12


@dataclass(frozen=True, slots=True)
class Build:
    """What serves."""

    version: str
    revision: str
    pythonversion: str


@dataclass(slots=True)
class _Found:
    """What a scrape has found."""

    up: bool
    metrics: list[Metric]
    success: Numbers
    seconds: Numbers


class Exporter:
    """What all scrapes share. Safe to use from any thread: one scrape at a time reads the database.

    ``url`` is as in ``database.url``. Nothing is connected to before the first scrape.
    """

    def __init__(
        self, settings: ExporterSettings, url: str, build: Build, subjects: Sequence[Subject] = SUBJECTS
    ) -> None:
        self._settings = settings
        self._url = url
        self._build = build
        self._subjects = subjects
        self._process = (ProcessCollector(registry=None), PlatformCollector(registry=None))
        self._turn = threading.Lock()
        self._complaints = _Complaints()

    def registry(self, time_allowed: timedelta) -> CollectorRegistry:
        """What one scrape collects; it is over within ``time_allowed``, whatever the database does."""
        registry = CollectorRegistry()
        registry.register(_Scrape(self, time_allowed))
        for collector in self._process:
            registry.register(collector)
        return registry

    def describe(self) -> Iterator[Metric]:
        """All families but those of the process, without samples."""
        for own in OWN:
            yield own.of(None)
        for subject in self._subjects:
            for family in subject.families:
                yield family.of(None)

    def collect(self, time_allowed: timedelta) -> Iterator[Metric]:
        """Read everything; a subject that fails, or a database that is down, is a sample and a line in the log."""
        found = self._read_within(time_allowed.total_seconds())
        build = self._build
        yield BUILD_INFO.of({(build.version, build.revision, build.pythonversion): 1})
        yield DATABASE_UP.of(int(found.up))
        yield SUCCESS.of(found.success)
        yield DURATION.of(found.seconds)
        yield from found.metrics

    def _read_within(self, seconds: float) -> _Found:
        """Read in a thread of its own, so that a database that says nothing at all keeps nobody waiting."""
        deadline = time.monotonic() + seconds
        if not self._turn.acquire(timeout=seconds):
            self._complaints.note("database", "another scrape has been waiting for the database all the time")
            return self._nothing()
        answer: queue.SimpleQueue[_Found] = queue.SimpleQueue()
        try:
            threading.Thread(target=self._read_in_turn, args=(deadline, answer.put), daemon=True).start()
        except RuntimeError:
            self._turn.release()
            raise
        try:
            return answer.get(timeout=max(0.001, deadline - time.monotonic()))
        except queue.Empty:
            self._complaints.note("database", "the database gave no answer in time")
            return self._nothing()

    def _read_in_turn(self, deadline: float, put: Callable[[_Found], None]) -> None:
        try:
            put(self._read(deadline))
        finally:
            self._turn.release()

    def _read(self, deadline: float) -> _Found:
        try:
            with take_snapshot(self._url, self._settings.role, deadline, self._note_role) as snapshot:
                found = self._read_subjects(snapshot)
            self._complaints.note("database", "")
            return found
        except DatabaseDown as error:
            self._complaints.note("database", f"the database cannot be read: {error}")
        except Exception:
            log.exception("the scrape ended in a bug")
        return self._nothing()

    def _read_subjects(self, snapshot: Snapshot) -> _Found:
        found = self._nothing()
        found.up = True
        settings = self._settings
        # Besides those of the subjects: database_up, build_info.
        used = 2 + len(found.success) + len(found.seconds) + _OF_THE_PROCESS
        for subject in self._subjects:
            limits = Limits(settings.versions, settings.advisories, settings.series - used)
            started = time.monotonic()
            metrics = self._read_subject(snapshot, subject, limits)
            found.seconds[(subject.name,)] = time.monotonic() - started
            if metrics is not None:
                found.success[(subject.name,)] = 1
                found.metrics += metrics
                used += sum(len(metric.samples) for metric in metrics)
        return found

    def _read_subject(self, snapshot: Snapshot, subject: Subject, limits: Limits) -> Sequence[Metric] | None:
        try:
            metrics = snapshot.read(lambda connection: subject.read(connection, limits))
        except DatabaseDown:
            raise
        except (OutOfTime, QueryFailed) as error:
            self._complaints.note(subject.name, f"the subject {subject.name} cannot be read: {error}", error)
        except Exception:
            log.exception("reading the subject %s ended in a bug", subject.name)
        else:
            self._complaints.note(subject.name, "")
            return metrics
        return None

    def _nothing(self) -> _Found:
        zeros: Numbers = {(subject.name,): 0.0 for subject in self._subjects}
        return _Found(up=False, metrics=[], success=zeros, seconds=zeros.copy())

    def _note_role(self, why: str) -> None:
        self._complaints.note("role", why)


class _Scrape(Collector):
    """One scrape as a collector of its own, so that scrapes at the same time have nothing in common."""

    def __init__(self, exporter: Exporter, time_allowed: timedelta) -> None:
        self._exporter = exporter
        self._time_allowed = time_allowed

    def describe(self) -> Iterator[Metric]:
        return self._exporter.describe()

    def collect(self) -> Iterator[Metric]:
        return self._exporter.collect(self._time_allowed)


class _Complaints:
    """What is wrong just now: said when it begins and when it is over, not with each scrape."""

    #: So many ways to fail are remembered of a thing, or those who always fail in a new one would fill the memory.
    _WAYS = 8

    def __init__(self) -> None:
        self._standing: dict[str, list[str]] = {}

    def note(self, about: str, complaint: str, error: Exception | None = None) -> None:
        """Say what is wrong with something, or (empty) that nothing is any more."""
        said = self._standing.get(about, [])
        if complaint and complaint not in said:
            self._standing[about] = [*said, complaint][-self._WAYS :]
            log.warning("%s", complaint)
            log.debug("where it came from", exc_info=error)
        elif said and not complaint:
            self._standing[about] = []
            log.info("no more: %s", said[-1])
