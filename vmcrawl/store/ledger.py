"""The ledger of domains: adding names, listing them, making them due."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import psycopg
from psycopg.rows import class_row

from vmcrawl.domain import Domain
from vmcrawl.store.matching import EVERY, Filter, condition

#: Domains in one page of a list.
PAGE_SIZE = 5_000
_CHUNK = 5_000


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
    #: The last good look, whether it is published or too old for that.
    last_seen_at: datetime | None
    software: str | None
    version: str | None
    branch: str | None
    support: str | None
    patched: bool | None
    #: Of the strictest DNI entry that covers it: ``hard`` or ``soft``.
    dni: str | None


@dataclass(frozen=True, slots=True)
class Added:
    """What became of names that were given to the ledger, each counted once."""

    added: int = 0
    known: int = 0
    #: Covered by an exclusion; known or new, they are in the ledger, and never asked.
    excluded: int = 0
    #: The same of a hard entry of the DNI list.
    on_dni: int = 0

    def __add__(self, other: "Added") -> "Added":
        return Added(
            self.added + other.added,
            self.known + other.known,
            self.excluded + other.excluded,
            self.on_dni + other.on_dni,
        )


def add_domains(connection: psycopg.Connection, domains: Iterable[Domain], source: str, now: datetime) -> int:
    """Add what is not in the ledger yet, due at once; returns how many were new. ``source`` says where they are from.

    Written in chunks, each atomic, in the order of the names; a second import of the same list changes nothing.
    """
    added = 0
    for chunk in chunks(domains, _CHUNK):
        added += connection.execute(
            f"{_INSERT} FROM unnest(%(domains)s::text[]) AS name (domain) {_IN_ORDER}",
            {"domains": chunk, "source": source, "now": now},
        ).rowcount
    return added


def add_and_tell(
    connection: psycopg.Connection, domains: list[Domain], source: str, now: datetime, *, dry_run: bool = False
) -> Added:
    """As :func:`add_domains` for one chunk without repeats, and tell what each name is; ``dry_run`` only tells."""
    parameters = {"domains": domains, "source": source, "now": now, "dry_run": dry_run}
    row = connection.execute(_ADD_AND_TELL, parameters).fetchone()
    assert row is not None
    return Added(*row)


def chunks(domains: Iterable[Domain], size: int) -> Iterator[list[Domain]]:
    """Cut a long list, which may be a generator, into lists of at most ``size``."""
    rest = iter(domains)
    while chunk := list(islice(rest, size)):
        yield chunk


def list_page(
    connection: psycopg.Connection, which: Filter = EVERY, *, after: str = "", size: int = PAGE_SIZE
) -> list[Entry]:
    """The first ``size`` domains, by name, that match and come after the name ``after``; fewer if there are no more.

    Page by page memory stays flat, no cursor is kept open, and a page can be asked for again on a new connection.
    """
    matches, parameters = condition(which)
    query = f"{_LIST} WHERE {matches} AND d.domain > %(after)s ORDER BY d.domain LIMIT %(size)s"
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(query, {**parameters, "after": after, "size": size}).fetchall()


def requeue(connection: psycopg.Connection, now: datetime, which: Filter = EVERY, *, dry_run: bool = False) -> int:
    """Make the domains that match due now; returns how many (with ``dry_run``: how many that would be).

    Not those being crawled, nor those that have asked to be left alone: by ``Retry-After``, or by opting out, unless
    they are named.
    """
    matches, parameters = condition(which)
    chosen = (
        f"SELECT d.domain {_FROM} WHERE {matches} AND d.due_at > %(now)s"
        " AND (d.leased_until IS NULL OR d.leased_until <= %(now)s)"
        " AND (d.retry_after_until IS NULL OR d.retry_after_until <= %(now)s)"
    )
    if which.domains is None:
        chosen += " AND d.outcome IS DISTINCT FROM 'opted_out'"
    if dry_run:
        row = connection.execute(f"SELECT count(*) FROM ({chosen}) AS chosen", {**parameters, "now": now}).fetchone()
        return 0 if row is None else int(row[0])
    return connection.execute(
        f"WITH chosen AS MATERIALIZED ({chosen} ORDER BY d.domain FOR UPDATE OF d)"
        " UPDATE domains SET due_at = %(now)s FROM chosen WHERE domains.domain = chosen.domain",
        {**parameters, "now": now},
    ).rowcount


_INSERT = "INSERT INTO domains (domain, source, added_at, due_at) SELECT domain, %(source)s, %(now)s, %(now)s"
_IN_ORDER = 'ORDER BY domain COLLATE "C" ON CONFLICT DO NOTHING'
_ADD_AND_TELL = f"""
WITH given AS MATERIALIZED (
    SELECT name.domain, refused_by(name.domain) AS refusal,
           EXISTS (SELECT FROM domains AS d WHERE d.domain = name.domain) AS known
    FROM unnest(%(domains)s::text[]) AS name (domain)
), added AS (
    {_INSERT} FROM given WHERE NOT known AND NOT %(dry_run)s {_IN_ORDER}
)
SELECT count(*) FILTER (WHERE refusal IS NULL AND NOT known), count(*) FILTER (WHERE refusal IS NULL AND known),
       count(*) FILTER (WHERE refusal LIKE 'exclusion %%'), count(*) FILTER (WHERE refusal LIKE 'DNI %%')
FROM given
"""
_FROM = """
FROM domains AS d LEFT JOIN sightings AS s USING (domain) LEFT JOIN versions AS v ON v.id = s.version_id
CROSS JOIN (SELECT now() - retention AS oldest FROM publication) AS published
"""
_LIST = f"""
SELECT d.domain, d.source, d.outcome, d.detail, d.failures, d.due_at, d.last_crawled_at, s.last_seen_at,
       CASE WHEN s.last_seen_at > oldest THEN v.software END AS software,
       CASE WHEN s.last_seen_at > oldest THEN v.version END AS version,
       CASE WHEN s.last_seen_at > oldest THEN v.branch END AS branch,
       CASE WHEN s.last_seen_at > oldest THEN v.support END AS support,
       CASE WHEN s.last_seen_at > oldest THEN v.patched END AS patched,
       (SELECT severity FROM dni WHERE dni.domain = ANY (lineage(d.domain)) ORDER BY severity LIMIT 1) AS dni
{_FROM}
"""
