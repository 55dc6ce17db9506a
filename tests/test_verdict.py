"""Every verdict can be said in words, and placed in the story of a crawl."""

import pytest

from vmcrawl.outcome import Outcome
from vmcrawl.verdict import MEANS, Step, effect_of, meaning_of, reached_at


def test_every_outcome_has_a_meaning_and_an_effect():
    assert set(MEANS) == set(Outcome)
    assert all(effect_of(outcome) for outcome in Outcome)


def test_a_word_of_a_newer_version_is_no_error():
    assert "does not know" in meaning_of("teapot")
    assert effect_of("teapot").startswith("kept")
    assert reached_at("teapot", "") == Step("NodeInfo")


@pytest.mark.parametrize(
    ("outcome", "detail", "step"),
    [
        (Outcome.OK, "", Step("end")),
        (Outcome.EXCLUDED, "a.example is excluded", Step("exclusions")),
        (
            Outcome.ROBOTS_DISALLOWED,
            "robots.txt of a.example forbids https://a.example/api/v2/instance",
            Step("robots.txt", "https://a.example/api/v2/instance"),
        ),
        (
            Outcome.TIMEOUT,
            "robots.txt of a.example cannot be read: timed out",
            Step("robots.txt"),
        ),
        (
            Outcome.HTTP_4XX,
            "https://a.example/.well-known/nodeinfo answered 404",
            Step("discovery", "https://a.example/.well-known/nodeinfo"),
        ),
        (
            Outcome.BAD_JSON,
            "https://a.example/nodeinfo/2.0: nested too deeply",
            Step("NodeInfo", "https://a.example/nodeinfo/2.0"),
        ),
        (
            Outcome.API_UNAVAILABLE,
            "https://a.example/api/v2/instance answered 404; https://a.example/api/v1/instance answered 404",
            Step("instance API", "https://a.example/api/v2/instance"),
        ),
        (Outcome.ALIAS, "the instance API of a.example names b.example", Step("instance API")),
        (Outcome.CONNECTION_REFUSED, "a.example: Connection refused", Step("first contact")),
        (Outcome.BAD_VERSION, "NodeInfo names no version", Step("NodeInfo")),
    ],
)
def test_the_detail_of_a_verdict_tells_where_it_was_reached(outcome, detail, step):
    assert reached_at(outcome, detail) == step
