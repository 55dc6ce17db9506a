"""Upstream's releases, branches and builds of main, in the database: seeded, loaded, brought up to date, overridden."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import pairwise

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row

from vmcrawl.catalogue import SNAPSHOT_DATE, Branch, Catalogue, MainRange, Release
from vmcrawl.version import Version, parse_tag

#: Where the packaged facts are from, in ``releases.source`` and ``advisories.source``.
SNAPSHOT = "snapshot"


class UnknownBranch(ValueError):
    """An override for a branch that the catalogue does not know."""


@dataclass(frozen=True, slots=True)
class BranchRow:
    """One row of ``branches``: where it stands as of the last refresh or reclassification."""

    branch: str
    support: str
    #: The last day of support; None where none is known (yet).
    supported_until: date | None
    #: ``stated``, ``derived`` or ``override``; None without ``supported_until``.
    support_source: str | None
    #: Who states it, which release it is derived from, or why it is overridden.
    support_note: str
    latest_release: str | None
    latest_released_on: date | None
    first_released_on: date | None


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """One row of ``releases``."""

    release: str
    branch: str
    released_on: date
    prerelease: bool
    security: bool | None
    source: str


def seed_catalogue(connection: psycopg.Connection, packaged: Catalogue) -> bool:
    """Fill an empty catalogue with the packaged facts; False, and nothing is changed, if there is one.

    Several processes may do so at once: one does, the others wait and find it done.
    """
    if _is_seeded(connection):
        return False
    with connection.transaction():
        lock(connection)
        if _is_seeded(connection):
            return False
        changed(connection)
        gathered = datetime.combine(SNAPSHOT_DATE, time(), UTC)
        _upsert_releases(connection, packaged.releases, SNAPSHOT, gathered)
        connection.execute(
            "INSERT INTO main_ranges (since, release) SELECT * FROM unnest(%s::timestamptz[], %s::text[])",
            [[r.since for r in packaged.main_ranges], [r.version.release for r in packaged.main_ranges]],
        )
        _upsert_support(connection, packaged.branches, gathered)
        stand(connection, _today(connection))
    return True


def load_catalogue(connection: psycopg.Connection) -> Catalogue:
    """The catalogue as it stands, overrides included (their source is ``override``, with the reason).

    Raises ``ValueError`` where there is no stable release: nobody has called
    :func:`vmcrawl.store.migrations.prepare`.
    """
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        return _load(connection)
    with connection.transaction():
        # The three belong together, whoever is refreshing meanwhile.
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return _load(connection)


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
    Branches follow with :func:`stand`.
    """
    with connection.transaction():
        lock(connection)
        new = _upsert_releases(connection, releases, source, now)
        if new:
            changed(connection)
    return [version.release for version in sorted(map(parse_tag, new))]


def save_main(connection: psycopg.Connection, version: Version, now: datetime) -> bool:
    """Note which version main carries now; False if it is what was known.

    Upstream bumped it at some moment since the last question; that moment is taken to be now. So a build in between
    counts as one of the smaller version: it may be said to lack a fix that it has, never the other way round.
    """
    with connection.transaction():
        lock(connection)
        known = connection.execute("SELECT release FROM main_ranges ORDER BY since DESC LIMIT 1").fetchone()
        if known is not None and known[0] == version.release:
            return False
        changed(connection)
        connection.execute(
            "INSERT INTO main_ranges (since, release) VALUES (%s, %s)"
            " ON CONFLICT (since) DO UPDATE SET release = excluded.release",
            [now, version.release],
        )
    return True


def save_support(connection: psycopg.Connection, branches: Sequence[Branch], now: datetime) -> list[str]:
    """Note what a source states of the ends of support, all or nothing; returns the branches where that is new.

    A branch without ``supported_until`` leaves what is known as it is.
    """
    with connection.transaction():
        lock(connection)
        new = _upsert_support(connection, [branch for branch in branches if branch.supported_until], now)
        if new:
            changed(connection)
    return new


def set_branch(
    connection: psycopg.Connection, branch: str, supported_until: date, now: datetime, reason: str = ""
) -> None:
    """Override the last day of support of a branch by hand. Raises :class:`UnknownBranch`."""
    with connection.transaction():
        lock(connection)
        if connection.execute("SELECT FROM branches WHERE branch = %s", [branch]).fetchone() is None:
            raise UnknownBranch(branch)
        changed(connection)
        connection.execute(
            "INSERT INTO branch_overrides (branch, supported_until, reason, set_at) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (branch) DO UPDATE"
            " SET supported_until = excluded.supported_until, reason = excluded.reason, set_at = excluded.set_at",
            [branch, supported_until, reason, now],
        )
        stand(connection, now.astimezone(UTC).date())


def unset_branch(connection: psycopg.Connection, branch: str, now: datetime) -> bool:
    """Lift an override; False if there was none."""
    with connection.transaction():
        lock(connection)
        lifted = connection.execute("DELETE FROM branch_overrides WHERE branch = %s", [branch]).rowcount > 0
        if lifted:
            changed(connection)
            stand(connection, now.astimezone(UTC).date())
    return lifted


def stand(connection: psycopg.Connection, today: date) -> list[str]:
    """Write down where each branch stands on a day (UTC); returns those whose support has changed, oldest first."""
    catalogue = _load(connection)
    before: dict[str, str] = dict(connection.execute("SELECT branch, support FROM branches"))
    overridden = {branch for (branch,) in connection.execute("SELECT branch FROM branch_overrides")}
    rows = [_stand(catalogue, key, today, overridden) for key in sorted(_branches(catalogue))]
    connection.execute(
        _STAND,
        {name: [getattr(row, name) for row in rows] for name in BranchRow.__slots__},
    )
    return [row.branch for row in rows if before.get(row.branch) != row.support]


def list_branches(connection: psycopg.Connection) -> list[BranchRow]:
    """All branches, newest first."""
    with connection.cursor(row_factory=class_row(BranchRow)) as cursor:
        rows = cursor.execute(
            "SELECT branch, support, supported_until, support_source, support_note, latest_release,"
            " latest_released_on, first_released_on FROM branches"
        ).fetchall()
    return sorted(rows, key=lambda row: _key(row.branch), reverse=True)


def list_releases(connection: psycopg.Connection, branch: str | None = None) -> list[ReleaseRow]:
    """All releases, or those of one branch, newest (by number) first."""
    with connection.cursor(row_factory=class_row(ReleaseRow)) as cursor:
        rows = cursor.execute(
            "SELECT release, branch, released_on, prerelease, security, source FROM releases"
            " WHERE %(branch)s::text IS NULL OR branch = %(branch)s",
            {"branch": branch},
        ).fetchall()
    return sorted(rows, key=lambda row: parse_tag(row.release), reverse=True)


def _is_seeded(connection: psycopg.Connection) -> bool:
    return connection.execute("SELECT FROM releases LIMIT 1").fetchone() is not None


def _today(connection: psycopg.Connection) -> date:
    row = connection.execute("SELECT (now() AT TIME ZONE 'UTC')::date").fetchone()
    assert row is not None
    today: date = row[0]
    return today


def _load(connection: psycopg.Connection) -> Catalogue:
    releases = connection.execute("SELECT release, released_on, security FROM releases")
    stated = connection.execute(
        "SELECT b.branch, coalesce(o.supported_until, b.stated_until),"
        " CASE WHEN o.branch IS NULL THEN b.stated_source ELSE concat_ws(': ', 'override', nullif(o.reason, '')) END"
        " FROM branches AS b LEFT JOIN branch_overrides AS o USING (branch)"
    ).fetchall()
    ranges = connection.execute("SELECT since, release FROM main_ranges ORDER BY since").fetchall()
    return Catalogue(
        tuple(sorted((Release(parse_tag(name), on, fix) for name, on, fix in releases), key=lambda r: r.version)),
        tuple(sorted((Branch(*row) for row in stated), key=lambda branch: branch.key)),
        tuple(
            MainRange(parse_tag(release), since.astimezone(UTC), until and until.astimezone(UTC))
            for (since, release), (until, _) in pairwise([*ranges, (None, "")])
        ),
    )


def _upsert_releases(
    connection: psycopg.Connection, releases: Iterable[Release], source: str, now: datetime
) -> list[str]:
    distinct = {release.version.release: release for release in releases}
    rows = connection.execute(
        _UPSERT_RELEASES,
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


def _upsert_support(connection: psycopg.Connection, branches: Sequence[Branch], now: datetime) -> list[str]:
    rows = connection.execute(
        "INSERT INTO branches AS known (branch, stated_until, stated_source, stated_at)"
        " SELECT *, %s::timestamptz FROM unnest(%s::text[], %s::date[], %s::text[])"
        " ON CONFLICT (branch) DO UPDATE SET stated_until = excluded.stated_until,"
        " stated_source = excluded.stated_source, stated_at = excluded.stated_at"
        " WHERE known.stated_until IS DISTINCT FROM excluded.stated_until RETURNING branch",
        [now, [b.name for b in branches], [b.supported_until for b in branches], [b.source for b in branches]],
    )
    return sorted((branch for (branch,) in rows), key=_key)


def _key(branch: str) -> tuple[int, int]:
    return Branch(branch, None).key


def _branches(catalogue: Catalogue) -> set[tuple[int, int]]:
    known = {release.version.branch_key for release in catalogue.releases}
    known |= {main.version.branch_key for main in catalogue.main_ranges}
    return known | {branch.key for branch in catalogue.branches}


def _stand(catalogue: Catalogue, key: tuple[int, int], today: date, overridden: set[str]) -> BranchRow:
    name = f"{key[0]}.{key[1]}"
    end = catalogue.support_end(key, today)
    source = None if end is None else "override" if name in overridden else "derived" if end.derived else "stated"
    latest = catalogue.newest(key)
    stable = [r.released for r in catalogue.releases if r.version.branch_key == key and not r.version.prerelease]
    return BranchRow(
        name,
        str(catalogue.support(key, today)),
        None if end is None else end.until,
        source,
        "" if end is None else end.source,
        None if latest is None else latest.version.release,
        None if latest is None else latest.released,
        min(stable, default=None),
    )


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
WHERE known.released_on <> excluded.released_on
   OR known.security IS DISTINCT FROM coalesce(excluded.security, known.security)
RETURNING release
"""
_STAND = """
INSERT INTO branches AS known (branch, support, supported_until, support_source, support_note, latest_release,
                               latest_released_on, first_released_on)
SELECT * FROM unnest(
    %(branch)s::text[], %(support)s::text[], %(supported_until)s::date[], %(support_source)s::text[],
    %(support_note)s::text[], %(latest_release)s::text[], %(latest_released_on)s::date[], %(first_released_on)s::date[]
)
ON CONFLICT (branch) DO UPDATE
SET support = excluded.support, supported_until = excluded.supported_until, support_source = excluded.support_source,
    support_note = excluded.support_note, latest_release = excluded.latest_release,
    latest_released_on = excluded.latest_released_on, first_released_on = excluded.first_released_on
WHERE (known.support, known.supported_until, known.support_source, known.support_note, known.latest_release,
       known.latest_released_on, known.first_released_on)
      IS DISTINCT FROM
      (excluded.support, excluded.supported_until, excluded.support_source, excluded.support_note,
       excluded.latest_release, excluded.latest_released_on, excluded.first_released_on)
"""
