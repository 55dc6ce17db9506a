"""Adoption: published instances and their users by branch, software and channel."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import psycopg
from prometheus_client.metrics_core import Metric

from vmcrawl.exporter.family import Gauge, Limits, Subject
from vmcrawl.fork import MARKS, MASTODON_NUMBERS, OWN_NUMBERS, UPSTREAM_ONLY
from vmcrawl.labels import OTHER, PATCHED

_USERS = "Monthly active users, as servers report them, of published instances"

INSTANCES = Gauge(
    "vmcrawl_instances",
    "Published instances (Mastodon and forks that answered within the retention), by branch and whether they run its"
    " newest release; for main: a build with its newest security fix.",
    ("branch", "patched"),
)
ACTIVE_USERS = Gauge(
    "vmcrawl_monthly_active_users",
    _USERS + ", by branch and whether that runs its newest release.",
    ("branch", "patched"),
)
SOFTWARE = Gauge(
    "vmcrawl_software_instances", "Published instances by NodeInfo software name and fork.", ("software", "fork")
)
SOFTWARE_USERS = Gauge(
    "vmcrawl_software_monthly_active_users", _USERS + ", by NodeInfo software name and fork.", ("software", "fork")
)
CHANNELS = Gauge(
    "vmcrawl_prerelease_instances",
    "Published instances by channel: stable, rc, beta, alpha (which is main between releases), nightly, other.",
    ("channel",),
)
CHANNEL_USERS = Gauge("vmcrawl_prerelease_monthly_active_users", _USERS + ", by channel.", ("channel",))

_CHANNELS = ("stable", "rc", "beta", "alpha", "nightly")
_SOFTWARE = {*MASTODON_NUMBERS, *OWN_NUMBERS, *UPSTREAM_ONLY}
_FORKS = {
    *(fork for names in (MASTODON_NUMBERS, OWN_NUMBERS, UPSTREAM_ONLY, MARKS) for fork in names.values() if fork),
    *("vanilla", "custom"),
}

_QUERY = """
SELECT CASE WHEN known_branch THEN branch END AS branch, patched, software, fork, release,
       sum(instances)::bigint, sum(active_users)::bigint
FROM adoption GROUP BY 1, 2, 3, 4, 5
"""
#: Branches that somebody is expected to run: they are shown also while nobody does. Of the others so many are shown
#: as most instances run; what is left is not much, and anybody can bring it up.
_OLD_BRANCHES = 12
_SUPPORTED = "SELECT branch FROM branch_states WHERE support NOT IN ('eol', 'unknown')"


def _read(connection: psycopg.Connection, limits: Limits) -> Sequence[Metric]:
    supported = {branch for (branch,) in connection.execute(_SUPPORTED)}
    rows = connection.execute(_QUERY).fetchall()
    shown = supported | _most_frequent({row[0] for row in rows} - supported - {None}, rows)
    instances: Counter[tuple[str, ...]] = Counter(
        {(name, state): 0 for name in supported for state in ("true", "false")}
    )
    users = instances.copy()
    software: Counter[tuple[str, ...]] = Counter()
    software_users: Counter[tuple[str, ...]] = Counter()
    channels: Counter[tuple[str, ...]] = Counter({(channel,): 0 for channel in _CHANNELS})
    channel_users = channels.copy()
    for branch, patched, name, fork, release, number, active in rows:
        by_branch = (branch if branch in shown else OTHER, PATCHED[patched])
        by_software = (software_label(name), fork if fork in _FORKS else OTHER)
        by_channel = (channel_of(release),)
        instances[by_branch] += number
        users[by_branch] += active
        software[by_software] += number
        software_users[by_software] += active
        channels[by_channel] += number
        channel_users[by_channel] += active
    return [
        INSTANCES.of(instances),
        ACTIVE_USERS.of(users),
        SOFTWARE.of(software),
        SOFTWARE_USERS.of(software_users),
        CHANNELS.of(channels),
        CHANNEL_USERS.of(channel_users),
    ]


def _most_frequent(branches: set[str], rows: Sequence[tuple[Any, ...]]) -> set[str]:
    instances = Counter(dict.fromkeys(sorted(branches), 0))
    for branch, *_, number, _users in rows:
        if branch in branches:
            instances[branch] += number
    return {branch for branch, _ in instances.most_common(_OLD_BRANCHES)}


def software_label(name: str | None) -> str:
    """The NodeInfo name as a label: one that we know, or ``other``."""
    folded = (name or "").strip().casefold()
    if folded not in _SOFTWARE:
        return OTHER
    return folded if folded.isascii() else UPSTREAM_ONLY[folded]


def channel_of(release: str | None) -> str:
    """``stable`` for 4.5.6, ``rc`` for 4.6.0-rc.1, ``other`` for what cannot be read."""
    if not release:
        return OTHER
    word = release.partition("-")[2].partition(".")[0]
    return "stable" if not word else word if word in _CHANNELS else OTHER


ADOPTION = Subject("adoption", (INSTANCES, ACTIVE_USERS, SOFTWARE, SOFTWARE_USERS, CHANNELS, CHANNEL_USERS), _read)
