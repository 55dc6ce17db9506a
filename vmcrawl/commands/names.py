"""Lists of names as people keep them: one a line."""

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path

from vmcrawl.domain import Domain, InvalidDomain, parse_domain

log = logging.getLogger(__name__)

#: Bad lines shown one by one; the rest is only counted.
_SHOWN = 20
#: Longer lines are not names; they are not quoted whole either.
_QUOTED = 80


class UnreadableList(Exception):
    """The file of names cannot be read; the message says which, and why."""


@dataclass(slots=True)
class Names:
    """What a list held: its domains in order without repeats, and how many lines were something else."""

    domains: list[Domain] = field(default_factory=list)
    duplicates: int = 0
    bad: int = 0


def read_names(path: Path) -> Names:
    """Read one name a line from a file, or from stdin for ``-``; blank lines and ``#`` comments are skipped.

    A line that is no domain is logged with its number and counted; it never stops the reading. Raises
    :class:`UnreadableList`.
    """
    if str(path) == "-":
        return _parse(sys.stdin.buffer.read(), "stdin")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableList(f"{path} cannot be read: {error.strerror}") from error
    return _parse(content, str(path))


def _parse(content: bytes, origin: str) -> Names:
    names = Names()
    seen: set[Domain] = set()
    for number, line in enumerate(content.decode("utf-8-sig", "replace").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            domain = parse_domain(text)
        except InvalidDomain as error:
            names.bad += 1
            if names.bad <= _SHOWN:
                log.warning("%s, line %d: %r: %s", origin, number, text[:_QUOTED], error)
            continue
        if domain in seen:
            names.duplicates += 1
        else:
            seen.add(domain)
            names.domains.append(domain)
    if names.bad > _SHOWN:
        log.warning("%s: %d more bad lines", origin, names.bad - _SHOWN)
    return names
