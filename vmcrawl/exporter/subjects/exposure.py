"""Exposure: how many published instances, and users, each advisory touches."""

import re
from collections.abc import Sequence

import psycopg
from prometheus_client.metrics_core import Metric

from vmcrawl.exporter.family import Gauge, Limits, Numbers, Subject

INSTANCES = Gauge(
    "vmcrawl_exposed_instances",
    "Published instances that run a version which an advisory touches; only the newest advisories are shown. One"
    " instance counts with each advisory that touches it, so a sum over advisories counts no instances.",
    ("advisory", "severity"),
)
ACTIVE_USERS = Gauge(
    "vmcrawl_exposed_monthly_active_users",
    "Monthly active users, as servers report them, of instances that run a version which an advisory touches.",
    ("advisory", "severity"),
)

_QUERY = """
SELECT ghsa_id, severity, instances, active_users
FROM exposure ORDER BY published DESC NULLS LAST, ghsa_id LIMIT %s
"""
#: GHSA-xxxx-xxxx-xxxx, or a CVE where GitHub has no id of its own; whatever else a source may say is no label value.
_ID = re.compile(r"(?:GHSA|CVE)-[0-9A-Za-z-]{1,30}")
_SEVERITIES = ("critical", "high", "medium", "low")
#: GitHub's older word.
_SYNONYMS = {"moderate": "medium"}


def _read(connection: psycopg.Connection, limits: Limits) -> Sequence[Metric]:
    instances: Numbers = {}
    users: Numbers = {}
    for advisory, severity, number, active in connection.execute(_QUERY, [limits.advisories]):
        if not _ID.fullmatch(advisory):
            continue
        key = (advisory, _severity(severity))
        instances[key] = number
        users[key] = active
    return [INSTANCES.of(instances), ACTIVE_USERS.of(users)]


def _severity(text: str | None) -> str:
    word = (text or "").lower()
    word = _SYNONYMS.get(word, word)
    return word if word in _SEVERITIES else "unknown"


EXPOSURE = Subject("exposure", (INSTANCES, ACTIVE_USERS), _read)
