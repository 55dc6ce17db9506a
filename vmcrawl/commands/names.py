"""Names as people give them: as arguments of a command, and as lists of one a line."""

import logging
import sys
from collections.abc import Iterable
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


def read_domain(text: str) -> Domain | None:
    """Read one name from the command line; None, and a line in the log that says why, if it cannot be crawled."""
    try:
        return parse_domain(text)
    except InvalidDomain as error:
        log.error("%r is not a domain that can be crawled: %s", text[:_QUOTED], error)
        return None


def read_domains(texts: Iterable[str]) -> tuple[Domain, ...] | None:
    """Read names as :func:`read_domain` does, in order without repeats; None at the first that is none."""
    domains: dict[Domain, None] = {}
    for text in texts:
        if (domain := read_domain(text)) is None:
            return None
        domains[domain] = None
    return tuple(domains)


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
