"""Verdicts in words for people: what they mean, at which step they were reached, what they do to what is published."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from vmcrawl.outcome import REMOVES_PUBLISHED, Outcome

#: What the words mean (:class:`Outcome`), for those who have not read the source.
MEANS: Mapping[Outcome, str] = MappingProxyType(
    {
        Outcome.OK: "Mastodon or a related fork, with version, active users and identity confirmed",
        Outcome.ALIAS: "another name of a server that is counted under its own",
        Outcome.ALIAS_UNVERIFIED: "it names another domain, which does not confirm it",
        Outcome.NOT_MASTODON: "it runs other software",
        Outcome.ROBOTS_DISALLOWED: "its robots.txt forbids what has to be asked, or wants too long a delay",
        Outcome.ROBOTS_UNREACHABLE: "its robots.txt answers 5xx, so nothing else may be asked",
        Outcome.OPTED_OUT: "it has answered 410, 418 or 451: it wants none of this",
        Outcome.EXCLUDED: "the operator's exclusions or a hard DNI entry cover it: no request is made",
        Outcome.RATE_LIMITED: "it has answered 429: too many requests, for its taste",
        Outcome.HTTP_4XX: "the decisive document answered 4xx",
        Outcome.HTTP_5XX: "the decisive document answered 5xx",
        Outcome.HTTP_OTHER: "the decisive document answered neither with success nor with an error",
        Outcome.TOO_MANY_REDIRECTS: "more redirects than five, or a loop of them",
        Outcome.BAD_REDIRECT: "a redirect to anything but https on its usual port",
        Outcome.BLOCKED_ADDRESS: "its name, or a redirect, leads to an address that is not public",
        Outcome.DNS_NOT_FOUND: "there is no such name, or it has no address",
        Outcome.DNS_FAILURE: "name servers did not answer, or refused to",
        Outcome.CONNECTION_REFUSED: "nothing listens at its address",
        Outcome.CONNECTION_UNREACHABLE: "there is no way to its address",
        Outcome.CONNECTION_RESET: "it hung up without a proper answer",
        Outcome.TIMEOUT: "it took too long",
        Outcome.TLS_CERTIFICATE: "its certificate is expired, for another name, or of nobody that is trusted",
        Outcome.TLS_HANDSHAKE: "TLS 1.2 or newer could not be agreed on",
        Outcome.BAD_CONTENT_TYPE: "the decisive document is not JSON by its type",
        Outcome.BAD_JSON: "the decisive document is not what it should be by its content",
        Outcome.TOO_LARGE: "the decisive document is larger than anything sensible",
        Outcome.BAD_VERSION: "it names no version that can be Mastodon's",
        Outcome.NO_ACTIVE_USERS: "it gives no plausible number of active users",
        Outcome.API_AUTH_REQUIRED: "its instance API asks for a login",
        Outcome.API_UNAVAILABLE: "its instance API names no usable domain",
        Outcome.INTERNAL_ERROR: "a bug of ours: the log has its traceback",
    }
)


@dataclass(frozen=True, slots=True)
class Step:
    """Where in a crawl a verdict was reached."""

    #: ``exclusions``, ``robots.txt``, ``discovery``, ``NodeInfo``, ``instance API``, ``first contact``, ``end``.
    name: str
    #: The address that the detail names; "" where it names none.
    url: str = ""


def meaning_of(outcome: str) -> str:
    """What an outcome means, as the database has it; a newer version of the program may know more words than we do."""
    return MEANS[Outcome(outcome)] if outcome in _WORDS else "a word that this version of vmcrawl does not know"


def effect_of(outcome: str) -> str:
    """What a verdict does to the published row of its domain."""
    if outcome == Outcome.OK:
        return "published, as it was seen"
    if outcome in REMOVES_PUBLISHED:
        return "removed at once, if it was published"
    return "kept as it was seen last, if it was published, until that is too old"


def reached_at(outcome: str, detail: str) -> Step:
    """At which step a crawl ended, by what it left in the ledger."""
    found = _URL.search(detail)
    url = found[0].rstrip(".,:;'\")") if found else ""
    if outcome in _BY_OUTCOME:
        return Step(_BY_OUTCOME[Outcome(outcome)], url)
    if "robots.txt of " in detail:
        return Step(_ROBOTS, url)
    if url:
        path = url.partition("://")[2].partition("/")[2]
        return Step(next((name for start, name in _BY_PATH if path.startswith(start)), _NODEINFO), url)
    if detail.startswith("the instance API of "):
        return Step(_API, "")
    # Whoever does not get as far as a status has, as a rule, failed at the first request: robots.txt.
    return Step(_CONTACT if outcome in _TRANSPORT else _NODEINFO, "")


_ROBOTS, _DISCOVERY, _NODEINFO, _API, _CONTACT = (
    "robots.txt",
    "discovery",
    "NodeInfo",
    "instance API",
    "first contact",
)
_URL = re.compile(r"https://[^\s]+")
_WORDS = frozenset(map(str, Outcome))
_BY_OUTCOME = {
    Outcome.OK: "end",
    Outcome.EXCLUDED: "exclusions",
    Outcome.ROBOTS_DISALLOWED: _ROBOTS,
    Outcome.ROBOTS_UNREACHABLE: _ROBOTS,
    Outcome.ALIAS: _API,
    Outcome.ALIAS_UNVERIFIED: _API,
    Outcome.API_AUTH_REQUIRED: _API,
    Outcome.API_UNAVAILABLE: _API,
    Outcome.NOT_MASTODON: _NODEINFO,
    Outcome.BAD_VERSION: _NODEINFO,
    Outcome.NO_ACTIVE_USERS: _NODEINFO,
}
_BY_PATH = (
    ("robots.txt", _ROBOTS),
    (".well-known/", _DISCOVERY),
    ("_matrix/", _DISCOVERY),
    ("api/v2/instance", _API),
    ("api/v1/instance", _API),
)
_TRANSPORT = frozenset(
    {
        Outcome.DNS_NOT_FOUND,
        Outcome.DNS_FAILURE,
        Outcome.BLOCKED_ADDRESS,
        Outcome.CONNECTION_REFUSED,
        Outcome.CONNECTION_UNREACHABLE,
        Outcome.CONNECTION_RESET,
        Outcome.TIMEOUT,
        Outcome.TLS_CERTIFICATE,
        Outcome.TLS_HANDSHAKE,
    }
)
