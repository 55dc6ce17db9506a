"""How scenarios are written: a healthy server that differs in one thing, and what follows from that."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from zlib import crc32

from tests.fediverse.healthy import default_users, mastodon, with_routes
from tests.fediverse.site import Answer, Name, Site, Truth
from vmcrawl.outcome import Outcome

#: Real suffixes, so that the names pass for real ones; the names themselves exist in our DNS only.
_SUFFIXES = ("social", "net", "org", "online", "cafe", "town", "club", "space", "co.uk", "com.au", "de", "jp", "zone")
_VERSION = "4.6.6"


def named(slug: str) -> str:
    """Give the domain of a scenario: always the same one, under some real suffix."""
    return f"{slug}.{_SUFFIXES[crc32(slug.encode()) % len(_SUFFIXES)]}"


def scenario(
    slug: str,
    outcome: Outcome,
    routes: Mapping[str, Answer] | None = None,
    *,
    notes: str = "",
    also: tuple[Outcome, ...] = (),
    version: str = _VERSION,
    users: int | None = None,
    software: str = "mastodon",
    alias_of: str | None = None,
    retry_after: int | None = None,
    documents: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Site:
    """Build a healthy server named for ``slug`` with other answers at ``routes``; a right crawl ends in ``outcome``.

    ``documents`` are the edits of :func:`mastodon` (``nodeinfo``, ``v1``, ``v2``), ``changes`` fields of
    :class:`Site`.
    """
    domain = named(slug)
    users = default_users(domain) if users is None else users
    truth = Truth(outcome, alias_of=alias_of, retry_after_seconds=retry_after, also=also, notes=notes)
    if outcome is Outcome.OK:
        truth = replace(truth, software=software, version=version, active_users=users)
    site = mastodon(domain, version, software=software, users=users, truth=truth, **(documents or {}))
    return replace(with_routes(site, routes or {}), **changes)


def unlisted(site: Site) -> Site:
    """Keep a site out of the list of domains: only others lead to it."""
    return replace(site, listed_as=None)


def nameless(slug: str, outcome: Outcome, name: Name, **more: Any) -> Site:
    """Build a scenario that is all about the DNS."""
    return scenario(slug, outcome, name=name, **more)
