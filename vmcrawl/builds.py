"""When a version was built from main, as far as the catalogue knows main's history."""

from collections.abc import Iterable, Iterator
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
        return (_find_nightly(version, version.nightly, catalogue),)
    if not version.prerelease:
        return ()
    if ranges := catalogue.ranges_of(version):
        return tuple(Build(version, known.since, known.until) for known in ranges)
    if released := catalogue.release_days.get(version.release):
        # What came out on a day has the fixes of that day.
        ready = nightly_time(released + timedelta(days=1))
        return (Build(version, ready, ready),)
    return () if version.patch else _guess(version, catalogue)


def main_at(moment: datetime, catalogue: Catalogue) -> MainRange | None:
    """What main was at a moment (UTC); None before the first known bump."""
    return catalogue.main_at(moment)


def nightly_time(day: date) -> datetime:
    """When the nightly of a day is built. A ``-security`` build is labelled with the next day: it fits, too."""
    return datetime.combine(day, time(2), UTC)


def release_dates(catalogue: Catalogue) -> dict[str, date]:
    """The day of each release and pre-release, by its canonical name; not to be changed."""
    return catalogue.release_days


def _find_nightly(version: Version, label: date, catalogue: Catalogue) -> Build:
    built = nightly_time(label)
    if version.prerelease.endswith("-security") and label < _LABELLED_AHEAD_SINCE:
        built += timedelta(days=1)
    base = main_at(built, catalogue)
    if base and base.version.branch_key == version.branch_key:
        return Build(base.version, built, built)
    return Build(version, built, built, certain=False)


def _guess(version: Version, catalogue: Catalogue) -> tuple[Build, ...]:
    """Of a pre-release that main never carried and nobody tagged, as far as we know."""
    branch = [known for known in catalogue.main_ranges if known.version.branch_key == version.branch_key]
    if not branch:
        newest = max(catalogue.main_ranges, key=lambda known: known.since, default=None)
        later = newest and newest.version.branch_key < version.branch_key
        return (Build(version, newest.since, None),) if newest and later else ()
    if "." in version.prerelease:
        known = [*_numbers_of(branch), *_tags_of(version, catalogue)]
        before = [since for number, since, _ in known if number < version.precedence]
        if before:
            # Above all known numbers it may be as young as it likes. Main has gone back once: what came before does not
            # end it.
            since = max(before)
            after = [until for number, _, until in known if number > version.precedence and until > since]
            return (Build(version, since, min(after, default=None)),)
    # Without a number, and below all known ones, it is any build of its branch.
    return (Build(version, branch[0].since, branch[-1].until),)


#: A number of a pre-release; what has a higher one was built after the first moment, a lower one before the second.
_Numbered = tuple[tuple[int, ...], datetime, datetime]


def _numbers_of(branch: Iterable[MainRange]) -> Iterator[_Numbered]:
    for known in branch:
        yield known.version.precedence, known.since, known.since


def _tags_of(version: Version, catalogue: Catalogue) -> Iterator[_Numbered]:
    for release in catalogue.releases:
        if release.version.prerelease and release.version.branch_key == version.branch_key:
            start = datetime.combine(release.released, time(), UTC)
            yield release.version.precedence, start, nightly_time(release.released + timedelta(days=1))
