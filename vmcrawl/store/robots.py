"""What hosts have said of us, kept so that they need not be asked twice: rules for a day, opt-outs for longer."""

from collections.abc import Iterable
from datetime import datetime

import psycopg

from vmcrawl.observation import RobotsRecord


def recall(connection: psycopg.Connection, host: str, oldest: datetime) -> tuple[RobotsRecord | None, bool]:
    """Return the rules that ``host`` gave after ``oldest``, if it did, and whether it has opted out for now."""
    row = connection.execute(
        "SELECT robots.host, robots.read_at, robots.rules,"
        " EXISTS (SELECT FROM domains WHERE domain = %(host)s AND outcome = 'opted_out' AND due_at > now())"
        " FROM (VALUES (1)) AS one LEFT JOIN robots ON robots.host = %(host)s AND robots.read_at > %(oldest)s",
        {"host": host, "oldest": oldest},
    ).fetchone()
    assert row is not None
    return (None if row[0] is None else RobotsRecord(*row[:3])), row[3]


def remember(connection: psycopg.Connection, records: Iterable[RobotsRecord]) -> None:
    """Keep rules that were read; of one host the youngest."""
    youngest: dict[str, RobotsRecord] = {}
    for fresh in records:
        if fresh.host not in youngest or youngest[fresh.host].read_at < fresh.read_at:
            youngest[fresh.host] = fresh
    if youngest:
        connection.execute(
            "INSERT INTO robots (host, read_at, rules)"
            " SELECT * FROM unnest(%s::text[], %s::timestamptz[], %s::text[]) AS record (host, read_at, rules)"
            ' ORDER BY record.host COLLATE "C"'
            " ON CONFLICT (host) DO UPDATE SET read_at = excluded.read_at, rules = excluded.rules"
            " WHERE robots.read_at < excluded.read_at",
            [list(youngest), [r.read_at for r in youngest.values()], [r.rules for r in youngest.values()]],
        )
