"""The DNI list as it takes effect: what the imported list says, unless the operator says otherwise."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import psycopg
from psycopg.rows import class_row

from vmcrawl.dnilist import Severity
from vmcrawl.domain import Domain

#: Entries in one page of a list.
PAGE_SIZE = 5_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of ``dni``. ``source`` is ``manual``, or ``import`` for what the list says."""

    domain: Domain
    severity: str
    source: str
    comment: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Waiver:
    """An entry that the operator has taken out; ``listed``: the list has it, without effect."""

    domain: Domain
    listed: bool
    comment: str
    waived_at: datetime


@dataclass(frozen=True, slots=True)
class Effect:
    """What came of a change at once."""

    #: Published rows that hard entries took down.
    taken_down: int = 0
    #: Domains that are due, since no hard entry, nor an exclusion, covers them any more.
    freed: int = 0


class Removal(StrEnum):
    """What taking an entry out came to."""

    #: It was entered by hand, and is gone.
    GONE = "gone"
    #: It was entered by hand; now the list counts, which has it, too.
    LISTED = "listed"
    #: It is of the list, and stays out until it is restored, also when it is imported again.
    WAIVED = "waived"
    #: There is no such entry.
    UNKNOWN = "unknown"


def list_page(
    connection: psycopg.Connection,
    *,
    severity: str | None = None,
    source: str | None = None,
    after: str = "",
    size: int = PAGE_SIZE,
) -> list[Entry]:
    """The first ``size`` entries, by name, that match and come after the name ``after``; fewer if there are no more."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(_LIST, {"severity": severity, "source": source, "after": after, "size": size}).fetchall()


def list_waivers(connection: psycopg.Connection, *, after: str = "", size: int = PAGE_SIZE) -> list[Waiver]:
    """What the operator has taken out, page by page as :func:`list_page`."""
    with connection.cursor(row_factory=class_row(Waiver)) as cursor:
        return cursor.execute(_WAIVERS, {"after": after, "size": size}).fetchall()


def add(
    connection: psycopg.Connection, domain: Domain, severity: Severity, comment: str | None, now: datetime
) -> Effect:
    """Enter a domain by hand, which outranks the list; a second time changes severity and, if given, comment."""
    with connection.transaction():
        begin_change(connection)
        connection.execute(
            "INSERT INTO dni (domain, severity, comment, source, added_at)"
            " VALUES (%(domain)s, %(severity)s, coalesce(%(comment)s, ''), 'manual', %(now)s)"
            " ON CONFLICT (domain) DO UPDATE SET severity = excluded.severity, source = 'manual',"
            " comment = coalesce(%(comment)s, dni.comment),"
            " added_at = CASE dni.source WHEN 'manual' THEN dni.added_at ELSE excluded.added_at END",
            {"domain": domain, "severity": str(severity), "comment": comment, "now": now},
        )
        return end_change(connection, now)


def remove(connection: psycopg.Connection, domain: Domain, now: datetime, comment: str = "") -> tuple[Removal, Effect]:
    """Take an entry out: one by hand as such, so that the list counts again; one of the list for good."""
    with connection.transaction():
        begin_change(connection)
        row = connection.execute("SELECT source FROM dni WHERE domain = %s", [domain]).fetchone()
        if row is None:
            return Removal.UNKNOWN, Effect()
        removal = Removal.WAIVED
        if row[0] == "manual":
            connection.execute("DELETE FROM dni WHERE domain = %s", [domain])
            follow(connection, now, domain)
            again = connection.execute("SELECT FROM dni WHERE domain = %s", [domain]).fetchone()
            removal = Removal.GONE if again is None else Removal.LISTED
        else:
            connection.execute(
                "INSERT INTO dni_waivers (domain, comment, waived_at) VALUES (%s, %s, %s)"
                " ON CONFLICT (domain) DO UPDATE SET comment = excluded.comment, waived_at = excluded.waived_at",
                [domain, comment, now],
            )
            follow(connection, now, domain)
        return removal, end_change(connection, now)


def restore(connection: psycopg.Connection, domain: Domain, now: datetime) -> tuple[bool, Effect]:
    """Let what the list says of a domain count again; False if it was not taken out."""
    with connection.transaction():
        begin_change(connection)
        lifted = connection.execute("DELETE FROM dni_waivers WHERE domain = %s", [domain]).rowcount > 0
        follow(connection, now, domain)
        return lifted, end_change(connection, now)


def covers(connection: psycopg.Connection, domain: Domain) -> list[Entry]:
    """The entries that cover a domain: its own, and those of names above it."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(_COVERS, [domain]).fetchall()


def begin_change(connection: psycopg.Connection) -> None:
    """Keep other writers of the DNI list out until the end of the transaction, and note its hard entries."""
    connection.execute("LOCK TABLE dni_listed IN SHARE ROW EXCLUSIVE MODE")
    connection.execute(_NOTE_HARD)


def end_change(connection: psycopg.Connection, now: datetime) -> Effect:
    """Carry out at once what has changed about hard entries since :func:`begin_change`, in the same transaction.

    Soft ones need nothing: ``public_instances`` asks ``dni``. A crawl that is in flight is not written as published
    (``refused_by`` in :mod:`vmcrawl.store.results`), and crawler processes learn of new entries within seconds.
    """
    for statement in _NOTE_TURNED:
        connection.execute(statement.encode())
    turned = {hard for (hard,) in connection.execute("SELECT DISTINCT hard FROM dni_turned")}
    taken_down = connection.execute(_TAKE_DOWN).rowcount if True in turned else 0
    freed = connection.execute(_FREE, {"now": now}).rowcount if False in turned else 0
    # In the transaction of somebody else they would be in the way of the next change.
    connection.execute("DROP TABLE dni_were_hard, dni_turned")
    return Effect(taken_down, freed)


def follow(connection: psycopg.Connection, now: datetime, domain: Domain | None = None) -> None:
    """Bring ``dni``, or its entry of one domain, in line with the list and with what was taken out."""
    connection.execute(_LEAVE, {"domain": domain})
    connection.execute(_ENTER, {"domain": domain, "now": now})


_ENTRY = "SELECT domain, severity, source, comment, added_at FROM dni"
_LIST = f"""
{_ENTRY} WHERE domain > %(after)s
    AND (%(severity)s::text IS NULL OR severity = %(severity)s) AND (%(source)s::text IS NULL OR source = %(source)s)
ORDER BY domain LIMIT %(size)s
"""
_COVERS = f"{_ENTRY} WHERE domain = ANY (lineage(%s)) ORDER BY length(domain) DESC"
_WAIVERS = """
SELECT domain, EXISTS (SELECT FROM dni_listed AS l WHERE l.domain = w.domain) AS listed, comment, waived_at
FROM dni_waivers AS w WHERE domain > %(after)s ORDER BY domain LIMIT %(size)s
"""
_LEAVE = """
DELETE FROM dni
WHERE source = 'import' AND (%(domain)s::text IS NULL OR domain = %(domain)s)
  AND (NOT EXISTS (SELECT FROM dni_listed AS l WHERE l.domain = dni.domain)
       OR EXISTS (SELECT FROM dni_waivers AS w WHERE w.domain = dni.domain))
"""
_ENTER = """
INSERT INTO dni (domain, severity, comment, source, added_at)
SELECT l.domain, l.severity, l.comment, 'import', %(now)s
FROM dni_listed AS l LEFT JOIN dni AS d USING (domain)
WHERE (%(domain)s::text IS NULL OR l.domain = %(domain)s)
  AND (d.domain IS NULL OR d.source = 'import' AND (d.severity, d.comment) <> (l.severity, l.comment))
  AND NOT EXISTS (SELECT FROM dni_waivers AS w WHERE w.domain = l.domain)
ORDER BY l.domain
ON CONFLICT (domain) DO UPDATE SET severity = excluded.severity, comment = excluded.comment
"""
_NOTE_HARD = """
CREATE TEMPORARY TABLE dni_were_hard ON COMMIT DROP AS SELECT domain FROM dni WHERE severity = 'hard'
"""
# Which entries have become hard, or are hard no more. With an index and numbers of its own, since what the planner
# knows of dni is of before the change: it joined a list of 250,000 row by row, for more than eight minutes.
_NOTE_TURNED = (
    "CREATE TEMPORARY TABLE dni_turned ON COMMIT DROP AS"
    " SELECT domain, was.hard IS NULL AS hard"
    " FROM (SELECT domain, true AS hard FROM dni WHERE severity = 'hard') AS now"
    " FULL JOIN (SELECT domain, true AS hard FROM dni_were_hard) AS was USING (domain)"
    " WHERE now.hard IS NULL OR was.hard IS NULL",
    "CREATE UNIQUE INDEX ON dni_turned (domain)",
    "ANALYZE dni_turned",
)
_TAKE_DOWN = """
DELETE FROM sightings
WHERE EXISTS (SELECT FROM dni_turned AS t WHERE t.domain = ANY (lineage(sightings.domain)) AND t.hard)
"""
_FREE = """
WITH touched AS MATERIALIZED (
    SELECT domain FROM domains
    WHERE outcome = 'excluded' AND due_at > %(now)s
      AND EXISTS (SELECT FROM dni_turned AS t WHERE t.domain = ANY (lineage(domains.domain)) AND NOT t.hard)
), freed AS MATERIALIZED (
    SELECT domain FROM domains JOIN touched USING (domain)
    WHERE refused_by(domain) IS NULL ORDER BY domain FOR UPDATE OF domains
)
UPDATE domains SET due_at = %(now)s FROM freed WHERE domains.domain = freed.domain
"""
