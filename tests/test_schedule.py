"""When a domain is crawled next."""

from datetime import UTC, datetime, timedelta

import pytest

from vmcrawl.outcome import Outcome
from vmcrawl.schedule import next_appointment, retry_after_seconds
from vmcrawl.settings import ScheduleSettings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
STEADY = ScheduleSettings(jitter=0.0)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("outcome", "wait"),
    [
        (Outcome.OK, 3 * HOUR),
        (Outcome.ALIAS, 30 * DAY),
        (Outcome.ALIAS_UNVERIFIED, 30 * DAY),
        (Outcome.NOT_MASTODON, 30 * DAY),
        (Outcome.ROBOTS_DISALLOWED, 7 * DAY),
        (Outcome.OPTED_OUT, 90 * DAY),
        (Outcome.EXCLUDED, 30 * DAY),
    ],
)
def test_a_settled_verdict_has_its_own_interval_and_ends_the_row_of_failures(outcome, wait):
    appointment = next_appointment(outcome, 5, NOW, None, STEADY, 0.5)
    assert appointment.due_at == NOW + wait
    assert appointment.failures == 0
    assert appointment.not_before is None


SETTLED = {
    Outcome.OK,
    Outcome.ALIAS,
    Outcome.ALIAS_UNVERIFIED,
    Outcome.NOT_MASTODON,
    Outcome.ROBOTS_DISALLOWED,
    Outcome.OPTED_OUT,
    Outcome.EXCLUDED,
    Outcome.RATE_LIMITED,
}


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - SETTLED))
@pytest.mark.parametrize(
    ("failures", "wait"), [(0, HOUR), (1, 2 * HOUR), (3, 8 * HOUR), (7, 128 * HOUR), (8, 7 * DAY), (10**9, 7 * DAY)]
)
def test_every_other_failure_doubles_from_an_hour_to_a_week(outcome, failures, wait):
    appointment = next_appointment(outcome, failures, NOW, None, STEADY, 0.5)
    assert appointment.due_at == NOW + wait
    assert appointment.failures > min(failures, 999_999)


@pytest.mark.parametrize(("asked", "wait"), [(None, HOUR), (0, HOUR), (7200, 2 * HOUR), (10**9, 90 * DAY)])
def test_retry_after_is_obeyed_up_to_a_limit(asked, wait):
    appointment = next_appointment(Outcome.RATE_LIMITED, 2, NOW, asked, STEADY, 0.5)
    assert appointment.due_at == NOW + wait
    assert appointment.not_before == NOW + wait
    assert appointment.failures == 2


def test_retry_after_is_obeyed_whatever_the_status_was():
    appointment = next_appointment(Outcome.HTTP_5XX, 0, NOW, 7200, STEADY, 0.5)
    assert (appointment.due_at, appointment.not_before, appointment.failures) == (NOW + 2 * HOUR, NOW + 2 * HOUR, 1)
    assert next_appointment(Outcome.HTTP_5XX, 5, NOW, 60, STEADY, 0.5).due_at == NOW + 32 * HOUR


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_jitter_never_asks_earlier_than_retry_after(chance):
    appointment = next_appointment(Outcome.RATE_LIMITED, 0, NOW, 600, ScheduleSettings(jitter=0.5), chance)
    assert appointment.due_at >= NOW + timedelta(seconds=600)


def test_jitter_moves_a_due_time_either_way_within_its_share():
    settings = ScheduleSettings(jitter=0.1)
    waits = [next_appointment(Outcome.OK, 0, NOW, None, settings, chance).due_at - NOW for chance in (0.0, 0.5, 1.0)]
    assert waits == [3 * HOUR * 0.9, 3 * HOUR, 3 * HOUR * 1.1]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
        ("\u0661\u0662", None),
        ("9" * 5000, 9_999_999_999),
        ("Mon, 23 Nov 2026 12:10:00 GMT", 600),
        ("Mon, 23 Nov 2026 12:10:00", 600),
        ("Mon, 23 Nov 2020 12:10:00 GMT", 0),
        ("Mon, 99 Nov 2026 12:10:00 GMT", None),
        ("Mon, 23 Nov 99999 12:10:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header, seconds):
    assert retry_after_seconds(header, NOW) == seconds
