"""Upstream's releases and builds of main in the database, and the catalogue that they and the branches make."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise, takewhile

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row

from vmcrawl.bumps import MainStart
from vmcrawl.catalogue import Branch, Catalogue, MainRange, Release, Support
from vmcrawl.plausible import refuse_losses
from vmcrawl.version import parse_tag

log = logging.getLogger(__name__)

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
    with one_state(connection):
        return load(connection)


def load_stated(connection: psycopg.Connection) -> Catalogue:
    """As :func:`load_catalogue`, without overrides: what a source says is compared with what sources have said.

    Otherwise an operator's word would decide what is kept as the source's, and outlive its being taken back.
    """
    with one_state(connection):
        return load(connection, overridden=False)


@contextmanager
def one_state(connection: psycopg.Connection) -> Iterator[None]:
    """Let all that is read see the same state, whoever is refreshing meanwhile; within a transaction, that one's."""
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        yield
        return
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


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

    What the source does not list stays, and so does what it does not know, or not any more: that a release fixes
    security problems (``security``). Branches follow with :func:`vmcrawl.store.branches.stand`.
    """
    with connection.transaction():
        lock(connection)
        new = _upsert_releases(connection, releases, source, now, _NEWS)
        if new:
            changed(connection)
    return [version.release for version in sorted(map(parse_tag, new))]


def save_all_releases(
    connection: psycopg.Connection, releases: Sequence[Release], source: str, now: datetime
) -> list[str]:
    """As :func:`save_releases`, for all that a source has: what was known from it and is not listed any more goes.

    What only the package knows stays, since not all of it was ever listed. What goes is returned, too, and called so.
    Raises :class:`vmcrawl.plausible.Implausible`, and changes nothing, if that is too much.
    """
    with connection.transaction():
        gone = _remove_releases(connection, [release.version.release for release in releases], source)
        saved = save_releases(connection, releases, source, now)
    return [*saved, *(f"{release} (taken back)" for release in gone)]


def load_main(connection: psycopg.Connection) -> tuple[MainStart, ...]:
    """What main has carried since when, and how well that is known."""
    rows = connection.execute("SELECT release, since, not_before FROM main_ranges ORDER BY since").fetchall()
    return tuple(
        MainStart(parse_tag(release), since.astimezone(UTC), not_before and not_before.astimezone(UTC))
        for release, since, not_before in rows
    )


def save_main(connection: psycopg.Connection, known: Sequence[MainStart], told: Sequence[MainStart]) -> list[str]:
    """Replace main's history by what it is now told to be; returns the versions that are new in it, in its order.

    Does nothing if the stored one is not ``known``, on which ``told`` is founded: somebody else was faster.
    """
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(known, told, strict=False)))
    before, new = known[same:], told[same:]
    if not before and not new:
        return []
    with connection.transaction():
        lock(connection)
        if load_main(connection) != tuple(known):
            return []
        changed(connection)
        connection.execute("DELETE FROM main_ranges WHERE since = ANY (%s)", [[start.since for start in before]])
        connection.execute(
            "INSERT INTO main_ranges (since, release, not_before)"
            " SELECT * FROM unnest(%s::timestamptz[], %s::text[], %s::timestamptz[])",
            [
                [start.since for start in new],
                [start.version.release for start in new],
                [start.not_before for start in new],
            ],
        )
    had = {start.version for start in before}
    # One that is only dated better is news, too.
    return [start.version.release for start in new if start.version not in had] or [told[-1].version.release]


def list_releases(connection: psycopg.Connection, branch: str | None = None) -> list[ReleaseRow]:
    """All releases, or those of one branch, newest (by number) first."""
    with connection.cursor(row_factory=class_row(ReleaseRow)) as cursor:
        rows = cursor.execute(
            "SELECT release, branch, released_on, prerelease, security, source FROM releases"
            " WHERE %(branch)s::text IS NULL OR branch = %(branch)s",
            {"branch": branch},
        ).fetchall()
    return sorted(rows, key=lambda row: parse_tag(row.release), reverse=True)


def load(connection: psycopg.Connection, *, overridden: bool = True) -> Catalogue:
    """As :func:`load_catalogue`, or :func:`load_stated`, within a transaction of the caller."""
    releases = connection.execute("SELECT release, released_on, security FROM releases")
    stated = connection.execute(
        "SELECT b.branch, coalesce(o.supported_until, b.stated_until),"
        " CASE WHEN o.supported_until IS NULL THEN b.stated_source"
        " ELSE concat_ws(': ', 'override', nullif(o.reason, '')) END,"
        " o.support"
        " FROM branches AS b LEFT JOIN branch_overrides AS o ON o.branch = b.branch AND %s",
        [overridden],
    ).fetchall()
    # Where nobody knows since when, the earliest moment counts: no build is then said to have a fix that it may lack.
    ranges = connection.execute(
        "SELECT coalesce(not_before, since), release FROM main_ranges ORDER BY since"
    ).fetchall()
    return Catalogue(
        tuple(sorted((Release(parse_tag(name), on, fix) for name, on, fix in releases), key=lambda r: r.version)),
        tuple(sorted((_branch(*row) for row in stated), key=lambda branch: branch.key)),
        tuple(
            MainRange(parse_tag(release), since.astimezone(UTC), until and until.astimezone(UTC))
            for (since, release), (until, _) in pairwise([*ranges, (None, "")])
        ),
    )


def add_releases(connection: psycopg.Connection, releases: Iterable[Release], source: str, now: datetime) -> None:
    """Add releases, and correct those that are from the same source; for a transaction that holds the lock.

    Whatever source a release is from: that it fixes security problems is not undone by one that does not say so.
    """
    known = tuple(releases)
    _upsert_releases(connection, known, source, now, _FACTS)
    connection.execute(
        "UPDATE releases SET security = true WHERE release = ANY (%s) AND security IS NOT TRUE",
        [[release.version.release for release in known if release.security]],
    )


def _remove_releases(connection: psycopg.Connection, listed: Sequence[str], source: str) -> list[str]:
    lock(connection)
    (number,) = connection.execute("SELECT count(*) FROM releases").fetchone() or (0,)
    rows = connection.execute(
        "DELETE FROM releases WHERE source = %s AND release <> ALL (%s) RETURNING release", [source, list(listed)]
    ).fetchall()
    refuse_losses(len(rows), number, "releases")
    gone = [version.release for version in sorted(parse_tag(release) for (release,) in rows)]
    if gone:
        log.warning("removed, since %s has taken them back: %s", source, ", ".join(gone))
        changed(connection)
    return gone


def _upsert_releases(
    connection: psycopg.Connection, releases: Iterable[Release], source: str, now: datetime, correction: str
) -> list[str]:
    distinct = {release.version.release: release for release in releases}
    rows = connection.execute(
        _UPSERT_RELEASES + correction + " RETURNING release",
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
SET released_on = excluded.released_on, source = excluded.source, changed_at = excluded.changed_at,
"""
# A source of today: notes that say nothing of security any more do not undo that it was said.
_NEWS = """
    security = coalesce(known.security OR excluded.security, known.security, excluded.security)
WHERE known.released_on <> excluded.released_on
   OR known.security IS DISTINCT FROM
      coalesce(known.security OR excluded.security, known.security, excluded.security)
"""
# Newer packaged facts.
_FACTS = """
    security = coalesce(excluded.security, known.security)
WHERE known.source = excluded.source
"""
