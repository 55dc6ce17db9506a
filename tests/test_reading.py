"""What a reader says of a string: its meaning, since when there was something better, and what it is exposed to."""

from datetime import UTC, date, datetime

import pytest

from vmcrawl.advisory import packaged_advisories
from vmcrawl.catalogue import packaged_catalogue
from vmcrawl.domain import Domain
from vmcrawl.observation import Observation
from vmcrawl.outcome import Outcome
from vmcrawl.reading import Reader, fix_available_on
from vmcrawl.version import parse_version

TODAY = date(2026, 8, 22)


@pytest.fixture(scope="module")
def reader():
    return Reader(TODAY, packaged_catalogue(), packaged_advisories(), revision=7)


def released(name: str) -> date:
    (day,) = (one.released for one in packaged_catalogue().releases if one.version.release == name)
    return day


@pytest.mark.parametrize(
    ("text", "following"),
    [("4.5.3", "4.5.4"), ("4.5.0-rc.1", "4.5.0"), ("4.5.0-nightly.2025-10-01", "4.5.0"), ("4.3.3-alpha.0", "4.3.3")],
)
def test_a_fix_was_there_with_the_next_release_of_the_branch(text, following):
    assert fix_available_on(parse_version(text), packaged_catalogue()) == released(following)


def test_on_a_branch_whose_newest_release_is_passed_nothing_newer_was_there():
    catalogue = packaged_catalogue()
    newest = catalogue.newest((4, 5))
    assert newest is not None
    assert fix_available_on(newest.version, catalogue) is None


def test_on_main_a_fix_was_there_with_the_first_security_release_after_the_build():
    catalogue = packaged_catalogue()
    fixes = sorted(one.released for one in catalogue.releases if one.security)
    built = fixes[-2]
    # Built at 02:00 of the day of a fix: without it.
    assert fix_available_on(parse_version(f"4.8.0-nightly.{built}"), catalogue) == built
    assert fix_available_on(parse_version("4.8.0-nightly"), catalogue) == fixes[-1]


def test_a_reading_is_stamped_and_complete(reader):
    old = reader.read("mastodon", "4.5.3", None)
    assert old is not None
    assert (old.meaning.release, old.read_on, old.revision) == ("4.5.3", TODAY, 7)
    assert old.fix_available_on == released("4.5.4")
    assert old.exposures
    newest = reader.read("mastodon", "4.7.0", None)
    assert newest is None or newest.meaning.patched is not True or newest.fix_available_on is None


def test_only_good_looks_have_a_reading(reader):
    moment = datetime(2026, 8, 22, tzinfo=UTC)
    seen = Observation(Domain("a.example"), moment, Outcome.OK, software="mastodon", version="4.5.3", active_users=1)
    assert reader.reading(seen) == reader.read("mastodon", "4.5.3", None)
    assert reader.reading(Observation(Domain("a.example"), moment, Outcome.TIMEOUT, version="4.5.3")) is None


def test_a_refusal_is_told_in_words(reader):
    assert reader.read("mastodon", "4.1", None) is None
    assert reader.why_bad_version("mastodon", "4.1", None) == "no_patch: '4.1'"
    assert reader.why_bad_version("mastodon", None, None) == "NodeInfo names no version"
    assert reader.why_bad_version("mastodon", "4.5.3", None) is None
