"""How the newest security release of each branch was taken up, as of the last run: for those who ask every minute."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import psycopg

from vmcrawl.delay import Uptake
from vmcrawl.store.history import Adoption


def write_uptakes(connection: psycopg.Connection, uptakes: Sequence[tuple[Adoption, Uptake]], now: datetime) -> None:
    """Replace what is noted, unless another run has noted something later; branches that are not named go.

    The delays of an uptake are those of half and of nine tenths (:data:`vmcrawl.delay.SHARES`).
    """
    rows = sorted((_row(adoption, uptake, now) for adoption, uptake in uptakes), key=lambda row: str(row["branch"]))
    with connection.transaction():
        connection.execute(
            "DELETE FROM uptakes WHERE branch <> ALL (%s) AND noted_at <= %s", [[row["branch"] for row in rows], now]
        )
        for row in rows:
            connection.execute(_WRITE, row)


def _row(adoption: Adoption, uptake: Uptake, now: datetime) -> dict[str, object]:
    users = {having: sum(t.active_users for t in adoption.takers if t.has_it or not having) for having in (True, False)}
    half, nine_tenths = uptake.delays
    delays: dict[str, timedelta | None] = {
        "half_of_instances": half.instances,
        "half_of_users": half.users,
        "nine_tenths_of_instances": nine_tenths.instances,
        "nine_tenths_of_users": nine_tenths.users,
    }
    return {
        "branch": adoption.branch,
        "release": adoption.release,
        "released_on": adoption.released_on,
        "now": now,
        "instances": uptake.instances,
        "active_users": users[False],
        "adopted_instances": uptake.have_it,
        "adopted_users": users[True],
        **delays,
    }


_WRITE = """
INSERT INTO uptakes VALUES (
    %(branch)s, %(release)s, %(released_on)s, %(now)s, %(instances)s, %(active_users)s, %(adopted_instances)s,
    %(adopted_users)s, %(half_of_instances)s, %(half_of_users)s, %(nine_tenths_of_instances)s, %(nine_tenths_of_users)s
)
ON CONFLICT (branch) DO UPDATE
SET release = excluded.release, released_on = excluded.released_on, noted_at = excluded.noted_at,
    instances = excluded.instances, active_users = excluded.active_users,
    adopted_instances = excluded.adopted_instances, adopted_users = excluded.adopted_users,
    half_of_instances = excluded.half_of_instances, half_of_users = excluded.half_of_users,
    nine_tenths_of_instances = excluded.nine_tenths_of_instances, nine_tenths_of_users = excluded.nine_tenths_of_users
WHERE uptakes.noted_at <= excluded.noted_at
"""
