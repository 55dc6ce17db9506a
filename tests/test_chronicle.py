"""Which runs leave a page of history, told as hours and days of runs against a real database."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import psycopg
import pytest

from tests.store.builders import MEANING, NOW, claim, column, failed, names, ok, start
from vmcrawl.chronicle import leave_history
from vmcrawl.domain import Domain
from vmcrawl.exposure import Reading
from vmcrawl.outcome import Outcome
from vmcrawl.settings import DatabaseSettings, PublishSettings
from vmcrawl.store import history, results
from vmcrawl.store.database import Database
from vmcrawl.store.results import Result

ALL = names(300)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PUBLISH = PublishSettings()


class Story:
    """Runs, one after the other, in a database of their own."""

    def __init__(self, connection: psycopg.Connection, database: Database) -> None:
        self.connection = connection
        self.database = database

    def run(self, hours: float, good: Sequence[Domain] = (), bad: Sequence[Domain] = ()) -> str:
        """One run so many hours after NOW that crawls some with and some without an answer; why it left no page."""
        at = NOW + hours * HOUR
        run_id = start(self.connection, [*good, *bad], at)
        self.connection.execute("UPDATE domains SET due_at = %s", [at + 9 * DAY])
        self.connection.execute("UPDATE domains SET due_at = %s WHERE domain = ANY (%s)", [at, [*good, *bad]])
        claim(self.connection, run_id, at=at)
        batch = [self._good(domain, hours) for domain in good]
        batch += [failed(domain, Outcome.TIMEOUT, at) for domain in bad]
        results.record(self.connection, batch, "me")
        return leave_history(self.database, run_id, at, PUBLISH)

    def pages(self) -> list[object]:
        """How many instances each page has, oldest first."""
        return column(
            self.connection, "SELECT sum(instances)::int FROM adoption_history GROUP BY run_id ORDER BY run_id"
        )

    def gone(self, domains: Sequence[Domain]) -> None:
        """They have not answered for longer than they are published without it."""
        self.connection.execute("DELETE FROM sightings WHERE domain = ANY (%s)", [list(domains)])

    def rest(self, time: timedelta) -> None:
        """Nothing runs for so long: all that has been is that much longer ago."""
        for table, moment in (("adoption_history", "at"), ("runs", "started_at"), ("sightings", "last_seen_at")):
            self.connection.execute(f"UPDATE {table} SET {moment} = {moment} - %s", [time])

    @staticmethod
    def _good(domain: Domain, hours: float) -> Result:
        look = ok(domain, NOW + hours * HOUR)
        return Result(look.observation, look.appointment, Reading(MEANING))


@pytest.fixture
def story(connection: psycopg.Connection, database_url: str) -> Iterator[Story]:
    database = Database(DatabaseSettings(url=database_url))
    yield Story(connection, database)
    database.close()


def test_the_first_run_leaves_a_page_whatever_it_found(story: Story):
    assert story.run(0, good=ALL[:10], bad=ALL[10:]) == ""
    assert story.pages() == [10]


def test_runs_that_see_a_third_each_and_lose_two_fifths_of_it_leave_none(story: Story):
    assert story.run(-3, good=ALL) == ""
    # 40 of 300 are less than a fifth, 40 of the 100 that it looked at are not.
    assert "40 of the 100" in story.run(-2, good=ALL[40:100], bad=ALL[:40])
    assert "80 of the 300" in story.run(-1, good=ALL[140:200], bad=ALL[100:140])
    assert "120 of the 300" in story.run(0, good=ALL[240:], bad=ALL[200:240])
    assert story.pages() == [300]


def test_an_outage_is_one_in_the_small_runs_of_its_backoff_too(story: Story):
    story.run(-9, good=ALL)
    assert "100 of the 300" in story.run(-8, bad=ALL[:100])
    assert "200 of the 300" in story.run(-7, bad=ALL[:200])
    assert "300 of the 300" in story.run(-6, bad=ALL)
    # Fewer than a share could be told of, or none at all; they are published all the while.
    assert "300 of the 300" in story.run(-4, bad=ALL[:7])
    assert "300 of the 300" in story.run(-3)
    assert story.run(0, good=ALL) == ""
    assert story.pages() == [300, 300]


def test_a_slow_slide_is_held_against_the_highest_page_and_not_against_the_last(story: Story):
    story.run(-4, good=ALL)
    kept = [270, 245, 225, 205]
    found = []
    for hours, left in zip((-3, -2, -1, 0), kept, strict=True):
        story.gone(ALL[left:])
        found.append(story.run(hours, good=ALL[:left]))
    assert found[:2] == ["", ""]
    assert found[2:] == [f"{missing} of the 300 instances of the last days are missing" for missing in (75, 95)]
    assert story.pages() == [300, 270, 245]


def test_a_real_shrink_is_believed_once_the_pages_before_it_are_old(story: Story):
    """Two of three servers of one hoster are gone; the pages of before grow older, and nobody does anything."""
    story.run(-1, good=ALL)
    story.gone(ALL[100:])
    assert "200 of the 300" in story.run(0, good=ALL[:100])
    for time, believed in ((PUBLISH.retention, False), (DAY, True)):
        story.rest(time)
        assert (story.run(0, good=ALL[:100]) == "") is believed
    assert story.pages() == [300, 100]
    assert story.run(0, good=ALL[:100]) == ""


@pytest.mark.parametrize("downtime", [PUBLISH.retention + DAY, timedelta(days=60)])
def test_after_a_long_downtime_the_last_page_is_the_measure(story: Story, downtime: timedelta):
    story.run(-1, good=ALL)
    story.rest(downtime)
    # Nobody is published any more, so nobody is missed: the page alone knows what there was.
    assert "270 of the 300" in story.run(-0.5, good=ALL[:30], bad=ALL[30:])
    assert "270 of the 300" in story.run(0, good=ALL[:30], bad=ALL[30:])
    assert story.run(0, good=ALL) == ""
    assert story.pages() == [300, 300]


def test_what_shrank_during_a_long_downtime_is_believed_after_days_of_runs(story: Story):
    story.run(-1, good=ALL)
    story.rest(timedelta(days=60))
    assert "200 of the 300" in story.run(0, good=ALL[:100])
    for time, believed in ((PUBLISH.retention, False), (DAY, True)):
        story.rest(time)
        assert (story.run(0, good=ALL[:100]) == "") is believed
    assert story.pages() == [300, 100]


def test_a_run_that_looked_at_fewer_than_twenty_is_not_judged_by_their_share(story: Story):
    story.run(-2, good=ALL)
    assert story.run(-1, bad=ALL[:19]) == ""
    assert "1 of the 20" not in story.run(0, good=ALL[:19], bad=ALL[19:20])
    assert story.pages() == [300, 300, 300]


def test_servers_that_were_never_published_do_not_count_as_missed(story: Story):
    story.run(-1, good=ALL[:100])
    assert story.run(0, good=ALL[:100], bad=ALL[100:]) == ""


def test_a_page_that_is_marked_as_invalid_is_no_measure(story: Story):
    story.run(-1, good=ALL)
    story.gone(ALL[100:])
    story.connection.execute("UPDATE adoption_history SET at = %s", [NOW - DAY])
    assert story.run(0, good=ALL[:100]) != ""
    history.invalidate(story.connection, (NOW - DAY).date(), "counted twice")
    assert story.run(0, good=ALL[:100]) == ""
