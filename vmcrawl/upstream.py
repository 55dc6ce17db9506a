"""What upstream publishes about itself, as values: releases, main's version, ends of support, advisories."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from typing import TypeVar

from vmcrawl.advisory import PublishedAdvisory
from vmcrawl.catalogue import Branch, BranchKey, Catalogue, Release, Support
from vmcrawl.document import InvalidJson, clean_text, parse_json
from vmcrawl.version import InvalidVersion, Version, parse_tag

T = TypeVar("T")
#: An object of a JSON document.
Entry = dict[str, object]


class InvalidUpstream(ValueError):
    """A document that has not the shape it always had; the message says in one line what is wrong with it."""


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


@dataclass(frozen=True, slots=True)
class WithdrawnAdvisory:
    """An advisory that upstream has taken back."""

    ghsa_id: str


def parse_github_releases(body: bytes) -> tuple[Release, ...]:
    """Read one page of ``GET /repos/{owner}/{repo}/releases`` (GitHub REST API, version 2022-11-28).

    Drafts, and tags that are no versions, are left out. A release fixes security problems if its notes have a
    heading "Security", does not if they have other headings only; without any headings nobody knows (None).
    Its day is that of ``published_at``, UTC. Raises :class:`InvalidUpstream`.
    """
    entries = [entry for entry in _objects(body, "releases") if not _field(entry, "draft", bool)]
    found = [release for entry in entries if (release := _read_release(entry))]
    if entries and not found:
        raise InvalidUpstream("no release has a tag that is a version")
    return tuple(found)


def parse_version_rb(text: str) -> Version:
    """Read what main calls itself: ``lib/mastodon/version.rb``, since 4.2.0-beta3. Raises :class:`InvalidUpstream`."""
    values = {match[1]: match[2] for match in _RUBY_METHOD.finditer(text)}
    missing = [name for name in ("major", "minor", "patch", "default_prerelease") if name not in values]
    if missing:
        raise InvalidUpstream(f"version.rb has no plain method {', '.join(missing)}")
    prerelease = "" if values["default_prerelease"] == "nil" else values["default_prerelease"].strip("'\"")
    number = f"{values['major']}.{values['minor']}.{values['patch']}"
    tag = f"{number}-{prerelease}" if prerelease else number
    try:
        version = parse_tag(tag)
    except InvalidVersion as error:
        raise InvalidUpstream(f"version.rb says {tag!r:.60}") from error
    if bool(version.prerelease) != bool(prerelease):
        raise InvalidUpstream(f"version.rb says {tag!r:.60}")
    return version


def parse_github_commits(body: bytes) -> tuple[datetime, ...]:
    """Read ``GET /repos/{owner}/{repo}/commits``: when each came to the branch (UTC), newest first.

    Raises :class:`InvalidUpstream`.
    """
    return tuple(_read_commit(entry) for entry in _objects(body, "commits"))


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
    rows = tuple(_read_cycle(entry) for entry in _objects(body, "cycles"))
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
        if (row.supported or not _is_over(key, catalogue, today)) and not _is_known_better(row, key, catalogue)
    )


def parse_github_advisories(body: bytes) -> tuple[PublishedAdvisory | WithdrawnAdvisory, ...]:
    """Read one page of ``GET /repos/{owner}/{repo}/security-advisories`` (GitHub REST API, version 2022-11-28).

    Drafts and the like, which only those see who may, are left out. Raises :class:`InvalidUpstream`.
    """
    seen = (_read_advisory(entry) for entry in _objects(body, "advisories"))
    return tuple(advisory for advisory in seen if advisory)


def _read_commit(entry: Entry) -> datetime:
    commit = entry.get("commit")
    committer = commit.get("committer") if isinstance(commit, dict) else None
    text = committer.get("date") if isinstance(committer, dict) else None
    try:
        moment = datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError as error:
        raise InvalidUpstream(f"a commit of {text!r:.40}") from error
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


_ENDOFLIFE = "endoflife.date"
#: ``def major`` and a literal, with comments and empty lines around it.
_RUBY_METHOD = re.compile(
    r"^[ \t]*def[ \t]+(major|minor|patch|default_prerelease)[ \t]*\n(?:[ \t]*(?:#.*)?\n)*"
    r"[ \t]*([0-9]{1,5}|nil|'[A-Za-z0-9.-]{0,40}'|\"[A-Za-z0-9.-]{0,40}\")[ \t]*(?:#.*)?\n"
    r"(?:[ \t]*(?:#.*)?\n)*[ \t]*end\b",
    re.MULTILINE,
)
_HEADING = re.compile(r"^ {0,3}(?:#{1,6}[ \t]+|\*\*)([^\n]*)", re.MULTILINE)
_SECURITY = re.compile(r"\W*security\b", re.IGNORECASE)
_TABLE_HEADING = re.compile(r"^#{1,6}[ \t]+supported versions", re.IGNORECASE | re.MULTILINE)
_BRANCH = re.compile(r"(<=?|≤)?\s*v?([0-9]{1,5})\.([0-9]{1,5})(?:\.(?:x|[0-9]{1,5}))?", re.IGNORECASE)
_YES = {"yes", "supported", "✅", ":white_check_mark:"}
_NO = {"no", "unsupported", "❌", ":x:"}
_UNTIL = re.compile(r"(?:yes[,;]?\s*)?(?:until|till)\s+([0-9]{4}-[0-9]{2}-[0-9]{2})")
_GHSA = re.compile(r"GHSA(-[a-z0-9]{4}){3}")
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,12}")


def _objects(body: bytes, what: str) -> list[Entry]:
    try:
        value = parse_json(body)
    except InvalidJson as error:
        raise InvalidUpstream(f"not JSON: {error}") from error
    if not isinstance(value, list):
        raise InvalidUpstream(f"not a list of {what}")
    entries = [entry for entry in value if isinstance(entry, dict)]
    if len(entries) != len(value):
        raise InvalidUpstream(f"not a list of {what}: not every one is an object")
    return entries


def _field(entry: Entry, name: str, kind: type[T]) -> T:
    value = entry.get(name)
    if not isinstance(value, kind):
        raise InvalidUpstream(f"{name} is {_shown(value) if name in entry else 'missing'}, not a {kind.__name__}")
    return value


def _text(entry: Entry, name: str) -> str:
    """A text that may be null or missing."""
    return "" if entry.get(name) is None else _field(entry, name, str)


def _shown(value: object) -> str:
    return clean_text(repr(value)[:200], 40)


def _day_of(entry: Entry, name: str) -> date:
    text = _field(entry, name, str)
    try:
        moment = datetime.fromisoformat(text)
        day = moment.astimezone(UTC).date()
    except (ValueError, OverflowError) as error:
        raise InvalidUpstream(f"{name} is {_shown(text)}, not a time") from error
    if moment.tzinfo is None:
        raise InvalidUpstream(f"{name} is {_shown(text)}, without a time zone")
    return day


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidUpstream(f"{_shown(text)} is not a day") from error


def _read_release(entry: Entry) -> Release | None:
    tag, released = _field(entry, "tag_name", str), _day_of(entry, "published_at")
    _field(entry, "prerelease", bool)
    try:
        version = parse_tag(tag)
    except InvalidVersion:
        return None
    return Release(version, released, _is_security(_text(entry, "body")))


def _is_security(notes: str) -> bool | None:
    headings = _HEADING.findall(notes)
    if any(_SECURITY.match(heading) for heading in headings):
        return True
    return False if headings else None


def _table(text: str) -> Iterator[tuple[str, str]]:
    """The two cells of each row of the first table under "Supported Versions" whose first cell holds a digit."""
    heading = _TABLE_HEADING.search(text)
    lines = text[heading.end() :].splitlines()[1:] if heading else []
    rows = takewhile(lambda line: not line.startswith("#"), lines)
    for cells in (row.strip().strip("|").split("|") for row in rows if "|" in row):
        first = cells[0].strip(" `*\t")
        if any(character.isdigit() for character in first):
            if len(cells) < 2:
                raise InvalidUpstream(f"SECURITY.md has a row of one cell: {_shown(first)}")
            yield first, cells[1].strip(" `*\t")


def _read_support(version: str, answer: str) -> SupportRow:
    match, answer = _BRANCH.fullmatch(version), answer.lower()
    if not match:
        raise InvalidUpstream(f"SECURITY.md names a version {_shown(version)}")
    major, minor = int(match[2]), int(match[3]) + (match[1] in ("<=", "≤"))
    until = _UNTIL.fullmatch(answer)
    if not until and answer not in _YES | _NO:
        raise InvalidUpstream(f"SECURITY.md says {_shown(answer)} of {version}")
    end = _day(until[1]) if until else None
    return SupportRow(f"{major}.{minor}", until is not None or answer in _YES, end, "SECURITY.md", bool(match[1]))


def _read_cycle(entry: Entry) -> SupportRow:
    match, eol = _BRANCH.fullmatch(_field(entry, "cycle", str)), entry.get("eol")
    if not match or match[1]:
        raise InvalidUpstream(f"endoflife.date names a cycle {_shown(entry['cycle'])}")
    if not isinstance(eol, bool | str):
        raise InvalidUpstream(f"eol of {match[0]} is {_shown(eol) if 'eol' in entry else 'missing'}")
    until = _day(eol) if isinstance(eol, str) else None
    return SupportRow(f"{int(match[2])}.{int(match[3])}", eol is not True, until, _ENDOFLIFE)


def _known_branches(rows: Sequence[SupportRow], catalogue: Catalogue) -> set[BranchKey]:
    return {_branch_key(row.branch) for row in rows if not row.below} | {
        release.version.branch_key for release in catalogue.releases if not release.version.prerelease
    }


def _is_over(branch: BranchKey, catalogue: Catalogue, today: date) -> bool:
    return catalogue.support(branch, today) in (Support.EOL, Support.UNKNOWN)


def _is_known_better(row: SupportRow, branch: BranchKey, catalogue: Catalogue) -> bool:
    return row.source == _ENDOFLIFE and any(
        known.key == branch and known.supported_until and not known.source.startswith(_ENDOFLIFE)
        for known in catalogue.branches
    )


def _branch_key(branch: str) -> BranchKey:
    major, _, minor = branch.partition(".")
    return int(major), int(minor)


def _read_advisory(entry: Entry) -> PublishedAdvisory | WithdrawnAdvisory | None:
    state = "withdrawn" if entry.get("withdrawn_at") else entry.get("state", "published")
    if state not in ("published", "withdrawn"):
        return None
    ghsa, cve = _field(entry, "ghsa_id", str), _text(entry, "cve_id")
    if not _GHSA.fullmatch(ghsa) or (cve and not _CVE.fullmatch(cve)):
        raise InvalidUpstream(f"an advisory is called {_shown(ghsa)}, {_shown(cve)}")
    if state == "withdrawn":
        return WithdrawnAdvisory(ghsa)
    packages = _field(entry, "vulnerabilities", list)
    if not all(isinstance(package, dict) for package in packages):
        raise InvalidUpstream(f"vulnerabilities of {ghsa} are no objects")
    severity = _text(entry, "severity").lower()
    if severity not in ("", "low", "medium", "high", "critical"):
        raise InvalidUpstream(f"severity of {ghsa} is {_shown(severity)}")
    return PublishedAdvisory(
        ghsa,
        cve,
        severity,
        _read_score(entry),
        clean_text(_field(entry, "summary", str), 300),
        _day_of(entry, "published_at"),
        " || ".join(_said(packages, "vulnerable_version_range")),
        ", ".join(_said(packages, "patched_versions")),
    )


def _said(packages: Sequence[Entry], name: str) -> list[str]:
    """What the packages say, each thing once, in order."""
    texts = (clean_text(_text(package, name), 500) for package in packages)
    return list(dict.fromkeys(text for text in texts if text))


def _read_score(entry: Entry) -> float | None:
    """CVSS, 0 to 10, version 4 before 3 as in GitHub's own display; 0 stands for "not scored"."""
    severities = entry.get("cvss_severities")
    candidates = [severities.get("cvss_v4"), severities.get("cvss_v3")] if isinstance(severities, dict) else []
    for candidate in [*candidates, entry.get("cvss")]:
        score = candidate.get("score") if isinstance(candidate, dict) else None
        if isinstance(score, int | float) and not isinstance(score, bool) and 0 < score <= 10:
            return float(score)
    return None
