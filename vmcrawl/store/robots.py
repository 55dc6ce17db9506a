"""What hosts said in robots.txt, kept for a day so that they need not be asked twice."""

from datetime import datetime

import psycopg

from vmcrawl.observation import RobotsRecord


def recall(connection: psycopg.Connection, host: str, oldest: datetime) -> RobotsRecord | None:
    """Return the rules ``host`` gave after ``oldest``, if it did."""
    row = connection.execute(
        "SELECT host, read_at, rules FROM robots WHERE host = %s AND read_at > %s", [host, oldest]
    ).fetchone()
    return None if row is None else RobotsRecord(*row)
