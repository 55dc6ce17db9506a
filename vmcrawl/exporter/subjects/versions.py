"""Exact releases: those that most published instances run, by name; all others together."""

from collections import Counter
from collections.abc import Sequence

import psycopg
from prometheus_client.metrics_core import Metric

from vmcrawl.exporter.family import Gauge, Limits, Subject
from vmcrawl.labels import OTHER

INSTANCES = Gauge(
    "vmcrawl_version_instances",
    "Published instances by the release of Mastodon they run or build upon: those of upstream that most instances run;"
    " all others are version other.",
    ("version", "branch"),
)
ACTIVE_USERS = Gauge(
    "vmcrawl_version_monthly_active_users",
    "Monthly active users, as servers report them, of published instances, by the same releases.",
    ("version", "branch"),
)

# What upstream has never released or had on main gets no name: anybody can make a version up.
_QUERY = """
SELECT CASE WHEN known_release AND known_branch THEN release END AS version,
       CASE WHEN known_release AND known_branch THEN branch END AS branch,
       sum(instances)::bigint, sum(active_users)::bigint
FROM adoption GROUP BY 1, 2 ORDER BY 3 DESC, 1
"""
_FAMILIES = (INSTANCES, ACTIVE_USERS)


def _read(connection: psycopg.Connection, limits: Limits) -> Sequence[Metric]:
    # One series of each family is for the others.
    named = max(0, min(limits.versions, limits.room // len(_FAMILIES) - 1))
    instances: Counter[tuple[str, ...]] = Counter({(OTHER, OTHER): 0})
    users = instances.copy()
    for version, branch, number, active in connection.execute(_QUERY):
        key = (version, branch)
        if version is None or (key not in instances and len(instances) > named):
            key = (OTHER, OTHER)
        instances[key] += number
        users[key] += active
    return [INSTANCES.of(instances), ACTIVE_USERS.of(users)]


VERSIONS = Subject("versions", _FAMILIES, _read)
