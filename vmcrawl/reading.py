"""What the version strings of a run mean and what they are exposed to, each distinct one read once."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache

from vmcrawl.advisory import Advisory, find_exposures
from vmcrawl.builds import find_builds, main_at, nightly_time
from vmcrawl.catalogue import Catalogue, is_patched
from vmcrawl.exposure import Reading
from vmcrawl.meaning import find_meaning, read_version
from vmcrawl.observation import Observation
from vmcrawl.outcome import Outcome
from vmcrawl.version import InvalidVersion, Version


class Reader:
    """Reads version strings with what is known of upstream on one day (UTC).

    ``revision`` numbers the state of the database that catalogue and advisories are from; 0 for the packaged ones.
    """

    def __init__(
        self, today: date, catalogue: Catalogue, advisories: Sequence[Advisory] = (), revision: int = 0
    ) -> None:
        self.today = today
        self.revision = revision

        @lru_cache(maxsize=10_000)
        def read(software: str, version: str, upstream_version: str | None) -> Reading | str:
            try:
                parsed = read_version(software, version, upstream_version, catalogue)
            except InvalidVersion as error:
                return str(error)
            meaning = find_meaning(parsed, catalogue, today)
            since = fix_available_on(parsed, catalogue) if meaning.patched is False else None
            return Reading(meaning, today, revision, since, find_exposures(parsed, advisories, catalogue))

        self._read = read

    def read(self, software: str, version: str, upstream_version: str | None) -> Reading | None:
        """All that is said of one version string; None if it is refused."""
        read = self._read(software, version, upstream_version)
        return None if isinstance(read, str) else read

    def why_bad_version(self, software: str, version: str | None, upstream_version: str | None) -> str | None:
        """Say why this cannot be a Mastodon version; None if it can."""
        if version is None:
            return "NodeInfo names no version"
        read = self._read(software, version, upstream_version)
        return read if isinstance(read, str) else None

    def reading(self, seen: Observation) -> Reading | None:
        """What the version of a successful observation means; None for every other observation."""
        if seen.outcome is not Outcome.OK or seen.software is None or seen.version is None:
            return None
        return self.read(seen.software, seen.version, seen.upstream_version)


def fix_available_on(version: Version, catalogue: Catalogue) -> date | None:
    """The day since which a version that is not patched has had something newer to go to.

    Of a release that is the first one above it in its branch. What was built from main had two ways: to the first
    stable release of its branch, or to what main was after the first security release, on any branch (main has the
    fix by then). Whichever came first after the last day on which it can have been built; that 4.7.0 comes out takes
    nothing back from what 4.7.0-alpha.2 fixed. Main is no way as long as its number is lower: from 4.7.1-alpha.1 it
    went back to 4.7.0-alpha.1.

    None for what is patched (:func:`vmcrawl.catalogue.is_patched`), and where nobody knows.
    """
    if is_patched(version, catalogue) is not False:
        return None
    stable, builds = catalogue.stable(version.branch_key), find_builds(version, catalogue)
    if not builds:
        return min((one.released for one in stable if one.version.precedence > version.precedence), default=None)
    ends = [build.until for build in builds if build.until]
    fixes: list[date] = []
    if len(ends) == len(builds):
        built = max(ends).date()
        fixes = [day for day in catalogue.security_fixes if day >= built and _main_offers(day, version, catalogue)]
    else:
        built = max(build.since for build in builds).date()
    return min([*fixes[:1], *(one.released for one in stable if one.released >= built)], default=None)


def _main_offers(day: date, version: Version, catalogue: Catalogue) -> bool:
    """Whether main, with the fixes of a day, had a number as high as that of a version."""
    known = main_at(nightly_time(day + timedelta(days=1)), catalogue)
    return known is not None and known.version.precedence[:3] >= version.precedence[:3]
