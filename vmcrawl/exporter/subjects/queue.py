"""The ledger: how domains ended, what waits, what is under lease, and what is published but failing or old."""

from collections.abc import Sequence

import psycopg
from prometheus_client.metrics_core import Metric

from vmcrawl.exporter.family import Gauge, Limits, Numbers, Subject
from vmcrawl.labels import outcome_label
from vmcrawl.outcome import REMOVES_PUBLISHED, Outcome

DOMAINS = Gauge(
    "vmcrawl_domains",
    "Known domains by how their last crawl ended; never_crawled: they were not crawled yet.",
    ("outcome",),
)
FAILING = Gauge(
    "vmcrawl_failing_instances",
    "Published instances whose last crawl failed, by how: they stay published until the retention is over.",
    ("outcome",),
)
DUE = Gauge(
    "vmcrawl_due_domains",
    "Domains that wait for a crawl; overdue: they have waited for more than six hours.",
    ("overdue",),
)
OLDEST_DUE = Gauge(
    "vmcrawl_oldest_due_timestamp_seconds", "Since when the domain that has waited longest is due; absent if none is."
)
STALE = Gauge(
    "vmcrawl_stale_domains",
    "Published instances that were last seen in good health more than a third of the retention ago (a day).",
)
OLDEST_CHECK = Gauge(
    "vmcrawl_oldest_check_timestamp_seconds",
    "When the published instance that was not seen for longest was last seen in good health; absent if there is none.",
)
LEASES = Gauge(
    "vmcrawl_leases",
    "Domains under lease; expired: whoever held them has died, and they are free for others.",
    ("state",),
)
SHARDS = Gauge(
    "vmcrawl_run_shards",
    "Crawler processes, of all machines, that hold leases; lost: all of its leases have run out.",
    ("state",),
)

_LEDGER = "SELECT outcome, domains, due, overdue, oldest_due_at FROM ledger_states"
_FAILING = "SELECT outcome, instances FROM failing_states"
_FRESHNESS = "SELECT stale, oldest_seen_at FROM freshness"
_LEASES = "SELECT held, expired, running, lost FROM lease_states"

_NEVER = "never_crawled"
_KEEPS_PUBLISHED = {str(outcome) for outcome in Outcome if outcome not in REMOVES_PUBLISHED} - {str(Outcome.OK)}


def _read(connection: psycopg.Connection, limits: Limits) -> Sequence[Metric]:
    domains: Numbers = {(outcome,): 0 for outcome in (*sorted(map(str, Outcome)), _NEVER)}
    due = overdue = 0
    oldest_due = None
    for outcome, number, of_due, of_overdue, since in connection.execute(_LEDGER):
        key = (_NEVER,) if outcome is None else (outcome_label(outcome),)
        domains[key] = domains.get(key, 0) + number
        due += of_due
        overdue += of_overdue
        oldest_due = min((moment for moment in (oldest_due, since) if moment is not None), default=None)
    failing: Numbers = {(outcome,): 0 for outcome in sorted(_KEEPS_PUBLISHED)}
    for outcome, number in connection.execute(_FAILING):
        key = (outcome_label(outcome),)
        failing[key] = failing.get(key, 0) + number
    stale, oldest_seen = connection.execute(_FRESHNESS).fetchone() or (0, None)
    held, expired, running, lost = connection.execute(_LEASES).fetchone() or (0, 0, 0, 0)
    return [
        DOMAINS.of(domains),
        FAILING.of(failing),
        DUE.of({("true",): overdue, ("false",): due - overdue}),
        OLDEST_DUE.of(None if oldest_due is None else oldest_due.timestamp()),
        STALE.of(stale),
        OLDEST_CHECK.of(None if oldest_seen is None else oldest_seen.timestamp()),
        LEASES.of({("held",): held, ("expired",): expired}),
        SHARDS.of({("running",): running, ("lost",): lost}),
    ]


QUEUE = Subject("queue", (DOMAINS, FAILING, DUE, OLDEST_DUE, STALE, OLDEST_CHECK, LEASES, SHARDS), _read)
