"""A day that nobody believes is no part of the curves, whenever somebody looks; asked of a real Prometheus."""

import json
import time
from datetime import UTC, datetime, timedelta
from itertools import product

import psycopg
import pytest

from tests.dashboards.answers import Asking
from tests.program import environment, vmcrawl
from tests.prometheus import wait_until
from tests.test_dashboard_answers import HISTORY, series_of

_DAY = 86_400
_METRIC = "vmcrawl_history_bad_day_timestamp_seconds"


@pytest.fixture
def bad_day(measured):
    """A day within the history, not the last one: marked for the test, believed again afterwards."""
    day = datetime.now(UTC).date() - timedelta(days=6)
    yield day
    vmcrawl("history", "invalidate", str(day), "--undo", env=environment(measured.database_url))


def invalidate(measured, day, *more):
    said = vmcrawl("history", "invalidate", str(day), *more, "--json", env=environment(measured.database_url))
    assert said.returncode == 0, said.stderr
    undone = "--undo" in more
    begins = 0 if undone else datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    question = f'max({_METRIC}{{day="{day}"}})'
    wait_until(lambda: measured.prometheus.number(question) == begins, "Prometheus has scraped it")
    return json.loads(said.stdout)


def views(measured) -> dict[str, Asking]:
    """Three weeks up to now, and a week that ends before anything was marked."""
    with psycopg.connect(measured.database_url) as nobody:
        now = time.time()
        return {
            "now": Asking(measured.prometheus, nobody, now - 21 * _DAY, now),
            "then": Asking(measured.prometheus, nobody, now - 10 * _DAY, now - 3 * _DAY),
        }


def test_a_bad_day_disappears_from_the_curves_and_comes_back(measured, bad_day):
    begins = datetime(bad_day.year, bad_day.month, bad_day.day, tzinfo=UTC).timestamp()
    asked = views(measured)
    questions = list(product(HISTORY, asked))
    whole = {(title, when): series_of("adoption", title, asked[when]) for title, when in questions}
    # Where branches stand is asked of the end of the time that is shown, and nobody scraped that then.
    assert {when for (_, when), curves in whole.items() if not curves} == {"then"}
    questions = [question for question in questions if whole[question]]
    assert len(questions) > len(HISTORY) + 3
    assert invalidate(measured, bad_day, "--reason", "the resolver was broken")["rows"] > 0
    for title, when in questions:
        # NaN is no value; a gap is no sample at all.
        without = {
            legend: {at: value for at, value in curve.items() if not begins <= at < begins + _DAY}
            for legend, curve in whole[title, when].items()
        }
        assert any(len(without[legend]) < len(curve) for legend, curve in whole[title, when].items())
        assert series_of("adoption", title, asked[when]) == without, (title, when)
    invalidate(measured, bad_day, "--undo")
    for title, when in questions:
        assert series_of("adoption", title, asked[when]) == whole[title, when], (title, when)


def test_a_bad_day_leaves_the_numbers_of_now_alone(measured, bad_day):
    before = measured.prometheus.number("sum(vmcrawl_instances)")
    invalidate(measured, bad_day)
    assert measured.prometheus.number("sum(vmcrawl_instances)") == before
