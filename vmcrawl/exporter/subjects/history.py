"""The past: days that an operator does not believe, so that curves can leave them out."""

from collections.abc import Sequence
from datetime import UTC, datetime, time

import psycopg
from prometheus_client.metrics_core import Metric

from vmcrawl.exporter.family import Gauge, Limits, Numbers, Subject

BAD_DAY = Gauge(
    "vmcrawl_history_bad_day_timestamp_seconds",
    "When a day (UTC) began whose figures an operator does not believe; 0: they are believed again. The newest thirty.",
    ("day",),
)

#: Curves go back some hundred days; more bad ones than these among them would be no curves.
_DAYS = 30
_BAD_DAYS = "SELECT day, bad FROM bad_day_states ORDER BY day DESC LIMIT %s"


def _read(connection: psycopg.Connection, limits: Limits) -> Sequence[Metric]:
    days: Numbers = {}
    for day, bad in connection.execute(_BAD_DAYS, [_DAYS]):
        days[(day.isoformat(),)] = datetime.combine(day, time(), UTC).timestamp() if bad else 0
    return [BAD_DAY.of(days)]


HISTORY = Subject("history", (BAD_DAY,), _read)
