"""Security advisories of upstream: what each says, what an operator says instead, and which versions it touches."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, lru_cache
from importlib import resources
from typing import Generic, TypeVar

from vmcrawl.affected import read_affected, read_exactly
from vmcrawl.builds import find_builds
from vmcrawl.catalogue import Catalogue, Release, packaged_catalogue
from vmcrawl.exposure import Exposure
from vmcrawl.judgement import Affected
from vmcrawl.version import Version

T = TypeVar("T")

__all__ = [
    "Advisory",
    "Affected",
    "InvalidAdvisory",
    "Override",
    "PublishedAdvisory",
    "apply_override",
    "find_exposures",
    "packaged_advisories",
    "parse_advisory",
    "read_advisory",
    "read_affected",
    "read_override",
]

#: GitHub's words and CVSS' (v3.1 section 5); ``moderate`` is what GitHub calls medium in some places.
SEVERITIES = ("critical", "high", "medium", "low")


class InvalidAdvisory(ValueError):
    """A row that is no advisory, or an override nobody can read: the message is one line."""


@dataclass(frozen=True, slots=True)
class PublishedAdvisory:
    """An advisory in the words of its source. ``published`` (UTC) may be weeks after the fix.

    What several packages say is joined, ``ranges`` by ``||``, ``patched`` by commas.
    """

    #: The CVE id where GitHub has none of its own.
    ghsa_id: str
    #: Empty: none was given.
    cve_id: str
    #: One of :data:`SEVERITIES`; empty: not known.
    severity: str
    score: float | None
    title: str
    published: date | None
    ranges: str
    patched: str


@dataclass(frozen=True, slots=True)
class Advisory(PublishedAdvisory):
    """The same, and which versions it touches."""

    affected: Affected
    #: Why the affected set is no more than a reading, reasons divided by semicolons; empty: nothing is unclear.
    ambiguous: str

    def covers(self, version: Version, catalogue: Catalogue) -> bool | None:
        """Whether a version is exposed; None where it cannot be said. As :meth:`Affected.covers`."""
        return self.affected.covers(version, catalogue)

    def fix_for(self, version: Version) -> Release | None:
        """What an exposed version should have been updated to, and since when. As :meth:`Affected.fix_for`."""
        return self.affected.fix_for(version)


@dataclass(frozen=True, slots=True)
class Override:
    """What an operator says instead of the published ranges, in their notation; ``none``: nothing is affected."""

    ghsa_id: str
    ranges: str
    reason: str


def find_exposures(version: Version, advisories: Sequence[Advisory], catalogue: Catalogue) -> tuple[Exposure, ...]:
    """The advisories that a version is exposed to, each with the fix that was there to take.

    Those of which it cannot be said (:meth:`Advisory.covers` is None) are not among them. Number and pre-release
    decide alone, so each release is judged once for the same advisories and catalogue, whatever forks add to it.
    """
    known = _Same(advisories if isinstance(advisories, tuple) else tuple(advisories)), _Same(catalogue)
    return _find_exposures(Version(*version.precedence[:3], version.prerelease), *known)


def parse_advisory(row: Mapping[str, str], catalogue: Catalogue) -> Advisory:
    """A row with ghsa_id, cve_id, severity, score, title, published (ISO), vulnerable_ranges, patched_versions.

    Only one of the ids is needed. Raises :class:`InvalidAdvisory` and nothing else; what the ranges do not say
    clearly is marked (``ambiguous``), not refused.
    """
    try:
        given = {name: row[name].strip() for name in _COLUMNS}
    except KeyError as error:
        raise InvalidAdvisory(f"column {error} is missing") from error
    ghsa_id = given["ghsa_id"] or given["cve_id"]
    if not ghsa_id:
        raise InvalidAdvisory("neither a GHSA nor a CVE id")
    severity = given["severity"].lower().replace("moderate", "medium")
    if severity and severity not in SEVERITIES:
        raise InvalidAdvisory(f"{ghsa_id}: severity {severity!r:.40}")
    score, day = _read_score(ghsa_id, given["score"]), _read_day(ghsa_id, given["published"])
    ranges, patched = given["vulnerable_ranges"], given["patched_versions"]
    published = PublishedAdvisory(ghsa_id, given["cve_id"], severity, score, given["title"], day, ranges, patched)
    return read_advisory(published, catalogue)


def read_advisory(published: PublishedAdvisory, catalogue: Catalogue) -> Advisory:
    """What is published, with what it means as far as the catalogue knows releases. Never raises."""
    p = published
    read = read_affected(p.ranges, p.patched, catalogue)
    return Advisory(p.ghsa_id, p.cve_id, p.severity, p.score, p.title, p.published, p.ranges, p.patched, *read)


def read_override(override: Override, catalogue: Catalogue) -> Affected:
    """The versions that an operator says are touched, exactly: as :func:`vmcrawl.affected.read_exactly` has it.

    Raises :class:`InvalidAdvisory` where a range cannot be read or leads to no version.
    """
    if override.ranges.strip().lower() == "none":
        return Affected()
    affected = read_exactly(override.ranges, catalogue)
    if affected is None:
        raise InvalidAdvisory(f"{override.ghsa_id}: nobody can read the ranges {override.ranges!r:.80}")
    return affected


def apply_override(advisory: Advisory, override: Override, catalogue: Catalogue) -> Advisory:
    """The same advisory with :func:`read_override` in place of what is published; raises what that does."""
    return replace(advisory, affected=read_override(override, catalogue), ambiguous="")


@cache
def packaged_advisories() -> tuple[Advisory, ...]:
    """The advisories that ship inside the package, read on the first call with the packaged catalogue."""
    text = (resources.files("vmcrawl.snapshot") / "advisories.csv").read_text(encoding="utf-8")
    return tuple(parse_advisory(row, packaged_catalogue()) for row in csv.DictReader(text.splitlines()))


_COLUMNS = (
    *("ghsa_id", "cve_id", "severity", "score", "title", "published"),
    *("vulnerable_ranges", "patched_versions"),
)


class _Same(Generic[T]):
    """A value that equals only itself, so that a lookup need not compare hundreds of releases with each other."""

    def __init__(self, value: T) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


@lru_cache(maxsize=4_096)
def _find_exposures(
    version: Version, advisories: _Same[tuple[Advisory, ...]], catalogue: _Same[Catalogue]
) -> tuple[Exposure, ...]:
    builds = find_builds(version, catalogue.value)
    touching = (advisory for advisory in advisories.value if advisory.affected.judge(version, builds))
    return tuple(_expose(version, advisory) for advisory in touching)


def _expose(version: Version, advisory: Advisory) -> Exposure:
    fix = advisory.fix_for(version)
    return Exposure(advisory.ghsa_id, fix.version.release, fix.released) if fix else Exposure(advisory.ghsa_id)


def _read_score(ghsa_id: str, text: str) -> float | None:
    try:
        score = float(text) if text else None
    except ValueError as error:
        raise InvalidAdvisory(f"{ghsa_id}: score {text!r:.40}") from error
    if score is not None and not (math.isfinite(score) and 0 <= score <= 10):
        raise InvalidAdvisory(f"{ghsa_id}: score {text!r:.40}")
    return score


def _read_day(ghsa_id: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise InvalidAdvisory(f"{ghsa_id}: published {text!r:.40}") from error
