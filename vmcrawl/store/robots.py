"""What hosts have said of us, kept so that they need not be asked twice: rules for a day, opt-outs for longer."""

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
