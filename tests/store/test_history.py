"""What is kept of the past: moves between versions, adoption at the end of each run, how fast a fix was taken."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from tests.store.builders import NOW, column, crawl, failed, ok
from vmcrawl.catalogue import Catalogue, Release, Support
from vmcrawl.delay import Taker
from vmcrawl.domain import Domain
from vmcrawl.exposure import Exposure, Reading
from vmcrawl.meaning import Meaning
from vmcrawl.outcome import Outcome
from vmcrawl.sight import Sight
from vmcrawl.store import history
from vmcrawl.store.history import Adoption
from vmcrawl.store.migrations import prepare
from vmcrawl.store.results import Result
from vmcrawl.store.show import Change, OpenAdvisory, show
from vmcrawl.version import parse_tag

A, B, C, D = (Domain(f"{letter}.example") for letter in "abcd")
HOUR = timedelta(hours=1)


def seen(domain: Domain, version: str, hours: float = 0, *, patched: bool | None = True, **changes: object) -> Result:
    """A look so many hours after NOW; the version is a release."""
    good = ok(domain, NOW + hours * HOUR, version=version, **changes)
    branch = version.rpartition(".")[0]
    meaning = Meaning(version, branch, "vanilla", Support.LATEST, patched, 1)
    return Result(good.observation, good.appointment, Reading(meaning))


def changes(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    return connection.execute(
        "SELECT domain, from_version, to_version, observed_at FROM version_changes ORDER BY observed_at, domain"
    ).fetchall()


def test_a_move_is_written_when_the_string_changes_and_only_then(connection: psycopg.Connection):
    crawl(connection, seen(A, "4.5.6"), seen(B, "4.5.6"))
    crawl(connection, seen(A, "4.5.6", 1), seen(B, "4.5.7", 1))
    crawl(connection, seen(A, "4.5.6", 2, patched=False), seen(B, "4.5.7", 2))
    crawl(connection, failed(A, Outcome.TIMEOUT, NOW + 3 * HOUR), seen(B, "4.5.6", 3))
    assert changes(connection) == [(B, "4.5.6", "4.5.7", NOW + HOUR), (B, "4.5.7", "4.5.6", NOW + 3 * HOUR)]


def test_a_fork_under_the_same_number_is_a_move_too(connection: psycopg.Connection):
    crawl(connection, seen(A, "4.5.6"))
    crawl(connection, seen(A, "4.5.6", 1, software="hometown"))
    assert changes(connection) == [(A, "4.5.6", "4.5.6", NOW + HOUR)]


def test_a_look_that_comes_too_late_to_count_is_no_move(connection: psycopg.Connection):
    crawl(connection, seen(A, "4.5.6", 2))
    crawl(connection, seen(A, "4.5.5", 1))
    assert (changes(connection), column(connection, "SELECT version FROM instances")) == ([], ["4.5.6"])


def test_the_last_moves_are_shown_with_what_the_version_is_exposed_to(connection: psycopg.Connection):
    crawl(connection, seen(A, "4.5.6"))
    newest = seen(A, "4.5.7", 1)
    assert newest.reading is not None
    exposed = replace(newest.reading, fix_available_on=date(2026, 7, 1), exposures=(Exposure("GHSA-none"),))
    crawl(connection, replace(newest, reading=exposed))
    crawl(connection, failed(A, Outcome.TIMEOUT, NOW + 2 * HOUR))
    known = show(connection, A)
    assert known is not None
    assert known.sighting is not None
    assert known.sighting.fix_available_on == date(2026, 7, 1)
    assert known.changes == [Change("4.5.6", "4.5.7", NOW + HOUR)]
    assert known.advisories == [OpenAdvisory("GHSA-none", None, None, None)]


def test_what_was_removed_and_comes_back_starts_anew(connection: psycopg.Connection):
    crawl(connection, seen(A, "4.5.6"))
    crawl(connection, failed(A, Outcome.NOT_MASTODON, NOW + HOUR))
    crawl(connection, seen(A, "4.5.7", 2))
    assert changes(connection) == []


def test_a_run_leaves_one_row_for_each_release(connection: psycopg.Connection):
    crawl(
        connection,
        seen(A, "4.5.6", active_users=5),
        seen(B, "4.5.6", active_users=7, upstream_version="4.5.6"),
        seen(C, "4.4.9", patched=False, active_users=0),
        Result(ok(D, version="nonsense").observation, ok(D).appointment, None),
    )
    assert highest(connection) is None
    assert history.write_history(connection, 7, NOW) == 2
    assert history.write_history(connection, 7, NOW) == 0
    assert highest(connection) == 3
    first, second = history.history_rows(connection, 7)
    assert (first.at, first.branch, first.version, first.instances) == (NOW, "4.5", "4.5.6", 2)
    assert (first.active_users, first.patched, first.invalid) == (12, True, False)
    assert (second.version, second.instances, second.active_users, second.patched) == ("4.4.9", 1, 0, False)
    (entry,) = history.list_history(connection)
    assert (entry.run_id, entry.releases, entry.instances, entry.active_users, entry.patched) == (7, 2, 3, 12, 2)


@pytest.mark.parametrize(("one", "other"), [(True, False), (True, None), (None, None)])
def test_where_readings_of_one_release_differ_nobody_can_say(
    connection: psycopg.Connection, one: bool | None, other: bool | None
):
    crawl(connection, seen(A, "4.5.6", patched=one), seen(B, "4.5.6", patched=other, software="hometown"))
    history.write_history(connection, 1, NOW)
    assert column(connection, "SELECT patched FROM adoption_history") == [None]


def test_a_run_that_is_closed_a_second_time_adds_nothing_to_its_page(connection: psycopg.Connection):
    """It had written it when it died; what has moved to another release since would stand there twice."""
    crawl(connection, seen(A, "4.5.6"), seen(B, "4.5.6"))
    assert history.write_history(connection, 1, NOW) == 1
    crawl(connection, seen(B, "4.5.7", 0.01))
    assert history.write_history(connection, 1, NOW + timedelta(minutes=2)) == 0
    assert column(connection, "SELECT sum(instances) FROM adoption_history") == [2]


def test_a_run_that_published_nothing_leaves_nothing(connection: psycopg.Connection):
    assert history.write_history(connection, 1, NOW) == 0
    assert history.list_history(connection) == []


def highest(connection: psycopg.Connection, since: datetime = NOW - timedelta(days=9999)) -> int | None:
    return history.sight(connection, 1, since).highest


def test_runs_are_held_against_the_highest_page_of_the_last_days_that_is_believed(connection: psycopg.Connection):
    looks = [seen(domain, "4.5.6") for domain in (A, B, C, D)]
    days = [datetime(2026, 8, day, tzinfo=UTC) for day in range(1, 5)]
    # The highest page is neither the first nor the last, and of two releases.
    for run_id, (day, number) in enumerate(zip(days, (2, 4, 3, 1), strict=True), 1):
        connection.execute("DELETE FROM sightings")
        crawl(connection, *looks[: number - 1], seen(looks[number - 1].observation.domain, "4.5.5"))
        history.write_history(connection, run_id, day)
    assert highest(connection) == 4
    # With nothing after it the last one counts.
    assert [highest(connection, day) for day in days] == [4, 3, 1, 1]
    assert history.invalidate(connection, date(2026, 8, 2), "counted twice") == 2
    assert highest(connection) == 3


def test_what_a_run_has_seen_is_counted_among_what_is_published(connection: psycopg.Connection):
    crawl(
        connection,
        *(seen(domain, "4.5.6") for domain in (A, B)),
        Result(ok(D, version="odd").observation, ok(D).appointment, None),
    )
    crawl(connection, failed(A, Outcome.TIMEOUT, NOW + HOUR))
    crawl(
        connection,
        seen(B, "4.5.6", 2),
        failed(C, Outcome.TIMEOUT, NOW + 2 * HOUR),
        failed(D, Outcome.TIMEOUT, NOW + 2 * HOUR),
    )
    (run_id,) = column(connection, "SELECT max(id) FROM runs")
    assert isinstance(run_id, int)
    # D's version cannot be read, C was never published, A was missed by the run before.
    assert history.sight(connection, run_id, NOW) == Sight(published=2, highest=None, missed=2, crawled=2, in_vain=1)


def test_a_bad_day_is_marked_and_no_longer_what_the_next_run_is_held_against(connection: psycopg.Connection):
    crawl(connection, seen(A, "4.5.6", active_users=5))
    for run_id, at in ((1, "2026-07-31T23:59:59"), (2, "2026-08-01T00:00:00"), (3, "2026-08-01T23:59:59")):
        history.write_history(connection, run_id, datetime.fromisoformat(at).replace(tzinfo=UTC))
        crawl(connection, seen(Domain(f"x{run_id}.example"), "4.5.6", active_users=1))
    assert highest(connection) == 3
    assert history.invalidate(connection, date(2026, 8, 1), "the resolver was down") == 2
    assert highest(connection) == 1
    marked = [(entry.run_id, entry.invalid, entry.reason) for entry in history.list_history(connection)]
    assert marked == [(3, True, "the resolver was down"), (2, True, "the resolver was down"), (1, False, "")]
    # Marked again without a reason, it keeps the one it has.
    assert history.invalidate(connection, date(2026, 8, 1)) == 2
    assert [entry.reason for entry in history.list_history(connection)] == ["the resolver was down"] * 2 + [""]
    assert history.invalidate(connection, date(2026, 8, 1), "no, the cable") == 2
    assert [entry.reason for entry in history.list_history(connection)] == ["no, the cable"] * 2 + [""]
    assert history.restore(connection, date(2026, 8, 1)) == 2
    assert highest(connection) == 3
    assert history.restore(connection, date(2026, 8, 1)) is None


def test_a_day_is_marked_also_where_no_run_has_left_a_page_and_before_one_does(connection: psycopg.Connection):
    crawl(connection, seen(A, "4.5.6", active_users=5))
    assert history.invalidate(connection, date(2026, 8, 1), "the resolver was down") == 0
    history.write_history(connection, 1, datetime(2026, 8, 1, 23, tzinfo=UTC))
    history.write_history(connection, 2, datetime(2026, 8, 2, 1, tzinfo=UTC))
    marked = [(entry.run_id, entry.invalid, entry.reason) for entry in history.list_history(connection)]
    assert marked == [(2, False, ""), (1, True, "the resolver was down")]
    assert history.restore(connection, date(2026, 8, 1)) == 1
    history.write_history(connection, 3, datetime(2026, 8, 1, 12, tzinfo=UTC))
    assert not any(entry.invalid for entry in history.list_history(connection))


def release(name: str, security: bool | None = True) -> Release:
    return Release(parse_tag(name), date(2026, 7, 1), security)


KNOWN = Catalogue(
    (
        release("4.4.8"),
        release("4.4.9", security=False),
        release("4.5.6"),
        release("4.5.10-rc.1"),
        release("4.5.9"),
        release("4.6.0", security=None),
    )
)


def takers(connection: psycopg.Connection) -> list[tuple[datetime, bool, datetime | None]]:
    """Those of the one branch there is, in the order of their names."""
    (adoption,) = history.adoptions(connection, KNOWN)
    return [(taker.first_seen_at, taker.has_it, taker.arrived_at) for taker in adoption.takers]


def test_a_fix_is_taken_when_it_or_something_newer_is_first_seen(connection: psycopg.Connection):
    crawl(connection, seen(A, "4.5.8", active_users=1), seen(B, "4.5.10", active_users=2), seen(C, "4.5.8"))
    crawl(connection, seen(A, "4.5.9", 1, active_users=3), seen(D, "4.6.0", 1))
    crawl(connection, seen(A, "4.5.10", 2, active_users=4))
    expected = (Taker(NOW, True, NOW + HOUR, 4), Taker(NOW, True, None, 2), Taker(NOW, False, None, 16))
    assert history.adoptions(connection, KNOWN) == [Adoption("4.5", "4.5.9", date(2026, 7, 1), expected)]


def test_who_went_back_has_not_taken_it_and_who_returned_has_since_then(connection: psycopg.Connection):
    crawl(connection, seen(A, "4.5.8"), seen(B, "4.5.8"))
    crawl(connection, seen(A, "4.5.9", 1), seen(B, "4.5.9", 1))
    crawl(connection, seen(A, "4.5.8", 2), seen(B, "4.5.8", 2))
    crawl(connection, seen(B, "4.5.9", 3))
    assert takers(connection) == [(NOW, False, None), (NOW, True, NOW + 3 * HOUR)]


def test_who_went_to_another_branch_and_returned_has_it_since_then(connection: psycopg.Connection):
    crawl(connection, seen(A, "4.5.8"), seen(B, "4.5.9"))
    crawl(connection, seen(A, "4.5.9", 1), seen(B, "4.4.8", 1))
    crawl(connection, seen(A, "4.6.0", 2), seen(B, "4.5.9", 2))
    crawl(connection, seen(A, "4.5.9", 3))
    assert takers(connection) == [(NOW, True, NOW + 3 * HOUR), (NOW, True, NOW + 2 * HOUR)]


def test_who_has_left_for_another_branch_does_not_count(connection: psycopg.Connection):
    crawl(connection, seen(A, "4.5.8"), seen(B, "4.5.8"))
    crawl(connection, seen(A, "4.6.0", 1))
    assert takers(connection) == [(NOW, False, None)]


def test_who_comes_from_the_fixed_release_of_another_branch_took_this_one_on_arrival(connection: psycopg.Connection):
    crawl(connection, seen(A, "4.4.8"))
    crawl(connection, seen(A, "4.5.9", 1))
    assert takers(connection) == [(NOW, True, NOW + HOUR)]


def test_what_a_domain_did_before_it_was_removed_and_found_again_is_no_arrival(connection: psycopg.Connection):
    crawl(connection, seen(A, "4.5.8"), seen(B, "4.5.8"))
    crawl(connection, seen(A, "4.5.9", 1), seen(B, "4.5.9", 1))
    crawl(connection, failed(A, Outcome.NOT_MASTODON, NOW + 2 * HOUR))
    crawl(connection, seen(A, "4.5.9", 3))
    assert takers(connection) == [(NOW + 3 * HOUR, True, None), (NOW, True, NOW + HOUR)]


def test_branches_come_newest_first_and_only_with_instances(connection: psycopg.Connection):
    prepare(connection, timedelta(days=3))
    crawl(connection, seen(A, "4.4.9"), seen(B, "4.5.9"))
    found = [(one.branch, one.release) for one in history.adoptions(connection, KNOWN)]
    assert found == [("4.5", "4.5.9"), ("4.4", "4.4.8")]
