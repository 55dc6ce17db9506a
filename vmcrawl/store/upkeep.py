"""What the end of a run leaves to be put in order: sums, versions that nobody runs, and what is too old."""

from datetime import datetime

import psycopg

from vmcrawl.settings import RetentionSettings
from vmcrawl.store.prune import prune
from vmcrawl.store.tallies import fold

#: Enough for all that an hour adds. What settings or an update have made old at once takes some runs, or ``prune``.
_STEPS = 200


def sweep(connection: psycopg.Connection, now: datetime, retention: RetentionSettings) -> int:
    """Add up what was counted for runs that are over, delete what is old, and versions that nobody runs or ran; returns
    the number of rows.

    Meant for the end of a run, once; it takes seconds at most, and what it does not get done the next one does.
    """
    return fold(connection) + prune(connection, now, retention, _STEPS).rows + _sweep_versions(connection)


def _sweep_versions(connection: psycopg.Connection) -> int:
    with connection.transaction():
        # Whoever writes results inserts into versions before sightings: none of them may be between the two, or the
        # version it has just found would be gone when its sighting points there.
        connection.execute("LOCK TABLE versions IN SHARE ROW EXCLUSIVE MODE")
        return connection.execute(
            "DELETE FROM versions WHERE NOT EXISTS (SELECT FROM sightings WHERE sightings.version_id = versions.id)"
            " AND NOT EXISTS (SELECT FROM moves WHERE versions.id IN (moves.from_id, moves.to_id))"
        ).rowcount
