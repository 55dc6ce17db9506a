"""Upstream's releases and builds of main in the database, and the catalogue that they and the branches make."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row

from vmcrawl.catalogue import Branch, Catalogue, MainRange, Release, Support
from vmcrawl.version import Version, parse_tag

#: Where the packaged facts are from, in ``releases.source`` and ``advisories.source``.
SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """One row of ``releases``."""

    release: str
    branch: str
    released_on: date
    prerelease: bool
    security: bool | None
    source: str


def load_catalogue(connection: psycopg.Connection) -> Catalogue:
    """The catalogue as it stands, overrides included (their source is ``override``, with the reason).

    Raises ``ValueError`` where there is no stable release: nobody has called
    :func:`vmcrawl.store.migrations.prepare`.
    """
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        return load(connection)
    with connection.transaction():
        # The three belong together, whoever is refreshing meanwhile.
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return load(connection)


def revision(connection: psycopg.Connection) -> int:
    """The number of the catalogue's state, advisories included; it grows with every change."""
    row = connection.execute("SELECT revision FROM catalogue_state").fetchone()
    assert row is not None
    return int(row[0])


def lock(connection: psycopg.Connection) -> None:
    """What every transaction does first that may change the catalogue: two refreshes at once come one by one."""
    connection.execute("SELECT FROM catalogue_state FOR UPDATE")


def changed(connection: psycopg.Connection) -> None:
    """Say, within the transaction, that the catalogue is another one now: versions are to be read anew."""
    connection.execute("UPDATE catalogue_state SET revision = revision + 1")


def save_releases(connection: psycopg.Connection, releases: Sequence[Release], source: str, now: datetime) -> list[str]:
    """Add releases and correct known ones, all or nothing; returns those that are new or changed, in their order.

    What the source does not list stays (answers come in pages), and so does what it does not know (``security``).
    Branches follow with :func:`vmcrawl.store.branches.stand`.
    """
    with connection.transaction():
        lock(connection)
        new = _upsert_releases(connection, releases, source, now, _NEWER)
        if new:
            changed(connection)
    return [version.release for version in sorted(map(parse_tag, new))]


def save_main(connection: psycopg.Connection, version: Version, since: datetime) -> bool:
    """Note which version main carries, and since when; False if it is what was known."""
    with connection.transaction():
        lock(connection)
        known = connection.execute("SELECT release FROM main_ranges ORDER BY since DESC LIMIT 1").fetchone()
        if known is not None and known[0] == version.release:
            return False
        changed(connection)
        connection.execute(
            "INSERT INTO main_ranges (since, release) VALUES (%s, %s)"
            " ON CONFLICT (since) DO UPDATE SET release = excluded.release",
            [since, version.release],
        )
    return True


def list_releases(connection: psycopg.Connection, branch: str | None = None) -> list[ReleaseRow]:
    """All releases, or those of one branch, newest (by number) first."""
    with connection.cursor(row_factory=class_row(ReleaseRow)) as cursor:
        rows = cursor.execute(
            "SELECT release, branch, released_on, prerelease, security, source FROM releases"
            " WHERE %(branch)s::text IS NULL OR branch = %(branch)s",
            {"branch": branch},
        ).fetchall()
    return sorted(rows, key=lambda row: parse_tag(row.release), reverse=True)


def load(connection: psycopg.Connection) -> Catalogue:
    """As :func:`load_catalogue`, within a transaction of the caller."""
    releases = connection.execute("SELECT release, released_on, security FROM releases")
    stated = connection.execute(
        "SELECT b.branch, coalesce(o.supported_until, b.stated_until),"
        " CASE WHEN o.supported_until IS NULL THEN b.stated_source"
        " ELSE concat_ws(': ', 'override', nullif(o.reason, '')) END,"
        " o.support"
        " FROM branches AS b LEFT JOIN branch_overrides AS o USING (branch)"
    ).fetchall()
    ranges = connection.execute("SELECT since, release FROM main_ranges ORDER BY since").fetchall()
    return Catalogue(
        tuple(sorted((Release(parse_tag(name), on, fix) for name, on, fix in releases), key=lambda r: r.version)),
        tuple(sorted((_branch(*row) for row in stated), key=lambda branch: branch.key)),
        tuple(
            MainRange(parse_tag(release), since.astimezone(UTC), until and until.astimezone(UTC))
            for (since, release), (until, _) in pairwise([*ranges, (None, "")])
        ),
    )


def add_releases(connection: psycopg.Connection, releases: Iterable[Release], source: str, now: datetime) -> None:
    """Add releases, and correct those that are from the same source; for a transaction that holds the lock."""
    _upsert_releases(connection, releases, source, now, _OWN)


def _upsert_releases(
    connection: psycopg.Connection, releases: Iterable[Release], source: str, now: datetime, which: str
) -> list[str]:
    distinct = {release.version.release: release for release in releases}
    rows = connection.execute(
        _UPSERT_RELEASES + which + " RETURNING release",
        {
            "release": list(distinct),
            "branch": [r.version.branch for r in distinct.values()],
            "released_on": [r.released for r in distinct.values()],
            "prerelease": [bool(r.version.prerelease) for r in distinct.values()],
            "security": [r.security for r in distinct.values()],
            "source": source,
            "now": now,
        },
    )
    return [release for (release,) in rows]


def _branch(name: str, until: date | None, source: str, support: str | None) -> Branch:
    return Branch(name, until, source, Support(support) if support else None)


_UPSERT_RELEASES = """
INSERT INTO releases AS known (release, branch, released_on, prerelease, security, source, changed_at)
SELECT said.*, %(source)s, %(now)s
FROM unnest(
    %(release)s::text[], %(branch)s::text[], %(released_on)s::date[], %(prerelease)s::boolean[],
    %(security)s::boolean[]
) AS said (release, branch, released_on, prerelease, security)
ORDER BY said.release COLLATE "C"
ON CONFLICT (release) DO UPDATE
SET released_on = excluded.released_on, security = coalesce(excluded.security, known.security),
    source = excluded.source, changed_at = excluded.changed_at
"""
_NEWER = """
WHERE known.released_on <> excluded.released_on
   OR known.security IS DISTINCT FROM coalesce(excluded.security, known.security)
"""
_OWN = " WHERE known.source = excluded.source"
