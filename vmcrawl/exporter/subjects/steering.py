"""What an operator has said: that crawls rest, and which days of the past are not to be believed. Part of ``runs``."""

from collections.abc import Sequence
from datetime import UTC, datetime, time

import psycopg
from prometheus_client.metrics_core import Metric

from vmcrawl.exporter.family import Gauge, Numbers

PAUSED = Gauge("vmcrawl_paused", "1 while an operator lets all crawlers rest (vmcrawl pause), else 0.")
BAD_DAY = Gauge(
    "vmcrawl_history_bad_day_timestamp_seconds",
    "When a day (UTC) began whose figures an operator does not believe; 0: they are believed again. Ten at most.",
    ("day",),
)

#: More than these within what anybody looks at would leave no curves.
_DAYS = 10
_PAUSED = "SELECT paused::int FROM pause_state"
_BAD_DAYS = "SELECT day, bad FROM bad_day_states ORDER BY bad DESC, day DESC LIMIT %s"


def read_steering(connection: psycopg.Connection) -> Sequence[Metric]:
    """Both families."""
    (paused,) = connection.execute(_PAUSED).fetchone() or (0,)
    days: Numbers = {}
    for day, bad in connection.execute(_BAD_DAYS, [_DAYS]):
        days[(day.isoformat(),)] = datetime.combine(day, time(), UTC).timestamp() if bad else 0
    return [PAUSED.of(paused), BAD_DAY.of(days)]
