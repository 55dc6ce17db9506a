"""The history as a stream: pages in order, what nobody knows under ``other``, what is not believed left out."""

from datetime import datetime, timedelta

import psycopg
import pytest

from tests.store.builders import NOW, leave_page
from vmcrawl.past import Stretch, Window
from vmcrawl.store.migrations import prepare
from vmcrawl.store.past import Past, read_past

DAY = 86_400
T = NOW.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=30)
BEGIN = int(T.timestamp())
ALL = Window(0, BEGIN + 30 * DAY, 300)
BRANCHES = {"4.5", "4.4"}
RELEASES = {"4.5.6": "4.5", "4.4.9": "4.4"}


@pytest.fixture(autouse=True)
def _prepared(connection: psycopg.Connection):
    prepare(connection, timedelta(days=3))


def at(hours: float) -> datetime:
    return T + timedelta(hours=hours)


def by_branch(connection: psycopg.Connection, measure: str = "instances", window: Window = ALL) -> list[Stretch]:
    found: list[Stretch] = []
    read_past(connection, window, lambda past: found.extend(past.by_branch(measure, BRANCHES)))  # type: ignore[arg-type]  # one of two
    return found


def by_release(connection: psycopg.Connection, number: int = 50) -> list[tuple[tuple[str, ...], int]]:
    found: list[Stretch] = []

    def read(past: Past) -> None:
        named = {name: RELEASES[name] for name in past.largest_releases(RELEASES, number)}
        found.extend(past.by_release("instances", named))

    read_past(connection, ALL, read)
    return [(stretch.labels, stretch.value) for stretch in found]


def test_releases_of_a_branch_are_summed_and_a_page_lasts_until_the_next(connection: psycopg.Connection):
    leave_page(connection, 1, at(0), ("4.5", "4.5.6", True, 2, 20), ("4.5", "4.5.7", True, 3, 30))
    leave_page(connection, 2, at(1), ("4.5", "4.5.6", False, 2, 20), ("4.5", "4.5.7", True, 4, 40))
    hour = BEGIN + 3_600
    assert by_branch(connection) == [
        Stretch(("4.5", "false"), hour, hour + 3 * DAY, None, 2),
        Stretch(("4.5", "true"), BEGIN, hour, hour, 5),
        Stretch(("4.5", "true"), hour, hour + 3 * DAY, None, 4),
    ]
    assert [stretch.value for stretch in by_branch(connection, "active_users")] == [20, 50, 40]


def test_a_page_without_a_next_one_within_the_retention_lasts_for_the_retention(connection: psycopg.Connection):
    connection.execute("UPDATE publication SET retention = '12 hours'")
    for run_id, hours in enumerate((0, 12, 24.5), 1):
        leave_page(connection, run_id, at(hours), ("4.5", "4.5.6", True, 1, 1))
    spans = [(s.begins - BEGIN, s.ends - BEGIN, s.followed_at and s.followed_at - BEGIN) for s in by_branch(connection)]
    assert spans == [(0, 43_200, 43_200), (43_200, 86_400, 88_200), (88_200, 131_400, None)]


def test_a_page_that_is_not_believed_is_none_and_the_one_before_lasts_on(connection: psycopg.Connection):
    leave_page(connection, 1, at(0), ("4.5", "4.5.6", True, 1, 1))
    leave_page(connection, 2, at(1), ("4.5", "4.5.6", True, 7, 7), ("4.5", "4.5.7", True, 7, 7), invalid=True)
    connection.execute("UPDATE adoption_history SET invalid = false WHERE version = '4.5.7'")
    leave_page(connection, 3, at(2), ("4.5", "4.5.6", True, 2, 2))
    assert [(s.begins - BEGIN, s.value) for s in by_branch(connection)] == [(0, 1), (7_200, 2)]
    assert by_branch(connection)[0].ends - BEGIN == 7_200


def test_what_the_catalogue_does_not_know_is_one_whatever_it_is_called(connection: psycopg.Connection):
    hostile = ('4.5"} 1 2\n', "x" * 5_000_000, "", "\u2028", "4.5 ", "OTHER")
    rows = [(text[:2_000], f"{number}{text}", None, 1, 1) for number, text in enumerate(hostile)]
    # Five megabytes do not fit into the index of the primary key.
    connection.execute("ALTER TABLE adoption_history DROP CONSTRAINT adoption_history_pkey")
    leave_page(connection, 1, at(0), ("4.5", "4.5.6", True, 2, 20), ("4.6", "4.5.6", None, 3, 20), *rows)
    assert [(s.labels, s.value) for s in by_branch(connection)] == [(("4.5", "true"), 2), (("other", "unknown"), 9)]
    # A release is of the branch that the catalogue says, whatever was written beside it.
    assert by_release(connection) == [(("4.5.6", "4.5"), 5), (("other", "other"), 6)]


def test_rows_without_branch_version_or_patched_count_as_other(connection: psycopg.Connection):
    connection.execute("ALTER TABLE adoption_history DROP CONSTRAINT adoption_history_pkey")
    for name in ("branch", "version", "instances", "active_users"):
        connection.execute(f"ALTER TABLE adoption_history ALTER COLUMN {name} DROP NOT NULL".encode())
    connection.execute(
        "INSERT INTO adoption_history (at, run_id, branch, version, instances, active_users, patched)"
        " VALUES (%(at)s, 1, NULL, NULL, 4, 4, NULL), (%(at)s, 1, '4.5', '4.5.6', NULL, NULL, NULL)",
        {"at": T},
    )
    assert [(s.labels, s.value) for s in by_branch(connection)] == [(("4.5", "unknown"), 0), (("other", "unknown"), 4)]
    assert by_release(connection) == [(("4.5.6", "4.5"), 0), (("other", "other"), 4)]


def test_a_release_is_named_that_was_among_the_largest_on_any_page(connection: psycopg.Connection):
    leave_page(
        connection, 1, at(0), ("4.4", "4.4.9", None, 9, 9), ("4.5", "4.5.6", True, 1, 1), ("4.6", "?", True, 99, 1)
    )
    leave_page(connection, 2, at(1), ("4.4", "4.4.9", None, 8, 9), ("4.5", "4.5.6", True, 7, 1))
    assert by_release(connection, 1) == [
        *((("4.4.9", "4.4"), 9), (("4.4.9", "4.4"), 8)),
        *((("other", "other"), 100), (("other", "other"), 7)),
    ]
    leave_page(connection, 3, at(2), ("4.4", "4.4.9", None, 1, 9), ("4.5", "4.5.6", True, 7, 1), invalid=True)
    assert {labels for labels, _ in by_release(connection, 1)} == {("4.4.9", "4.4"), ("other", "other")}
    connection.execute("UPDATE adoption_history SET invalid = false")
    assert {labels for labels, _ in by_release(connection, 1)} >= {("4.4.9", "4.4"), ("4.5.6", "4.5")}


def test_of_a_window_all_is_read_that_holds_within_it_and_little_else(connection: psycopg.Connection):
    for day in range(20):
        leave_page(connection, day, at(24 * day), ("4.5", "4.5.6", True, day + 1, 1))
    third = BEGIN + 10 * DAY
    found = by_branch(connection, window=Window(third + 3_600, third + DAY + 1, 300))
    assert {(s.begins - third) // DAY for s in found} >= {0, 1}
    assert len(found) < 6


def test_the_reader_sees_one_state_whatever_is_written_meanwhile(connection: psycopg.Connection, database_url: str):
    leave_page(connection, 1, at(0), *(("4.5", f"4.5.{n}", True, 1, 1) for n in range(10)))
    seen: list[int] = []

    def read(past: Past) -> None:
        for _ in range(2):
            seen.extend(stretch.value for stretch in past.by_branch("instances", BRANCHES))
            with psycopg.connect(database_url, autocommit=True) as other:
                other.execute("UPDATE adoption_history SET invalid = true")

    read_past(connection, ALL, read)
    assert seen == [10, 10]
    assert by_branch(connection) == []


def test_a_role_that_may_only_read_can(connection: psycopg.Connection):
    leave_page(connection, 1, at(0), ("4.5", "4.5.6", True, 1, 1))
    connection.execute("SET default_transaction_read_only = on")
    assert len(by_branch(connection)) == 1
