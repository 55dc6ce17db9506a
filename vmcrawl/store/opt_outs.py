"""Who does not want to be asked, by robots.txt, by an answer or by a request, and whom the operator excludes."""

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from vmcrawl.domain import Domain

#: Rows in one page.
PAGE_SIZE = 5_000
#: ``robots.txt``; ``status``: 410, 418 or 451; ``request``: somebody asked the operator; ``exclusion``: the operator.
HOW = ("robots.txt", "status", "request", "exclusion")


@dataclass(frozen=True, slots=True)
class OptOut:
    """One way in which one domain has opted out; it may have several."""

    domain: Domain
    #: One of :data:`HOW`.
    how: str
    #: What a crawl found (:mod:`vmcrawl.optout`), or the reason that an exclusion was given.
    detail: str | None
    #: It holds for all below the domain, too.
    subdomains: bool
    #: When a crawl found it last, or since when it is excluded.
    noted_at: datetime | None
    #: When we look again; None: never, as long as an exclusion or a hard DNI entry holds.
    again_at: datetime | None
    #: Of the strictest DNI entry that covers it.
    dni: str | None


def list_page(
    connection: psycopg.Connection, *, how: str | None = None, after: tuple[str, str] = ("", ""), size: int = PAGE_SIZE
) -> list[OptOut]:
    """The first ``size`` opt-outs by name and way that come after a name and a way; fewer if there are no more."""
    parameters = {"how": how, "domain": after[0], "way": after[1], "size": size}
    with connection.cursor(row_factory=class_row(OptOut)) as cursor:
        return cursor.execute(_LIST, parameters).fetchall()


_LIST = """
SELECT o.*, (SELECT severity FROM dni WHERE dni.domain = ANY (lineage(o.domain)) ORDER BY severity LIMIT 1) AS dni
FROM (
    SELECT domain, CASE outcome WHEN 'opted_out' THEN 'status' ELSE 'robots.txt' END AS how, detail,
           false AS subdomains, last_crawled_at AS noted_at,
           CASE WHEN refused_by(domain) IS NULL THEN due_at END AS again_at
    FROM domains WHERE outcome IN ('opted_out', 'robots_disallowed')
    UNION ALL
    SELECT domain, CASE WHEN requested THEN 'request' ELSE 'exclusion' END, reason, subdomains, added_at, NULL
    FROM exclusions
) AS o
WHERE (o.domain, o.how) > (%(domain)s, %(way)s) AND (%(how)s::text IS NULL OR o.how = %(how)s)
ORDER BY o.domain, o.how LIMIT %(size)s
"""
