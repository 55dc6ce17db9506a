"""Upstream's releases, branches and builds of main, and what follows from them for a version on a given day."""

import csv
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib import resources

from vmcrawl.version import InvalidVersion, Refusal, Version, parse_tag

#: The day the packaged facts were gathered.
SNAPSHOT_DATE = date(2026, 8, 22)

BranchKey = tuple[int, int]


class Support(StrEnum):
    """Where a branch stands on a given day (SECURITY.md, "Supported Versions")."""

    #: In development: nothing of it has been released as stable.
    MAIN = "main"
    #: The newest branch with a stable release.
    LATEST = "latest"
    #: The branch before the latest, still supported.
    PREVIOUS = "previous"
    #: Older, but its end of support has not come.
    DEPRECATED = "deprecated"
    #: Past its end of support.
    EOL = "eol"
    #: The catalogue does not know the branch, or not enough about it.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Release:
    """One release or pre-release of upstream. ``security``: it fixes security problems; None: not known."""

    version: Version
    released: date
    security: bool | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """What a source says of a branch: the last day of its support, None where no source gives one.

    ``support`` is set where an operator has said by hand where the branch stands.
    """

    name: str
    supported_until: date | None
    source: str = ""
    support: Support | None = None

    @property
    def key(self) -> BranchKey:
        major, _, minor = self.name.partition(".")
        return int(major), int(minor)


@dataclass(frozen=True, slots=True)
class MainRange:
    """The time (UTC) in which main carried one version, from one bump to the next; ``until`` is None for the newest.

    The nightly of day D is what main was at 02:00 UTC of D; a ``-security`` build is labelled with the next day, so
    the same holds for its label.
    """

    version: Version
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class SupportEnd:
    """The last day of support of a branch; ``derived``: from the rule (:meth:`Catalogue.support_end`), not a source."""

    until: date
    derived: bool
    source: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that is known of upstream. Raises ``ValueError`` without any stable release."""

    releases: tuple[Release, ...]
    branches: tuple[Branch, ...] = ()
    main_ranges: tuple[MainRange, ...] = ()
    _index: "_Index" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", _build_index(self.releases, self.branches, self.main_ranges))

    @property
    def newest_security_fix(self) -> date | None:
        """The day of the newest release, on any branch, that is known to fix security problems."""
        return max(self._index.security_fixes, default=None)

    @property
    def security_fixes(self) -> tuple[date, ...]:
        """The days on which a release, on any branch, is known to have fixed security problems; oldest first."""
        return self._index.security_fixes

    @property
    def release_days(self) -> dict[str, date]:
        """The day of each release and pre-release, by its canonical name; not to be changed."""
        return self._index.days

    def stable(self, branch: BranchKey) -> tuple[Release, ...]:
        """The stable releases of a branch, lowest number first."""
        return self._index.stable.get(branch, ())

    def newest(self, branch: BranchKey) -> Release | None:
        """The newest stable release of a branch; None where there is none (yet)."""
        return next(reversed(self.stable(branch)), None)

    def main_at(self, moment: datetime) -> MainRange | None:
        """What main was at a moment (UTC); None before the first known bump."""
        place = bisect_right(self._index.in_order, moment, key=lambda known: known.since)
        known = self._index.in_order[place - 1] if place else None
        return known if known and (known.until is None or moment < known.until) else None

    def ranges_of(self, version: Version) -> tuple[MainRange, ...]:
        """The times in which main carried exactly this version; more than one where upstream went back."""
        return self._index.ranges.get(version.release, ())

    def support(self, branch: BranchKey, today: date) -> Support:
        """Where a branch stands on a day: by the releases up to it and the ends of support, unless overridden."""
        stated = self._index.branches.get(branch)
        if stated and stated.support:
            return stated.support
        stable = [key for key, releases in self._index.stable.items() if releases[0].released <= today]
        if not stable or branch > stable[-1]:
            known = [key for key, day in self._index.opened.items() if day <= today]
            # A branch is stable: main has gone on, whether or not the list of its bumps is up to date.
            known += [_next_minor(stable[-1])] if stable else []
            return Support.MAIN if branch in known or _is_behind(branch, max(known, default=None)) else Support.UNKNOWN
        if branch not in stable:
            return Support.UNKNOWN
        end = self.support_end(branch, today)
        if end and today > end.until:
            return Support.EOL
        if branch in stable[-2:]:
            return Support.LATEST if branch == stable[-1] else Support.PREVIOUS
        return Support.DEPRECATED if end else Support.UNKNOWN

    def support_end(self, branch: BranchKey, today: date) -> SupportEnd | None:
        """The last day of support: as a source states it, or by upstream's rule; None where neither says (yet).

        The rule: on the day N.0 comes out, branch N-2 gets six more months. SECURITY.md followed it for five
        releases, 4.3 to 4.7; before that it fills in what no source states.
        """
        stated = self._index.branches.get(branch)
        if stated and stated.supported_until:
            return SupportEnd(stated.supported_until, derived=False, source=stated.source)
        keys = list(self._index.stable)
        following = keys[keys.index(branch) + 2 :] if branch in self._index.stable else []
        if not following or (first := self._index.stable[following[0]][0]).released > today:
            return None
        return SupportEnd(_six_months_after(first.released), derived=True, source=f"{first.version.release} + 6 months")


def refuse_impossible(version: Version, catalogue: Catalogue) -> Version:
    """Give the version back, or raise :class:`InvalidVersion` where no such branch can exist.

    The list may be old, the server is not: what is newer than the catalogue is believed, but only the minor that
    follows the newest stable branch and the one that follows main (main 4.8: 4.9, not 4.10, 5.0 or 42.0). A new major
    is believed once the catalogue has seen it, and then opens no more of the old one than that: with main at 5.0 and
    4.7 the newest there may be a 4.8 and a 5.1, but no 4.42. A patch is never too high. Up to the newest released
    branch the list is complete: 3.6 and 2.10 never were.
    """
    index, branch = catalogue._index, version.branch_key
    newest = next(reversed(index.stable))
    if branch in index.opened or branch in (_next_minor(newest), _next_minor(index.main)):
        return version
    if branch > index.main:
        above = f"{version.release}, main is {index.main[0]}.{index.main[1]}"
        raise InvalidVersion(Refusal.ABOVE_MAIN, above, fork=version.fork)
    if branch > newest and _is_behind(branch, index.main):
        return version
    raise InvalidVersion(Refusal.NO_SUCH_BRANCH, version.release, fork=version.fork)


def is_patched(version: Version, catalogue: Catalogue) -> bool | None:
    """Whether a version is the newest release of its branch or newer; on main, as new as the newest security fix.

    None where it cannot be said. A pre-release is older than its release. One that names a patch above the newest
    release is somebody's development build (4.7.1-alpha.1 was main for a day, two months before 4.7.0): older if its
    date says so, otherwise nobody knows.

    On a branch without a stable release the day of the newest security release, on any branch, decides: main has the
    fix by then, and its version is bumped in the very commit of the fix. What main never carried under this name is
    at least as new as what main carried under smaller ones (4.8.0 is newer than 4.8.0-alpha.1).
    """
    newest = catalogue.newest(version.branch_key)
    if newest is None:
        return _is_patched_on_main(version, catalogue)
    if version.precedence < newest.version.precedence:
        return False
    if not version.prerelease:
        return True
    if version.nightly:
        return False if version.nightly <= newest.released else None
    ranges = catalogue.ranges_of(version)
    return False if ranges and all(r.until and r.until.date() <= newest.released for r in ranges) else None


@cache
def packaged_catalogue() -> Catalogue:
    """The facts that ship inside the package (:data:`SNAPSHOT_DATE`), read on the first call and kept."""
    return Catalogue(
        parse_releases(_read_rows("releases.csv")),
        parse_branches(_read_rows("branches.csv")),
        parse_main_ranges(_read_rows("nightly_ranges.csv")),
    )


def parse_releases(rows: Sequence[dict[str, str]]) -> tuple[Release, ...]:
    """Rows with version, date (ISO), is_security (true, false or empty). Raises ``ValueError``, ``KeyError``."""
    known = {"true": True, "false": False, "": None}
    return tuple(
        Release(parse_tag(row["version"]), date.fromisoformat(row["date"]), known[row["is_security"]]) for row in rows
    )


def parse_branches(rows: Sequence[dict[str, str]]) -> tuple[Branch, ...]:
    """Rows with branch, supported_until (ISO or empty), supported_until_source. Raises ``ValueError``, ``KeyError``."""
    return tuple(
        Branch(row["branch"], _date_or_none(row["supported_until"]), row["supported_until_source"]) for row in rows
    )


def parse_main_ranges(rows: Sequence[dict[str, str]]) -> tuple[MainRange, ...]:
    """Rows with main_version and bump_time_utc, oldest first; each ends the one before. Raises as the others do."""
    starts = [datetime.fromisoformat(row["bump_time_utc"]).astimezone(UTC) for row in rows]
    return tuple(
        MainRange(parse_tag(row["main_version"]), since, until)
        for row, since, until in zip(rows, starts, [*starts[1:], None], strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Index:
    """What the questions above look up; everything follows from the three lists."""

    #: Stable releases by branch, oldest first, branches in order.
    stable: dict[BranchKey, tuple[Release, ...]]
    #: Of all releases and pre-releases.
    days: dict[str, date]
    branches: dict[BranchKey, Branch]
    ranges: dict[str, tuple[MainRange, ...]]
    #: The times of main, oldest first.
    in_order: tuple[MainRange, ...]
    #: The first day on which anything of a branch was seen: a release, a pre-release, or main.
    opened: dict[BranchKey, date]
    main: BranchKey
    security_fixes: tuple[date, ...]


def _build_index(releases: Sequence[Release], branches: Sequence[Branch], main_ranges: Sequence[MainRange]) -> _Index:
    stable: dict[BranchKey, tuple[Release, ...]] = {}
    for release in sorted(releases, key=lambda release: release.version):
        if not release.version.prerelease:
            stable[release.version.branch_key] = (*stable.get(release.version.branch_key, ()), release)
    if not stable:
        raise ValueError("a catalogue needs at least one stable release")
    ranges: dict[str, tuple[MainRange, ...]] = {}
    for known in main_ranges:
        ranges[known.version.release] = (*ranges.get(known.version.release, ()), known)
    opened: dict[BranchKey, date] = {}
    seen = [(release.version.branch_key, release.released) for release in releases]
    seen += [(known.version.branch_key, known.since.date()) for known in main_ranges]
    for key, day in seen:
        opened[key] = min(day, opened.get(key, day))
    return _Index(
        stable,
        {release.version.release: release.released for release in releases},
        {branch.key: branch for branch in branches},
        ranges,
        tuple(sorted(main_ranges, key=lambda known: known.since)),
        opened,
        max([_next_minor(next(reversed(stable))), *opened]),
        tuple(sorted({release.released for release in releases if release.security})),
    )


def _is_patched_on_main(version: Version, catalogue: Catalogue) -> bool | None:
    fix = catalogue.newest_security_fix
    if fix is None:
        return None
    if version.nightly:
        # Main at 02:00 of its day; a -security build is labelled with the day after the fix.
        return version.nightly > fix
    if version.prerelease.startswith("nightly"):
        return None
    if ranges := catalogue.ranges_of(version):
        answers = {_has_fix(known, fix) for known in ranges}
        return answers.pop() if len(answers) == 1 else None
    # Main never carried it, that we know: it is at least as new as everything with a smaller number.
    return True if any(since >= fix for since in _known_before(version, catalogue)) else None


def _has_fix(known: MainRange, fix: date) -> bool | None:
    if known.since.date() >= fix:
        return True
    return False if known.until and known.until.date() <= fix else None


def _known_before(version: Version, catalogue: Catalogue) -> Iterator[date]:
    for known in catalogue.main_ranges:
        if known.version.precedence <= version.precedence:
            yield known.since.date()
    if tagged := catalogue.release_days.get(version.release):
        yield tagged


def _next_minor(branch: BranchKey) -> BranchKey:
    return branch[0], branch[1] + 1


def _is_behind(branch: BranchKey, main: BranchKey | None) -> bool:
    """Whether main has passed through a branch although nobody saw it: minors count one by one, majors do not."""
    return main is not None and branch[0] == main[0] and branch <= main


def _six_months_after(day: date) -> date:
    """The same day of the month half a year later, or the last day of a shorter month."""
    month = day.month + 6
    year, month = (day.year + 1, month - 12) if month > 12 else (day.year, month)
    first_of_next = date(year + month // 12, month % 12 + 1, 1)
    return min(date(year, month, 1) + timedelta(days=day.day - 1), first_of_next - timedelta(days=1))


def _date_or_none(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def _read_rows(name: str) -> list[dict[str, str]]:
    text = (resources.files("vmcrawl.snapshot") / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
