"""What is published, by what it says it runs and what that means."""

from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True)
class VersionCount:
    """Published instances of one branch, fork and version."""

    branch: str | None
    support: str | None
    fork: str | None
    release: str | None
    patched: bool | None
    instances: int
    active_users: int


def version_counts(connection: psycopg.Connection) -> list[VersionCount]:
    """Published instances by branch, fork and release, those with most instances first."""
    with connection.cursor(row_factory=class_row(VersionCount)) as cursor:
        return cursor.execute(_VERSION_COUNTS).fetchall()


def version_sums(connection: psycopg.Connection) -> list[VersionCount]:
    """The same from views: support is that of the branch as of the last refresh or run."""
    with connection.cursor(row_factory=class_row(VersionCount)) as cursor:
        return cursor.execute(_VERSION_SUMS).fetchall()


_VERSION_COUNTS = """
SELECT v.branch, v.support, v.fork, v.release, v.patched, sum(c.instances)::bigint AS instances,
       sum(c.active_users)::bigint AS active_users
FROM version_counts AS c JOIN versions AS v ON v.id = c.version_id
GROUP BY v.branch, v.support, v.fork, v.release, v.patched
ORDER BY instances DESC, v.branch, v.fork, v.release
"""
_VERSION_SUMS = """
SELECT a.branch, b.support, a.fork, a.release, a.patched, sum(a.instances)::bigint AS instances,
       sum(a.active_users)::bigint AS active_users
FROM adoption AS a LEFT JOIN branch_states AS b USING (branch)
GROUP BY a.branch, b.support, a.fork, a.release, a.patched
ORDER BY instances DESC, a.branch, a.fork, a.release
"""
