"""How far fixes have spread, as noted at the end of a run."""

from datetime import UTC, datetime, timedelta

import psycopg

from vmcrawl.delay import Taker, Uptake, read_uptake
from vmcrawl.store.history import Adoption
from vmcrawl.store.uptakes import write_uptakes

DAY = timedelta(days=1)
START = datetime(2026, 8, 13, tzinfo=UTC)
NOW = START + 30 * DAY
NOTED = "SELECT branch, release, instances, active_users, adopted_instances, adopted_users FROM patch_uptake ORDER BY 1"


def adoption(branch: str, *takers: Taker) -> tuple[Adoption, Uptake]:
    one = Adoption(branch, f"{branch}.16", START.date(), takers)
    return one, read_uptake(one.released_on, one.takers)


def taker(days: float | None, users: int) -> Taker:
    """An instance that was known before the release, and took it so many days after."""
    return Taker(START - 9 * DAY, days is not None, None if days is None else START + days * DAY, users)


def test_counts_and_delays_are_those_of_the_takers(connection: psycopg.Connection):
    connection.execute("INSERT INTO branches (branch, support) VALUES ('4.5', 'previous')")
    write_uptakes(connection, [adoption("4.5", taker(1, 900), taker(3, 50), taker(None, 50))], NOW)
    assert connection.execute(NOTED).fetchall() == [("4.5", "4.5.16", 3, 1000, 2, 950)]
    delays = connection.execute(
        "SELECT half_of_instances, half_of_users, nine_tenths_of_instances, nine_tenths_of_users FROM patch_uptake"
    ).fetchone()
    assert delays == (3 * DAY, 1 * DAY, None, 1 * DAY)


def test_what_is_noted_later_replaces_what_was_noted_before(connection: psycopg.Connection):
    connection.execute("INSERT INTO branches (branch, support) VALUES ('4.5', 'previous'), ('4.4', 'deprecated')")
    write_uptakes(connection, [adoption("4.5", taker(1, 9)), adoption("4.4", taker(1, 9))], NOW)
    write_uptakes(connection, [adoption("4.5", taker(1, 9), taker(None, 1))], NOW + DAY)
    assert connection.execute(NOTED).fetchall() == [("4.5", "4.5.16", 2, 10, 1, 9)]
    # A run that was overtaken by another.
    write_uptakes(connection, [adoption("4.4", taker(1, 9))], NOW)
    assert [row[0] for row in connection.execute(NOTED)] == ["4.4", "4.5"]
    write_uptakes(connection, [adoption("4.5", taker(1, 9))], NOW)
    assert connection.execute(NOTED).fetchall()[-1] == ("4.5", "4.5.16", 2, 10, 1, 9)
