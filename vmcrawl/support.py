"""Which branches upstream calls supported, and until when, as values: SECURITY.md's table, and endoflife.date's."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import takewhile

from vmcrawl.catalogue import Branch, BranchKey, Catalogue, Support
from vmcrawl.upstream import Entry, InvalidUpstream, read_field, read_objects, shown

#: In ``SupportRow.source``; the latter lags behind by days.
SECURITY_MD = "SECURITY.md"
ENDOFLIFE = "endoflife.date"


@dataclass(frozen=True, slots=True)
class SupportRow:
    """One row of a table of supported versions.

    ``branch`` is ``major.minor``. ``below``: the row is for everything older than ``branch``. ``until`` is the last
    day of support, None where no day is given; then ``supported`` tells yes from no.
    """

    branch: str
    supported: bool
    until: date | None
    source: str
    below: bool = False

    def covers(self, branch: BranchKey) -> bool:
        """Whether the row speaks of a branch."""
        own = _branch_key(self.branch)
        return branch < own if self.below else branch == own


def parse_security_md(text: str) -> tuple[SupportRow, ...]:
    """Read the table "Supported Versions" of Mastodon's SECURITY.md.

    A row is for a whole branch, however it names it: ``4.5.x``, ``4.7.0``, ``4.5``; ``< 4.4`` is for all older ones.
    The answer is Yes, No or "until" a day. Raises :class:`InvalidUpstream`, also when nothing is supported.
    """
    rows = tuple(_read_support(*cells) for cells in _table(text))
    if len({(row.branch, row.below) for row in rows}) != len(rows):
        raise InvalidUpstream("SECURITY.md names a branch twice")
    if not any(row.supported for row in rows):
        raise InvalidUpstream("SECURITY.md has no table of supported versions")
    return rows


def parse_endoflife(body: bytes) -> tuple[SupportRow, ...]:
    """Read ``GET /api/mastodon.json`` of endoflife.date: per cycle ``eol``, a day, false (none yet) or true.

    Raises :class:`InvalidUpstream`.
    """
    rows = tuple(_read_cycle(entry) for entry in read_objects(body, "cycles"))
    if not any(row.supported for row in rows):
        raise InvalidUpstream("endoflife.date knows no supported cycle")
    return rows


def ends_of_support(rows: Sequence[SupportRow], catalogue: Catalogue, today: date) -> tuple[Branch, ...]:
    """What the rows of one source say of the branches, for the catalogue to keep.

    A day is taken as it is, a Yes has none. A No gives no day either: where the catalogue believes the branch to
    be supported still, yesterday was its last day; where it knows it to be past its end, the No is no news.
    endoflife.date, which lags behind, changes nothing that SECURITY.md has said.
    """
    # What a row says of one branch outweighs what another says of all older ones.
    general_first = sorted(rows, key=lambda row: not row.below)
    stated = {key: row for key in _known_branches(rows, catalogue) for row in general_first if row.covers(key)}
    return tuple(
        Branch(f"{key[0]}.{key[1]}", row.until if row.supported else today - timedelta(days=1), row.source)
        for key, row in sorted(stated.items())
        if (row.supported or not _is_over(key, catalogue, today))
        and not (row.source == ENDOFLIFE and _is_known_better(key, catalogue))
    )


_TABLE_HEADING = re.compile(r"^#{1,6}[ \t]+supported versions", re.IGNORECASE | re.MULTILINE)
_BRANCH = re.compile(r"(<=?|≤)?\s*v?([0-9]{1,5})\.([0-9]{1,5})(?:\.(?:x|[0-9]{1,5}))?", re.IGNORECASE)
_YES = {"yes", "supported", "✅", ":white_check_mark:"}
_NO = {"no", "unsupported", "❌", ":x:"}
_UNTIL = re.compile(r"(?:yes[,;]?\s*)?(?:until|till)\s+([0-9]{4}-[0-9]{2}-[0-9]{2})")


def _table(text: str) -> Iterator[tuple[str, str]]:
    """The two cells of each row of the first table under "Supported Versions" whose first cell holds a digit."""
    heading = _TABLE_HEADING.search(text)
    lines = text[heading.end() :].splitlines()[1:] if heading else []
    rows = takewhile(lambda line: not line.startswith("#"), lines)
    for cells in (row.strip().strip("|").split("|") for row in rows if "|" in row):
        first = cells[0].strip(" `*\t")
        if any(character.isdigit() for character in first):
            if len(cells) < 2:
                raise InvalidUpstream(f"SECURITY.md has a row of one cell: {shown(first)}")
            yield first, cells[1].strip(" `*\t")


def _read_support(version: str, answer: str) -> SupportRow:
    match, answer = _BRANCH.fullmatch(version), answer.lower()
    if not match:
        raise InvalidUpstream(f"SECURITY.md names a version {shown(version)}")
    major, minor = int(match[2]), int(match[3]) + (match[1] in ("<=", "≤"))
    until = _UNTIL.fullmatch(answer)
    if not until and answer not in _YES | _NO:
        raise InvalidUpstream(f"SECURITY.md says {shown(answer)} of {version}")
    end = _day(until[1]) if until else None
    return SupportRow(f"{major}.{minor}", until is not None or answer in _YES, end, SECURITY_MD, bool(match[1]))


def _read_cycle(entry: Entry) -> SupportRow:
    match, eol = _BRANCH.fullmatch(read_field(entry, "cycle", str)), entry.get("eol")
    if not match or match[1]:
        raise InvalidUpstream(f"endoflife.date names a cycle {shown(entry['cycle'])}")
    if not isinstance(eol, bool | str):
        raise InvalidUpstream(f"eol of {match[0]} is {shown(eol) if 'eol' in entry else 'missing'}")
    until = _day(eol) if isinstance(eol, str) else None
    return SupportRow(f"{int(match[2])}.{int(match[3])}", eol is not True, until, ENDOFLIFE)


def _known_branches(rows: Sequence[SupportRow], catalogue: Catalogue) -> set[BranchKey]:
    return {_branch_key(row.branch) for row in rows if not row.below} | {
        release.version.branch_key for release in catalogue.releases if not release.version.prerelease
    }


def _is_over(branch: BranchKey, catalogue: Catalogue, today: date) -> bool:
    return catalogue.support(branch, today) in (Support.EOL, Support.UNKNOWN)


def _is_known_better(branch: BranchKey, catalogue: Catalogue) -> bool:
    """Whether somebody else than endoflife.date gives an end, or SECURITY.md has contradicted one that it gave."""
    return any(
        known.key == branch
        and (known.source == SECURITY_MD or (known.supported_until and not known.source.startswith(ENDOFLIFE)))
        for known in catalogue.branches
    )


def _branch_key(branch: str) -> BranchKey:
    major, _, minor = branch.partition(".")
    return int(major), int(minor)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidUpstream(f"{shown(text)} is not a day") from error
