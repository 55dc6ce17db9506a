"""The ledger of domains: adding names, listing them, making them due, and the operator's exclusions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import psycopg
from psycopg.rows import class_row

from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome

#: Domains in one page of a list.
PAGE_SIZE = 5_000
_CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which domains; what is None does not matter."""

    domains: tuple[Domain, ...] | None = None
    outcome: Outcome | None = None
    source: str | None = None
    #: Of the published row, so that only published domains have one.
    support: str | None = None
    patched: bool | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One domain of the ledger, with what it runs if it is published."""

    domain: Domain
    source: str
    outcome: str | None
    detail: str | None
    failures: int
    due_at: datetime
    last_crawled_at: datetime | None
    version: str | None
    branch: str | None
    support: str | None
    patched: bool | None


def add_domains(connection: psycopg.Connection, domains: Iterable[Domain], source: str, now: datetime) -> int:
    """Add what is not in the ledger yet, due at once; returns how many were new. ``source`` says where they are from.

    Written in chunks, each atomic, in the order of the names; a second import of the same list changes nothing.
    """
    added = 0
    for chunk in chunks(domains, _CHUNK):
        added += connection.execute(
            "INSERT INTO domains (domain, source, added_at, due_at)"
            " SELECT domain, %(source)s, %(now)s, %(now)s FROM unnest(%(domains)s::text[]) AS name (domain)"
            ' ORDER BY domain COLLATE "C" ON CONFLICT DO NOTHING',
            {"domains": chunk, "source": source, "now": now},
        ).rowcount
    return added


def chunks(domains: Iterable[Domain], size: int) -> Iterator[list[Domain]]:
    """Cut a long list, which may be a generator, into lists of at most ``size``."""
    rest = iter(domains)
    while chunk := list(islice(rest, size)):
        yield chunk


def list_page(
    connection: psycopg.Connection, which: Filter = Filter(), *, after: str = "", size: int = PAGE_SIZE
) -> list[Entry]:
    """The first ``size`` domains, by name, that match and come after the name ``after``; fewer if there are no more.

    Page by page memory stays flat, no cursor is kept open, and a page can be asked for again on a new connection.
    """
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(_LIST, {**_parameters(which), "after": after, "size": size}).fetchall()


def requeue(connection: psycopg.Connection, now: datetime, which: Filter = Filter()) -> int:
    """Make the domains that match due now; returns how many.

    Not those being crawled, nor those that have asked to be left alone: by ``Retry-After``, or by opting out, unless
    they are named.
    """
    return connection.execute(
        "WITH chosen AS MATERIALIZED ("
        " SELECT d.domain FROM domains AS d LEFT JOIN instances AS i USING (domain)"
        f" WHERE {_MATCHES} AND d.due_at > %(now)s AND (d.leased_until IS NULL OR d.leased_until <= %(now)s)"
        " AND (d.retry_after_until IS NULL OR d.retry_after_until <= %(now)s)"
        " AND (d.outcome IS DISTINCT FROM 'opted_out' OR %(domains)s::text[] IS NOT NULL)"
        " ORDER BY d.domain FOR UPDATE OF d)"
        " UPDATE domains SET due_at = %(now)s FROM chosen WHERE domains.domain = chosen.domain",
        {**_parameters(which), "now": now},
    ).rowcount


def exclude(
    connection: psycopg.Connection, domain: Domain, now: datetime, *, subdomains: bool = False, reason: str = ""
) -> int:
    """Never ask this domain (and all below it) again; returns how many published rows that took down at once."""
    with connection.transaction():
        connection.execute(
            "INSERT INTO exclusions (domain, subdomains, reason, added_at) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (domain) DO UPDATE SET subdomains = excluded.subdomains, reason = excluded.reason",
            [domain, subdomains, reason, now],
        )
        return connection.execute("DELETE FROM sightings WHERE refused_by(domain) IS NOT NULL").rowcount


def include(connection: psycopg.Connection, domain: Domain, now: datetime) -> bool:
    """Lift an exclusion and make what it covered due; False if there was none."""
    with connection.transaction():
        lifted = connection.execute("DELETE FROM exclusions WHERE domain = %s", [domain]).rowcount > 0
        if lifted:
            connection.execute(
                "WITH freed AS MATERIALIZED ("
                " SELECT domain FROM domains WHERE outcome = 'excluded' AND due_at > %(now)s"
                " AND %(domain)s = ANY (lineage(domain)) AND refused_by(domain) IS NULL ORDER BY domain FOR UPDATE)"
                " UPDATE domains SET due_at = %(now)s FROM freed WHERE domains.domain = freed.domain",
                {"domain": domain, "now": now},
            )
        return lifted


def _parameters(which: Filter) -> dict[str, object]:
    return {
        "domains": None if which.domains is None else list(which.domains),
        "outcome": None if which.outcome is None else str(which.outcome),
        "source": which.source,
        "support": which.support,
        "patched": which.patched,
    }


_MATCHES = """
    (%(domains)s::text[] IS NULL OR d.domain = ANY (%(domains)s))
    AND (%(outcome)s::text IS NULL OR d.outcome = %(outcome)s)
    AND (%(source)s::text IS NULL OR d.source = %(source)s)
    AND (%(support)s::text IS NULL OR i.support = %(support)s)
    AND (%(patched)s::boolean IS NULL OR i.patched = %(patched)s)
"""
_LIST = f"""
SELECT d.domain, d.source, d.outcome, d.detail, d.failures, d.due_at, d.last_crawled_at,
       i.version, i.branch, i.support, i.patched
FROM domains AS d LEFT JOIN instances AS i USING (domain)
WHERE {_MATCHES} AND d.domain > %(after)s
ORDER BY d.domain LIMIT %(size)s
"""
