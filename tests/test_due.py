"""The rule behind the next crawl of a domain is named, also where somebody has moved it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vmcrawl.domain import Domain
from vmcrawl.due import Waiting, why_due
from vmcrawl.observation import Observation
from vmcrawl.outcome import Outcome
from vmcrawl.schedule import appoint
from vmcrawl.settings import Settings

SETTINGS = Settings()
CRAWLED = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOW = CRAWLED + timedelta(minutes=30)


def waiting(outcome: Outcome, failures: int = 0, chance: float = 0.5, **seen: object) -> Waiting:
    """The row that a crawl leaves, as the schedule decides it."""
    observation = Observation(Domain("a.example"), CRAWLED, outcome, **seen)  # type: ignore[arg-type]  # by name
    appointment = appoint(observation, failures, None, CRAWLED + timedelta(seconds=20), SETTINGS, chance)
    return Waiting(
        outcome,
        appointment.failures,
        appointment.due_at,
        CRAWLED,
        appointment.not_before,
        rules_read_at=observation.rules_read_at,
    )


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_verdict_has_its_rule_whatever_chance_says(outcome, chance):
    said = why_due(waiting(outcome, 2, chance), NOW, SETTINGS)
    assert "schedule." in said
    assert "made due" not in said
    assert "put off" not in said


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (waiting(Outcome.OK), "schedule.ok (3h, give or take 10%)"),
        (waiting(Outcome.ALIAS_UNVERIFIED), "schedule.alias (30d, give or take 10%)"),
        (waiting(Outcome.OPTED_OUT), "schedule.opted_out (90d, give or take 10%)"),
        (
            waiting(Outcome.TIMEOUT, 2),
            "schedule.failure_first (1h), doubled with each failure in a row: 4h after 3, give or take 10%",
        ),
        (
            waiting(Outcome.TIMEOUT, 12),
            "schedule.failure_first (1h), doubled with each failure in a row: 7d after 13, the most there is"
            " (schedule.failure_longest), give or take 10%",
        ),
        (
            waiting(Outcome.RATE_LIMITED, retry_after_seconds=7200),
            "its Retry-After (until 2026-11-23 14:00 UTC), and not before",
        ),
        (waiting(Outcome.RATE_LIMITED), "schedule.rate_limited (1h), and not before"),
        (waiting(Outcome.HTTP_5XX, retry_after_seconds=86_400), "its Retry-After (until 2026-11-24 12:00 UTC)"),
    ],
)
def test_the_rule_is_named_with_its_setting(row, said):
    assert why_due(row, NOW, SETTINGS) == said


def test_what_a_server_says_of_its_document_puts_the_next_look_off():
    row = waiting(Outcome.OK, fresh_seconds=6 * 3600)
    assert why_due(row, NOW, SETTINGS).startswith("put off, since its server lets its document be used for longer")


def test_the_look_that_reads_robots_txt_anew_is_told_from_others():
    row = waiting(Outcome.OK, rules_read_at=CRAWLED - timedelta(hours=20))
    assert row.due_at == CRAWLED + timedelta(hours=4)
    assert "robots.txt is to be read anew" in why_due(row, NOW, SETTINGS)


def test_what_somebody_made_due_is_told_from_what_the_schedule_did():
    row = replace(waiting(Outcome.NOT_MASTODON), due_at=NOW)
    assert why_due(row, NOW, SETTINGS).startswith("made due earlier")


def test_what_is_being_crawled_and_what_never_was_have_no_rule():
    leased = replace(waiting(Outcome.OK), leased_until=NOW + timedelta(minutes=1))
    assert why_due(leased, NOW, SETTINGS).startswith("it is being crawled now")
    assert why_due(Waiting(None, 0, NOW), NOW, SETTINGS).startswith("it has not been crawled yet")
    assert "no rule for teapot" in why_due(replace(leased, outcome="teapot", leased_until=None), NOW, SETTINGS)
