"""Ranges and fixed versions taken together, whatever they are."""

import csv
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmcrawl.advisory import packaged_advisories
from vmcrawl.affected import read_affected
from vmcrawl.builds import find_builds
from vmcrawl.catalogue import Catalogue, Release, packaged_catalogue
from vmcrawl.version import parse_tag, parse_version

RELEASES = [release.version for release in packaged_catalogue().releases]
STABLE = [version for version in RELEASES if not version.prerelease]
#: Worked out from the published texts without any of our code, and read through.
EXPOSED = dict(list(csv.reader((Path(__file__).parent / "data" / "exposed.csv").read_text().splitlines()))[1:])


def answers(ranges: str, patched: str, versions: str, catalogue: Catalogue | None = None) -> list[bool | None]:
    known = catalogue or packaged_catalogue()
    affected, _ = read_affected(ranges, patched, known)
    return [affected.covers(parse_version(text), known) for text in versions.split()]


def doubts(ranges: str, patched: str) -> str:
    return read_affected(ranges, patched, packaged_catalogue())[1]


@pytest.mark.parametrize(
    ("ranges", "patched", "versions", "expected"),
    [
        # GitHub's own form of four lone bounds.
        (
            "< 4.2.29, < 4.3.17, < 4.4.11",
            "4.2.29, 4.3.17, 4.4.11",
            "4.1.0 4.2.28 4.2.29 4.3.17",
            [True, True, *[False] * 2],
        ),
        ("4.4.0-4.4.13", "4.4.14", "4.3.23 4.4.0 4.4.13 4.4.14 4.5.0", [False, True, True, False, False]),
        ("3.1.5-4.4.2", "4.4.3", "3.1.4 3.1.5 4.3.23 4.4.2 4.4.3", [False, True, True, True, False]),
        ("4.2.x", "4.3.5", "4.1.25 4.2.0 4.2.29 4.3.4 4.3.5", [False, True, True, True, False]),
        ("< v4.4.18", "v4.4.18", "4.2.0 4.4.17 4.4.18 4.5.0", [True, True, False, False]),
        # All of them, as far as they do not have the fix.
        ("all", "4.4.18, 4.5.11", "1.0.0 4.3.23 4.4.17 4.4.18 4.5.10 4.6.0", [True, True, True, False, True, False]),
        ("all", "", "1.0.0 4.7.0", [True, True]),
        ("all supported versions", "4.4.18, 4.5.11", "4.3.23 4.4.17 4.4.18 4.6.0", [None, True, False, False]),
        ("all main", "", "4.7.0 4.8.0-alpha.1 4.8.0-nightly.2026-08-20", [False, True, True]),
        # The fix says where the branch is safe, also where the range ends earlier or later.
        ("< 4.4.10", "4.4.12", "4.4.9 4.4.11 4.4.12", [True, True, False]),
        ("<= 4.4.12", "4.4.12", "4.4.11 4.4.12", [True, False]),
        (">= 4.4.6, < 4.4.8", "4.4.8", "4.4.5 4.4.6 4.4.8", [False, True, False]),
        # Where a part of a range cannot be read, nobody can say what it holds.
        (">= 4.4.0, < soon || < 4.3.2", "", "4.3.1 4.3.5 4.4.1 4.7.0", [True, None, None, None]),
        (">= 4.4.0, < soon", "4.5.3", "4.3.1 4.4.1 4.5.2 4.5.3 4.6.0", [None, None, True, False, False]),
        ("gibberish", "4.4.8", "4.3.0 4.4.7 4.4.8 4.5.0", [None, True, False, False]),
        ("", "", "4.3.0", [None]),
    ],
)
def test_ranges_and_fixed_versions_are_read_together(ranges, patched, versions, expected):
    assert answers(ranges, patched, versions) == expected


@pytest.mark.parametrize(
    ("ranges", "patched", "reasons"),
    [
        ("< 4.4.18", "4.4.18", ""),
        ("4.2.x before 4.2.9", "4.2.9", ""),
        ("4.4.0-4.4.13", "4.4.14", ""),
        ("< 4.4.99", "4.4.99", "4.4.99 is no known release"),
        (">= 4.4.77, < 4.5.1", "4.5.1", "4.4.77 is no known release"),
        ("< 4.4.10", "4.4.12", "ranges end at 4.4.10, but 4.4.12 is the fix"),
        ("<= 4.4.12", "4.4.12", "4.4.12 is both affected and fixed"),
        ("< 4.4.12 || >= 4.5.0, < 4.5.3", "4.4.12", "a range ends at 4.5.3, where nothing is fixed"),
        ("< 4.4.12 and more", "4.4.12", "'< 4.4.12 and more' cannot be read; no range for 4.4, fixed in 4.4.12"),
        ("< 4.4.12", "4.4.12, soon", "'soon' cannot be read"),
        (
            "all supported versions",
            "4.4.12",
            "nobody says which versions were supported; no range for 4.4, fixed in 4.4.12",
        ),
        (
            ">= nightly.2020-01-01, < 4.6.0",
            "4.6.0",
            "main of 2020-01-01 is not known; no range for 4.6, fixed in 4.6.0",
        ),
        ("< 4.4.12", "", "no fixed version is stated"),
        (
            ">= 4.3.8, < 4.3.10",
            "4.3.5",
            "a range ends at 4.3.10, where nothing is fixed; no range for 4.3, fixed in 4.3.5",
        ),
        ("< 4.3.10", "4.3.5, 4.3.10", "4.3.5 is both affected and fixed; 4.3 is fixed twice, in 4.3.5 and in 4.3.10"),
        (
            "< 4.3.5",
            "4.3.5, 4.3.10",
            "4.3 is fixed twice, in 4.3.5 and in 4.3.10; no range from 4.3.5 to 4.3.10",
        ),
    ],
)
def test_what_does_not_fit_together_is_named(ranges, patched, reasons):
    assert doubts(ranges, patched) == reasons


@pytest.mark.parametrize("advisory", packaged_advisories(), ids=lambda advisory: advisory.ghsa_id)
def test_every_bound_and_fix_is_a_release_or_marked(advisory):
    names = {version.release for version in RELEASES}
    ends = {end for span in advisory.affected.spans for end in (span.low, span.high) if end and end.prerelease != "pre"}
    for version in ends | {fix.version for fix in advisory.affected.fixes}:
        known = version.release in names or packaged_catalogue().ranges_of(version)
        assert known or f"{version.release} is no known release" in advisory.ambiguous


def runs(text: str) -> set[str]:
    """``4.0.0-4.0.3 4.1.0-4.1.1``: every stable release from one to the other, by number."""
    held: set[str] = set()
    for first, last in (run.split("-") for run in text.split()):
        held |= {v.release for v in STABLE if parse_tag(first) <= v <= parse_tag(last)}
    return held


def test_every_clear_advisory_has_its_row():
    assert set(EXPOSED) == {advisory.ghsa_id for advisory in packaged_advisories() if not advisory.ambiguous}


@pytest.mark.parametrize("ghsa_id", EXPOSED)
def test_a_clear_advisory_touches_these_releases_and_no_other(ghsa_id):
    (advisory,) = (one for one in packaged_advisories() if one.ghsa_id == ghsa_id)
    answered = {version.release: advisory.covers(version, packaged_catalogue()) for version in STABLE}
    held = runs(EXPOSED[ghsa_id])
    assert answered == {version.release: version.release in held for version in STABLE}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Fixed on 2026-05-20 in 4.5.10 and on main. Number and date agree, or they do not.
        ("4.5.9-nightly.2026-05-10", True),
        ("4.5.9-nightly.2026-06-21", None),
        ("4.5.11-nightly.2026-06-21", False),
        # Without a number or a date: any build of the branch.
        ("4.6.0-alpha", None),
        ("4.6.0-dev", None),
        ("4.7.0-nightly", False),
        ("4.5.0-alpha", True),
        # Newer than all we know of.
        ("4.6.0-rc.9", False),
        ("4.9.0-alpha.1", False),
        ("4.9.0", False),
        # On the old branch after main had gone on.
        ("4.5.0-rc.3", True),
    ],
)
def test_builds_of_main_are_judged_by_their_date(text, expected):
    ranges, patched = ">= 4.5.0-beta.1, < 4.5.10 || >= 4.4.0-beta.1, < 4.4.17 || < 4.3.23", "4.3.23, 4.4.17, 4.5.10"
    assert answers(ranges, patched, text) == [expected]


def test_without_the_history_of_main_only_numbers_are_left():
    bare = Catalogue((Release(parse_tag("4.4.0"), date(2025, 7, 8)), Release(parse_tag("4.4.1"), date(2025, 7, 9))))
    assert answers("< 4.4.1", "4.4.1", "4.4.0 4.4.1 4.5.0", bare) == [True, False, False]
    assert answers("< 4.4.1", "4.4.1", "4.5.0-nightly.2025-07-10", bare) == [False]


def test_a_nightly_is_what_main_called_itself():
    (build,) = find_builds(parse_version("4.6.0-nightly.2026-02-01"), packaged_catalogue())
    assert (build.version.release, build.since) == ("4.6.0-alpha.3", datetime(2026, 2, 1, 2, tzinfo=UTC))
    assert find_builds(parse_version("4.6.0"), packaged_catalogue()) == ()
    # Main went back to it.
    assert len(find_builds(parse_version("4.7.0-alpha.1"), packaged_catalogue())) == 2


BOUNDS = st.builds("{} {}".format, st.sampled_from([">=", "<", "<=", ">", "="]), st.sampled_from(RELEASES).map(str))
TEXTS = st.one_of(BOUNDS, st.sampled_from(["all", "all main", "4.4.x", ">= nightly.2026-03-10"]), st.text(max_size=8))
RANGES = st.lists(TEXTS, max_size=5).flatmap(
    lambda terms: st.sampled_from([", ", " || "]).map(lambda by: by.join(terms))
)
FIXES = st.lists(st.sampled_from(RELEASES), max_size=4, unique_by=lambda version: version.branch)
STRINGS = st.one_of(
    st.sampled_from([str(known.version) for known in packaged_catalogue().main_ranges]),
    st.dates(date(2023, 1, 1), date(2027, 1, 1)).map("4.7.0-nightly.{}".format),
    st.sampled_from(["4.7.0-nightly.9999-12-31", "4.9.0-alpha", "4.5.99999", "4.5.3-dev", "99999.1.1-rc.1"]),
)


@settings(max_examples=200, deadline=None)
@given(RANGES, FIXES | st.text(max_size=20).map(lambda text: [text]), STRINGS)
def test_reading_and_asking_never_raise(ranges, fixes, text):
    affected, _ = read_affected(ranges, ", ".join(map(str, fixes)), packaged_catalogue())
    version = parse_version(text)
    assert affected.covers(version, packaged_catalogue()) in (True, False, None)
    affected.fix_for(version)


@settings(max_examples=200, deadline=None)
@given(RANGES, FIXES)
def test_a_fixed_version_is_never_exposed(ranges, fixes):
    affected, ambiguous = read_affected(ranges, ", ".join(map(str, fixes)), packaged_catalogue())
    corrected = {fix.version for fix in affected.fixes}
    for version in fixes:
        if version in corrected or not ambiguous:
            assert not affected.covers(version, packaged_catalogue())
