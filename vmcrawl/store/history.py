"""What was: adoption at the end of each run, days that do not count, and when instances took a release."""

from dataclasses import dataclass
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row

from vmcrawl.catalogue import Catalogue, Release
from vmcrawl.delay import Taker
from vmcrawl.sight import Sight
from vmcrawl.version import parse_tag


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """The sum of one run's rows of ``adoption_history``."""

    at: datetime
    run_id: int
    releases: int
    instances: int
    active_users: int
    #: Of these, instances that were known to be patched.
    patched: int
    invalid: bool
    reason: str


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One row of ``adoption_history``."""

    at: datetime
    run_id: int
    branch: str
    version: str
    instances: int
    active_users: int
    patched: bool | None
    invalid: bool


@dataclass(frozen=True, slots=True)
class Adoption:
    """Who, of the instances published now on a branch, has its newest security release, and since when.

    A moment is the first look at which the instance ran that release or a newer one: at most the time between two
    looks late. Who went back, also to another branch, has not taken it; who returned has since its last return. Who
    has left for another branch is not of this one any more.
    """

    branch: str
    release: str
    released_on: date
    takers: tuple[Taker, ...]


def sight(connection: psycopg.Connection, run_id: int, since: datetime) -> Sight:
    """What is published now, beside the highest valid page after ``since``, and how a run's looks at it ended.

    Where there is none after ``since`` the last one counts, unless a run began between the two.
    Reads the whole ledger, once per run.
    """
    with connection.cursor(row_factory=class_row(Sight)) as cursor:
        found = cursor.execute(_SIGHT, {"run_id": run_id, "since": since}).fetchone()
    assert found is not None
    return found


def write_history(connection: psycopg.Connection, run_id: int, at: datetime) -> int:
    """Write what is published now as the rows of a run, once: a second call changes nothing. Returns new rows.

    On a day that is marked already they are, too.
    """
    return connection.execute(_WRITE_HISTORY, {"run_id": run_id, "at": at}).rowcount


def list_history(connection: psycopg.Connection, limit: int = 50) -> list[HistoryEntry]:
    """The last runs with history, newest first."""
    with connection.cursor(row_factory=class_row(HistoryEntry)) as cursor:
        return cursor.execute(_LIST_HISTORY, {"limit": limit}).fetchall()


def history_rows(connection: psycopg.Connection, run_id: int) -> list[HistoryRow]:
    """The rows of one run, most instances first."""
    with connection.cursor(row_factory=class_row(HistoryRow)) as cursor:
        return cursor.execute(
            "SELECT at, run_id, branch, version, instances, active_users, patched, invalid FROM adoption_history"
            " WHERE run_id = %s ORDER BY instances DESC, branch, version",
            [run_id],
        ).fetchall()


def invalidate(connection: psycopg.Connection, day: date, reason: str = "") -> int:
    """Mark a day (UTC), and what was and will be written on it, as not to be believed; returns the number of rows.

    Without a reason, one that was given before stays.
    """
    given = {"day": day, "reason": reason}
    with connection.transaction():
        connection.execute(_MARK_DAY, given)
        return connection.execute(
            "UPDATE adoption_history SET invalid = true, reason = coalesce(nullif(%(reason)s, ''), reason)"
            + _ON_THE_DAY,
            given,
        ).rowcount


def restore(connection: psycopg.Connection, day: date) -> int | None:
    """Take :func:`invalidate` back; returns the number of rows, None where the day was not marked."""
    with connection.transaction():
        marked = connection.execute(
            "UPDATE bad_days SET bad = false, reason = '', marked_at = now() WHERE day = %s AND bad", [day]
        ).rowcount
        rows = connection.execute(
            "UPDATE adoption_history SET invalid = false, reason = ''" + _ON_THE_DAY + " AND invalid", {"day": day}
        ).rowcount
        return rows if marked or rows else None


def adoptions(connection: psycopg.Connection, catalogue: Catalogue) -> list[Adoption]:
    """For each branch with instances and a security release, how its newest one was taken up; newest branch first."""
    fixes = _newest_security_releases(catalogue)
    versions = connection.execute("SELECT id, branch, release FROM versions WHERE branch = ANY (%s)", [list(fixes)])
    fixed = [id_ for id_, branch, release in versions if _has(release, fixes[branch])]
    takers: dict[str, list[Taker]] = {}
    for branch, *taker in connection.execute(_ADOPTIONS, {"branches": list(fixes), "fixed": fixed}):
        takers.setdefault(branch, []).append(Taker(*taker))
    return [
        Adoption(branch, fix.version.release, fix.released, tuple(takers[branch]))
        for branch, fix in fixes.items()
        if branch in takers
    ]


def _newest_security_releases(catalogue: Catalogue) -> dict[str, Release]:
    stable = [release for release in catalogue.releases if release.security and not release.version.prerelease]
    newest = {release.version.branch: release for release in sorted(stable, key=lambda release: release.version)}
    return dict(sorted(newest.items(), key=lambda item: item[1].version, reverse=True))


def _has(release: str, fix: Release) -> bool:
    return parse_tag(release).precedence >= fix.version.precedence


# The last page may be older than the window, since nothing ran for longer than that: it is the measure still, until
# runs have gone on for a whole window without leaving another.
_SIGHT = """
WITH last AS (
    SELECT at, NOT EXISTS (SELECT FROM runs WHERE started_at > at AND started_at <= %(since)s) AS counts
    FROM adoption_history WHERE NOT invalid ORDER BY at DESC LIMIT 1
)
SELECT count(*) FILTER (WHERE i.release IS NOT NULL) AS published,
       (SELECT max(page.instances)
        FROM (SELECT sum(instances)::bigint AS instances FROM adoption_history
              WHERE NOT invalid AND (at > %(since)s OR at = (SELECT at FROM last WHERE counts))
              GROUP BY run_id) AS page) AS highest,
       count(*) FILTER (WHERE d.outcome <> 'ok') AS missed,
       count(*) FILTER (WHERE d.crawled_in = %(run_id)s) AS crawled,
       count(*) FILTER (WHERE d.crawled_in = %(run_id)s AND d.outcome <> 'ok') AS in_vain
FROM instances AS i JOIN domains AS d USING (domain)
"""
_WRITE_HISTORY = """
INSERT INTO adoption_history (at, run_id, branch, version, instances, active_users, patched, invalid, reason)
SELECT %(at)s, %(run_id)s, branch, release, count(*), sum(active_users),
       CASE WHEN bool_and(patched IS NOT NULL) AND bool_and(patched) = bool_or(patched) THEN bool_or(patched) END,
       day.reason IS NOT NULL, coalesce(day.reason, '')
FROM instances
LEFT JOIN bad_days AS day ON day.bad AND day.day = (%(at)s::timestamptz AT TIME ZONE 'UTC')::date
WHERE release IS NOT NULL AND NOT EXISTS (SELECT FROM adoption_history WHERE run_id = %(run_id)s)
GROUP BY branch, release, day.reason
ON CONFLICT DO NOTHING
"""
_LIST_HISTORY = """
SELECT max(at) AS at, run_id, count(*) AS releases, sum(instances)::bigint AS instances,
       sum(active_users)::bigint AS active_users,
       coalesce(sum(instances) FILTER (WHERE patched), 0)::bigint AS patched,
       bool_or(invalid) AS invalid, max(reason) AS reason
FROM adoption_history
GROUP BY run_id ORDER BY 1 DESC, run_id DESC LIMIT %(limit)s
"""
_MARK_DAY = """
INSERT INTO bad_days (day, reason) VALUES (%(day)s, %(reason)s)
ON CONFLICT (day) DO UPDATE
SET bad = true, marked_at = now(), reason = coalesce(nullif(excluded.reason, ''), bad_days.reason)
"""
_ON_THE_DAY = """
WHERE at >= %(day)s::date::timestamp AT TIME ZONE 'UTC' AND at < (%(day)s::date + 1)::timestamp AT TIME ZONE 'UTC'
"""
# What a move within the fixed versions of the branch leads to was there before; an instance that went back to an older
# one, or to another branch, counts from its last return. Moves of a former life, before the domain was removed and
# found again, are no moves of this instance.
_ADOPTIONS = """
WITH fixed AS MATERIALIZED (SELECT id, branch FROM versions WHERE id = ANY (%(fixed)s)),
arrivals AS (
    SELECT m.domain, t.branch, max(m.observed_at) AS arrived_at
    FROM moves AS m
    JOIN sightings AS s ON s.domain = m.domain AND m.observed_at >= s.first_seen_at
    JOIN fixed AS t ON t.id = m.to_id
    LEFT JOIN fixed AS f ON f.id = m.from_id AND f.branch = t.branch
    WHERE f.id IS NULL
    GROUP BY m.domain, t.branch
)
SELECT i.branch, i.first_seen_at, fixed.id IS NOT NULL AS has_it,
       CASE WHEN fixed.id IS NOT NULL THEN a.arrived_at END AS arrived_at, i.active_users
FROM instances AS i
JOIN sightings AS s USING (domain)
LEFT JOIN fixed ON fixed.id = s.version_id
LEFT JOIN arrivals AS a ON a.domain = i.domain AND a.branch = i.branch
WHERE i.branch = ANY (%(branches)s)
ORDER BY i.branch, i.domain
"""
