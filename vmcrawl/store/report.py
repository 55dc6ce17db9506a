"""What the adoption report is made of, and adoption over time for its chart."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row

from vmcrawl.adoption import BranchCount, Count, Exposed, Facts, Listed, Page, Uptake
from vmcrawl.store.catalogue import one_state

Weight = Literal["instances", "users"]
#: Advisories in a report.
_ADVISORIES = 5


@dataclass(frozen=True, slots=True)
class Point:
    """What was published of a branch at a moment: instances, or their users."""

    at: datetime
    branch: str
    value: int


def report_facts(connection: psycopg.Connection, now: datetime, largest: int = 0) -> Facts:
    """All that a report says, in one state; of instances by name only the ``largest`` that may be listed."""
    with one_state(connection):
        sums: Any = connection.execute(_SUMS, {"now": now}).fetchone()
        refusals: Any = connection.execute(_REFUSALS).fetchone()
        page = _page(connection, _LAST_PAGE, {})
        return Facts(
            at=now,
            last_run_at=sums[0],
            oldest_seen_at=sums[1],
            branches=_branches(connection),
            uptakes=_uptakes(connection),
            advisories=_advisories(connection),
            exposed_instances=sums[2],
            exposed_users=sums[3],
            page=page,
            page_before=None if page is None else _page(connection, _PAGE_BEFORE, {"at": page.at}),
            moved_instances=sums[4],
            opted_out=refusals[0],
            robots_disallowed=refusals[1],
            failing=refusals[2],
            largest=_largest(connection, largest) if largest else (),
        )


def history_points(connection: psycopg.Connection, since: date | None, weight: Weight) -> list[Point]:
    """The last valid page of each day (UTC), by branch, oldest first.

    Of a day that an operator does not believe there is none.
    """
    measure = "active_users" if weight == "users" else "instances"
    with connection.cursor(row_factory=class_row(Point)) as cursor:
        return cursor.execute(_POINTS[measure], {"since": since}).fetchall()


def _branches(connection: psycopg.Connection) -> list[BranchCount]:
    """Newest first; what upstream does not know comes last."""
    known = [
        BranchCount(name, support, latest, released_on, Count(*counts))
        for name, support, latest, released_on, *counts in connection.execute(_BRANCHES)
    ]
    return sorted(known, key=lambda one: _key(one.branch), reverse=True)


def _key(branch: str) -> tuple[int, ...]:
    return tuple(int(part) for part in branch.split(".") if part.isascii() and part.isdigit())


def _uptakes(connection: psycopg.Connection) -> list[Uptake]:
    with connection.cursor(row_factory=class_row(Uptake)) as cursor:
        found = cursor.execute(_UPTAKES).fetchall()
    return sorted(found, key=lambda one: _key(one.branch), reverse=True)


def _advisories(connection: psycopg.Connection) -> list[Exposed]:
    with connection.cursor(row_factory=class_row(Exposed)) as cursor:
        return cursor.execute(_EXPOSED, [_ADVISORIES]).fetchall()


def _largest(connection: psycopg.Connection, number: int) -> list[Listed]:
    with connection.cursor(row_factory=class_row(Listed)) as cursor:
        return cursor.execute(_LARGEST, [number]).fetchall()


def _page(connection: psycopg.Connection, which: str, parameters: dict[str, object]) -> Page | None:
    rows = connection.execute((which + _OF_PAGE).encode(), parameters).fetchall()
    if not rows:
        return None
    branches: dict[str, Count] = defaultdict(Count)
    for _, branch, instances, users, patched, patched_users in rows:
        branches[branch] += Count(instances, users, patched, patched_users)
    return Page(rows[0][0], dict(branches))


_BRANCHES = """
SELECT coalesce(b.branch, 'other'), coalesce(b.support, 'unknown'), b.latest_release, b.latest_released_on,
       sum(a.instances)::bigint, sum(a.active_users)::bigint,
       coalesce(sum(a.instances) FILTER (WHERE a.patched), 0)::bigint,
       coalesce(sum(a.active_users) FILTER (WHERE a.patched), 0)::bigint
FROM adoption AS a LEFT JOIN branch_states AS b ON b.branch = a.branch AND a.known_branch
GROUP BY b.branch, b.support, b.latest_release, b.latest_released_on
"""
_UPTAKES = """
SELECT branch, release, released_on, instances, active_users, adopted_instances, adopted_users, half_of_instances,
       half_of_users
FROM patch_uptake WHERE support IN ('main', 'latest', 'previous', 'deprecated')
"""
_EXPOSED = """
SELECT ghsa_id, a.cve_id, e.severity, a.title, e.published, e.instances, e.active_users
FROM exposure AS e JOIN advisories AS a USING (ghsa_id)
WHERE e.instances > 0 ORDER BY e.instances DESC, e.published DESC NULLS LAST, ghsa_id LIMIT %s
"""
_LARGEST = """
SELECT domain, version, branch, patched, active_users FROM public_instances
ORDER BY active_users DESC, domain LIMIT %s
"""
# A run by hand says nothing of the whole; a week of moves is looked for in all of them, for one report.
_SUMS = """
SELECT (SELECT max(finished_at) FROM runs WHERE status IN ('success', 'partial') AND NOT by_hand),
       (SELECT oldest_seen_at FROM freshness),
       (SELECT coalesce(sum(c.instances), 0)::bigint FROM version_counts AS c
        WHERE EXISTS (SELECT FROM version_advisories AS t WHERE t.version_id = c.version_id)),
       (SELECT coalesce(sum(c.active_users), 0)::bigint FROM version_counts AS c
        WHERE EXISTS (SELECT FROM version_advisories AS t WHERE t.version_id = c.version_id)),
       (SELECT count(DISTINCT domain) FROM moves WHERE observed_at > %(now)s - interval '7 days')
"""
_REFUSALS = """
SELECT coalesce(sum(domains) FILTER (WHERE outcome = 'opted_out'), 0)::bigint,
       coalesce(sum(domains) FILTER (WHERE outcome = 'robots_disallowed'), 0)::bigint,
       (SELECT coalesce(sum(instances), 0)::bigint FROM failing_states)
FROM ledger_states
"""
_LAST_PAGE = """
WITH page AS (SELECT run_id FROM adoption_history WHERE NOT invalid ORDER BY at DESC, run_id DESC LIMIT 1)
"""
# A week old, or a few days older where no run came by.
_PAGE_BEFORE = """
WITH page AS (
    SELECT run_id FROM adoption_history
    WHERE NOT invalid AND at <= %(at)s - interval '7 days' + interval '12 hours' AND at > %(at)s - interval '10 days'
    ORDER BY at DESC, run_id DESC LIMIT 1
)
"""
_OF_PAGE = """
SELECT h.at, CASE WHEN b.branch IS NULL THEN 'other' ELSE h.branch END, h.instances, h.active_users,
       CASE WHEN h.patched THEN h.instances ELSE 0 END, CASE WHEN h.patched THEN h.active_users ELSE 0 END
FROM adoption_history AS h JOIN page USING (run_id) LEFT JOIN branches AS b ON b.branch = h.branch
"""
_POINTS = {
    measure: f"""
WITH pages AS MATERIALIZED (
    SELECT DISTINCT ON ((at AT TIME ZONE 'UTC')::date) run_id, at FROM adoption_history
    WHERE NOT invalid AND (%(since)s::date IS NULL OR at >= %(since)s::date::timestamp AT TIME ZONE 'UTC')
    ORDER BY (at AT TIME ZONE 'UTC')::date, at DESC, run_id DESC
)
SELECT pages.at, CASE WHEN b.branch IS NULL THEN 'other' ELSE h.branch END AS branch, sum(h.{measure})::bigint AS value
FROM pages JOIN adoption_history AS h USING (run_id) LEFT JOIN branches AS b ON b.branch = h.branch
GROUP BY pages.at, 2 ORDER BY pages.at, 2
"""
    for measure in ("instances", "active_users")
}
