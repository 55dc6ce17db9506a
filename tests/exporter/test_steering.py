"""What an operator has said, as metrics: that crawls rest, and which days are not to be believed."""

from datetime import UTC, date, datetime, timedelta

from tests.exporter.numbers import scrape
from tests.store.builders import NOW
from vmcrawl.store.history import invalidate, restore
from vmcrawl.store.pause import pause


def test_a_pause_is_told_as_long_as_it_holds(connection, database_url):
    assert scrape(database_url).of("vmcrawl_paused") == 0
    pause(connection, NOW, "somebody", "why", until=datetime.now(UTC) + timedelta(hours=1))
    assert scrape(database_url).of("vmcrawl_paused") == 1
    connection.execute("UPDATE pause SET until = now()")
    assert scrape(database_url).of("vmcrawl_paused") == 0


def test_bad_days_are_told_and_so_is_that_they_are_believed_again(connection, database_url):
    for day in (date(2026, 11, 1), date(2026, 11, 3)):
        invalidate(connection, day, "why")
    restore(connection, date(2026, 11, 1))
    began = datetime(2026, 11, 3, tzinfo=UTC).timestamp()
    numbers = scrape(database_url)
    assert numbers.of("vmcrawl_history_bad_day_timestamp_seconds", day="2026-11-03") == began
    assert numbers.of("vmcrawl_history_bad_day_timestamp_seconds", day="2026-11-01") == 0


def test_bad_days_are_never_more_than_ten_series(connection, database_url):
    for number in range(40):
        invalidate(connection, date(2026, 1, 1) + timedelta(days=number))
    restore(connection, date(2026, 2, 9))
    days = scrape(database_url).by("vmcrawl_history_bad_day_timestamp_seconds", "day")
    assert sorted(map(str, days)) == [str(date(2026, 1, 30) + timedelta(days=number)) for number in range(10)]
