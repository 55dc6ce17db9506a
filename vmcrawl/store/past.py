"""Adoption history from its beginning, series by series: more than fits into memory, so it comes as a stream.

A page is what one run left. One that an operator does not believe is none: the page before it holds until the next, or
until the retention is over, as a published instance does.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import psycopg

from vmcrawl.catalogue import Catalogue
from vmcrawl.labels import OTHER, PATCHED
from vmcrawl.past import Stretch, Window
from vmcrawl.store.catalogue import load, one_state

Measure = Literal["instances", "active_users"]

#: Rows that are fetched together.
_FETCH = 5_000


def read_past(connection: psycopg.Connection, window: Window, reader: "Callable[[Past], None]") -> None:
    """Let ``reader`` read all it wants of the past, in one state, in a single transaction.

    Only within one does a cursor live where PgBouncer stands between. It lasts as long as the reader takes: one that
    waits for hours keeps the database from cleaning up.
    """
    with one_state(connection):
        reader(Past(connection, window))


@dataclass(frozen=True, slots=True)
class Past:
    """The history as far as it matters within a window; for :func:`read_past`. One stream at a time."""

    _connection: psycopg.Connection
    _window: Window

    def catalogue(self) -> Catalogue:
        """What is known of upstream, as :func:`vmcrawl.store.catalogue.load_catalogue`."""
        return load(self._connection)

    def by_branch(self, measure: Measure, branches: Collection[str]) -> Iterator[Stretch]:
        """What each page counted by branch and patched; branches that are not among those given are one, ``other``."""
        parameters = {
            "branches": list(branches),
            **{"other": OTHER, "patched": PATCHED[True], "unpatched": PATCHED[False], "unknown": PATCHED[None]},
        }
        return self._stream(_BY_BRANCH[measure], parameters)

    def by_release(self, measure: Measure, releases: Mapping[str, str]) -> Iterator[Stretch]:
        """What each page counted by release, for those given with their branches; all others are one, ``other``."""
        parameters = {"releases": list(releases), "of_branches": list(releases.values()), "other": OTHER}
        return self._stream(_BY_RELEASE[measure], parameters)

    def largest_releases(self, releases: Collection[str], number: int) -> list[str]:
        """Which of the releases ever were among the ``number`` with most instances, on any page.

        Those that the exporter would have named at that time. Of the whole history, whatever window is shown of it:
        exports of parts of it then fit together.
        """
        rows = self._connection.execute(_LARGEST, {"releases": list(releases), "number": number})
        return [release for (release,) in rows]

    def _stream(self, query: str, parameters: Mapping[str, object]) -> Iterator[Stretch]:
        window = {"since": self._window.since, "until": self._window.until, "step": self._window.step}
        with self._connection.cursor(name="past") as cursor:
            cursor.itersize = _FETCH
            cursor.execute(query.encode(), {**parameters, **window})
            for first, second, *times_and_value in cursor:
                yield Stretch((first, second), *times_and_value)


# A page from before the window may hold within it, and one that ends at its very beginning leaves its 0 there.
_PAGES = """
WITH pages AS MATERIALIZED (
    SELECT run_id, at, begins, least(followed_at, begins + kept) AS ends, followed_at
    FROM (
        SELECT run_id, at, begins, kept, lead(begins) OVER (ORDER BY at, run_id) AS followed_at
        FROM (
            SELECT run_id, max(at) AS at, ceil(extract(epoch FROM max(at)))::bigint AS begins,
                   ceil(extract(epoch FROM p.retention))::bigint AS kept
            FROM adoption_history, publication AS p
            WHERE at >= to_timestamp(%(since)s - %(step)s) - p.retention AND at < to_timestamp(%(until)s)
            GROUP BY run_id, p.retention HAVING NOT bool_or(invalid)
        ) AS page
    ) AS ordered
)
"""


def _counted(measure: Measure, first: str, second: str, known: str = "") -> str:
    return f"""{_PAGES}
    SELECT {first} AS first, {second} AS second, pages.begins, pages.ends, pages.followed_at,
           coalesce(sum({measure}), 0)::bigint
    FROM pages JOIN adoption_history AS h USING (run_id) {known}
    GROUP BY 1, 2, pages.begins, pages.ends, pages.followed_at, pages.at, run_id
    ORDER BY 1, 2, pages.at, run_id
    """


_MEASURES: tuple[Measure, ...] = get_args(Measure)
_BY_BRANCH = {
    measure: _counted(
        measure,
        "CASE WHEN h.branch = ANY (%(branches)s) THEN h.branch ELSE %(other)s END",
        "CASE WHEN h.patched THEN %(patched)s WHEN NOT h.patched THEN %(unpatched)s ELSE %(unknown)s END",
    )
    for measure in _MEASURES
}
_BY_RELEASE = {
    measure: _counted(
        measure,
        "coalesce(known.release, %(other)s)",
        "coalesce(known.branch, %(other)s)",
        "LEFT JOIN unnest(%(releases)s::text[], %(of_branches)s::text[]) AS known (release, branch)"
        " ON known.release = h.version",
    )
    for measure in _MEASURES
}
_LARGEST = """
SELECT DISTINCT version
FROM (
    SELECT h.version,
           row_number() OVER (PARTITION BY run_id ORDER BY sum(h.instances) DESC NULLS LAST, h.version) AS place
    FROM adoption_history AS h
    WHERE h.version = ANY (%(releases)s) AND NOT h.invalid
    GROUP BY run_id, h.version
) AS ranked
WHERE place <= %(number)s
ORDER BY version
"""
