"""The notations in which ranges of versions are published, read into spans; what they mean together is not decided."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from vmcrawl.version import InvalidVersion, Version, parse_tag

#: Longer texts are not read; the longest published has some 120 characters.
MAX_LENGTH = 2_000


@dataclass(frozen=True, slots=True)
class Span:
    """Versions from ``low`` (included unless ``after``) up to ``high`` (included if ``closed``); None: no end.

    ``since``: of what was built from main, only the builds of that day (UTC) and later.
    """

    low: Version | None
    high: Version | None
    closed: bool = False
    after: bool = False
    since: date | None = None

    @property
    def empty(self) -> bool:
        if self.low is None or self.high is None or self.low.precedence < self.high.precedence:
            return False
        return not (self.closed and not self.after and self.low.precedence == self.high.precedence)

    def holds(self, version: Version) -> bool:
        """Whether a version lies within, by number alone (:attr:`Version.precedence`)."""
        here = version.precedence
        if self.low and (here < self.low.precedence or (self.after and here == self.low.precedence)):
            return False
        return self.high is None or here < self.high.precedence or (self.closed and here == self.high.precedence)


@dataclass(frozen=True, slots=True)
class Ranges:
    """What a text says, term by term."""

    #: Every span that is not empty; a bound without its counterpart is open on the other side.
    spans: tuple[Span, ...] = ()
    #: Of parts with a term that nobody can read: it may be the bound that is missing.
    unsure: tuple[Span, ...] = ()
    #: ``>= 4.2.6, < 4.2.6``
    empty: tuple[Span, ...] = ()
    #: The builds of main from a day on, up to a version: ``>= nightly.2026-03-10, < 4.6.0-beta.1``
    dated: tuple[tuple[date, Version | None], ...] = ()
    #: ``all main``
    main: bool = False
    #: ``all supported versions``
    supported: bool = False
    #: Terms nobody can read, as they stand.
    unread: tuple[str, ...] = ()


def read_ranges(text: str) -> Ranges:
    """Read what CVE records, GitHub's advisories and their authors write. Never raises.

    ``||`` and ``;`` mean or. A comma means and between a lower bound and the upper bound after it, as does nothing at
    all (``>= 4.4.0 < 4.4.14``); any other comma means or (``< 4.2.29, < 4.3.17``). Terms: a version behind ``>=``,
    ``>``, ``<``, ``<=``, ``=`` (and ``=>``, ``=<``, ``\u2265``, ``\u2264``) or nothing; ``up to 4.4.13``, ``4.4.13 and
    earlier``, both with that version; ``4.4.0 and later``; ``4.2.x``; ``4.1.x before 4.1.17``; ``4.4.0-4.4.13`` with
    both ends; ``nightly.2026-03-10`` as a lower bound; ``all``, ``all main``, ``all supported versions``. Versions
    are spelled as :func:`parse_tag` has it.
    """
    if len(text) > MAX_LENGTH:
        return Ranges(unread=(f"{len(text)} characters",))
    found = _Found()
    for part in re.split(r"\|\||;|\n", _spell(text)):
        _read_part([term for whole in part.split(",") for term in _divide(whole.strip()) if term], found)
    return Ranges(
        tuple(span for span in found.spans if not span.empty),
        tuple(span for span in found.unsure if not span.empty),
        tuple(span for span in found.spans if span.empty),
        tuple(found.dated),
        "main" in found.words,
        "supported" in found.words,
        tuple(found.unread),
    )


def read_versions(text: str) -> tuple[tuple[Version, ...], tuple[str, ...]]:
    """A list such as ``4.2.29, v4.3.17`` as versions, in order and each once, and what of it cannot be read."""
    if len(text) > MAX_LENGTH:
        return (), (f"{len(text)} characters",)
    versions, unread = set(), []
    for name in re.split(r"[,;|\s]+", text):
        version = _version(name) if _VERSION_ONLY.fullmatch(name) else None
        if version:
            versions.add(version)
        elif name and name.lower() not in ("and", "or"):
            unread.append(name)
    return tuple(sorted(versions)), tuple(unread)


def branch_start(major: int, minor: int) -> Version:
    """Before every version of a branch, the first alpha included."""
    return Version(major, minor, 0, "pre")


_TEXT = r"v?[0-9]{1,5}\.[0-9]{1,5}(?:\.[0-9]{1,5})?(?:-?(?:alpha|beta|rc)\.?[0-9]{1,4})?"
_FLAGS = re.IGNORECASE | re.ASCII
_VERSION_ONLY = re.compile(_TEXT, _FLAGS)
_BOUND = re.compile(rf"(>=|<=|==|>|<|=|before|prior to|)\s*({_TEXT})", _FLAGS)
_FROM_TO = re.compile(rf"({_TEXT})\s*(?:-|\u2013|to|through)\s*({_TEXT})", _FLAGS)
_BRANCH = re.compile(rf"v?([0-9]{{1,5}})(?:\.([0-9]{{1,5}}))?\.[x*](?:\s+(?:before|prior to)\s+({_TEXT}))?", _FLAGS)
_UP_TO = re.compile(
    rf"(?:up to|until|through)(?: and including)?\s+({_TEXT})"
    rf"|({_TEXT}) (?:and|or) (?:earlier|older|below|lower|prior|before)",
    _FLAGS,
)
_LATER = re.compile(rf"({_TEXT}) (?:and|or) (?:later|newer|above|higher|up)", _FLAGS)
#: A lower and an upper bound with nothing between them, in either order.
_TWO = re.compile(r"([<>]=?[^<>=]+?)\s*([<>]=?[^<>=]+)")
_SPELLINGS = str.maketrans({"\u2265": ">=", "\u2264": "<="})
_NIGHTLY = re.compile(r">=\s*nightly[.-]([0-9]{4}-[0-9]{2}-[0-9]{2})", _FLAGS)
_ALL = {
    **dict.fromkeys(("all", "*", "all versions"), "all"),
    **dict.fromkeys(("main", "all main"), "main"),
    **dict.fromkeys(("all supported", "all supported versions"), "supported"),
}


@dataclass(slots=True)
class _Found:
    spans: list[Span] = field(default_factory=list)
    unsure: list[Span] = field(default_factory=list)
    dated: list[tuple[date, Version | None]] = field(default_factory=list)
    words: set[str] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)


def _spell(text: str) -> str:
    return text.translate(_SPELLINGS).replace("=>", ">=").replace("=<", "<=")


def _divide(term: str) -> tuple[str, ...]:
    two = _TWO.fullmatch(term)
    if two is None or {two[1][0], two[2][0]} != {"<", ">"}:
        return (term,)
    return (two[1], two[2]) if two[1][0] == ">" else (two[2], two[1])


def _read_part(terms: list[str], found: _Found) -> None:
    bounds: list[Span | date] = []
    unread: list[str] = []
    for term in terms:
        word = _ALL.get(" ".join(term.lower().split()))
        bound = Span(None, None) if word == "all" else _read_term(term)
        if bound is not None:
            bounds.append(bound)
        elif word:
            found.words.add(word)
        else:
            unread.append(term[:60])
    found.unread += unread
    spans = found.unsure if unread else found.spans
    for whole in _pair(bounds):
        if isinstance(whole, Span):
            spans.append(whole)
        elif not unread:
            found.dated.append(whole)
        else:
            found.unread.append(f">= nightly.{whole[0]}")


def _read_term(term: str) -> Span | date | None:
    if nightly := _NIGHTLY.fullmatch(term):
        return _day(nightly[1])
    if branch := _BRANCH.fullmatch(term):
        return _read_branch(branch)
    if both := _FROM_TO.fullmatch(term):
        low, high = _version(both[1]), _version(both[2])
        return Span(low, high, closed=True) if low and high else None
    if up_to := _UP_TO.fullmatch(term):
        high = _version(up_to[1] or up_to[2])
        return Span(None, high, closed=True) if high else None
    if later := _LATER.fullmatch(term):
        low = _version(later[1])
        return Span(low, None) if low else None
    bound = _BOUND.fullmatch(term)
    version = _version(bound[2]) if bound else None
    if bound is None or version is None:
        return None
    match bound[1].lower():
        case ">=" | ">" as operator:
            return Span(version, None, after=operator == ">")
        case "" | "=" | "==":
            return Span(version, version, closed=True)
        case operator:
            return Span(None, version, closed=operator == "<=")


def _read_branch(match: re.Match[str]) -> Span | None:
    major, minor = int(match[1]), int(match[2] or 0)
    before = _version(match[3]) if match[3] else None
    if match[3] and before is None:
        return None
    following = branch_start(major, minor + 1) if match[2] else branch_start(major + 1, 0)
    return Span(branch_start(major, minor), before or following)


def _pair(bounds: list[Span | date]) -> Iterator[Span | tuple[date, Version | None]]:
    """Join each lower bound with the upper bound that follows it."""
    match bounds:
        # Two terms the other way round.
        case [Span(low=None, high=Version()) as high, Span(low=Version(), high=None) as low] if not _join(
            low, high
        ).empty:
            bounds = [low, high]
    waiting: Span | date | None = None
    for bound in bounds:
        if isinstance(bound, Span) and bound.low is None and bound.high and waiting is not None:
            yield (waiting, bound.high) if isinstance(waiting, date) else _join(waiting, bound)
            waiting = None
            continue
        if waiting is not None:
            yield (waiting, None) if isinstance(waiting, date) else waiting
        waiting = bound if isinstance(bound, date) or (bound.low and not bound.high) else None
        if waiting is None and isinstance(bound, Span):
            yield bound
    if waiting is not None:
        yield (waiting, None) if isinstance(waiting, date) else waiting


def _join(low: Span, high: Span) -> Span:
    return Span(low.low, high.high, high.closed, low.after)


def _version(text: str) -> Version | None:
    try:
        return parse_tag(text.lower())
    except InvalidVersion:
        return None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
