"""What one distinct (software, version, upstream version) means: the row the store keeps per distinct string."""

from dataclasses import dataclass, replace
from datetime import date, timedelta

from vmcrawl.catalogue import Catalogue, Support, is_patched, refuse_impossible
from vmcrawl.fork import name_fork
from vmcrawl.version import InvalidVersion, Refusal, Version, parse_version

#: Stamped on every meaning; raised whenever the reading of any string changes, so that old readings are redone.
PARSER_VERSION = 2


@dataclass(frozen=True, slots=True)
class Meaning:
    """How a version string is read, with the catalogue and the day it was read with."""

    #: As upstream numbers it: ``4.5.6``, ``4.6.0-rc.1``, ``4.7.0-nightly.2026-07-09``.
    release: str
    #: ``major.minor``.
    branch: str
    fork: str
    support: Support
    #: None where it cannot be said.
    patched: bool | None
    parser: int = PARSER_VERSION


def read_meaning(
    software: str, version: str, upstream_version: str | None, catalogue: Catalogue, today: date
) -> Meaning:
    """What a server's string means today (UTC), given what is known of upstream.

    Raises :class:`vmcrawl.version.InvalidVersion` for what :func:`read_version` refuses, and nothing else.
    """
    return find_meaning(read_version(software, version, upstream_version, catalogue), catalogue, today)


def find_meaning(version: Version, catalogue: Catalogue, today: date) -> Meaning:
    """As :func:`read_meaning`, of what :func:`read_version` gave."""
    patched = is_patched(version, catalogue)
    # A -security build is labelled with tomorrow; a later date is nobody's build.
    if version.nightly and version.nightly > today + timedelta(days=1) and patched:
        patched = None
    support = catalogue.support(version.branch_key, today)
    # Of a branch that we know nothing about we cannot say that it has all fixes.
    patched = None if support is Support.UNKNOWN else patched
    return Meaning(version.release, version.branch, version.fork, support, patched)


def read_version(software: object, version: object, upstream_version: str | None, catalogue: Catalogue) -> Version:
    """Read NodeInfo's ``software.name``, ``software.version`` and ``metadata.upstream.version``, the latter
    None unless ``metadata.upstream.name`` is mastodon.

    A fork under its own name may number itself; the upstream field then is what says which Mastodon it is, and
    wins wherever the two name different numbers. Where they agree, the version string has more to say. Under the
    name mastodon the string alone counts.

    Raises :class:`vmcrawl.version.InvalidVersion` of the version string if neither can be read or believed.
    """
    fork = name_fork(software)
    # A fork that nobody has heard of is still one, if it says what it is made of.
    upstream = None if fork == "" else _read_upstream(upstream_version, catalogue)
    try:
        own = refuse_impossible(parse_version(version, software), catalogue)
    except InvalidVersion as refusal:
        if upstream is None or refusal.reason in _FINAL:
            raise
        return replace(upstream, fork=fork or "custom")
    if upstream is None or upstream.precedence[:3] == own.precedence[:3]:
        return own
    return replace(upstream, fork=own.fork)


#: No number of its own, but nothing that may be kept either.
_FINAL = frozenset(
    {
        Refusal.NOT_A_STRING,
        Refusal.EMPTY,
        Refusal.TOO_LONG,
        Refusal.CONTROL_CHARACTER,
        Refusal.COMPATIBLE_API,
    }
)


def _read_upstream(text: str | None, catalogue: Catalogue) -> Version | None:
    if text is None:
        return None
    try:
        return refuse_impossible(parse_version(text), catalogue)
    except InvalidVersion:
        return None
