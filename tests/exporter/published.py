"""Published instances as rows, whatever it is that they say."""

from datetime import datetime, timedelta

import psycopg

from vmcrawl.store.migrations import prepare


def prepared(connection: psycopg.Connection) -> None:
    """Let the database know what the package knows of upstream."""
    prepare(connection, timedelta(days=3))


def publish(
    connection: psycopg.Connection,
    domain: str,
    *,
    release: str | None = "4.5.16",
    branch: str | None = "4.5",
    patched: bool | None = True,
    users: int = 10,
    software: str = "mastodon",
    fork: str | None = "vanilla",
    version: str | None = None,
    outcome: str = "ok",
    seen_at: datetime | None = None,
) -> int:
    """Put one instance there, seen just now unless it is said when; returns the id of what it says it runs."""
    connection.execute(
        "INSERT INTO domains (domain, outcome, due_at) VALUES (%s, %s, now() + interval '1 day')", [domain, outcome]
    )
    row = connection.execute(
        "INSERT INTO versions (software, version, release, branch, fork, patched, support, parser)"
        " VALUES (%(software)s, %(version)s, %(release)s, %(branch)s, %(fork)s, %(patched)s, 'latest', 1)"
        " ON CONFLICT (software, version, coalesce(upstream_version, '')) DO UPDATE SET parser = 1 RETURNING id",
        {
            "software": software,
            "version": version or f"{release}+{fork}+{patched}",
            "release": release,
            "branch": branch,
            "fork": fork,
            "patched": patched,
        },
    ).fetchone()
    assert row is not None
    connection.execute(
        "INSERT INTO sightings VALUES (%(domain)s, %(version)s, %(users)s, now() - interval '9 days',"
        " coalesce(%(seen)s, now()))",
        {"domain": domain, "version": row[0], "users": users, "seen": seen_at},
    )
    return int(row[0])
