"""Upstream's security advisories in the database: loaded, brought up to date, overridden."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row

from vmcrawl.advisory import Advisory, Override, apply_override, parse_advisory
from vmcrawl.catalogue import Catalogue
from vmcrawl.store.catalogue import changed, lock


class UnknownAdvisory(ValueError):
    """An override for an advisory that the database does not know."""


@dataclass(frozen=True, slots=True)
class AdvisoryRow:
    """One row of ``advisories``, with its override and how many published instances it touches."""

    ghsa_id: str
    cve_id: str
    severity: str
    score: float | None
    title: str
    published: date | None
    ranges: str
    patched: str
    ambiguous: str
    source: str
    #: The ranges that count instead; None without an override.
    override_ranges: str | None
    override_reason: str | None
    instances: int
    active_users: int


def load_advisories(connection: psycopg.Connection, catalogue: Catalogue) -> tuple[Advisory, ...]:
    """All advisories, overridden ones with the ranges of their override; newest first.

    Raises :class:`vmcrawl.advisory.InvalidAdvisory` where an override cannot be read.
    """
    rows = connection.execute(_LOAD).fetchall()
    return tuple(_read(row, catalogue) for row in rows)


def save_advisories(
    connection: psycopg.Connection, advisories: Sequence[Advisory], source: str, now: datetime
) -> list[str]:
    """Add advisories and correct known ones, all or nothing; returns the ids of those that are new or changed.

    What the source leaves out (an advisory, a CVE id, a score) stays. One that was known by its CVE id only gets its
    own, and keeps its override.
    """
    with connection.transaction():
        lock(connection)
        new = _upsert(connection, advisories, source, now)
        if new:
            changed(connection)
    return sorted(new)


def override_advisory(
    connection: psycopg.Connection, ghsa_id: str, ranges: str, now: datetime, reason: str = ""
) -> None:
    """Say by hand what an advisory touches; ``none``: nothing.

    The caller has tried :func:`vmcrawl.advisory.apply_override` on it. Raises :class:`UnknownAdvisory`.
    """
    with connection.transaction():
        lock(connection)
        if connection.execute("SELECT FROM advisories WHERE ghsa_id = %s", [ghsa_id]).fetchone() is None:
            raise UnknownAdvisory(ghsa_id)
        changed(connection)
        connection.execute(
            "INSERT INTO advisory_overrides (ghsa_id, ranges, reason, set_at) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (ghsa_id) DO UPDATE"
            " SET ranges = excluded.ranges, reason = excluded.reason, set_at = excluded.set_at",
            [ghsa_id, ranges, reason, now],
        )


def lift_override(connection: psycopg.Connection, ghsa_id: str) -> bool:
    """Lift an override; False if there was none."""
    with connection.transaction():
        lock(connection)
        lifted = connection.execute("DELETE FROM advisory_overrides WHERE ghsa_id = %s", [ghsa_id]).rowcount > 0
        if lifted:
            changed(connection)
    return lifted


def list_advisories(connection: psycopg.Connection) -> list[AdvisoryRow]:
    """All advisories, newest first."""
    with connection.cursor(row_factory=class_row(AdvisoryRow)) as cursor:
        return cursor.execute(_LIST).fetchall()


def add_advisories(connection: psycopg.Connection, advisories: Sequence[Advisory], source: str, now: datetime) -> None:
    """Add advisories, and correct those that are from the same source; for a transaction that holds the lock."""
    _upsert(connection, advisories, source, now, " AND known.source = excluded.source")


def _upsert(
    connection: psycopg.Connection, advisories: Sequence[Advisory], source: str, now: datetime, which: str = ""
) -> list[str]:
    distinct = {advisory.ghsa_id: advisory for advisory in advisories}
    named = [(a.cve_id, a.ghsa_id) for a in distinct.values() if a.cve_id not in ("", a.ghsa_id)]
    connection.execute(
        "UPDATE advisories AS known SET ghsa_id = said.ghsa_id"
        " FROM unnest(%s::text[], %s::text[]) AS said (cve_id, ghsa_id)"
        " WHERE known.ghsa_id = said.cve_id"
        " AND NOT EXISTS (SELECT FROM advisories AS own WHERE own.ghsa_id = said.ghsa_id)",
        [[cve_id for cve_id, _ in named], [ghsa_id for _, ghsa_id in named]],
    )
    rows = connection.execute(
        _UPSERT + which + " RETURNING ghsa_id",
        {
            **{name: [getattr(advisory, name) for advisory in distinct.values()] for name in _COLUMNS},
            "source": source,
            "now": now,
        },
    )
    return [ghsa_id for (ghsa_id,) in rows]


def _read(row: Sequence[object], catalogue: Catalogue) -> Advisory:
    ghsa_id, cve_id, severity, score, title, published, ranges, patched, override, reason = (
        "" if value is None else str(value) for value in row
    )
    advisory = parse_advisory(
        {
            "ghsa_id": ghsa_id,
            "cve_id": cve_id,
            "severity": severity,
            "score": score,
            "title": title,
            "published": published,
            "vulnerable_ranges": ranges,
            "patched_versions": patched,
        },
        catalogue,
    )
    return apply_override(advisory, Override(ghsa_id, override, reason), catalogue) if row[8] is not None else advisory


_COLUMNS = ("ghsa_id", "cve_id", "severity", "score", "title", "published", "ranges", "patched", "ambiguous")
_LOAD = """
SELECT a.ghsa_id, a.cve_id, a.severity, a.score, a.title, a.published, a.ranges, a.patched, o.ranges, o.reason
FROM advisories AS a LEFT JOIN advisory_overrides AS o USING (ghsa_id)
ORDER BY a.published DESC NULLS LAST, a.ghsa_id
"""
_UPSERT = """
INSERT INTO advisories AS known
    (ghsa_id, cve_id, severity, score, title, published, ranges, patched, ambiguous, source, changed_at)
SELECT said.*, %(source)s, %(now)s
FROM unnest(
    %(ghsa_id)s::text[], %(cve_id)s::text[], %(severity)s::text[], %(score)s::double precision[], %(title)s::text[],
    %(published)s::date[], %(ranges)s::text[], %(patched)s::text[], %(ambiguous)s::text[]
) AS said (ghsa_id, cve_id, severity, score, title, published, ranges, patched, ambiguous)
ORDER BY said.ghsa_id COLLATE "C"
ON CONFLICT (ghsa_id) DO UPDATE
SET cve_id = coalesce(nullif(excluded.cve_id, ''), known.cve_id),
    severity = coalesce(nullif(excluded.severity, ''), known.severity),
    score = coalesce(excluded.score, known.score), title = excluded.title,
    published = coalesce(excluded.published, known.published), ranges = excluded.ranges, patched = excluded.patched,
    ambiguous = excluded.ambiguous, source = excluded.source, changed_at = excluded.changed_at
WHERE (known.cve_id, known.severity, known.score, known.title, known.published, known.ranges, known.patched,
       known.ambiguous)
      IS DISTINCT FROM
      (coalesce(nullif(excluded.cve_id, ''), known.cve_id), coalesce(nullif(excluded.severity, ''), known.severity),
       coalesce(excluded.score, known.score), excluded.title, coalesce(excluded.published, known.published),
       excluded.ranges, excluded.patched, excluded.ambiguous)
"""
_LIST = """
WITH touched AS (
    SELECT e.ghsa_id, count(*) AS instances, sum(i.active_users)::bigint AS active_users
    FROM instance_advisories AS e JOIN instances AS i USING (domain)
    GROUP BY e.ghsa_id
)
SELECT a.ghsa_id, a.cve_id, a.severity, a.score, a.title, a.published, a.ranges, a.patched, a.ambiguous, a.source,
       o.ranges AS override_ranges, o.reason AS override_reason,
       coalesce(t.instances, 0) AS instances, coalesce(t.active_users, 0) AS active_users
FROM advisories AS a
LEFT JOIN advisory_overrides AS o USING (ghsa_id)
LEFT JOIN touched AS t USING (ghsa_id)
ORDER BY a.published DESC NULLS LAST, a.ghsa_id
"""
