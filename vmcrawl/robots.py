"""robots.txt by RFC 9309: which of its rules concern us, and what they say about one URL.

Protego judges. What it is given has gone through two linear passes, for it takes most of a second for a large file:
:func:`reduce_robots` keeps the groups that name us, once per file, and :meth:`Rules.allows` picks the longest rules
that reach a path. So two habits of Protego that are not in the RFC stay without effect: it reads ``/a$`` as
``/a%24`` too, and lets ``Allow: /index.html`` allow ``/``.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from protego import Protego

from vmcrawl.url import path_of

#: RFC 9309, 2.5: at least 500 kibibytes must be read; what follows does not count, so nobody need fetch more.
MAX_BYTES = 500 * 1024


def reduce_robots(body: bytes, agent: str) -> str:
    """Reduce a robots.txt to one group with the rules that hold for ``agent``; "" if there are none.

    All groups that name the product token ``agent`` count as one and outrank all groups for ``*`` (RFC 9309, 2.2.1);
    the ``User-agent`` line of the result says which of the two it was.
    Patterns are normalised (2.2.2), of several crawl delays (seconds) the largest is kept. Never raises: what is not
    robots.txt has no rules.
    """
    # Most servers send one of a few files that come with the software.
    return (_reduce_known if len(body) <= _SMALL_BYTES else _reduce)(body, agent)


def find_line(body: bytes, agent: str, pattern: str, *, allows: bool) -> tuple[int, str] | None:
    """Where a robots.txt has the rule with that normalised ``pattern`` for ``agent``: the line's number and its text.

    None if it has no such rule.
    """
    text = _text(body)
    named, everybody = _Group(), _Group()
    current: list[_Group] = []
    found: list[tuple[_Group, int]] = []
    for line in _records(text):
        if line.kind == "user-agent":
            if line.starts_group:
                current = []
            if (group := _group_for(line.value, agent, named, everybody)) is not None:
                current.append(group)
        elif line.kind == ("allow" if allows else "disallow") and _normalised_patterns([line.value]) == [pattern]:
            found += [(group, line.position) for group in current]
        for group in current:
            group.take(line)
    chosen = named if named.exists else everybody
    for group, position in found:
        if group is chosen:
            start = text.rfind("\n", 0, position) + 1
            return text.count("\n", 0, start) + 1, text[start:].partition("\n")[0].strip()
    return None


def _reduce(body: bytes, agent: str) -> str:
    named, everybody = _Group(), _Group()
    current: list[_Group] = []
    for line in _records(_text(body)):
        if line.kind == "user-agent":
            if line.starts_group:
                current = []
            if (group := _group_for(line.value, agent, named, everybody)) is not None and group not in current:
                current.append(group)
        for group in current:
            group.take(line)
    chosen = named if named.exists else everybody
    allowed = dict.fromkeys(_normalised_patterns(chosen.allowed))
    # The same pattern allowed and disallowed: the least restrictive rule is used (2.2.2).
    disallowed = dict.fromkeys(one for one in _normalised_patterns(chosen.disallowed) if one not in allowed)
    lines = [f"Disallow: {pattern}\n" for pattern in disallowed] + [f"Allow: {pattern}\n" for pattern in allowed]
    if chosen.delay is not None:
        lines.insert(0, f"Crawl-delay: {chosen.delay!r}\n")
    return "".join([f"User-agent: {agent if named.exists else '*'}\n", *lines]) if lines else ""


_SMALL_BYTES = 2048
_reduce_known = lru_cache(maxsize=256)(_reduce)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one host for us."""

    #: Whom they are for: our own product token, or ``*``.
    agent: str = "*"
    #: Seconds between two requests; finite and not negative.
    crawl_delay: float | None = None
    #: Patterns without a star, by whether they allow; those with one, which must be tried one by one.
    _plain: dict[str, bool] = field(default_factory=dict)
    _starred: tuple[tuple[str, bool], ...] = ()
    #: Those that occur among the plain ones, the longest first.
    _lengths: tuple[int, ...] = ()

    def allows(self, url: str) -> bool:
        """Whether ``url`` (https, as :mod:`vmcrawl.url` makes them) may be asked for.

        The longest matching pattern decides, ``Allow`` if two are as long, and what no pattern matches is allowed, as
        is robots.txt itself (RFC 9309, 2.2.2). Raises :class:`vmcrawl.url.InvalidUrl` for what is no https URL.
        """
        path_and_query = path_of(url)
        if path_and_query.partition("?")[0] == "/robots.txt":
            return True
        path = _normalised_path(path_and_query)
        decisive = self._decisive(path)
        return not decisive or _verdict(decisive, path)

    def forbidding(self, url: str) -> str | None:
        """The line that forbids ``url``, as ``Disallow: /api``; None if it is allowed. Raises as :meth:`allows`."""
        if self.allows(url):
            return None
        rule = self.rule_for(url)
        return f"Disallow: {rule[0] if rule else '/'}"

    def rule_for(self, url: str) -> tuple[str, bool] | None:
        """The pattern, normalised, that decides about ``url``, and whether it allows; None where no rule does."""
        path = _normalised_path(path_of(url))
        decisive = self._decisive(path)
        if not decisive:
            return None
        allowed = _verdict(decisive, path)
        return next((rule for rule in decisive if rule[1] is allowed), None)

    def _decisive(self, path: str) -> list[tuple[str, bool]]:
        return _decisive([*self._plain_matches(path), *self._starred_matches(path)])

    def _plain_matches(self, path: str) -> Iterator[tuple[str, bool]]:
        if (whole := f"{path}$") in self._plain:
            yield whole, self._plain[whole]
        for length in self._lengths:
            if length <= len(path) and (candidate := path[:length]) in self._plain:
                yield candidate, self._plain[candidate]

    def _starred_matches(self, path: str) -> Iterator[tuple[str, bool]]:
        for pattern, allows in self._starred:
            if _reaches(pattern, path):
                yield pattern, allows


def parse_rules(reduced: str) -> Rules:
    """Read what :func:`reduce_robots` wrote; never raises, lines of another make are left out."""
    return (_parse_known if len(reduced) <= _SMALL_BYTES else _parse)(reduced)


def _parse(reduced: str) -> Rules:
    agent, delay = "*", None
    plain: dict[str, bool] = {}
    starred: dict[str, bool] = {}
    for kind, value in _REDUCED_LINE.findall(reduced):
        if kind == "User-agent":
            agent = value
        elif kind == "Crawl-delay":
            delay = _seconds(value)
        else:
            (starred if "*" in value else plain)[value] = kind == "Allow"
    lengths = sorted({len(pattern) for pattern in plain}, reverse=True)
    return Rules(agent, delay, plain, tuple(starred.items()), tuple(lengths))


_parse_known = lru_cache(maxsize=256)(_parse)

_REDUCED_LINE = re.compile(r"^(User-agent|Allow|Disallow|Crawl-delay): ([!-~]+)$", re.MULTILINE)

#: Spellings that Protego forgives, with a colon or white space after them.
_RECORD = re.compile(
    r"^[ \t]*(user[- ]?agent|allow|disallow|dissallow|dissalow|disalow|diasllow|disallaw|crawl[- ]delay)"
    r"(?:[ \t]*:|[ \t]+|$)([^\n#]*)",
    re.MULTILINE | re.IGNORECASE | re.ASCII,
)
_KIND_BY_INITIAL = {"u": "user-agent", "a": "allow", "d": "disallow", "c": "crawl-delay"}
_STARS = re.compile(r"\*+")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_PRODUCT_TOKEN = re.compile(r"[A-Za-z_-]+")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
#: In one spelling already.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/=_.~-]*")
_QUERY = re.compile(r"\?.*")
_ESCAPED_SLASH = re.compile(r"%2f", re.IGNORECASE)
#: Escapes that do not mean the same as what they stand for: % and /, in patterns also * and $ (and the line end that
#: separates patterns while they are normalised).
_KEPT_IN_PATH = ("25", "2F")
_KEPT_IN_PATTERN = ("25", "2F", "2A", "24", "0A")
_INNER_DOLLAR = re.compile(r"\$(?!$)", re.MULTILINE)


class _Record(NamedTuple):
    kind: str
    value: str
    #: For a user-agent line: whether it is the first of its group.
    starts_group: bool
    #: Where the line begins.
    position: int


@dataclass(slots=True, eq=False)
class _Group:
    exists: bool = False
    allowed: list[str] = field(default_factory=list)
    disallowed: list[str] = field(default_factory=list)
    delay: float | None = None

    def take(self, record: _Record) -> None:
        self.exists = True
        if record.kind == "allow":
            self.allowed.append(record.value)
        elif record.kind == "disallow":
            self.disallowed.append(record.value)
        elif record.kind == "crawl-delay" and (seconds := _seconds(record.value)) is not None:
            self.delay = max(seconds, self.delay or 0.0)


def _text(body: bytes) -> str:
    kept = body[:MAX_BYTES]
    encoding = "utf-16" if kept.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    # NULs are UTF-16 without a byte order mark, or noise.
    text = kept.decode(encoding, "replace").replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    # Half a line could say the opposite of the whole.
    return text[: text.rfind("\n") + 1] if len(body) >= MAX_BYTES else text


def _records(text: str) -> Iterator[_Record]:
    """The lines that matter. Only rules end a list of agents: Sitemap and the like must not (RFC 9309, 2.2.4).

    ``Crawl-delay`` is not in the RFC. A blank line after it ends the group, as in the first robots.txt (1994): else
    "User-agent: *, Crawl-delay: 9", blank, "User-agent: GPTBot, Disallow: /" would shut everybody out.
    """
    previous, previous_end = "", 0
    for match in _RECORD.finditer(text):
        kind = _KIND_BY_INITIAL[match[1][0].lower()]
        starts_group = kind == "user-agent" and (
            previous in ("allow", "disallow")
            or (previous == "crawl-delay" and _BLANK_LINE.search(text, previous_end, match.start()) is not None)
        )
        yield _Record(kind, match[2].strip(), starts_group, match.start())
        if kind != "crawl-delay" or previous == "user-agent":
            previous, previous_end = kind, match.end()


def _group_for(value: str, agent: str, named: _Group, everybody: _Group) -> _Group | None:
    if value == "*" or value.startswith(("* ", "*\t")):
        return everybody
    token = _PRODUCT_TOKEN.match(value)
    ours = _PRODUCT_TOKEN.match(agent)
    return named if token and ours and token[0].lower() == ours[0].lower() else None


def _seconds(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _normalised_patterns(patterns: list[str]) -> list[str]:
    """Normalise all patterns at once: one by one, some ten thousand of them would take too long."""
    rooted = [pattern for pattern in patterns if pattern.startswith(("/", "*"))]
    text = _INNER_DOLLAR.sub("%24", "\n".join(rooted))
    return _normalised(text, _KEPT_IN_PATTERN, "/=*$\n").split("\n") if rooted else []


def _normalised_path(path_and_query: str) -> str:
    if _PLAIN_PATH.fullmatch(path_and_query):
        return path_and_query
    return _normalised(path_and_query, _KEPT_IN_PATH, "/=")


def _normalised(text: str, kept: tuple[str, ...], safe: str) -> str:
    """Give equivalent octets one spelling (RFC 9309, 2.2.2): unreserved ones plain, the others as upper-case escapes.

    Only in a query, an escaped slash is the same as a slash (the RFC's own example).
    """
    if _ESCAPED_SLASH.search(text):
        text = _QUERY.sub(lambda query: _ESCAPED_SLASH.sub("/", query[0]), text)
    # Escaping the percent signs of what is kept makes the decoding below leave it as it was.
    for code in kept:
        for spelling in {code, code.lower()}:
            text = text.replace(f"%{spelling}", f"%25{code}")
    text = _STRAY_PERCENT.sub("%2525", text)
    return quote(unquote(text, errors="replace"), safe=f"{safe}%", errors="replace")


def _reaches(pattern: str, path: str) -> bool:
    """Whether a pattern with a star matches; in linear time, whatever the pattern."""
    head, _, rest = pattern.removesuffix("$").partition("*")
    if not path.startswith(head):
        return False
    position = len(head)
    *inner, last = (_STARS.sub("*", rest) if "**" in rest else rest).split("*")
    for part in inner:
        found = path.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    if pattern.endswith("$"):
        return len(path) - len(last) >= position and path.endswith(last)
    return path.find(last, position) >= 0


def _decisive(matches: Iterable[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Of the rules that match, one of each kind that is as long as the longest: no other can count."""
    longest = max((len(pattern) for pattern, _ in matches), default=0)
    by_kind = {allows: pattern for pattern, allows in matches if len(pattern) == longest}
    return [(pattern, allows) for allows, pattern in by_kind.items()]


def _verdict(rules: list[tuple[str, bool]], path: str) -> bool:
    lines = "".join(f"{'Allow' if allows else 'Disallow'}: {pattern}\n" for pattern, allows in rules)
    return Protego.parse(f"User-agent: *\n{lines}").can_fetch(f"https://host.invalid{path}", "anybody")
