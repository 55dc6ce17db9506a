"""What a version string says: the string a server sent becomes a :class:`Version`, or is refused by name."""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import total_ordering

from vmcrawl.fork import OWN_NUMBERS, UPSTREAM_ONLY, name_fork, text_fork

#: Longer strings are refused, outer whitespace aside; the longest seen in the wild has 54 characters.
MAX_LENGTH = 200


class Refusal(StrEnum):
    """Why a string is no Mastodon version."""

    NOT_A_STRING = "not_a_string"
    EMPTY = "empty"
    TOO_LONG = "too_long"
    #: A control character, a line separator or half a surrogate pair within the string.
    CONTROL_CHARACTER = "control_character"
    #: It does not start with major.minor.patch in ASCII digits.
    NO_NUMBER = "no_number"
    #: Only major.minor: the branch is known, the patch is not.
    NO_PATCH = "no_patch"
    #: A number of more than five digits.
    ABSURD_NUMBER = "absurd_number"
    #: Mastodon's first release was 1.0.
    MAJOR_ZERO = "major_zero"
    #: What other software says in Mastodon's API: ``2.7.2 (compatible; Pleroma 2.10.2)``.
    COMPATIBLE_API = "compatible_api"
    #: The software is not Mastodon, nor a fork that says which Mastodon it is.
    OTHER_SOFTWARE = "other_software"
    #: A fork's own number, which says nothing about Mastodon's.
    OWN_NUMBER = "own_number"
    #: Above main, and not the minor after it.
    ABOVE_MAIN = "above_main"
    #: Below main, but there never was such a branch.
    NO_SUCH_BRANCH = "no_such_branch"


class InvalidVersion(ValueError):
    """A string that is no Mastodon version: ``reason`` by name, ``fork`` and ``branch`` as far as they are known.

    >>> parse_version("4.1")
    Traceback (most recent call last):
    vmcrawl.version.InvalidVersion: no_patch: '4.1'
    """

    def __init__(self, reason: Refusal, detail: str, *, branch: str = "", fork: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.branch = branch
        self.fork = fork

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """One version as upstream numbers it, with the fork and whatever else the string said.

    ``prerelease`` is canonical (``rc.1``, ``alpha``, ``nightly.2026-07-09-security``; ``""`` for a release);
    ``metadata`` is everything that is neither number nor pre-release, wherever in the string it stood. Parsing
    ``str(version)`` with the same software gives the same version.

    The order is total. Within one number, as SemVer 2.0.0 (section 11) has it: pre-releases come before the release
    and count as numbers; alpha before beta before rc. A nightly stands between the alphas and the betas: its
    label replaces an alpha's, and which alpha that was only the catalogue knows. Nightlies follow their dates; a
    ``-security`` build of day D is main at the end of the day before and stands before the nightly of D. Words
    that upstream never used (dev, pre, snapshot) come first. Where SemVer sees equals, metadata and fork decide;
    :attr:`precedence` is the order without them.
    """

    major: int
    minor: int
    patch: int
    prerelease: str = ""
    metadata: str = ""
    fork: str = "vanilla"

    @property
    def release(self) -> str:
        """The canonical release: ``4.5.6``, ``4.6.0-rc.1``, ``4.7.0-nightly.2026-07-09``."""
        number = f"{self.major}.{self.minor}.{self.patch}"
        return f"{number}-{self.prerelease}" if self.prerelease else number

    @property
    def branch(self) -> str:
        """``major.minor``, as SECURITY.md names branches. For people and labels; it does not sort."""
        return f"{self.major}.{self.minor}"

    @property
    def branch_key(self) -> tuple[int, int]:
        """The branch as a value that sorts: 4.10 after 4.9."""
        return self.major, self.minor

    @property
    def nightly(self) -> date | None:
        """The date in a nightly's label, None for everything else and for nightlies without a usable date."""
        channel, _, label = self.prerelease.partition(".")
        return date.fromisoformat(label[:10]) if channel == "nightly" and label else None

    @property
    def precedence(self) -> tuple[int, int, int, int, int, int]:
        """What sorts versions as SemVer does: without metadata and fork."""
        return self.major, self.minor, self.patch, *_prerelease_precedence(self.prerelease)

    def __str__(self) -> str:
        # After a plus this would be Hometown's old order.
        separator = "~" if self.major == 1 and _MASTODON_FIRST.match(self.metadata) else "+"
        return f"{self.release}{separator}{self.metadata}" if self.metadata else self.release

    def __lt__(self, other: object) -> bool:
        return self._order() < other._order() if isinstance(other, Version) else NotImplemented

    def _order(self) -> tuple[tuple[int, ...], str, str, str]:
        return self.precedence, self.prerelease, self.metadata, self.fork


def parse_version(text: object, software: object = "mastodon") -> Version:
    """Read ``software.version`` of NodeInfo, given ``software.name``.

    Raises :class:`InvalidVersion` and nothing else. Whether such a branch can exist is the catalogue's to say
    (:func:`vmcrawl.catalogue.refuse_impossible`). How upstream and forks make the string: Mastodon's
    ``lib/mastodon/version.rb``, where both the pre-release and the metadata are free text of the operator. So:

    * outer whitespace and one ``v`` fall off; then three numbers in ASCII digits, further ``.N`` are ignored;
    * only what stands right after the number and before the first ``+`` can be a pre-release; ``rc1``, ``-rc1`` and
      ``-rc.1`` are one thing, but the 7 of ``-alpha-7ce0e`` is part of a commit's name; an unknown word is the
      operator's. A pre-release on a patch other than 0 stays one: 4.3.3-alpha.0 is a development build and not the
      release 4.3.3;
    * ``+nightly-20230505`` right after the first ``+`` is what upstream's own images said in 2023: a pre-release.
      Where a dated nightly stands beside another pre-release (``4.2.0-beta2-nightly.2023-08-25``), it says more;
    * ``-250801`` is a dated build, read as the nightly of that day;
    * Hometown's old order puts Mastodon's version after the ``+`` (``1.0.7+3.5.5``), also under the name mastodon:
      Mastodon 1 never had metadata.
    """
    named = name_fork(software)
    if named is None:
        raise InvalidVersion(Refusal.OTHER_SOFTWARE, f"software {software!r:.60}", fork="not-mastodon")
    stripped = _strip(text)
    if named in OWN_NUMBERS:
        raise InvalidVersion(Refusal.OWN_NUMBER, f"{named} {stripped!r}", fork=named)
    if named in UPSTREAM_ONLY:
        raise InvalidVersion(Refusal.OTHER_SOFTWARE, f"{named} {stripped!r}", fork="not-mastodon")
    return _parse(stripped, named)


def parse_tag(text: str) -> Version:
    """Read a tag or release name of upstream: ``v4.5.6``, ``v4.1.0rc1``, and of two components ``1.0``, ``1.4rc1``.

    Raises :class:`InvalidVersion`, also for anything beside number and pre-release.
    """
    two = _TWO_COMPONENTS.match(text)
    version = parse_version(f"{two[0]}.0{text[two.end() :]}" if two else text)
    if version.metadata:
        raise InvalidVersion(Refusal.NO_NUMBER, f"no tag of upstream: {text!r:.60}")
    return version


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NUMBER = re.compile(r"[vV]?([0-9]+)\.([0-9]+)\.([0-9]+)(?:\.[0-9]+)*")
_TWO_COMPONENTS = re.compile(r"v?[0-9]+\.[0-9]+(?![0-9]|\.[0-9])")
_BRANCH = re.compile(r"[vV]?([0-9]{1,5})\.([0-9]{1,5})")
#: ``(compatible; X)``, the older ``:compatible:``, and snac's ``(not true; really X)``.
_IMITATION = re.compile(r"\(\s*(?:compatible|not true)|compatible;|:compatible:", re.IGNORECASE)
#: ``0.22.1+git-fdff42b`` and ``0.13.1-SNAPSHOT git-dfc7656`` are GoToSocial's own versions.
_GOTOSOCIAL = re.compile(r"[+ ]git-[0-9a-f]{6,40}\b")
_EDGES = re.compile(r"^[\s+\-._~]+|[\s+\-._~]+$")
_MASTODON_FIRST = re.compile(r"[vV]?[0-9]+\.[0-9]+\.[0-9]+")

_WORD = re.compile(
    r"[-._~ ]*(alpha|beta|rc|prerelease|preview|pre|dev|snapshot|nightly|mastau)(?![a-z])", re.IGNORECASE | re.ASCII
)
#: One server's name in place of the word alpha; its operator's mark all the same.
_ALIASES = {"mastau": "alpha"}
#: Behind a separator a count is a word of its own, and behind a dash a short one: anything else names a commit.
_COUNT = re.compile(
    r"(?:([0-9]{1,9})(?![0-9])|\.([0-9]{1,9})(?![0-9a-z])|[-_]([0-9]{1,4})(?![0-9a-z]))(?:\.[0-9]+(?![0-9a-z]))*",
    re.IGNORECASE | re.ASCII,
)
_NIGHTLY = re.compile(r"[-._~ +]*nightly(?![a-z])", re.IGNORECASE | re.ASCII)
_NIGHTLY_DATE = re.compile(
    r"[-._]?([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})(?![0-9])(-security(?![a-z0-9]))?", re.IGNORECASE | re.ASCII
)
_BAD_DATE = re.compile(r"[-._]?[0-9]+(?:[-.][0-9]+)*(?![0-9a-z])", re.IGNORECASE | re.ASCII)
_DATE_SUFFIX = re.compile(r"-(20)?([0-9]{2})(-?)([0-9]{2})\3([0-9]{2})(?![0-9a-z])", re.IGNORECASE | re.ASCII)

#: Leaves room for number and pre-release, so that ``str(version)`` never is too long to be read again.
_MAX_METADATA = 150


def _strip(text: object) -> str:
    if not isinstance(text, str):
        raise InvalidVersion(Refusal.NOT_A_STRING, type(text).__name__)
    stripped = text.strip()
    if not stripped:
        raise InvalidVersion(Refusal.EMPTY, repr(text[:20]))
    if len(stripped) > MAX_LENGTH:
        raise InvalidVersion(Refusal.TOO_LONG, f"{len(stripped)} characters")
    if _CONTROL.search(stripped):
        raise InvalidVersion(Refusal.CONTROL_CHARACTER, ascii(stripped[:60]))
    return stripped


def _parse(text: str, named: str) -> Version:
    shown = repr(text[:60])
    number = _NUMBER.match(text)
    if number is None:
        if branch := _BRANCH.fullmatch(text):
            raise InvalidVersion(Refusal.NO_PATCH, shown, branch=f"{int(branch[1])}.{int(branch[2])}")
        raise InvalidVersion(Refusal.NO_NUMBER, shown)
    rest = text[number.end() :]
    if _IMITATION.search(rest):
        raise InvalidVersion(Refusal.COMPATIBLE_API, shown, fork="not-mastodon")
    if max(map(len, number.groups())) > 5:
        raise InvalidVersion(Refusal.ABSURD_NUMBER, shown)
    major, minor, patch = map(int, number.groups())
    prerelease, metadata = _read_rest(rest)
    if major == 0:
        fork = "not-mastodon" if _GOTOSOCIAL.search(rest) else text_fork(named, metadata)
        raise InvalidVersion(Refusal.MAJOR_ZERO, shown, fork=fork)
    if major == 1:
        behind = _tidy(rest.partition("+")[2])
        if _MASTODON_FIRST.match(behind) and (mastodon := _parse(behind, named)).major > 1:
            own = f"hometown-{major}.{minor}.{patch}"
            metadata = _tidy(f"{own}+{mastodon.metadata}")
            return Version(*mastodon.precedence[:3], mastodon.prerelease, metadata, text_fork(named, metadata))
        if named == "hometown":
            raise InvalidVersion(Refusal.OWN_NUMBER, f"hometown {shown}", fork="hometown")
        # Formatted and read again, what stands after a plus would be taken for Mastodon's version.
        metadata = metadata.replace("+", "~")
    return Version(major, minor, patch, prerelease, metadata, text_fork(named, metadata))


def _read_rest(rest: str) -> tuple[str, str]:
    """What follows the number, as canonical pre-release and metadata."""
    head, _, tail = rest.partition("+")
    prerelease, suffix = _read_head(head)
    prerelease, tail = _read_upstream_nightly(prerelease, tail)
    return _read_upstream_nightly(prerelease, _tidy(f"{_tidy(suffix)}+{tail}"))


def _read_head(head: str) -> tuple[str, str]:
    if dated := _read_date_suffix(head):
        return dated
    word = _WORD.match(head)
    if word is None:
        return "", head
    channel, rest = word[1].lower(), head[word.end() :]
    if channel == "nightly":
        return _read_nightly_label(rest)
    count = _COUNT.match(rest)
    if count:
        rest = rest[count.end() :]
    nightly = _NIGHTLY.match(rest)
    if nightly and "." in (dated := _read_nightly_label(rest[nightly.end() :]))[0]:
        return dated
    name = _ALIASES.get(channel, channel)
    suffix = f"{channel}+{_tidy(rest)}" if channel in _ALIASES else rest
    return f"{name}.{int(count[count.lastindex or 0])}" if count else name, suffix


def _read_date_suffix(head: str) -> tuple[str, str] | None:
    match = _DATE_SUFFIX.match(head)
    if match is None or (match[3] and not match[1]):
        return None
    day = _date(f"20{match[2]}", match[4], match[5])
    return (f"nightly.{day}", head[match.end() :]) if day and day.year >= 2016 else None


def _read_nightly_label(rest: str) -> tuple[str, str]:
    """What follows the word nightly, as pre-release and remainder; a date that never was falls off."""
    match = _NIGHTLY_DATE.match(rest)
    day = _date(match[1], match[3], match[4]) if match else None
    if match and day:
        return f"nightly.{day}{'-security' if match[5] else ''}", rest[match.end() :]
    bad = _BAD_DATE.match(rest)
    return "nightly", rest[bad.end() :] if bad else rest


def _read_upstream_nightly(prerelease: str, metadata: str) -> tuple[str, str]:
    """Move ``nightly`` from the start of the metadata to the pre-release, unless that already says as much."""
    while match := _NIGHTLY.match(metadata):
        label, rest = _read_nightly_label(metadata[match.end() :])
        if prerelease.startswith("nightly.") or (prerelease and "." not in label):
            break
        prerelease, metadata = label, _tidy(rest)
    return prerelease, metadata


def _date(year: str, month: str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def _tidy(metadata: str) -> str:
    """Without separators at its ends, and bounded."""
    return _EDGES.sub("", _EDGES.sub("", metadata)[:_MAX_METADATA])


#: Development words nobody counts come first, the release itself last.
_CHANNELS = {"alpha": 1, "nightly": 2, "beta": 3, "rc": 4, "": 5}


def _prerelease_precedence(prerelease: str) -> tuple[int, int, int]:
    channel, _, label = prerelease.partition(".")
    rank = _CHANNELS.get(channel, 0)
    if channel == "nightly" and label:
        return rank, date.fromisoformat(label[:10]).toordinal(), 0 if label.endswith("-security") else 1
    return rank, int(label) if label else -1, 0
