"""Whole crowds of servers: every scenario at once, and healthy and failing ones as they are mixed in the wild."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

from tests.fediverse.healthy import apex, html, mastodon, redirect
from tests.fediverse.scenarios_discovery import discovery_scenarios
from tests.fediverse.scenarios_documents import document_scenarios
from tests.fediverse.scenarios_http import http_scenarios
from tests.fediverse.scenarios_identity import identity_scenarios
from tests.fediverse.scenarios_network import network_scenarios
from tests.fediverse.scenarios_robots import robots_scenarios
from tests.fediverse.scenarios_values import value_scenarios
from tests.fediverse.site import (
    BLACKHOLE_ADDRESS,
    UNREACHABLE_ADDRESS,
    Hang,
    Listening,
    Name,
    Quirk,
    Reply,
    Reset,
    Script,
    Site,
    Tls,
    Truth,
)
from vmcrawl.outcome import Outcome

#: Software, version and about how many of a thousand servers run it.
_VERSIONS: tuple[tuple[str, str, int], ...] = (
    ("mastodon", "4.7.0", 70),
    ("mastodon", "4.6.6", 260),
    ("mastodon", "4.6.5", 70),
    ("mastodon", "4.6.3", 30),
    ("mastodon", "4.6.0", 10),
    ("mastodon", "4.5.16", 130),
    ("mastodon", "4.5.15", 30),
    ("mastodon", "4.5.9", 30),
    ("mastodon", "4.5.4", 15),
    ("mastodon", "4.4.23", 40),
    ("mastodon", "4.4.17", 15),
    ("mastodon", "4.4.8", 10),
    ("mastodon", "4.3.23", 30),
    ("mastodon", "4.3.8", 15),
    ("mastodon", "4.2.29", 15),
    ("mastodon", "4.2.10", 15),
    ("mastodon", "4.1.25", 10),
    ("mastodon", "4.1.4", 5),
    ("mastodon", "4.0.2", 10),
    ("mastodon", "3.5.19", 8),
    ("mastodon", "3.5.3", 8),
    ("mastodon", "3.4.6", 4),
    ("mastodon", "3.3.0", 2),
    ("mastodon", "3.0.2", 1),
    ("mastodon", "4.8.0-alpha.1", 8),
    ("mastodon", "4.8.0-nightly.2026-08-20", 20),
    ("mastodon", "4.7.0-beta.1", 4),
    ("mastodon", "4.7.0-alpha.2+pr-39999-68e5caf", 2),
    ("mastodon", "4.7.0+glitch", 20),
    ("mastodon", "4.6.5+glitch", 40),
    ("mastodon", "4.7.0-alpha.1+chuckya", 4),
    ("mastodon", "4.5.16+occm.web1", 4),
    ("hometown", "4.5.11+hometown-1.2.1", 15),
    ("hometown", "1.0.7+3.5.5", 10),
    ("kmyblue", "4.6.3+kmyblue.24.2-lts", 12),
    ("fedibird", "0.1", 3),
    ("和歌", "4.4.0+waka.1.0", 1),
)

#: Of 81,155 hosts that claimed to be of the Fediverse in December 2023, how many ended how.
_ENDINGS: tuple[tuple[str, int], ...] = (
    ("healthy", 24145),
    ("no address", 20341),
    ("well-known 404", 10102),
    ("certificate", 6464),
    ("unreachable", 4804),
    ("timeout", 4693),
    ("status", 3855),
    ("no json", 2514),
    ("handshake", 1174 + 379),
    ("refused", 1097),
    ("dns failure", 700),
    ("gone", 551),
    ("hung up", 214 + 92),
    ("redirects", 29),
)


def all_scenarios() -> list[Site]:
    """Give one site for every row of the table of outcomes and for every oddity; the order is always the same."""
    return [
        *robots_scenarios(),
        *discovery_scenarios(),
        *document_scenarios(),
        *value_scenarios(),
        *identity_scenarios(),
        *http_scenarios(),
        *network_scenarios(),
    ]


def healthy_crowd(count: int, seed: int = 0) -> list[Site]:
    """Give ``count`` healthy servers with versions, forks and users as they are mixed in the wild."""
    chance = Random(seed)
    return [_healthy(f"masto-{number:05}", chance) for number in range(1, count + 1)]


def demo_crowd() -> list[Site]:
    """Give what ``make demo`` shows: healthy servers, some of them with a bare domain elsewhere, and all scenarios."""
    return [*healthy_crowd(150), *_split(20), *all_scenarios()]


def mixed_crowd(count: int, seed: int = 0, latency_seconds: float = 0.0) -> list[Site]:
    """Give ``count`` servers that are healthy or fail in the proportions of a real crawl of the Fediverse.

    Of those that are healthy, more than half are no Mastodon. Every answer takes ``latency_seconds``.
    """
    chance = Random(seed)
    kinds, weights = zip(*_ENDINGS, strict=True)
    endings = chance.choices(kinds, weights, k=count)
    sites = (_with_ending(f"host-{number:05}", kind, chance) for number, kind in enumerate(endings, 1))
    return [replace(site, latency_seconds=latency_seconds) for site in sites]


def _healthy(label: str, chance: Random) -> Site:
    software, version, _ = chance.choices(_VERSIONS, [weight for _, _, weight in _VERSIONS])[0]
    # Most servers are very small, a few are very large.
    users = min(int(chance.lognormvariate(2.2, 2.0)), 400_000)
    return mastodon(f"{label}.{_suffix(chance)}", version, software=software, users=users)


def _suffix(chance: Random) -> str:
    suffixes = (
        "social",
        "net",
        "org",
        "online",
        "cafe",
        "town",
        "club",
        "space",
        "co.uk",
        "com.au",
        "de",
        "jp",
        "zone",
    )
    return chance.choice(suffixes)


def _split(count: int) -> Iterator[Site]:
    """Give servers whose bare domain, which alone is in the list, redirects to where they are."""
    chance = Random("split")
    for number in range(1, count + 1):
        domain = f"community-{number:03}.{_suffix(chance)}"
        server = replace(mastodon(domain, "4.6.6", web_domain=f"social.{domain}"), listed_as=None)
        yield apex(domain, server.domain, server.truth)
        yield server


def _with_ending(label: str, kind: str, chance: Random) -> Site:
    healthy = _healthy(label, chance)
    if kind == "healthy":
        other = chance.choice(("pleroma", "misskey", "gotosocial", "lemmy", "peertube", "pixelfed"))
        if chance.random() < _MASTODON_SHARE:
            return healthy
        return mastodon(healthy.domain, "2.10.2", software=other, truth=Truth(Outcome.NOT_MASTODON))
    outcome, *ways = _FAILURES[kind]
    return replace(healthy, truth=Truth(outcome), **chance.choice(ways))


#: Of the healthy hosts of that crawl, so many were Mastodon.
_MASTODON_SHARE = 10956 / 24145
_SILENT = {"listening": Listening.REFUSING}
#: Ending -> outcome, and the ways in which such a site differs from a healthy one, all of them as likely.
_FAILURES: dict[str, tuple[Any, ...]] = {
    "no address": (Outcome.DNS_NOT_FOUND, {"name": Name(a=(), rcode="NXDOMAIN"), **_SILENT}),
    "well-known 404": (Outcome.HTTP_4XX, {"routes": {}}),
    "certificate": (
        Outcome.TLS_CERTIFICATE,
        {"tls": Tls.EXPIRED},
        {"tls": Tls.WRONG_NAME},
        {"tls": Tls.WRONG_NAME},
        {"tls": Tls.SELF_SIGNED},
    ),
    "unreachable": (Outcome.CONNECTION_UNREACHABLE, {"name": Name(a=(UNREACHABLE_ADDRESS,)), **_SILENT}),
    "timeout": (
        Outcome.TIMEOUT,
        {"on_connect": Script((Hang(),))},
        {"name": Name(a=(BLACKHOLE_ADDRESS,)), **_SILENT},
    ),
    "status": (
        Outcome.ROBOTS_UNREACHABLE,
        *({"routes": {"*": html("<h1>Error</h1>", status)}} for status in (500, 502, 503, 521, 530)),
    ),
    "no json": (Outcome.BAD_CONTENT_TYPE, {"routes": {}, "fallback": html("<h1>Hello</h1>")}),
    "handshake": (Outcome.TLS_HANDSHAKE, {"tls": Tls.TLS_1_1}),
    "refused": (Outcome.CONNECTION_REFUSED, _SILENT),
    "dns failure": (
        Outcome.DNS_FAILURE,
        {"name": Name(a=(), rcode="SERVFAIL"), **_SILENT},
        {"name": Name(a=(), rcode="SERVFAIL"), **_SILENT},
        {"name": Name(quirk=Quirk.SILENT), **_SILENT},
    ),
    "gone": (Outcome.OPTED_OUT, {"routes": {"*": Reply(410)}}),
    "hung up": (Outcome.CONNECTION_RESET, {"on_connect": Script((Reset(),))}),
    "redirects": (Outcome.TOO_MANY_REDIRECTS, {"routes": {"*": redirect("/")}}),
}
