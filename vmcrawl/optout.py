"""How a server has told us to leave it alone: said in one line when that is found, and taken apart when it is shown."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the line says; None for what it does not."""

    #: The line of robots.txt, such as ``Disallow: /``.
    rule: str | None = None
    #: Whom that is for: our product token, or ``*``.
    agent: str | None = None
    #: What could not be asked for, or what was, with which answer.
    url: str | None = None
    status: int | None = None


def forbidden(host: str, rule: str, agent: str, url: str) -> str:
    """A path is forbidden by a line of robots.txt. The line comes first, since long details are cut."""
    return f'robots.txt of {host} ("{_short(rule)}" for {agent}) forbids {url}'


def too_slow(host: str, delay: float, agent: str) -> str:
    """robots.txt asks for more seconds between requests than fit into a crawl."""
    return f'robots.txt of {host} ("Crawl-delay: {delay:g}" for {agent}) asks for more time than a crawl has'


def answered(url: str, status: int) -> str:
    """An answer is an opt-out by its status."""
    return f"{url} answered {status}"


def read_evidence(detail: str | None) -> Evidence:
    """Take apart what one of the above has written; whatever else was written gives nothing."""
    if match := _BY_RULE.match(detail or ""):
        return Evidence(rule=match[1], agent=match[2], url=match[3])
    if match := _BY_STATUS.fullmatch(detail or ""):
        return Evidence(url=match[1], status=int(match[2]))
    return Evidence()


_LONGEST_RULE = 150
_BY_RULE = re.compile(r'robots\.txt of \S+ \("(.+)" for (\S+)\) (?:forbids (\S+)|asks for)')
_BY_STATUS = re.compile(r"(https://\S+) answered (\d{3})")


def _short(rule: str) -> str:
    return rule if len(rule) <= _LONGEST_RULE else f"{rule[: _LONGEST_RULE - 1]}…"
