"""However many strangers say whatever they like, there is no more to scrape."""

import psycopg
import pytest

from tests.exporter.numbers import Numbers, scrape
from tests.exporter.published import prepared, publish
from tests.store.builders import NOW, crawl, ok
from vmcrawl.domain import Domain
from vmcrawl.exporter.subjects.adoption import _FORKS, _SOFTWARE
from vmcrawl.outcome import REMOVES_PUBLISHED, Outcome
from vmcrawl.store import runs
from vmcrawl.store.runs import RunStatus

MEGABYTE = "x" * 1_000_000


@pytest.fixture
def stocked(connection: psycopg.Connection) -> psycopg.Connection:
    """A database that knows what the package knows of upstream."""
    prepared(connection)
    return connection


def labels(numbers: Numbers) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """All names with all labels."""
    return set(numbers.samples)


def test_what_somebody_makes_up_adds_no_label_value(stocked, database_url):
    publish(stocked, "honest.example")
    publish(stocked, "odd.example", release="4.5.999", patched=None, fork=None, software="odd")
    publish(stocked, "main.example", release="4.8.0-nightly.2026-01-01", branch="4.8", patched=False)
    publish(stocked, "far.example", release="7.7.7", branch="7.0", patched=None, fork="made up")
    publish(stocked, "far-patched.example", release="7.7.7", branch="7.0", patched=True, fork="custom")
    before = labels(scrape(database_url))
    for number in range(300):
        publish(stocked, f"a{number}.example", release=f"4.5.{1000 + number}", patched=None, fork=f"fork-{number}")
        publish(stocked, f"b{number}.example", software=f"software-{number}", fork=None)
        publish(stocked, f"c{number}.example", release=f"4.8.0-nightly.2026-09-{number}", branch="4.8", patched=False)
        publish(stocked, f"d{number}.example", release="7.7.7", branch=f"7.{number}", patched=None)
    publish(stocked, "long.example", version=MEGABYTE[:2000], release=MEGABYTE, branch=MEGABYTE, fork=MEGABYTE)
    publish(stocked, "lines.example", version='4.5.6\n"} 1\nvmcrawl_instances 5', release='4.5.6\n"} 1', branch='4.5"}')
    numbers = scrape(database_url)
    assert labels(numbers) - before == set()
    assert numbers.total("vmcrawl_instances") == numbers.total("vmcrawl_version_instances") == 1207


def test_what_a_server_sends_is_no_label_value(stocked, database_url):
    before = labels(scrape(database_url))
    crawl(stocked, ok(Domain("a.example"), version="4.5.6+" + "z" * 100, software="mastodon"))
    new = {str(value) for _, pairs in labels(scrape(database_url)) - before for pair in pairs for value in pair}
    assert new <= {"version", "branch", "software", "fork", "mastodon", "other", "4.5", "4.5.6"}


def test_there_are_at_most_500_series_whatever_they_say(stocked, database_url):
    """Every branch both patched and not, every fork of every software, every outcome everywhere, every release."""
    number = 0
    for release, branch in stocked.execute("SELECT release, branch FROM releases").fetchall():
        for patched in (True, False):
            number += 1
            publish(stocked, f"r{number}.example", release=release, branch=branch, patched=patched)
    odd: list[tuple[str | None, str | None]] = [("9.9.9", "9.9"), ("4.8.0-nightly.2026-01-01", "4.8"), (None, None)]
    states: list[bool | None] = [True, False, None]
    for named, known in odd:
        for state in states:
            number += 1
            publish(stocked, f"r{number}.example", release=named, branch=known, patched=state)
    # Other software than mastodon is the fork of its own name.
    for software, fork in [("mastodon", fork) for fork in sorted(_FORKS)] + [(name, "custom") for name in _SOFTWARE]:
        number += 1
        publish(stocked, f"s{number}.example", software=software, fork=fork)
    for outcome in set(map(str, Outcome)) - set(map(str, REMOVES_PUBLISHED)):
        publish(stocked, f"o-{outcome}.example".replace("_", "-"), outcome=outcome)
    stocked.execute(
        "INSERT INTO sources (name) VALUES ('commits'), ('main'), ('support'), ('endoflife'), ('advisories')"
    )
    stocked.execute(
        "INSERT INTO uptakes SELECT branch, branch || '.1', '2026-08-13', now(), 10, 1000, 6, 900, '2 days', '1 day',"
        " '1 day', '1 day' FROM branches"
    )
    run = runs.start_run(stocked, NOW)
    runs.finish_run(stocked, run, NOW, RunStatus.SUCCESS, {str(outcome): 1 for outcome in Outcome})
    runs.start_run(stocked, NOW)
    numbers = scrape(database_url)
    assert len(numbers.samples) <= 500
    versions = numbers.by("vmcrawl_version_instances", "version")
    assert versions["other"] > 0
    assert len(versions) >= 9, "there is room for some all the same"
    assert numbers.total("vmcrawl_instances") == numbers.total("vmcrawl_version_instances")
    stocked.execute("INSERT INTO bad_days (day) SELECT current_date - n FROM generate_series(1, 40) AS n")
    assert len(scrape(database_url).samples) <= 500, "also with a past that nobody believes"
    more = scrape(database_url, series=2_000, versions=1_000)
    assert len(more.by("vmcrawl_version_instances", "version")) > 300
