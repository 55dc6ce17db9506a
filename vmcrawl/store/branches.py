"""Where branches stand: what sources state of their support, what an operator says instead, what follows on a day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import psycopg

from vmcrawl.catalogue import Branch, Catalogue, Support
from vmcrawl.store.catalogue import changed, load, lock, one_state
from vmcrawl.support import ENDOFLIFE


class UnknownBranch(ValueError):
    """An override for a branch that the catalogue does not know."""


@dataclass(frozen=True, slots=True)
class BranchRow:
    """One row of ``branches``: where it stands as of the last refresh or reclassification."""

    branch: str
    support: str
    #: The last day of support; None where none is known (yet).
    supported_until: date | None
    #: ``stated`` or ``derived``, None without ``supported_until``; ``override`` if anything of it is.
    support_source: str | None
    #: Who states the date, which release it is derived from, or why it is overridden.
    support_note: str
    latest_release: str | None
    latest_released_on: date | None
    first_released_on: date | None


def save_support(connection: psycopg.Connection, stated: Sequence[Branch], now: datetime) -> list[str]:
    """Note what a source states of the ends of support, all or nothing; returns the branches where that is new.

    A branch without ``supported_until`` is supported, until nobody knows when. That takes back an end that this source
    has stated before, one that is past, and one of :data:`vmcrawl.support.ENDOFLIFE`; what others have stated of the
    future stays.
    """
    with connection.transaction():
        lock(connection)
        new = upsert_support(connection, [branch for branch in stated if branch.supported_until], now)
        new += _take_back_ends(connection, [branch for branch in stated if not branch.supported_until], now)
        if new:
            changed(connection)
    return sorted(new, key=_key)


def set_branch(
    connection: psycopg.Connection,
    branch: str,
    now: datetime,
    *,
    supported_until: date | None = None,
    support: Support | None = None,
    reason: str = "",
) -> None:
    """Override by hand the last day of support of a branch, or where it stands, or both; what is None follows.

    Raises :class:`UnknownBranch`.
    """
    with connection.transaction():
        lock(connection)
        if connection.execute("SELECT FROM branches WHERE branch = %s", [branch]).fetchone() is None:
            raise UnknownBranch(branch)
        changed(connection)
        connection.execute(
            "INSERT INTO branch_overrides (branch, supported_until, support, reason, set_at)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (branch) DO UPDATE"
            " SET supported_until = excluded.supported_until, support = excluded.support,"
            " reason = excluded.reason, set_at = excluded.set_at",
            [branch, supported_until, support and str(support), reason, now],
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
    with connection.transaction():
        # Or what was found from an older catalogue could be written over what follows from a newer one.
        lock(connection)
        before: dict[str, str] = dict(connection.execute("SELECT branch, support FROM branches"))
        rows = _find_standing(connection, today)
        connection.execute(_STAND, {name: [getattr(row, name) for row in rows] for name in BranchRow.__slots__})
    return [row.branch for row in rows if before.get(row.branch) != row.support]


def list_branches(connection: psycopg.Connection, today: date) -> list[BranchRow]:
    """Where each branch stands on a day (UTC), newest first; writes nothing."""
    with one_state(connection):
        return _find_standing(connection, today)[::-1]


def upsert_support(connection: psycopg.Connection, branches: Sequence[Branch], now: datetime) -> list[str]:
    """Write what a source stated at a moment, unless something later is known; returns the branches that changed."""
    rows = connection.execute(
        "INSERT INTO branches AS known (branch, stated_until, stated_source, stated_at)"
        " SELECT *, %s::timestamptz FROM unnest(%s::text[], %s::date[], %s::text[])"
        " ON CONFLICT (branch) DO UPDATE SET stated_until = excluded.stated_until,"
        " stated_source = excluded.stated_source, stated_at = excluded.stated_at"
        " WHERE known.stated_until IS DISTINCT FROM excluded.stated_until"
        " AND coalesce(known.stated_at <= excluded.stated_at, true) RETURNING branch",
        [now, [b.name for b in branches], [b.supported_until for b in branches], [b.source for b in branches]],
    )
    return sorted((branch for (branch,) in rows), key=_key)


def _take_back_ends(connection: psycopg.Connection, supported: Sequence[Branch], now: datetime) -> list[str]:
    rows = connection.execute(
        "UPDATE branches AS known"
        " SET stated_until = NULL, stated_source = said.source, stated_at = %(now)s"
        " FROM unnest(%(branches)s::text[], %(sources)s::text[]) AS said (branch, source)"
        " WHERE known.branch = said.branch AND known.stated_until IS NOT NULL"
        " AND (known.stated_until < %(today)s OR starts_with(known.stated_source, said.source)"
        "      OR starts_with(known.stated_source, %(lagging)s)) RETURNING known.branch",
        {
            "branches": [branch.name for branch in supported],
            "sources": [branch.source for branch in supported],
            "now": now,
            "today": now.astimezone(UTC).date(),
            "lagging": ENDOFLIFE,
        },
    )
    return [branch for (branch,) in rows]


def _find_standing(connection: psycopg.Connection, today: date) -> list[BranchRow]:
    """Oldest first."""
    catalogue = load(connection)
    overrides = {
        name: (note, dated)
        for name, note, dated in connection.execute(
            "SELECT branch, concat_ws(': ', 'override', nullif(reason, '')), supported_until IS NOT NULL"
            " FROM branch_overrides"
        )
    }
    return [_stand(catalogue, key, today, overrides) for key in sorted(_branches(catalogue))]


def _key(branch: str) -> tuple[int, int]:
    return Branch(branch, None).key


def _branches(catalogue: Catalogue) -> set[tuple[int, int]]:
    known = {release.version.branch_key for release in catalogue.releases}
    known |= {main.version.branch_key for main in catalogue.main_ranges}
    return known | {branch.key for branch in catalogue.branches}


def _stand(
    catalogue: Catalogue, key: tuple[int, int], today: date, overrides: Mapping[str, tuple[str, bool]]
) -> BranchRow:
    name = f"{key[0]}.{key[1]}"
    end = catalogue.support_end(key, today)
    source = None if end is None else "derived" if end.derived else "stated"
    note = "" if end is None else end.source
    if override := overrides.get(name):
        source, (said, dated) = "override", override
        # Of a date that is not the operator's it stays visible where it is from.
        note = said if dated or end is None else f"{said}; the date: {end.source}"
    latest = catalogue.newest(key)
    stable = [r.released for r in catalogue.releases if r.version.branch_key == key and not r.version.prerelease]
    return BranchRow(
        name,
        str(catalogue.support(key, today)),
        None if end is None else end.until,
        source,
        note,
        None if latest is None else latest.version.release,
        None if latest is None else latest.released,
        min(stable, default=None),
    )


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
