"""What upstream publishes about itself on GitHub, as values: releases, main's version, security advisories."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TypeVar

from vmcrawl.advisory import PublishedAdvisory
from vmcrawl.catalogue import Release
from vmcrawl.document import InvalidJson, clean_text, parse_json
from vmcrawl.version import InvalidVersion, Version, parse_tag

T = TypeVar("T")
#: An object of a JSON document.
Entry = dict[str, object]


class InvalidUpstream(ValueError):
    """A document that has not the shape it always had; the message says in one line what is wrong with it."""


@dataclass(frozen=True, slots=True)
class WithdrawnAdvisory:
    """An advisory that upstream has taken back, or closed."""

    ghsa_id: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit, and when it came to the branch (UTC). ``sha`` is empty where none is given that can be asked for."""

    sha: str
    at: datetime


def parse_github_releases(body: bytes) -> tuple[Release, ...]:
    """Read one page of ``GET /repos/{owner}/{repo}/releases`` (GitHub REST API, version 2022-11-28).

    Drafts, and tags that are no versions, are left out. A release fixes security problems if its notes have a
    heading "Security", does not if they have other headings only; without any headings nobody knows (None).
    Its day is that of ``published_at``, UTC. Raises :class:`InvalidUpstream`.
    """
    entries = [entry for entry in read_objects(body, "releases") if not read_field(entry, "draft", bool)]
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


def parse_github_commits(body: bytes) -> tuple[Commit, ...]:
    """Read one page of ``GET /repos/{owner}/{repo}/commits``, newest first. Raises :class:`InvalidUpstream`."""
    return tuple(_read_commit(entry) for entry in read_objects(body, "commits"))


def parse_github_advisories(body: bytes) -> tuple[PublishedAdvisory | WithdrawnAdvisory, ...]:
    """Read one page of ``GET /repos/{owner}/{repo}/security-advisories`` (GitHub REST API, version 2022-11-28).

    What is not published yet is left out. Raises :class:`InvalidUpstream`.
    """
    return tuple(read for entry in read_objects(body, "advisories") if (read := _read_advisory(entry)))


def read_objects(body: bytes, what: str) -> list[Entry]:
    """Read a JSON list of objects. Raises :class:`InvalidUpstream`, which calls them ``what``."""
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


def read_field(entry: Entry, name: str, kind: type[T]) -> T:
    """A field that must be there, and of this type. Raises :class:`InvalidUpstream`."""
    value = entry.get(name)
    if not isinstance(value, kind):
        raise InvalidUpstream(f"{name} is {shown(value) if name in entry else 'missing'}, not a {kind.__name__}")
    return value


def shown(value: object) -> str:
    """Any value as a short piece of one clean line."""
    return clean_text(repr(value)[:200], 40)


#: ``def major`` and a literal, with comments and empty lines around it.
_RUBY_METHOD = re.compile(
    r"^[ \t]*def[ \t]+(major|minor|patch|default_prerelease)[ \t]*\n(?:[ \t]*(?:#.*)?\n)*"
    r"[ \t]*([0-9]{1,5}|nil|'[A-Za-z0-9.-]{0,40}'|\"[A-Za-z0-9.-]{0,40}\")[ \t]*(?:#.*)?\n"
    r"(?:[ \t]*(?:#.*)?\n)*[ \t]*end\b",
    re.MULTILINE,
)
_HEADING = re.compile(r"^ {0,3}(?:#{1,6}[ \t]+|\*\*)([^\n]*)", re.MULTILINE)
_SECURITY = re.compile(r"\W*security\b", re.IGNORECASE)
_GHSA = re.compile(r"GHSA(-[a-z0-9]{4}){3}")
_SHA = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,12}")


def _text(entry: Entry, name: str) -> str:
    """A text that may be null or missing."""
    return "" if entry.get(name) is None else read_field(entry, name, str)


def _day_of(entry: Entry, name: str) -> date:
    text = read_field(entry, name, str)
    try:
        moment = datetime.fromisoformat(text)
        day = moment.astimezone(UTC).date()
    except (ValueError, OverflowError) as error:
        raise InvalidUpstream(f"{name} is {shown(text)}, not a time") from error
    if moment.tzinfo is None:
        raise InvalidUpstream(f"{name} is {shown(text)}, without a time zone")
    return day


def _read_release(entry: Entry) -> Release | None:
    tag, released = read_field(entry, "tag_name", str), _day_of(entry, "published_at")
    read_field(entry, "prerelease", bool)
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


def _read_commit(entry: Entry) -> Commit:
    commit, sha = entry.get("commit"), entry.get("sha")
    committer = commit.get("committer") if isinstance(commit, dict) else None
    text = committer.get("date") if isinstance(committer, dict) else None
    try:
        moment = datetime.fromisoformat(text if isinstance(text, str) else "")
        at = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidUpstream(f"a commit of {text!r:.40}") from error
    return Commit(sha if isinstance(sha, str) and _SHA.fullmatch(sha) else "", at)


def _read_advisory(entry: Entry) -> PublishedAdvisory | WithdrawnAdvisory | None:
    state = entry.get("state", "published")
    if state == "closed" or entry.get("withdrawn_at"):
        ghsa = read_field(entry, "ghsa_id", str)
        if not _GHSA.fullmatch(ghsa):
            raise InvalidUpstream(f"an advisory is called {shown(ghsa)}")
        return WithdrawnAdvisory(ghsa)
    return _read_published(entry) if state == "published" else None


def _read_published(entry: Entry) -> PublishedAdvisory:
    ghsa, cve = read_field(entry, "ghsa_id", str), _text(entry, "cve_id")
    if not _GHSA.fullmatch(ghsa) or (cve and not _CVE.fullmatch(cve)):
        raise InvalidUpstream(f"an advisory is called {shown(ghsa)}, {shown(cve)}")
    packages = read_field(entry, "vulnerabilities", list)
    if not all(isinstance(package, dict) for package in packages):
        raise InvalidUpstream(f"vulnerabilities of {ghsa} are no objects")
    severity = _text(entry, "severity").lower()
    if severity not in ("", "low", "medium", "high", "critical"):
        raise InvalidUpstream(f"severity of {ghsa} is {shown(severity)}")
    return PublishedAdvisory(
        ghsa,
        cve,
        severity,
        _read_score(entry),
        clean_text(read_field(entry, "summary", str), 300),
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
