"""Upstream's security advisories in the database: loaded, brought up to date, overridden."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row

from vmcrawl.advisory import (
    Advisory,
    InvalidAdvisory,
    Override,
    PublishedAdvisory,
    apply_override,
    read_advisory,
)
from vmcrawl.catalogue import Catalogue
from vmcrawl.plausible import refuse_losses
from vmcrawl.store.catalogue import changed, load, lock

log = logging.getLogger(__name__)


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

    An override that cannot be read (any more) is named in the log, and what is published counts.
    """
    rows = connection.execute(
        f"SELECT {', '.join(f'a.{name}' for name in _WORDS)}, o.ranges, o.reason"
        " FROM advisories AS a LEFT JOIN advisory_overrides AS o USING (ghsa_id)"
        " ORDER BY a.published DESC NULLS LAST, a.ghsa_id"
    ).fetchall()
    return tuple(_read(PublishedAdvisory(*words), ranges, reason, catalogue) for *words, ranges, reason in rows)


def mark_ambiguous(connection: psycopg.Connection) -> None:
    """Write anew what is unclear about each advisory: a release that it names may have become known since."""
    with connection.transaction():
        lock(connection)
        catalogue = load(connection)
        with connection.cursor(row_factory=class_row(PublishedAdvisory)) as cursor:
            published = cursor.execute(f"SELECT {', '.join(_WORDS)} FROM advisories").fetchall()
        read = [read_advisory(one, catalogue) for one in published]
        connection.execute(
            "UPDATE advisories AS known SET ambiguous = said.ambiguous"
            " FROM unnest(%s::text[], %s::text[]) AS said (ghsa_id, ambiguous)"
            " WHERE known.ghsa_id = said.ghsa_id AND known.ambiguous <> said.ambiguous",
            [[one.ghsa_id for one in read], [one.ambiguous for one in read]],
        )


def save_advisories(
    connection: psycopg.Connection,
    advisories: Sequence[Advisory],
    source: str,
    now: datetime,
    withdrawn: Sequence[str] = (),
) -> list[str]:
    """Add advisories and correct known ones, all or nothing; returns the ids of those that are new, changed or gone.

    What the source leaves out (an advisory, a CVE id, a score, ranges, fixed versions) stays. One that was known by
    its CVE id only gets its own, and keeps its override. Those that the source has ``withdrawn`` (by id) go, unless
    they are overridden: an operator's word stands until it is taken back.
    """
    with connection.transaction():
        lock(connection)
        new = _upsert(connection, advisories, source, now) | _remove(connection, withdrawn)
        if new:
            changed(connection)
    return sorted(new)


def override_advisory(
    connection: psycopg.Connection, ghsa_id: str, ranges: str, now: datetime, reason: str = ""
) -> None:
    """Say by hand what an advisory touches; ``none``: nothing.

    The caller has tried :func:`vmcrawl.advisory.read_override` on it. Raises :class:`UnknownAdvisory`.
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
    """Add advisories, and correct those that are from the same source; for a transaction that holds the lock.

    Whatever source an advisory is from: ranges and fixed versions that it lacks are filled in.
    """
    _upsert(connection, advisories, source, now, " AND known.source = excluded.source")
    connection.execute(
        _FILL, {name: [getattr(a, name) for a in advisories] for name in ("ghsa_id", "ranges", "patched")}
    )


def _read(published: PublishedAdvisory, ranges: str | None, reason: str | None, catalogue: Catalogue) -> Advisory:
    advisory = read_advisory(published, catalogue)
    if ranges is None:
        return advisory
    try:
        return apply_override(advisory, Override(advisory.ghsa_id, ranges, reason or ""), catalogue)
    except InvalidAdvisory as error:
        log.error("the override does not count: %s; vmcrawl advisories override sets another, or lifts it", error)
        return advisory


def _upsert(
    connection: psycopg.Connection, advisories: Sequence[Advisory], source: str, now: datetime, which: str = ""
) -> set[str]:
    distinct = {advisory.ghsa_id: advisory for advisory in advisories}
    renamed = _rename(connection, {a.cve_id: a.ghsa_id for a in distinct.values() if a.cve_id not in ("", a.ghsa_id)})
    rows = connection.execute(
        _UPSERT + which + " RETURNING ghsa_id",
        {
            **{name: [getattr(advisory, name) for advisory in distinct.values()] for name in (*_WORDS, "ambiguous")},
            "source": source,
            "now": now,
        },
    )
    return renamed | {ghsa_id for (ghsa_id,) in rows}


def _rename(connection: psycopg.Connection, own_ids: Mapping[str, str]) -> set[str]:
    """Give those that are known by a CVE id the id of their own; returns the ids that were given.

    Where there is a row under each, they become one: the other fills in what it does not know.
    """
    known = connection.execute("SELECT ghsa_id FROM advisories WHERE ghsa_id = ANY (%s)", [list(own_ids)]).fetchall()
    renamed = {cve_id: own_ids[cve_id] for (cve_id,) in known}
    for cve_id, ghsa_id in renamed.items():
        ids = {"old": cve_id, "own": ghsa_id}
        if connection.execute("SELECT FROM advisories WHERE ghsa_id = %(own)s", ids).fetchone() is not None:
            for statement in _MERGE:
                connection.execute(statement, ids)
        else:
            connection.execute("UPDATE advisories SET ghsa_id = %(own)s WHERE ghsa_id = %(old)s", ids)
    return set(renamed.values())


def _remove(connection: psycopg.Connection, ids: Sequence[str]) -> set[str]:
    rows = connection.execute(
        "DELETE FROM advisories AS a WHERE ghsa_id = ANY (%s)"
        " AND NOT EXISTS (SELECT FROM advisory_overrides AS o WHERE o.ghsa_id = a.ghsa_id) RETURNING ghsa_id",
        [list(ids)],
    )
    return {ghsa_id for (ghsa_id,) in rows}


def save_all_advisories(
    connection: psycopg.Connection,
    advisories: Sequence[Advisory],
    withdrawn: Sequence[str],
    source: str,
    now: datetime,
) -> list[str]:
    """As :func:`save_advisories`, for all that a source has: what was known from it and is not listed any more goes.

    What only the package knows stays, unless it is ``withdrawn``; so does what is overridden. What goes is returned,
    too, and called so. Raises :class:`vmcrawl.plausible.Implausible`, and changes nothing, if that is too much.
    """
    listed = {advisory.ghsa_id for advisory in advisories}
    with connection.transaction():
        lock(connection)
        known: dict[str, str] = dict(connection.execute("SELECT ghsa_id, source FROM advisories"))
        missing = {ghsa_id for ghsa_id, said_by in known.items() if said_by == source} - listed
        gone = _remove(connection, sorted(missing | set(withdrawn)))
        refuse_losses(len(gone), len(known), "advisories")
        if gone:
            log.warning("removed, since %s has taken them back: %s", source, ", ".join(sorted(gone)))
            changed(connection)
        saved = save_advisories(connection, advisories, source, now)
    return [*saved, *(f"{ghsa_id} (taken back)" for ghsa_id in sorted(gone))]


#: The columns that hold what is published.
_WORDS = tuple(field.name for field in fields(PublishedAdvisory))
_MERGE = (
    "UPDATE advisories AS own SET cve_id = coalesce(nullif(own.cve_id, ''), old.cve_id),"
    " severity = coalesce(nullif(own.severity, ''), old.severity), score = coalesce(own.score, old.score),"
    " published = coalesce(own.published, old.published), ranges = coalesce(nullif(own.ranges, ''), old.ranges),"
    " patched = coalesce(nullif(own.patched, ''), old.patched)"
    " FROM advisories AS old WHERE own.ghsa_id = %(own)s AND old.ghsa_id = %(old)s",
    "UPDATE advisory_overrides AS o SET ghsa_id = %(own)s WHERE ghsa_id = %(old)s"
    " AND NOT EXISTS (SELECT FROM advisory_overrides AS other WHERE other.ghsa_id = %(own)s)",
    "DELETE FROM advisory_overrides WHERE ghsa_id = %(old)s",
    "DELETE FROM advisories WHERE ghsa_id = %(old)s",
)
#: What is unclear follows from the rest and from the catalogue: alone it is no change.
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
    published = coalesce(excluded.published, known.published),
    ranges = coalesce(nullif(excluded.ranges, ''), known.ranges),
    patched = coalesce(nullif(excluded.patched, ''), known.patched),
    ambiguous = excluded.ambiguous, source = excluded.source, changed_at = excluded.changed_at
WHERE (known.cve_id, known.severity, known.score, known.title, known.published, known.ranges, known.patched)
      IS DISTINCT FROM
      (coalesce(nullif(excluded.cve_id, ''), known.cve_id), coalesce(nullif(excluded.severity, ''), known.severity),
       coalesce(excluded.score, known.score), excluded.title, coalesce(excluded.published, known.published),
       coalesce(nullif(excluded.ranges, ''), known.ranges), coalesce(nullif(excluded.patched, ''), known.patched))
"""
_FILL = """
UPDATE advisories AS known
SET ranges = coalesce(nullif(known.ranges, ''), said.ranges),
    patched = coalesce(nullif(known.patched, ''), said.patched)
FROM unnest(%(ghsa_id)s::text[], %(ranges)s::text[], %(patched)s::text[]) AS said (ghsa_id, ranges, patched)
WHERE known.ghsa_id = said.ghsa_id
  AND ((known.ranges = '' AND said.ranges <> '') OR (known.patched = '' AND said.patched <> ''))
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
