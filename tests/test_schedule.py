"""When a domain is crawled next."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vmcrawl.domain import Domain
from vmcrawl.observation import LastLook, Observation
from vmcrawl.outcome import Outcome
from vmcrawl.schedule import appoint, next_appointment, retry_after_seconds
from vmcrawl.settings import CrawlSettings, ScheduleSettings, Settings

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


AGAIN = Settings(schedule=STEADY)
HOME = Domain("home.net")
LAST = LastLook("https://home.net/nodeinfo/2.0", "", "mastodon", "4.5.6", None, 7, NOW + 5 * HOUR)


def good(**changes: object) -> Observation:
    return Observation(HOME, NOW, Outcome.OK, **changes)  # type: ignore[arg-type]  # by name


def appointed(seen: Observation, last: LastLook | None = None, settings: Settings = AGAIN, chance: float = 0.5):
    return appoint(seen, 0, last, NOW, settings, chance)


def test_a_whole_look_is_trusted_for_a_day_and_a_short_one_prolongs_nothing():
    assert appointed(good(rules_read_at=NOW)).trusted_until == NOW + DAY
    assert appointed(good(rules_read_at=NOW, confirmed=False), LAST).trusted_until == LAST.trusted_until
    assert appointed(good(confirmed=False), LAST).trusted_until == LAST.trusted_until


def test_no_look_is_trusted_for_longer_than_the_rules_it_went_by():
    assert appointed(good(rules_read_at=NOW - 20 * HOUR)).trusted_until == NOW + 4 * HOUR
    weekly = replace(AGAIN, crawl=CrawlSettings(reconfirm=7 * DAY))
    assert appointed(good(rules_read_at=NOW), settings=weekly).trusted_until == NOW + DAY
    hourly = replace(AGAIN, crawl=CrawlSettings(robots_lifetime=HOUR))
    assert appointed(good(rules_read_at=NOW), settings=hourly).trusted_until == NOW + HOUR


def test_confirmations_are_spread_by_jitter_and_can_be_asked_for_each_time():
    shaky = Settings(schedule=ScheduleSettings(jitter=0.1), crawl=CrawlSettings(reconfirm=10 * HOUR))
    spread = [appointed(good(rules_read_at=NOW), settings=shaky, chance=each).trusted_until for each in (0.0, 1.0)]
    assert spread == [NOW + 9 * HOUR, NOW + 11 * HOUR]
    each_time = Settings(schedule=STEADY, crawl=CrawlSettings(reconfirm=timedelta(0)))
    assert appointed(good(rules_read_at=NOW), settings=each_time).trusted_until == NOW


@pytest.mark.parametrize(
    ("age", "wait"),
    [
        (0 * HOUR, 3 * HOUR),
        (19 * HOUR, 3 * HOUR),
        # Nearer to the end of the rules than to the next look: one look does for both.
        (20 * HOUR, 4 * HOUR),
        (22 * HOUR, 2 * HOUR),
        # Never at once, whatever the settings.
        (23.5 * HOUR, 1.5 * HOUR),
        (24 * HOUR, 1.5 * HOUR),
    ],
)
def test_the_look_that_reads_the_rules_anew_comes_when_they_are_a_day_old(age, wait):
    assert appointed(good(rules_read_at=NOW - age)).due_at == NOW + wait


def test_nobody_is_asked_while_the_document_is_fresh_but_for_a_day_at_most():
    assert appointed(good(fresh_seconds=1800)).due_at == NOW + 3 * HOUR
    assert appointed(good(fresh_seconds=5 * 3600)).due_at == NOW + 5 * HOUR
    assert appointed(good(fresh_seconds=10**9)).due_at == NOW + DAY
    assert appointed(good(fresh_seconds=10**9, rules_read_at=NOW - 10 * HOUR)).due_at == NOW + 14 * HOUR


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - {Outcome.OK}))
def test_whatever_is_no_good_look_is_not_trusted(outcome):
    seen = Observation(HOME, NOW, outcome, fresh_seconds=10**9, rules_read_at=NOW)
    assert appointed(seen, LAST).trusted_until is None
    assert appointed(seen) == next_appointment(outcome, 0, NOW, None, STEADY, 0.5)


def test_a_healthy_server_costs_fewer_than_one_and_a_half_requests_a_look():
    """A day of looks, each when it is due: four requests where it is not trusted or the rules are old, else one."""
    moment, last, rules_read_at, looks, requests = NOW, None, NOW, 0, 0
    chances = random.Random(7)
    while moment < NOW + 100 * DAY:
        whole = last is None or moment >= last.trusted_until
        read = moment >= rules_read_at + DAY or not looks
        rules_read_at = moment if read else rules_read_at
        looks, requests = looks + 1, requests + (3 if whole else 1) + read
        seen = Observation(HOME, moment, Outcome.OK, confirmed=whole, rules_read_at=rules_read_at)
        appointment = appoint(seen, 0, last, moment, Settings(), chances.random())
        assert appointment.trusted_until is not None
        last = replace(LAST, trusted_until=appointment.trusted_until)
        moment = appointment.due_at
    assert requests / looks < 1.5
    assert 7.5 < looks / 100 < 9


@pytest.mark.parametrize(("ok", "lifetime"), [(7 * DAY, DAY), (DAY, DAY), (3 * HOUR, HOUR)])
def test_an_operator_who_asks_rarely_is_not_made_to_ask_more_often_by_the_age_of_rules(ok, lifetime):
    rare = Settings(schedule=replace(STEADY, ok=ok), crawl=CrawlSettings(robots_lifetime=lifetime))
    assert appointed(good(rules_read_at=NOW), settings=rare).due_at == NOW + ok
