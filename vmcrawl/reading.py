"""What the version strings of a run mean, each distinct one read once."""

from datetime import date
from functools import lru_cache

from vmcrawl.catalogue import packaged_catalogue
from vmcrawl.meaning import Meaning, read_meaning
from vmcrawl.observation import Observation
from vmcrawl.outcome import Outcome
from vmcrawl.version import InvalidVersion


class Reader:
    """Reads version strings with the catalogue and the date of one run."""

    def __init__(self, today: date) -> None:
        catalogue = packaged_catalogue()

        @lru_cache(maxsize=10_000)
        def read(software: str, version: str, upstream_version: str | None) -> Meaning | str:
            try:
                return read_meaning(software, version, upstream_version, catalogue, today)
            except InvalidVersion as error:
                return str(error)

        self._read = read

    def why_bad_version(self, software: str, version: str | None, upstream_version: str | None) -> str | None:
        """Say why this cannot be a Mastodon version; None if it can."""
        if version is None:
            return "NodeInfo names no version"
        read = self._read(software, version, upstream_version)
        return read if isinstance(read, str) else None

    def meaning(self, seen: Observation) -> Meaning | None:
        """What the version of a successful observation means; None for every other observation."""
        if seen.outcome is not Outcome.OK or seen.software is None or seen.version is None:
            return None
        read = self._read(seen.software, seen.version, seen.upstream_version)
        return None if isinstance(read, str) else read
