"""When a version was built from main, as far as the catalogue knows main's history."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from vmcrawl.catalogue import Catalogue, MainRange
from vmcrawl.version import Version

#: The first ``-security`` builds carried their own day, those of ``build-security.yml`` carry the next.
_LABELLED_AHEAD_SINCE = date(2024, 2, 1)


@dataclass(frozen=True, slots=True)
class Build:
    """When a version was built from main; ``certain``: its number is the one main had."""

    #: What main called itself: for a nightly the alpha, beta or candidate that its label stands for.
    version: Version
    since: datetime
    until: datetime | None
    certain: bool = True

    def since_day(self, day: date) -> bool | None:
        """Whether it was built on or after a day (of nightlies: their label); None where it may be either."""
        if self.since.date() >= day:
            return True
        return False if self.until and self.until.date() < day else None


def find_builds(version: Version, catalogue: Catalogue) -> tuple[Build, ...]:
    """When a version may have been built from main; nothing for releases and for what never came from main."""
    if version.nightly:
        built = nightly_time(version.nightly)
        if version.prerelease.endswith("-security") and version.nightly < _LABELLED_AHEAD_SINCE:
            built += timedelta(days=1)
        base = main_at(built, catalogue)
        certain = bool(base and base.version.branch_key == version.branch_key)
        return (Build(base.version if base and certain else version, built, built, certain),)
    if not version.prerelease:
        return ()
    if ranges := catalogue.ranges_of(version):
        return tuple(Build(version, known.since, known.until) for known in ranges)
    if released := release_dates(catalogue).get(version.release):
        # What came out on a day has the fixes of that day.
        ready = nightly_time(released + timedelta(days=1))
        return (Build(version, ready, ready),)
    if version.patch:
        return ()
    branch = [known for known in catalogue.main_ranges if known.version.branch_key == version.branch_key]
    if not branch:
        newest = max(catalogue.main_ranges, key=lambda known: known.since, default=None)
        later = newest and newest.version.branch_key < version.branch_key
        return (Build(version, newest.since, None),) if newest and later else ()
    numbered = "." in version.prerelease
    before = [known.since for known in branch if numbered and known.version.precedence < version.precedence]
    # Above all known numbers it may be as young as it likes; without one it is any build of its branch.
    return (Build(version, max(before) if before else branch[0].since, None if before else branch[-1].until),)


def main_at(moment: datetime, catalogue: Catalogue) -> MainRange | None:
    """What main was at a moment (UTC); None before the first known bump."""
    ranges = catalogue.main_ranges
    return next((r for r in ranges if r.since <= moment and (r.until is None or moment < r.until)), None)


def nightly_time(day: date) -> datetime:
    """When the nightly of a day is built. A ``-security`` build is labelled with the next day: it fits, too."""
    return datetime.combine(day, time(2), UTC)


def release_dates(catalogue: Catalogue) -> dict[str, date]:
    """The day of each release and pre-release, by its canonical name."""
    return {release.version.release: release.released for release in catalogue.releases}
