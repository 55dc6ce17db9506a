"""Names of the ledger that somebody may have meant who typed another one: found by index, so quick in any ledger."""

from collections.abc import Iterator
from difflib import SequenceMatcher
from string import ascii_lowercase, digits

import psycopg

from vmcrawl.domain import Domain

#: How many are shown.
_MOST = 5
#: Names that one prefix may bring; there may be thousands of ``mastodon.``.
_PER_PREFIX = 300
#: Below this two names have too little in common (:class:`difflib.SequenceMatcher`).
_ALIKE = 0.72
_LETTERS = ascii_lowercase + digits + "-."
#: What stands, or is missing, before the name of a server.
_FRONTS = ("www", "social", "mastodon", "m", "masto", "mstdn", "fedi", "fediverse", "toot", "s")
#: Of names longer than this the slips of a finger are not all tried.
_LONGEST = 80


def similar(connection: psycopg.Connection, name: str) -> list[Domain]:
    """The few names of the ledger that are most like ``name``, the likeliest first.

    No look through the ledger: every name that is one slip away (a letter too many, too few, wrong, or two swapped),
    with or without a label in front, and those that begin in the same way, are looked up in the primary key.
    """
    near = {*_slips(name), *_relatives(name)}
    found = {known for (known,) in connection.execute(_EXACT, [sorted(near)])}
    for prefix in _prefixes(name):
        # Names are ASCII and sorted by byte: what begins with a prefix lies between it and it with a tilde.
        found |= {known for (known,) in connection.execute(_PREFIX, [prefix, prefix + "~", _PER_PREFIX])}
    found.discard(name)
    relatives = set(_relatives(name))
    matcher = SequenceMatcher(b=name)
    likeness: dict[str, float] = {}
    for known in found:
        matcher.set_seq1(known)
        if known in relatives or (matcher.quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE):
            likeness[known] = matcher.ratio()
    return [Domain(known) for known in sorted(likeness, key=lambda known: (-likeness[known], known))[:_MOST]]


def _slips(name: str) -> Iterator[str]:
    for place in range(min(len(name), _LONGEST) + 1):
        head, tail = name[:place], name[place:]
        yield from (head + letter + tail for letter in _LETTERS)
        if tail:
            yield head + tail[1:]
            yield from (head + letter + tail[1:] for letter in _LETTERS)
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]


def _relatives(name: str) -> Iterator[str]:
    """The names above, and those that often stand below or beside."""
    labels = name.split(".")
    above = [".".join(labels[start:]) for start in range(1, len(labels) - 1)]
    yield from above
    for base in (name, *above):
        yield from (f"{front}.{base}" for front in _FRONTS)


def _prefixes(name: str) -> list[str]:
    """How names begin that differ in their end: the first label, whole and half."""
    label = name.partition(".")[0]
    return list(dict.fromkeys((f"{label}.", label[: max(4, len(label) * 2 // 3)])))


_EXACT = "SELECT domain FROM domains WHERE domain = ANY (%s)"
_PREFIX = "SELECT domain FROM domains WHERE domain >= %s AND domain < %s ORDER BY domain LIMIT %s"
