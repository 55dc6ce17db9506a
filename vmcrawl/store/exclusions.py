"""Whom never to ask: the operator's exclusions, and those that somebody has asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from vmcrawl.domain import Domain

#: Exclusions in one page of a list.
PAGE_SIZE = 5_000


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One exclusion. ``requested``: somebody asked for it; else the operator wants it so."""

    domain: Domain
    subdomains: bool
    requested: bool
    reason: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Effect:
    """What an exclusion, or several, came to at once."""

    #: Exclusions that are new, or say something else than before.
    changed: int = 0
    #: Published rows that are gone.
    taken_down: int = 0

    def __add__(self, other: "Effect") -> "Effect":
        return Effect(self.changed + other.changed, self.taken_down + other.taken_down)


@dataclass(frozen=True, slots=True)
class Lifted:
    """What lifting exclusions came to."""

    #: Those that are gone.
    domains: tuple[Domain, ...] = ()
    #: Those that somebody asked for, and that were not to be lifted.
    kept: tuple[Domain, ...] = ()
    #: Domains that are due, since nothing else keeps us from asking them.
    freed: int = 0


def exclude(
    connection: psycopg.Connection,
    domains: Sequence[Domain],
    now: datetime,
    *,
    subdomains: bool = False,
    reason: str | None = None,
    requested: bool = False,
    dry_run: bool = False,
) -> Effect:
    """Never ask these domains (and all below them) again, and take down what is published of them, at once.

    An exclusion that is there already keeps its day, and what of it is wider or weightier: with subdomains, asked for;
    its reason, too, unless another is given. With ``dry_run`` nothing is changed.
    """
    parameters = {
        "domains": sorted(set(domains)),
        "now": now,
        "subdomains": subdomains,
        "reason": reason,
        "requested": requested,
    }
    with connection.transaction(force_rollback=dry_run):
        changed = connection.execute(_EXCLUDE, parameters).rowcount
        # A crawl that is in flight is not written as published (refused_by in vmcrawl.store.results).
        return Effect(changed, connection.execute(_TAKE_DOWN, parameters).rowcount)


def include(
    connection: psycopg.Connection,
    domains: Sequence[Domain],
    now: datetime,
    *,
    requested: bool = False,
    dry_run: bool = False,
) -> Lifted:
    """Lift exclusions and make what they covered due; those that were asked for only if ``requested``."""
    parameters = {"domains": list(domains), "now": now, "requested": requested}
    with connection.transaction(force_rollback=dry_run):
        gone = connection.execute(_LIFT, parameters).fetchall()
        kept = connection.execute(_STILL_THERE, parameters).fetchall()
        freed = connection.execute(_FREE, parameters).rowcount if gone else 0
    return Lifted(tuple(domain for (domain,) in gone), tuple(domain for (domain,) in kept), freed)


def list_page(
    connection: psycopg.Connection, *, requested: bool | None = None, after: str = "", size: int = PAGE_SIZE
) -> list[Exclusion]:
    """The first ``size`` exclusions, by name, that come after the name ``after``; fewer if there are no more."""
    with connection.cursor(row_factory=class_row(Exclusion)) as cursor:
        return cursor.execute(_LIST, {"requested": requested, "after": after, "size": size}).fetchall()


def refusal_of(connection: psycopg.Connection, domain: Domain) -> str | None:
    """In words, which exclusion or hard DNI entry forbids us to ask a domain; None: none does."""
    row = connection.execute("SELECT refused_by(%s)", [domain]).fetchone()
    return None if row is None else row[0]


_EXCLUDE = """
INSERT INTO exclusions AS e (domain, subdomains, reason, requested, added_at)
SELECT domain, %(subdomains)s, coalesce(%(reason)s, ''), %(requested)s, %(now)s
FROM unnest(%(domains)s::text[]) AS name (domain)
ON CONFLICT (domain) DO UPDATE
SET subdomains = e.subdomains OR excluded.subdomains, requested = e.requested OR excluded.requested,
    reason = coalesce(%(reason)s, e.reason)
WHERE (e.subdomains, e.requested, e.reason) IS DISTINCT FROM
      (e.subdomains OR excluded.subdomains, e.requested OR excluded.requested, coalesce(%(reason)s, e.reason))
"""
# Whether all below is excluded may have been said earlier. Each row is looked up: to compare the lineage of each with
# thousands of names took 23 s for 25,000 exclusions, this takes less than 2.
_TAKE_DOWN = """
DELETE FROM sightings
WHERE domain = ANY (%(domains)s)
   OR (EXISTS (SELECT FROM exclusions WHERE domain = ANY (%(domains)s) AND subdomains)
       AND refused_by(domain) IS NOT NULL)
"""
_LIFT = """
DELETE FROM exclusions WHERE domain = ANY (%(domains)s) AND (%(requested)s OR NOT requested) RETURNING domain
"""
_STILL_THERE = "SELECT domain FROM exclusions WHERE domain = ANY (%(domains)s) ORDER BY domain"
_FREE = """
WITH freed AS MATERIALIZED (
    SELECT domain FROM domains
    WHERE outcome = 'excluded' AND due_at > %(now)s AND refused_by(domain) IS NULL
      AND EXISTS (SELECT FROM unnest(lineage(domain)) AS above WHERE above = ANY (%(domains)s))
    ORDER BY domain FOR UPDATE)
UPDATE domains SET due_at = %(now)s FROM freed WHERE domains.domain = freed.domain
"""
_LIST = """
SELECT domain, subdomains, requested, reason, added_at FROM exclusions
WHERE domain > %(after)s AND (%(requested)s::boolean IS NULL OR requested = %(requested)s)
ORDER BY domain LIMIT %(size)s
"""
