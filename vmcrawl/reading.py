"""What the version strings of a run mean and what they are exposed to, each distinct one read once."""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache

from vmcrawl.advisory import Advisory, find_exposures
from vmcrawl.catalogue import Catalogue
from vmcrawl.exposure import Reading
from vmcrawl.meaning import read_meaning, read_version
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
                meaning = read_meaning(software, version, upstream_version, catalogue, today)
                parsed = read_version(software, version, upstream_version, catalogue)
            except InvalidVersion as error:
                return str(error)
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
    """The day since which a version that is not patched has had something newer to go to; None where nobody knows.

    On a released branch that is the first release above it. On main it is the first security release, on any branch,
    of the day of the build or later: main has the fix by then (:func:`vmcrawl.catalogue.is_patched`).
    """
    newer = [
        release.released
        for release in catalogue.releases
        if not release.version.prerelease
        and release.version.branch_key == version.branch_key
        and release.version.precedence > version.precedence
    ]
    if newer or catalogue.newest(version.branch_key):
        return min(newer, default=None)
    ends = [known.until.date() for known in catalogue.ranges_of(version) if known.until]
    built = version.nightly or max(ends, default=None)
    if built is None:
        return catalogue.newest_security_fix
    return min((one.released for one in catalogue.releases if one.security and one.released >= built), default=None)
