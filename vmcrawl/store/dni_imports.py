"""Imports of a DNI list: each replaces the list before it, wholly or not at all, and leaves behind what it changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from vmcrawl.dnilist import DniList
from vmcrawl.domain import Domain
from vmcrawl.plausible import Implausible, refuse_losses
from vmcrawl.store.dni import PAGE_SIZE, Effect, begin_change, end_change, follow

#: Imports that are remembered, with what they changed.
KEPT = 50


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a list is from: in words for people, and the stamp that ``dni_imports`` explains."""

    name: str
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What an import changed about one entry of the list."""

    #: ``added``, ``removed`` or ``changed``.
    change: str
    domain: Domain
    old_severity: str | None
    severity: str | None
    comment: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import came to."""

    #: Of the list.
    entries: int
    added: int
    removed: int
    changed: int
    #: The first of these, by kind and name; as many as were asked for.
    changes: Sequence[Change]
    #: Of the list, but without effect: entered by hand, too, and taken out by hand.
    manual: int
    waived: int
    effect: Effect

    @property
    def counts(self) -> dict[str, int]:
        """How many entries are new, gone and different."""
        return {"added": self.added, "removed": self.removed, "changed": self.changed}


@dataclass(frozen=True, slots=True)
class PastImport:
    """One row of ``dni_imports``."""

    id: int
    imported_at: datetime
    origin: str
    entries: int
    added: int
    removed: int
    changed: int


def replace_list(
    connection: psycopg.Connection,
    listed: DniList,
    origin: Origin,
    now: datetime,
    *,
    force: bool = False,
    dry_run: bool = False,
    shown: int = 20,
) -> Imported:
    """Put a list in the place of the one before; what was entered, or taken out, by hand stays as it is.

    Raises :class:`Implausible`, unless ``force``, for a list that lacks more than a fifth of the entries of the one
    before, or the header that it had. ``dry_run`` changes nothing. ``shown`` limits the changes that are returned.
    """
    with connection.transaction() as transaction:
        begin_change(connection)
        _copy(connection, listed)
        connection.execute(_COMPARE)
        counts: Mapping[str, int] = dict(
            connection.execute("SELECT change, count(*) FROM dni_difference GROUP BY change").fetchall()
        )
        known = _count(connection, "SELECT count(*) FROM dni_listed")
        if not force:
            refuse_losses(counts.get("removed", 0), known, "entries of the list")
            _refuse_a_lost_header(connection, listed)
        changes = _changes(connection, shown)
        manual, waived = (_count(connection, query) for query in (_MANUAL, _WAIVED))
        for statement in _APPLY:
            connection.execute(statement.encode())
        follow(connection, now)
        effect = end_change(connection, now)
        added, removed, changed = (counts.get(kind, 0) for kind in ("added", "removed", "changed"))
        imported = Imported(len(listed.entries), added, removed, changed, changes, manual, waived, effect)
        _remember(connection, imported, origin, listed.header, now, first=not known)
        if dry_run:
            raise psycopg.Rollback(transaction)
        # In the transaction of somebody else they would be in the way of the next import.
        connection.execute("DROP TABLE dni_incoming, dni_difference")
    return imported


def drop_list(connection: psycopg.Connection, now: datetime, *, dry_run: bool = False) -> tuple[int, Effect]:
    """Forget the imported list; what was entered by hand stays. Returns how many entries that was."""
    with connection.transaction() as transaction:
        begin_change(connection)
        number = connection.execute("DELETE FROM dni_listed").rowcount
        follow(connection, now)
        effect = end_change(connection, now)
        if number:
            dropped = Imported(0, 0, number, 0, (), 0, 0, effect)
            _insert_import(connection, dropped, Origin("dropped by hand"), False, now)
        if dry_run:
            raise psycopg.Rollback(transaction)
    return number, effect


def stamp_of_last(connection: psycopg.Connection) -> str:
    """The stamp of the list that is there; ``""`` if there is none, or it is from a file."""
    row = connection.execute("SELECT stamp FROM dni_imports ORDER BY id DESC LIMIT 1").fetchone()
    return "" if row is None else str(row[0])


def past_imports(connection: psycopg.Connection, since: datetime | None = None) -> list[PastImport]:
    """Imports that changed something, or were the first from a source, newest first."""
    with connection.cursor(row_factory=class_row(PastImport)) as cursor:
        return cursor.execute(
            "SELECT id, imported_at, origin, entries, added, removed, changed FROM dni_imports"
            " WHERE %(since)s::timestamptz IS NULL OR imported_at >= %(since)s ORDER BY id DESC",
            {"since": since},
        ).fetchall()


def changes_page(
    connection: psycopg.Connection, import_id: int, *, after: str = "", size: int = PAGE_SIZE
) -> list[Change]:
    """The first ``size`` changes of an import, by name, that come after ``after``; fewer if there are no more."""
    with connection.cursor(row_factory=class_row(Change)) as cursor:
        return cursor.execute(
            "SELECT change, domain, old_severity, severity, comment FROM dni_changes"
            " WHERE import_id = %s AND domain > %s ORDER BY domain LIMIT %s",
            [import_id, after, size],
        ).fetchall()


def _copy(connection: psycopg.Connection, listed: DniList) -> None:
    connection.execute(
        'CREATE TEMPORARY TABLE dni_incoming (domain text COLLATE "C", severity text, comment text) ON COMMIT DROP'
    )
    with connection.cursor() as cursor, cursor.copy("COPY dni_incoming FROM STDIN") as copy:
        for domain, entry in listed.entries.items():
            copy.write_row((domain, str(entry.severity), entry.comment))
    connection.execute("ANALYZE dni_incoming")


def _refuse_a_lost_header(connection: psycopg.Connection, listed: DniList) -> None:
    row = connection.execute("SELECT header FROM dni_imports ORDER BY id DESC LIMIT 1").fetchone()
    if row and row[0] and not listed.header:
        raise Implausible("it has no header any more that names its columns (#domain, ...)")


def _changes(connection: psycopg.Connection, limit: int) -> Sequence[Change]:
    with connection.cursor(row_factory=class_row(Change)) as cursor:
        return cursor.execute(
            "SELECT change, domain, old_severity, severity, comment FROM dni_difference"
            " ORDER BY change, domain LIMIT %s",
            [limit],
        ).fetchall()


def _remember(
    connection: psycopg.Connection, imported: Imported, origin: Origin, header: bool, now: datetime, *, first: bool
) -> None:
    """Unless it is the same list from the same source, read in the same way."""
    last = connection.execute("SELECT origin, stamp, header FROM dni_imports ORDER BY id DESC LIMIT 1").fetchone()
    if last == (origin.name, origin.stamp, header) and not any(imported.counts.values()):
        return
    import_id = _insert_import(connection, imported, origin, header, now)
    if not first:
        connection.execute(
            "INSERT INTO dni_changes (import_id, domain, change, old_severity, severity, comment)"
            " SELECT %s, domain, change, old_severity, severity, comment FROM dni_difference",
            [import_id],
        )
    connection.execute(
        "DELETE FROM dni_imports WHERE id NOT IN (SELECT id FROM dni_imports ORDER BY id DESC LIMIT %s)", [KEPT]
    )


def _insert_import(
    connection: psycopg.Connection, imported: Imported, origin: Origin, header: bool, now: datetime
) -> int:
    return _count(
        connection,
        "INSERT INTO dni_imports (imported_at, origin, stamp, header, entries, added, removed, changed)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        now,
        origin.name,
        origin.stamp,
        header,
        imported.entries,
        *imported.counts.values(),
    )


def _count(connection: psycopg.Connection, query: str, *parameters: object) -> int:
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return int(row[0])


_COMPARE = """
CREATE TEMPORARY TABLE dni_difference ON COMMIT DROP AS
SELECT domain, CASE WHEN l.severity IS NULL THEN 'added' WHEN i.severity IS NULL THEN 'removed' ELSE 'changed' END
           AS change,
       l.severity AS old_severity, i.severity, coalesce(i.comment, l.comment) AS comment
FROM dni_incoming AS i FULL JOIN dni_listed AS l USING (domain)
WHERE (i.severity, i.comment) IS DISTINCT FROM (l.severity, l.comment)
"""
_MANUAL = "SELECT count(*) FROM dni_incoming JOIN dni USING (domain) WHERE source = 'manual'"
_WAIVED = "SELECT count(*) FROM dni_incoming JOIN dni_waivers USING (domain)"
_APPLY = (
    "DELETE FROM dni_listed USING dni_difference AS d WHERE d.domain = dni_listed.domain AND d.change = 'removed'",
    "INSERT INTO dni_listed (domain, severity, comment)"
    " SELECT domain, severity, comment FROM dni_difference WHERE change <> 'removed' ORDER BY domain"
    " ON CONFLICT (domain) DO UPDATE SET severity = excluded.severity, comment = excluded.comment",
)
