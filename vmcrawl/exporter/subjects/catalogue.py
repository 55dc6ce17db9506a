"""What upstream says: where branches stand, their newest releases, and when we last asked."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import psycopg
from prometheus_client.metrics_core import Metric

from vmcrawl.exporter.family import Gauge, Limits, Numbers, Subject
from vmcrawl.labels import OTHER

BRANCH_INFO = Gauge(
    "vmcrawl_branch_info",
    "Where a branch of Mastodon stands (main, latest, previous, deprecated, eol, unknown) and its newest release; 1.",
    ("branch", "support", "latest_version"),
)
SUPPORT_END = Gauge(
    "vmcrawl_branch_support_end_timestamp_seconds",
    "When the support of a branch ends, or has ended within the last year; as far as that is known.",
    ("branch",),
)
RELEASED = Gauge(
    "vmcrawl_release_published_timestamp_seconds",
    "Start (UTC) of the day on which a release came out: the newest of each branch that is not past its end, and those"
    " of the last half year; 16 at most.",
    ("version", "branch"),
)
UPDATED = Gauge(
    "vmcrawl_catalogue_last_update_timestamp_seconds",
    "When a source of releases, support or advisories, or of the DNI list (dni), last gave a good answer; 0: never.",
    ("source",),
)

_BRANCHES = """
SELECT branch, support, CASE WHEN supported_until > current_date - 366 THEN supported_until END,
       latest_release
FROM branch_states
"""
# The newest of a branch come first, and are as many as branches are alive.
_RELEASES = """
SELECT release, branch, released_on
FROM release_days LEFT JOIN branch_states USING (branch)
WHERE support <> 'eol' AND release = latest_release OR released_on > current_date - 183
ORDER BY release = latest_release DESC NULLS LAST, released_on DESC, release LIMIT 16
"""
_SOURCES = "SELECT name, fetched_at FROM source_states"
#: Where none of them was asked yet they are shown as never, so that this can be noticed.
_ALWAYS = ("releases", "advisories")


def _read(connection: psycopg.Connection, limits: Limits) -> Sequence[Metric]:
    info: Numbers = {(OTHER, "unknown", ""): 1.0}
    ends: Numbers = {}
    released: Numbers = {}
    for branch, support, until, latest in connection.execute(_BRANCHES):
        info[branch, support, latest or ""] = 1.0
        if until is not None:
            ends[(branch,)] = _start(until + timedelta(days=1))
    for release, branch, day in connection.execute(_RELEASES):
        released[release, branch] = _start(day)
    updated: Numbers = {(name,): 0.0 for name in _ALWAYS}
    for name, fetched_at in connection.execute(_SOURCES):
        updated[(name,)] = 0.0 if fetched_at is None else fetched_at.timestamp()
    return [BRANCH_INFO.of(info), SUPPORT_END.of(ends), RELEASED.of(released), UPDATED.of(updated)]


def _start(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()


CATALOGUE = Subject("catalogue", (BRANCH_INFO, SUPPORT_END, RELEASED, UPDATED), _read)
