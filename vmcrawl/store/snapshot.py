"""The facts that ship inside the package, taken into the database: all at first, what is newer afterwards."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time

import psycopg

from vmcrawl.advisory import Advisory
from vmcrawl.catalogue import Catalogue, MainRange
from vmcrawl.store.advisories import add_advisories
from vmcrawl.store.branches import stand, upsert_support
from vmcrawl.store.catalogue import SNAPSHOT, add_releases, changed, lock


def is_taken_in(connection: psycopg.Connection, gathered: date) -> bool:
    """Whether the facts of that day, or later ones, are in the database."""
    row = connection.execute("SELECT coalesce(snapshot_on >= %s, false) FROM catalogue_state", [gathered]).fetchone()
    assert row is not None
    return bool(row[0])


def take_in(
    connection: psycopg.Connection, gathered: date, catalogue: Catalogue, advisories: Sequence[Advisory]
) -> bool:
    """Take in what was gathered until the start (UTC) of a day, all or nothing; False if that was done before.

    What sources and operators have said since stays. Until that day the packaged history of main is the better one:
    it knows when each version began, where a refresh only knows when it first saw it. Several processes may do this
    at once: one does, the others wait and find it done.
    """
    if is_taken_in(connection, gathered):
        return False
    with connection.transaction():
        lock(connection)
        if is_taken_in(connection, gathered):
            return False
        changed(connection)
        moment = datetime.combine(gathered, time(), UTC)
        add_releases(connection, catalogue.releases, SNAPSHOT, moment)
        _replace_main(connection, catalogue.main_ranges, moment)
        upsert_support(connection, catalogue.branches, moment)
        add_advisories(connection, advisories, SNAPSHOT, moment)
        row = connection.execute(
            "UPDATE catalogue_state SET snapshot_on = %s RETURNING (now() AT TIME ZONE 'UTC')::date", [gathered]
        ).fetchone()
        assert row is not None
        stand(connection, row[0])
    return True


def _replace_main(connection: psycopg.Connection, ranges: Sequence[MainRange], moment: datetime) -> None:
    connection.execute("DELETE FROM main_ranges WHERE since < %s", [moment])
    connection.execute(
        "INSERT INTO main_ranges (since, release) SELECT * FROM unnest(%s::timestamptz[], %s::text[])"
        " ON CONFLICT (since) DO UPDATE SET release = excluded.release, not_before = NULL",
        [[r.since for r in ranges], [r.version.release for r in ranges]],
    )
    # Seen only after that day, what began before it would begin a second time.
    connection.execute(
        "DELETE FROM main_ranges WHERE since IN (SELECT since FROM"
        " (SELECT since, release, lag(release) OVER (ORDER BY since) AS before FROM main_ranges) AS known"
        " WHERE release = before)"
    )
