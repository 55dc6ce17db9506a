"""Batch runs: how the last one went, what is going on, and how many have ended how.

The last one is the last that crawled what was due: what somebody crawls by name in between says nothing of the whole.
Where nothing was ever crawled otherwise, those runs are all there is.
"""

from collections.abc import Sequence

import psycopg
from prometheus_client.metrics_core import Metric

from vmcrawl.exporter.family import Counter, Gauge, Limits, Numbers, Subject
from vmcrawl.exporter.subjects.steering import BAD_DAY, PAUSED, read_steering
from vmcrawl.labels import outcome_label
from vmcrawl.outcome import Outcome

LAST_START = Gauge("vmcrawl_run_last_start_timestamp_seconds", "When the run that ended last began; 0: none has ended.")
LAST_COMPLETION = Gauge(
    "vmcrawl_run_last_completion_timestamp_seconds", "When the last run ended, however; 0: none has ended."
)
LAST_SUCCESS = Gauge(
    "vmcrawl_run_last_success_timestamp_seconds", "When a run last ended with status success; 0: none has."
)
LAST_DURATION = Gauge("vmcrawl_run_last_duration_seconds", "How long the run that ended last took.")
LAST_STATUS = Gauge(
    "vmcrawl_run_last_status", "1 for the status of the run that ended last, 0 for the others.", ("status",)
)
LAST_PLANNED = Gauge("vmcrawl_run_last_planned_domains", "Domains that the run that ended last had planned to crawl.")
LAST_DOMAINS = Gauge(
    "vmcrawl_run_last_domains", "Domains that the run that ended last crawled, by how that ended.", ("outcome",)
)
LAST_REQUESTS = Gauge("vmcrawl_run_last_requests", "HTTP requests that the run that ended last made.")
LAST_RECEIVED = Gauge(
    "vmcrawl_run_last_received_bytes", "What servers sent to the run that ended last, as it came: TLS, heads, bodies."
)
IN_PROGRESS = Gauge(
    "vmcrawl_run_in_progress", "Runs that are going on; one that was killed counts until the next run begins."
)
CURRENT_START = Gauge(
    "vmcrawl_run_current_start_timestamp_seconds",
    "When the run that has been going on for longest began; absent if none is.",
)
CURRENT_PLANNED = Gauge(
    "vmcrawl_run_current_planned_domains", "Domains that the runs that are going on have planned to crawl."
)
CURRENT_PROCESSED = Gauge(
    "vmcrawl_run_current_processed_domains", "Domains that the runs that are going on have crawled so far."
)
RUNS = Counter("vmcrawl_runs_total", "Runs that have ended, by status.", ("status",))

_STATUSES = ("success", "partial", "failed", "interrupted")
_COUNTS = "by_hand = (SELECT bool_and(by_hand) FROM run_states WHERE finished_at IS NOT NULL)"
_LAST = f"""
SELECT started_at, finished_at, status, planned, outcomes, requests, received_bytes
FROM run_states WHERE finished_at IS NOT NULL AND {_COUNTS} ORDER BY finished_at DESC, id DESC LIMIT 1
"""
_SUCCESS = f"SELECT max(finished_at) FROM run_states WHERE status = 'success' AND {_COUNTS}"
_CURRENT = """
SELECT count(*), min(started_at), coalesce(sum(planned), 0), coalesce(sum(crawled), 0)
FROM run_states WHERE status = 'running'
"""
_ENDED = "SELECT status, runs FROM run_totals"


def _read(connection: psycopg.Connection, limits: Limits) -> Sequence[Metric]:
    return [*_last(connection), *_current(connection), *read_steering(connection), RUNS.of(_ended(connection))]


def _last(connection: psycopg.Connection) -> Sequence[Metric]:
    (success,) = connection.execute(_SUCCESS.encode()).fetchone() or (None,)
    metrics = [LAST_SUCCESS.of(0 if success is None else success.timestamp())]
    last = connection.execute(_LAST.encode()).fetchone()
    if last is None:
        return [*metrics, LAST_START.of(0), LAST_COMPLETION.of(0), LAST_STATUS.of(_statuses())]
    started_at, finished_at, status, planned, outcomes, requests, received = last
    domains: Numbers = {(str(outcome),): 0 for outcome in Outcome}
    for outcome, number in (outcomes or {}).items():
        key = (outcome_label(outcome),)
        domains[key] = domains.get(key, 0) + number
    return [
        *metrics,
        LAST_START.of(started_at.timestamp()),
        LAST_COMPLETION.of(finished_at.timestamp()),
        LAST_DURATION.of((finished_at - started_at).total_seconds()),
        LAST_STATUS.of(_statuses() | {(status,): 1.0}),
        LAST_PLANNED.of(planned),
        LAST_DOMAINS.of(domains),
        LAST_REQUESTS.of(requests),
        LAST_RECEIVED.of(received),
    ]


def _current(connection: psycopg.Connection) -> Sequence[Metric]:
    number, since, planned, crawled = connection.execute(_CURRENT).fetchone() or (0, None, 0, 0)
    return [
        IN_PROGRESS.of(number),
        CURRENT_START.of(None if since is None else since.timestamp()),
        CURRENT_PLANNED.of(planned),
        CURRENT_PROCESSED.of(crawled),
    ]


def _ended(connection: psycopg.Connection) -> Numbers:
    return _statuses() | {(status,): number for status, number in connection.execute(_ENDED) if status in _STATUSES}


def _statuses() -> Numbers:
    return {(status,): 0.0 for status in _STATUSES}


RUN_HISTORY = Subject(
    "runs",
    (
        *(LAST_START, LAST_COMPLETION, LAST_SUCCESS, LAST_DURATION, LAST_STATUS, LAST_PLANNED, LAST_DOMAINS),
        *(LAST_REQUESTS, LAST_RECEIVED, IN_PROGRESS, CURRENT_START, CURRENT_PLANNED, CURRENT_PROCESSED),
        *(PAUSED, BAD_DAY, RUNS),
    ),
    _read,
)
