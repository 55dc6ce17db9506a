"""What a reader says of a string: its meaning, since when there was something better, and what it is exposed to."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.advisory import packaged_advisories
from vmcrawl.catalogue import Catalogue, Release, packaged_catalogue
from vmcrawl.domain import Domain
from vmcrawl.observation import Observation
from vmcrawl.outcome import Outcome
from vmcrawl.reading import Reader, fix_available_on
from vmcrawl.version import parse_tag, parse_version

TODAY = date(2026, 8, 22)


@pytest.fixture(scope="module")
def reader():
    return Reader(TODAY, packaged_catalogue(), packaged_advisories(), revision=7)


def released(name: str) -> date:
    (day,) = (one.released for one in packaged_catalogue().releases if one.version.release == name)
    return day


def fix(text: str, catalogue: Catalogue | None = None) -> date | None:
    return fix_available_on(parse_version(text), catalogue or packaged_catalogue())


def known_on(day: date) -> Catalogue:
    """What could be known of upstream at the end of a day."""
    known = packaged_catalogue()
    ranges = (
        replace(one, until=one.until if one.until and one.until.date() <= day else None)
        for one in known.main_ranges
        if one.since.date() <= day
    )
    return Catalogue(tuple(one for one in known.releases if one.released <= day), known.branches, tuple(ranges))


def with_release(name: str, day: date, security: bool) -> Catalogue:
    known = packaged_catalogue()
    return Catalogue((*known.releases, Release(parse_tag(name), day, security)), known.branches, known.main_ranges)


@pytest.mark.parametrize(
    ("text", "following"),
    [
        ("4.5.3", "4.5.4"),
        ("4.5.0-rc.1", "4.5.0"),
        ("4.6.0-rc.2", "4.6.0"),
        ("4.1.0rc1", "4.1.0"),
        # Nobody knows when it was built: by number.
        ("4.3.3-alpha.0", "4.3.3"),
        # Main was 4.7.1-alpha.1 for a day, and went back; so only 4.7.0 was newer, whatever its number.
        ("4.7.1-alpha.1", "4.7.0"),
        ("4.7.1-nightly.2026-06-25", "4.7.0"),
        # Main was 4.3.0-alpha.0 then.
        ("4.3.3-nightly.2023-12-31", "4.3.0"),
        # Not before it was built, though its number is that of a release two months older.
        ("4.5.9-nightly.2026-06-21", "4.5.12"),
        ("4.6.0-nightly.2026-06-30", "4.6.3"),
        ("4.6.0-nightly.2026-07-03", "4.6.3"),
        ("4.6.0-nightly.2026-07-04", "4.6.4"),
        # Of no number and no day: any build of its branch.
        ("4.6.0-dev", "4.6.0"),
    ],
)
def test_a_fix_was_there_with_the_next_stable_release_of_the_branch(text, following):
    assert fix(text) == released(following)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        # The bump to 4.7.0-alpha.2 has the fix of 2026-07-27.
        ("4.7.0-alpha.1", "2026-07-27"),
        # Built at 02:00, before the fix of the day; the build of the evening is labelled with the day after.
        ("4.7.0-nightly.2026-07-27", "2026-07-27"),
        ("4.7.0-nightly.2026-07-28-security", "2026-08-20"),
        ("4.7.0-nightly.2026-07-28", "2026-08-20"),
        ("4.5.0-nightly.2025-10-01", "2025-10-13"),
        ("4.4.0-alpha.1", "2025-01-16"),
        # Main went on with 4.3, and the releases with 4.2.
        ("4.2.0-nightly.2023-09-25", "2023-10-10"),
    ],
)
def test_a_fix_was_there_with_what_main_was_after_the_next_security_release(text, day):
    assert fix(text) == date.fromisoformat(day)


def test_on_main_a_fix_was_there_with_the_first_security_release_after_the_build():
    catalogue = with_release("4.7.1", date(2026, 9, 10), security=True)
    assert fix("4.8.0-nightly.2026-09-10", catalogue) == date(2026, 9, 10)
    assert fix("4.8.0-nightly.2026-08-15", catalogue) == date(2026, 9, 10)
    # The newest of main that we know: built nobody knows when.
    assert fix("4.8.0-alpha.1", catalogue) is None


def test_what_main_still_carries_as_far_as_we_know_has_its_release_to_go_to():
    assert fix("4.8.0-alpha.1", with_release("4.8.0", date(2026, 12, 1), security=False)) == date(2026, 12, 1)


def test_where_main_went_back_to_it_the_youngest_build_counts():
    known = known_on(date(2026, 6, 26))
    stable = tuple(Release(parse_tag(name), date(2026, 6, day)) for name, day in (("4.7.0", 20), ("4.7.1", 30)))
    catalogue = Catalogue((*known.releases, *stable), known.branches, known.main_ranges)
    assert fix("4.7.0-alpha.1", catalogue) == date(2026, 6, 30)


@pytest.mark.parametrize("text", ["4.7.0", "4.5.16", "4.8.0-alpha.1", "4.8.0-nightly.2026-08-20", "4.8.0-nightly"])
def test_nothing_was_there_for_what_is_patched_or_may_be(text):
    assert fix(text) is None


MAIN = {known.version.release for known in packaged_catalogue().main_ranges if known.version.prerelease}
NEWS = sorted({one.released for one in packaged_catalogue().releases if one.released >= date(2025, 1, 1)})
NIGHTS = st.dates(date(2023, 10, 1), date(2026, 8, 21))


@given(st.sampled_from(["4.3.0", "4.3.3", "4.4.0", "4.5.9", "4.6.0", "4.7.0", "4.7.1"]), NIGHTS)
def test_a_fix_is_never_older_than_the_build(number, night):
    day = fix(f"{number}-nightly.{night}")
    assert day is None or day >= night


@pytest.mark.parametrize("text", sorted(MAIN - {"4.7.0-alpha.1"}))
def test_a_day_that_was_told_once_stays(text):
    """Of 4.7.0-alpha.1 it could not be known that main would go back to it."""
    told = {fix(text, known_on(day)) for day in NEWS} - {None}
    assert told == {fix(text)} - {None}


def test_that_a_branch_is_released_takes_nothing_back():
    days = [fix("4.7.0-alpha.1", known_on(date(2026, 8, day))) for day in (19, 20)]
    assert days == [date(2026, 7, 27)] * 2


def test_a_reading_is_stamped_and_complete(reader):
    old = reader.read("mastodon", "4.5.3", None)
    assert old is not None
    assert (old.meaning.release, old.read_on, old.revision) == ("4.5.3", TODAY, 7)
    assert old.fix_available_on == released("4.5.4")
    assert old.exposures
    newest = reader.read("mastodon", "4.7.0", None)
    assert newest is not None
    assert (newest.meaning.patched, newest.fix_available_on) == (True, None)


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
