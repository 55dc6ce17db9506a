"""Fixes and spans against each other: two fixes in one branch, builds of main without any, what there was to take."""

from datetime import date

import pytest

from vmcrawl.advisory import packaged_advisories
from vmcrawl.affected import read_affected, read_exactly
from vmcrawl.catalogue import Catalogue, Release, packaged_catalogue
from vmcrawl.judgement import Affected
from vmcrawl.version import parse_tag, parse_version

RELEASES = [release.version for release in packaged_catalogue().releases]
TWICE = ">= 4.3.0, < 4.3.5 || >= 4.3.8, < 4.3.10"


def answers(affected: Affected | None, versions: str, catalogue: Catalogue | None = None) -> list[bool | None]:
    assert affected is not None
    return [affected.covers(parse_version(text), catalogue or packaged_catalogue()) for text in versions.split()]


def read(ranges: str, patched: str) -> Affected:
    return read_affected(ranges, patched, packaged_catalogue())[0]


def exactly(ranges: str) -> Affected | None:
    return read_exactly(ranges, packaged_catalogue())


def way_out(affected: Affected | None, version: str) -> str | None:
    assert affected is not None
    way = affected.fix_for(parse_version(version))
    return way.version.release if way else None


@pytest.mark.parametrize(
    ("ranges", "patched", "versions", "expected"),
    [
        # The second fault came with 4.3.8, and the fix of the first says nothing of it.
        (
            TWICE,
            "4.3.5, 4.3.10",
            "4.3.4 4.3.5 4.3.7 4.3.8 4.3.9 4.3.10 4.3.11",
            [True, *[False] * 2, *[True] * 2, *[False] * 2],
        ),
        # Also where the second fix is not stated.
        (TWICE, "4.3.5", "4.3.4 4.3.5 4.3.8 4.3.9 4.3.10", [True, False, True, True, False]),
        # One range over both: what the first fix has fixed, nobody says; nor what a range before both leaves open.
        ("< 4.3.10", "4.3.5, 4.3.10", "4.3.4 4.3.5 4.3.6 4.3.9 4.3.10", [True, False, None, None, False]),
        ("< 4.3.5", "4.3.5, 4.3.10", "4.3.4 4.3.5 4.3.6 4.3.9 4.3.10", [True, False, None, None, False]),
        # On main the first fix was there on 2025-03-10, the last on 2025-07-02.
        (
            TWICE,
            "4.3.5, 4.3.10",
            "4.4.0-nightly.2025-03-09 4.4.0-nightly.2025-05-01 4.5.0-nightly.2025-08-10",
            [True, None, False],
        ),
        # A pre-release that begins again after the fix of another.
        (
            ">= 4.5.0-beta.1, < 4.5.0-beta.2 || = 4.5.0-rc.1",
            "4.5.0-beta.2",
            "4.5.0-beta.1 4.5.0-beta.2 4.5.0-rc.1",
            [True, False, True],
        ),
    ],
)
def test_a_fix_ends_only_what_began_before_it(ranges, patched, versions, expected):
    assert answers(read(ranges, patched), versions) == expected


def test_of_two_fixes_the_first_that_is_newer_is_to_be_taken():
    twice = read(TWICE, "4.3.5, 4.3.10")
    assert [way_out(twice, version) for version in ("4.3.4", "4.3.9")] == ["4.3.5", "4.3.10"]


@pytest.mark.parametrize(
    ("ranges", "patched", "version", "expected"),
    [
        # alpha.4 was never released; main was called so from 2026-02-11 on.
        (">= 4.6.0-alpha.1, < 4.6.0-alpha.4", "4.6.0-alpha.4", "4.6.0-nightly.2026-01-15", True),
        (">= 4.6.0-alpha.1, < 4.6.0-alpha.4", "4.6.0-alpha.4", "4.6.0-nightly.2026-03-01", False),
        # Without any fix a nightly is what main was called on its day.
        (">= 4.6.0-alpha.1, < 4.6.0-alpha.4", "", "4.6.0-nightly.2026-01-15", True),
        (">= 4.6.0-alpha.2, < 4.6.0-alpha.4", "4.6.99", "4.6.0-nightly.2025-12-01", None),
        (">= nightly.2026-03-10", "", "4.6.0-nightly.2025-11-15", False),
        (">= nightly.2026-03-10", "", "4.6.0-nightly.2026-03-09", False),
        (">= nightly.2026-03-10", "", "4.6.0-nightly.2026-03-10", True),
        (">= nightly.2026-03-10, < 4.6.0-alpha.7", "4.6.0-alpha.7", "4.6.0-nightly.2026-03-11", True),
        (">= nightly.2026-03-10, < 4.6.0-alpha.7", "4.6.0-alpha.7", "4.6.0-nightly.2026-03-09", False),
        # A day beside other ranges binds only its own.
        (">= nightly.2026-03-10, < 4.6.0-alpha.7 || < 4.5.8", "4.5.8", "4.6.0-nightly.2026-03-09", True),
        (">= nightly.2026-03-10, < 4.6.0-alpha.7 || < 4.4.15", "", "4.6.0-nightly.2026-03-09", False),
    ],
)
def test_a_nightly_is_judged_by_what_main_was(ranges, patched, version, expected):
    assert answers(read(ranges, patched), version) == [expected]


@pytest.mark.parametrize("short", ["5wxh", "mq2m", "x2rc"])
def test_of_builds_before_a_branch_that_is_only_known_by_its_fix_nothing_can_be_said(short):
    (bare,) = (one for one in packaged_advisories() if short in one.ghsa_id)
    assert bare.ranges == ""
    builds = "4.3.0-alpha.3 4.3.0-beta.1 4.3.0-rc.1 4.3.0-nightly.2024-06-01"
    assert answers(bare.affected, f"4.3.0 {builds}") == [True, *[None] * 4]


def test_a_fix_that_the_catalogue_does_not_know_yet_is_not_exposed_nor_is_what_follows_it():
    known = packaged_catalogue()
    then = Catalogue(
        tuple(one for one in known.releases if one.released < date(2025, 10, 21) or one.version.branch != "4.5"),
        known.branches,
        tuple(one for one in known.main_ranges if one.since.date() < date(2025, 10, 21)),
    )
    affected, _ = read_affected(">= 4.4.0-beta.1, < 4.4.8 || = 4.5.0-beta.1", "4.4.8, 4.5.0-beta.2", then)
    assert answers(affected, "4.5.0-beta.2 4.5.0-beta.3", then) == [False, False]


def test_without_the_history_of_main_the_way_out_is_a_release():
    bare = Catalogue((Release(parse_tag("4.4.0"), date(2025, 7, 8)), Release(parse_tag("4.4.1"), date(2025, 7, 9))))
    affected, _ = read_affected("< 4.4.1", "4.4.1", bare)
    assert way_out(affected, "4.3.0-rc.1") == "4.4.1"
    guessed, _ = read_affected("", "4.4.1", bare)
    assert answers(guessed, "4.4.0-rc.1 4.4.0 4.4.1", bare) == [None, True, False]


def test_what_main_was_twice_counts_from_the_first_time():
    # Upstream's mistake: 4.7.0-alpha.1, for a day 4.7.1-alpha.1, and back.
    (way,) = read("< 4.7.0-alpha.1", "4.7.0-alpha.1").ways_out
    first, *_, last = packaged_catalogue().ranges_of(way.version)
    assert first.since.date() == way.released < last.since.date()


@pytest.mark.parametrize("advisory", packaged_advisories(), ids=lambda advisory: advisory.ghsa_id)
def test_a_release_is_never_told_to_take_a_pre_release_while_a_release_has_the_fix(advisory):
    ways_out = [way.version for way in advisory.affected.ways_out]
    for version in (one for one in RELEASES if not one.prerelease):
        way = advisory.fix_for(version)
        assert way is None or way.version > version
        if any(not one.prerelease and one > version for one in ways_out):
            assert way is not None
            assert not way.version.prerelease


@pytest.mark.parametrize(
    ("short", "version", "fix"),
    [
        ("7jvv", "4.3.23", "4.6.4"),
        ("vwhj", "4.3.23", "4.6.4"),
        ("v3xf", "3.4.10", "4.1.8"),
        ("v3xf", "4.2.0-beta.1", "4.2.0-rc.2"),
        # Nothing but a pre-release has it.
        ("hcqf", "4.2.0-beta.1", "4.2.0-rc.2"),
        ("qrgq", "4.3.23", "4.5.11"),
    ],
)
def test_the_way_out_is_the_newest_release_with_the_fix(short, version, fix):
    (advisory,) = (one for one in packaged_advisories() if short in one.ghsa_id)
    assert way_out(advisory.affected, version) == fix


def test_what_is_newer_than_every_fix_has_none():
    assert way_out(exactly("< 4.4.0 || >= 4.6.0"), "4.6.1") is None


@pytest.mark.parametrize(
    ("ranges", "versions", "expected"),
    [
        (
            "< 4.2.28 || >= 4.3.0, < 4.3.15 || >= 4.4.0, < 4.4.10",
            "4.2.27 4.2.28 4.3.14 4.3.15 4.4.9 4.4.10 4.5.0",
            [True, False, True, False, True, False, False],
        ),
        (">= 4.3.0, < 4.4.0", "4.3.0-rc.1 4.3.23 4.4.0 4.5.0-nightly.2025-07-05", [False, True, False, False]),
        ("= 4.5.3 || < 4.5.2", "4.5.1 4.5.2 4.5.3 4.5.4", [True, False, True, False]),
        (TWICE, "4.3.4 4.3.5 4.3.7 4.3.8 4.3.9 4.3.10", [True, False, False, True, True, False]),
        ("< 4.3.19 || < 4.4.13", "4.2.29 4.3.18 4.3.19 4.4.12 4.4.13", [True, True, False, True, False]),
        # Nightlies by what main was called, whatever came out on their day.
        (
            ">= 4.6.0-alpha.1, < 4.6.0-alpha.4",
            "4.6.0-nightly.2026-01-15 4.6.0-alpha.3 4.6.0-alpha.4 4.6.0-nightly.2026-03-01",
            [True, True, False, False],
        ),
        (
            ">= nightly.2026-03-10, < 4.6.0-beta.1",
            "4.6.0-nightly.2026-03-09 4.6.0-nightly.2026-03-10 4.6.0-alpha.6 4.6.0-beta.1 4.6.0",
            [False, True, True, False, False],
        ),
        ("all main", "4.7.0 4.8.0-nightly.2026-08-21", [False, True]),
        ("all", "1.0.0 4.7.0 4.8.0-nightly.2026-08-21", [True] * 3),
    ],
)
def test_exact_ranges_hold_what_they_name_and_nothing_else(ranges, versions, expected):
    assert answers(exactly(ranges), versions) == expected


@pytest.mark.parametrize(
    ("ranges", "version", "expected"),
    [
        (TWICE, "4.3.9", "4.3.10"),
        ("< 4.3.16", "4.2.0", "4.3.16"),
        (">= nightly.2026-03-10, < 4.6.0-beta.1", "4.6.0-nightly.2026-03-20", "4.6.0-beta.1"),
        (">= 4.6.0-alpha.1, < 4.6.0-alpha.4", "4.6.0-nightly.2026-01-15", "4.6.0-alpha.4"),
        # Up to a version that is in it, a whole branch, and what was never released: no fix is said.
        ("<= 4.3.16", "4.2.0", None),
        ("4.3.x", "4.3.2", None),
        ("< 4.3.24", "4.3.2", None),
    ],
)
def test_the_end_of_an_exact_range_is_the_way_out(ranges, version, expected):
    assert way_out(exactly(ranges), version) == expected


@pytest.mark.parametrize(
    "ranges",
    [
        "",
        ">= nightly.2020-01-01",
        ">= nightly.2020-01-01 || < 4.3.16",
        ">= 4.4.0, < soon",
        "soon",
        ">= 4.2.6, < 4.2.6",
        "all supported versions",
    ],
)
def test_exact_ranges_with_a_part_that_leads_nowhere_are_none(ranges):
    assert exactly(ranges) is None
