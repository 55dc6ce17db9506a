"""When a version was built from main: nightlies by date, numbers by main's history, the rest by what is around it."""

import csv
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from vmcrawl.builds import Build, find_builds, main_at, nightly_time, release_dates
from vmcrawl.catalogue import Catalogue, MainRange, Release, packaged_catalogue
from vmcrawl.version import parse_tag, parse_version

LABELLED = list(csv.DictReader((Path(__file__).parent / "data/versions.csv").read_text(encoding="utf-8").splitlines()))
BARE = Catalogue((Release(parse_tag("4.4.0"), date(2025, 7, 8)),))


def builds(text: str, catalogue: Catalogue | None = None) -> list[tuple[str, datetime, datetime | None, bool]]:
    found = find_builds(parse_version(text), catalogue or packaged_catalogue())
    return [(build.version.release, build.since, build.until, build.certain) for build in found]


def bumped(name: str, which: int = 0) -> datetime:
    """When main became a version, for the first time or a later one."""
    return [known.since for known in packaged_catalogue().main_ranges if known.version == parse_tag(name)][which]


def night(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T02:00:00+00:00")


@pytest.mark.parametrize("row", [row for row in LABELLED if row["nightly_base"]], ids=lambda r: r["raw_json"])
def test_nightlies_were_built_from_the_labelled_version_of_main(row):
    version, base = parse_version(json.loads(row["raw_json"])), parse_tag(row["nightly_base"])
    (build,) = find_builds(version, packaged_catalogue())
    known = main_at(build.since, packaged_catalogue())
    assert known is not None
    assert known.version == base
    # Where the number belongs to another branch than the date, nobody knows what was built.
    assert build.certain == (base.branch == version.branch)
    assert build.version == (base if build.certain else version)
    assert build.since == build.until


@pytest.mark.parametrize(
    ("text", "built"),
    [
        ("4.6.0-nightly.2026-05-20", "2026-05-20"),
        ("4.6.0-nightly.2026-05-21-security", "2026-05-21"),
        # The first security builds carried their own day, and were built in the course of it.
        ("4.3.0-nightly.2024-01-31-security", "2024-02-01"),
        ("4.3.0-nightly.2024-02-01-security", "2024-02-01"),
        ("4.3.0-nightly.2024-01-31", "2024-01-31"),
    ],
)
def test_a_nightly_is_built_in_the_night_of_its_label(text, built):
    assert [(since, until) for _, since, until, _ in builds(text)] == [(night(built), night(built))]


def test_a_release_was_not_built_from_main():
    assert builds("4.6.0") == []
    assert builds("4.6.0+glitch") == []


def test_what_main_carried_was_built_while_it_did():
    assert builds("4.7.0-alpha.2") == [("4.7.0-alpha.2", bumped("4.7.0-alpha.2"), bumped("4.7.0-beta.1"), True)]
    # Main went back to it.
    wrong = bumped("4.7.1-alpha.1")
    assert builds("4.7.0-alpha.1") == [
        ("4.7.0-alpha.1", bumped("4.7.0-alpha.1"), wrong, True),
        ("4.7.0-alpha.1", bumped("4.7.0-alpha.1", 1), bumped("4.7.0-alpha.2"), True),
    ]
    assert builds("4.8.0-alpha.1") == [("4.8.0-alpha.1", bumped("4.8.0-alpha.1"), None, True)]


def test_a_tagged_pre_release_has_what_came_out_on_its_day():
    # Released on 2026-06-16, when main was 4.7.0-alpha.1 already.
    assert builds("4.6.0-rc.2") == [("4.6.0-rc.2", night("2026-06-17"), night("2026-06-17"), True)]


def test_nobody_knows_when_a_development_build_of_a_patch_was_made():
    assert builds("4.5.9-alpha.1") == []
    assert builds("4.3.3-alpha.0") == []


def test_without_a_number_it_is_any_build_of_its_branch():
    whole = (bumped("4.6.0-alpha.1"), bumped("4.7.0-alpha.1"), True)
    assert builds("4.6.0-alpha") == [("4.6.0-alpha", *whole)]
    assert builds("4.6.0-nightly") == [("4.6.0-nightly", *whole)]
    assert builds("4.6.0-alpha.0") == [("4.6.0-alpha.0", *whole)]
    (one,) = builds("4.8.0-dev")
    assert one == ("4.8.0-dev", bumped("4.8.0-alpha.1"), None, True)


def test_an_unknown_number_lies_between_the_known_ones_around_it():
    between = bumped("4.6.0-alpha.9"), bumped("4.6.0-beta.1")
    assert builds("4.6.0-alpha.10") == [("4.6.0-alpha.10", *between, True)]
    # 4.7.1-alpha.1 has a higher number, but was before it.
    assert builds("4.7.0-alpha.3") == [("4.7.0-alpha.3", bumped("4.7.0-alpha.2"), bumped("4.7.0-beta.1"), True)]


def test_a_tag_is_a_known_number_too():
    known = packaged_catalogue()
    tagged = Release(parse_tag("4.8.0-beta.1"), date(2026, 9, 10))
    catalogue = Catalogue((*known.releases, tagged), known.branches, known.main_ranges)
    assert builds("4.8.0-alpha.2", catalogue) == [("4.8.0-alpha.2", bumped("4.8.0-alpha.1"), night("2026-09-11"), True)]
    start = datetime(2026, 9, 10, tzinfo=UTC)
    assert builds("4.8.0-beta.2", catalogue) == [("4.8.0-beta.2", start, None, True)]


def test_above_all_known_numbers_it_may_be_as_young_as_it_likes():
    assert builds("4.8.0-alpha.2") == [("4.8.0-alpha.2", bumped("4.8.0-alpha.1"), None, True)]
    assert builds("4.6.0-rc.9") == [("4.6.0-rc.9", datetime(2026, 6, 16, tzinfo=UTC), None, True)]
    assert builds("4.9.0-alpha.1") == [("4.9.0-alpha.1", bumped("4.8.0-alpha.1"), None, True)]


def test_where_the_history_of_main_is_not_known_only_a_nightly_has_a_day():
    assert builds("4.5.0-alpha.1", BARE) == []
    built = night("2025-07-10")
    assert builds("4.5.0-nightly.2025-07-10", BARE) == [("4.5.0-nightly.2025-07-10", built, built, False)]
    assert builds("2.4.0-alpha") == []


def test_main_is_found_at_any_moment_of_its_history():
    catalogue = packaged_catalogue()
    first, second = catalogue.main_ranges[:2]
    assert main_at(first.since - timedelta(seconds=1), catalogue) is None
    assert main_at(first.since, catalogue) == first
    assert main_at(second.since - timedelta(seconds=1), catalogue) == first
    assert main_at(second.since, catalogue) == second
    assert main_at(datetime(2099, 1, 1, tzinfo=UTC), catalogue) == catalogue.main_ranges[-1]


def test_a_gap_in_the_history_of_main_is_nobodys():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    early = MainRange(parse_tag("4.5.0-alpha.1"), start, start + timedelta(days=1))
    late = MainRange(parse_tag("4.5.0-alpha.3"), start + timedelta(days=2), None)
    catalogue = Catalogue(BARE.releases, (), (late, early))
    moments = (start, start + timedelta(days=1), start + timedelta(days=2))
    assert [main_at(moment, catalogue) for moment in moments] == [early, None, late]


@pytest.mark.parametrize(
    ("since", "until", "day", "answer"),
    [
        ("2026-05-20", "2026-05-22", "2026-05-20", True),
        ("2026-05-20", "2026-05-22", "2026-05-21", None),
        ("2026-05-20", "2026-05-22", "2026-05-22", None),
        ("2026-05-20", "2026-05-22", "2026-05-23", False),
        ("2026-05-20", None, "2026-05-23", None),
    ],
)
def test_a_build_is_before_a_day_or_after_it_or_may_be_either(since, until, day, answer):
    build = Build(parse_tag("4.6.0-alpha.1"), night(since), night(until) if until else None)
    assert build.since_day(date.fromisoformat(day)) is answer


def test_days_of_releases_are_found_by_canonical_name():
    days = release_dates(packaged_catalogue())
    assert (days["4.7.0"], days["4.6.0-rc.2"], days["1.0.0"]) == (
        date(2026, 8, 20),
        date(2026, 6, 16),
        date(2017, 2, 5),
    )
    assert len(days) == len(packaged_catalogue().releases)
    assert nightly_time(days["4.7.0"]) == night("2026-08-20")
