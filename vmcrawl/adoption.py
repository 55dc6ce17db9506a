"""How far the versions of Mastodon have spread, summed up for readers: support, fixes, exposure, and what changed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

#: Where a branch stands while it gets security fixes.
SUPPORTED = ("main", "latest", "previous", "deprecated")
#: What stands for all that upstream does not know.
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Count:
    """Published instances and their monthly active users, and those of both on the newest release of their branch."""

    instances: int = 0
    active_users: int = 0
    patched_instances: int = 0
    patched_users: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.instances + other.instances,
            self.active_users + other.active_users,
            self.patched_instances + other.patched_instances,
            self.patched_users + other.patched_users,
        )

    @property
    def patched_share(self) -> float | None:
        """Of the instances, from 0 to 1; None where there are none."""
        return self.patched_instances / self.instances if self.instances else None

    @property
    def patched_users_share(self) -> float | None:
        """Of the users, from 0 to 1; None where there are none."""
        return self.patched_users / self.active_users if self.active_users else None


@dataclass(frozen=True, slots=True)
class BranchCount:
    """Who runs a branch; ``other`` is all that upstream does not know."""

    branch: str
    support: str
    latest_release: str | None
    latest_released_on: date | None
    count: Count


@dataclass(frozen=True, slots=True)
class Page:
    """What was published at the end of a run, by branch."""

    at: datetime
    branches: Mapping[str, Count]

    @property
    def total(self) -> Count:
        return total(self.branches.values())


@dataclass(frozen=True, slots=True)
class Uptake:
    """How the newest security release of a branch has been taken up; delays from the day of the release."""

    branch: str
    release: str
    released_on: date
    instances: int
    active_users: int
    adopted_instances: int
    adopted_users: int
    half_of_instances: timedelta | None
    half_of_users: timedelta | None


@dataclass(frozen=True, slots=True)
class Exposed:
    """An advisory, and who runs a version that it touches."""

    ghsa_id: str
    cve_id: str
    severity: str
    title: str
    published: date | None
    instances: int
    active_users: int


@dataclass(frozen=True, slots=True)
class Listed:
    """One instance of those that may be listed."""

    domain: str
    version: str
    branch: str | None
    patched: bool | None
    active_users: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What a report is made of."""

    at: datetime
    #: When the last run of the whole crawl ended; None if there was none.
    last_run_at: datetime | None
    #: When the server was seen whose last good look is the oldest that counts; None if nothing is published.
    oldest_seen_at: datetime | None
    branches: Sequence[BranchCount]
    uptakes: Sequence[Uptake]
    #: Those that touch most instances first.
    advisories: Sequence[Exposed]
    #: Instances that at least one advisory touches, and their users.
    exposed_instances: int
    exposed_users: int
    #: The last valid page, and the one from a week before it.
    page: Page | None
    page_before: Page | None
    #: Instances that were seen to run another version than before, within a week.
    moved_instances: int
    opted_out: int
    robots_disallowed: int
    failing: int
    largest: Sequence[Listed] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class BranchChange:
    """One branch in two pages; positive is more."""

    branch: str
    instances: int
    active_users: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different from a page to a later one."""

    since: datetime
    until: datetime
    before: Count
    after: Count
    #: Where anything is different, the largest change in instances first.
    branches: Sequence[BranchChange]


def total(counts: Iterable[Count]) -> Count:
    """All of them together."""
    return sum(counts, Count())


def supported(branches: Sequence[BranchCount]) -> Count:
    """Who runs a branch that gets security fixes."""
    return total(one.count for one in branches if one.support in SUPPORTED)


def changes(before: Page | None, after: Page | None) -> Changes | None:
    """What has changed between two pages; None where one is missing."""
    if before is None or after is None:
        return None
    names = {*before.branches, *after.branches}
    found = []
    for name in sorted(names):
        one, other = before.branches.get(name, Count()), after.branches.get(name, Count())
        change = BranchChange(name, other.instances - one.instances, other.active_users - one.active_users)
        if change.instances or change.active_users:
            found.append(change)
    found.sort(key=lambda change: (-abs(change.instances), -abs(change.active_users), change.branch))
    return Changes(before.at, after.at, before.total, after.total, found)
