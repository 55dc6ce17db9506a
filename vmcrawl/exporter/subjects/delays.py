"""Patch delay: how far the newest security release of each branch has spread, and how long that took."""

from collections.abc import Sequence

import psycopg
from prometheus_client.metrics_core import Metric

from vmcrawl.exporter.family import Gauge, Limits, Numbers, Subject

DELAY = Gauge(
    "vmcrawl_patch_delay_seconds",
    "How long after its day began the newest security release of a branch was on a share of the branch's instances, or"
    " on instances with that share of its users; as of the last run that left a page of history. Absent until the share"
    " is reached, and where too few instances were known on that day.",
    ("branch", "version", "share", "weight"),
)
INSTANCES = Gauge(
    "vmcrawl_patch_instances",
    "Published instances of a branch with and without its newest security release or a newer one; as of the last run"
    " that left a page of history.",
    ("branch", "version", "adopted"),
)
ACTIVE_USERS = Gauge(
    "vmcrawl_patch_monthly_active_users",
    "Monthly active users, as servers report them, of the same instances.",
    ("branch", "version", "adopted"),
)

_QUERY = """
SELECT branch, release, instances, active_users, adopted_instances, adopted_users,
       half_of_instances, half_of_users, nine_tenths_of_instances, nine_tenths_of_users
FROM patch_uptake WHERE support <> 'eol'
"""


def _read(connection: psycopg.Connection, limits: Limits) -> Sequence[Metric]:
    delays: Numbers = {}
    instances: Numbers = {}
    users: Numbers = {}
    for branch, release, number, active, adopted, adopted_users, *took in connection.execute(_QUERY):
        instances[branch, release, "true"] = adopted
        instances[branch, release, "false"] = number - adopted
        users[branch, release, "true"] = adopted_users
        users[branch, release, "false"] = active - adopted_users
        for (share, weight), delay in zip(_DELAYS, took, strict=True):
            if delay is not None:
                delays[branch, release, share, weight] = delay.total_seconds()
    return [DELAY.of(delays), INSTANCES.of(instances), ACTIVE_USERS.of(users)]


#: In the order of the query's last columns.
_DELAYS = (("0.5", "instances"), ("0.5", "users"), ("0.9", "instances"), ("0.9", "users"))

DELAYS = Subject("delays", (DELAY, INSTANCES, ACTIVE_USERS), _read)
