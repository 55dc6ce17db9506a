"""Throwing away what nothing needs any more, so that no table only grows."""

from datetime import datetime, timedelta

import psycopg

from vmcrawl.store.tallies import fold

#: Much longer than rules are used for, so that hosts that are gone do not pile up.
_ROBOTS_KEPT = timedelta(days=7)
_RUNS_KEPT = timedelta(days=400)
_MOVES_KEPT = timedelta(days=800)


def sweep(connection: psycopg.Connection, now: datetime) -> int:
    """Delete old robots.txt rules, runs and moves, and versions that nobody runs or ran, and add up what was counted
    for runs that are over; returns the number of rows.

    Meant for the end of a run, once.
    """
    robots = connection.execute(
        "DELETE FROM robots WHERE host IN ("
        " SELECT host FROM robots WHERE read_at < %s ORDER BY host FOR UPDATE SKIP LOCKED)",
        [now - _ROBOTS_KEPT],
    ).rowcount
    runs = connection.execute(
        "DELETE FROM runs WHERE status <> 'running' AND started_at < %s", [now - _RUNS_KEPT]
    ).rowcount
    moves = connection.execute("DELETE FROM moves WHERE observed_at < %s", [now - _MOVES_KEPT]).rowcount
    return robots + runs + moves + fold(connection) + _sweep_versions(connection)


def _sweep_versions(connection: psycopg.Connection) -> int:
    with connection.transaction():
        # Whoever writes results inserts into versions before sightings: none of them may be between the two, or the
        # version it has just found would be gone when its sighting points there.
        connection.execute("LOCK TABLE versions IN SHARE ROW EXCLUSIVE MODE")
        return connection.execute(
            "DELETE FROM versions WHERE NOT EXISTS (SELECT FROM sightings WHERE sightings.version_id = versions.id)"
            " AND NOT EXISTS (SELECT FROM moves WHERE versions.id IN (moves.from_id, moves.to_id))"
        ).rowcount
