"""What follows from upstream's releases, branches and builds of main: support, patches, what is believed."""

import pickle
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import pairwise

import pytest

from vmcrawl.catalogue import (
    Branch,
    Catalogue,
    MainRange,
    Release,
    Support,
    is_patched,
    packaged_catalogue,
    parse_main_ranges,
    parse_releases,
    refuse_impossible,
)
from vmcrawl.version import InvalidVersion, Refusal, parse_tag, parse_version

TODAY = date(2026, 8, 22)


def key(branch: str) -> tuple[int, int]:
    return Branch(branch, None).key


def patched(text: str, catalogue: Catalogue | None = None) -> bool | None:
    return is_patched(parse_version(text), catalogue or packaged_catalogue())


def believed(text: str, catalogue: Catalogue | None = None) -> bool | Refusal:
    try:
        return bool(refuse_impossible(parse_version(text), catalogue or packaged_catalogue()))
    except InvalidVersion as refusal:
        return refusal.reason


def with_releases(*rows: str) -> Catalogue:
    """The packaged catalogue and some more releases, each as "version date security"."""
    known = packaged_catalogue()
    names = ("version", "date", "is_security")
    more = parse_releases([dict(zip(names, row.split(), strict=True)) for row in rows])
    return Catalogue((*known.releases, *more), known.branches, known.main_ranges)


def with_main(name: str, since: date) -> Catalogue:
    """The packaged catalogue, and main having gone on to another version."""
    known = packaged_catalogue()
    moment = datetime(since.year, since.month, since.day, 14, tzinfo=UTC)
    ranges = (*known.main_ranges[:-1], replace(known.main_ranges[-1], until=moment))
    return Catalogue(known.releases, known.branches, (*ranges, MainRange(parse_tag(name), moment, None)))


def test_the_snapshot_is_whole():
    catalogue = packaged_catalogue()
    stable = [release for release in catalogue.releases if not release.version.prerelease]
    assert (len(stable), len(catalogue.releases) - len(stable)) == (254, 108)
    assert (len(catalogue.branches), len(catalogue.main_ranges)) == (31, 51)
    assert catalogue.support(key("4.8"), TODAY) is Support.MAIN
    assert catalogue.newest_security_fix == date(2026, 7, 27)
    assert packaged_catalogue() is catalogue


def test_nothing_is_read_on_import():
    code = "import vmcrawl.meaning, sys; assert 'vmcrawl.snapshot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_a_catalogue_travels_between_processes():
    copy = pickle.loads(pickle.dumps(packaged_catalogue()))
    assert copy == packaged_catalogue()
    assert copy.support(key("4.5"), TODAY) is Support.DEPRECATED


def test_a_catalogue_without_a_release_is_refused():
    with pytest.raises(ValueError, match="at least one stable release"):
        Catalogue((Release(parse_tag("4.5.0-rc.1"), TODAY),))


def test_the_order_of_versions_is_the_order_of_dates_within_each_branch():
    by_branch: dict[str, list[Release]] = {}
    for release in packaged_catalogue().releases:
        by_branch.setdefault(release.version.branch, []).append(release)
    for releases in by_branch.values():
        releases.sort(key=lambda release: release.version)
        assert all(older.released <= newer.released for older, newer in pairwise(releases))


def test_the_order_of_versions_is_the_order_of_main():
    ranges = [known for known in packaged_catalogue().main_ranges if known.version.release != "4.7.1-alpha.1"]
    assert all(older.version <= newer.version for older, newer in pairwise(ranges))


@pytest.mark.parametrize(
    ("branch", "today", "support"),
    [
        ("4.8", TODAY, Support.MAIN),
        ("4.7", TODAY, Support.LATEST),
        ("4.6", TODAY, Support.PREVIOUS),
        ("4.5", TODAY, Support.DEPRECATED),
        ("4.4", TODAY, Support.DEPRECATED),
        ("4.3", TODAY, Support.EOL),
        ("3.2", TODAY, Support.EOL),
        ("1.0", TODAY, Support.EOL),
        ("3.6", TODAY, Support.UNKNOWN),
        ("4.9", TODAY, Support.UNKNOWN),
        # The last day of support is a day of support.
        ("4.4", date(2026, 12, 17), Support.DEPRECATED),
        ("4.4", date(2026, 12, 18), Support.EOL),
        # 4.7 was a beta and main already 4.8.
        ("4.7", date(2026, 8, 19), Support.MAIN),
        ("4.8", date(2026, 8, 19), Support.MAIN),
        ("4.8", date(2026, 8, 14), Support.MAIN),
        ("4.8", date(2026, 8, 13), Support.UNKNOWN),
        ("4.6", date(2026, 8, 19), Support.LATEST),
        ("4.5", date(2026, 8, 19), Support.PREVIOUS),
        # What SECURITY.md said on 2025-11-06.
        ("4.5", date(2025, 11, 6), Support.LATEST),
        ("4.4", date(2025, 11, 6), Support.PREVIOUS),
        ("4.3", date(2025, 11, 6), Support.DEPRECATED),
        ("4.2", date(2025, 11, 6), Support.DEPRECATED),
        ("4.6", date(2025, 11, 6), Support.MAIN),
    ],
)
def test_support_follows_from_the_facts_and_the_date(branch, today, support):
    assert packaged_catalogue().support(key(branch), today) is support


def test_the_rule_of_six_months_gives_what_security_md_states():
    known = packaged_catalogue()
    ruled = Catalogue(known.releases, (), known.main_ranges)
    for branch in ("4.1", "4.2", "4.3", "4.4", "4.5"):
        stated, derived = known.support_end(key(branch), TODAY), ruled.support_end(key(branch), TODAY)
        assert stated
        assert derived
        assert (derived.until, derived.derived, stated.derived) == (stated.until, True, False)


def test_no_end_is_derived_before_the_release_that_sets_it():
    known = packaged_catalogue()
    assert known.support_end(key("4.6"), TODAY) is None
    ruled = Catalogue(known.releases, (), known.main_ranges)
    assert ruled.support_end(key("4.5"), date(2026, 8, 19)) is None


def test_a_new_branch_moves_everything_without_a_person():
    catalogue = with_releases("4.8.0 2026-12-31 false")
    later = date(2027, 1, 1)
    branches = {branch: catalogue.support(key(branch), later) for branch in ("4.9", "4.8", "4.7", "4.6", "4.5")}
    assert list(branches.values()) == ["main", "latest", "previous", "deprecated", "deprecated"]
    end = catalogue.support_end(key("4.6"), later)
    assert end
    # Half a year after the last of December is the last of June.
    assert (end.until, end.derived, end.source) == (date(2027, 6, 30), True, "4.8.0 + 6 months")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("4.7.0", True),
        ("4.7.7", True),
        ("4.8.0", True),
        ("4.8.0-alpha.3", True),
        ("4.9.0-alpha.1", True),
        ("4.2.30", True),
        ("4.5.99999", True),
        ("4.10.0", Refusal.ABOVE_MAIN),
        ("5.0.0", Refusal.ABOVE_MAIN),
        ("5.1.0", Refusal.ABOVE_MAIN),
        ("6.0.0", Refusal.ABOVE_MAIN),
        ("5.18.1", Refusal.ABOVE_MAIN),
        ("42.0.0", Refusal.ABOVE_MAIN),
        ("999.999.999", Refusal.ABOVE_MAIN),
        ("3.6.0", Refusal.NO_SUCH_BRANCH),
        ("2.10.1", Refusal.NO_SUCH_BRANCH),
        ("1.7.0", Refusal.NO_SUCH_BRANCH),
    ],
)
def test_the_list_may_be_old_but_only_by_one_branch(text, answer):
    assert believed(text) == answer


def test_a_new_major_on_main_opens_no_more_minors_of_the_old_one():
    catalogue, later = with_main("5.0.0-alpha.1", date(2026, 9, 1)), date(2026, 9, 2)
    texts = ("4.8.0", "4.9.0", "4.42.0", "5.0.0", "5.1.0", "5.2.0", "6.0.0")
    above, never = Refusal.ABOVE_MAIN, Refusal.NO_SUCH_BRANCH
    # 4.8 was main before, and so 4.9 is not the minor after main any more.
    assert [believed(text, catalogue) for text in texts] == [True, never, never, True, True, above, above]
    branches = ("4.8", "4.9", "4.42", "5.0", "5.1")
    main, unknown = Support.MAIN, Support.UNKNOWN
    assert [catalogue.support(key(name), later) for name in branches] == [main, unknown, unknown, main, unknown]
    assert catalogue.support(key("5.0"), date(2026, 8, 31)) is unknown


def test_the_first_release_of_a_new_major_is_enough_to_believe_it():
    released, tagged = with_releases("5.0.0 2026-12-01 false"), with_releases("5.0.0-beta.1 2026-12-01 false")
    assert [believed(text, released) for text in ("5.0.1", "5.1.0", "5.2.0", "5.3.0")] == [
        True,
        True,
        True,
        Refusal.ABOVE_MAIN,
    ]
    assert [believed(text, tagged) for text in ("5.0.0", "5.1.0", "4.8.0")] == [True, True, True]
    assert believed("4.9.0", released) is Refusal.NO_SUCH_BRANCH
    assert tagged.support(key("5.0"), date(2026, 12, 1)) is Support.MAIN
    assert tagged.support(key("5.0"), date(2026, 11, 30)) is Support.UNKNOWN


def test_minors_that_main_has_passed_are_believed_though_nobody_saw_them():
    catalogue, later = with_main("4.11.0-alpha.1", date(2027, 9, 1)), date(2027, 9, 2)
    assert [believed(text, catalogue) for text in ("4.9.0", "4.10.0", "4.12.0")] == [True, True, True]
    assert believed("4.13.0", catalogue) is Refusal.ABOVE_MAIN
    assert catalogue.support(key("4.10"), later) is Support.MAIN


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("4.5.16", True),
        ("4.5.16+glitch", True),
        ("4.5.17", True),
        ("4.5.15", False),
        ("4.5.9", False),
        ("4.3.23", True),
        ("4.7.0-rc.1", False),
        ("4.3.3-alpha.0", False),
        # A development build of a patch that is not out: nobody knows what is in it.
        ("4.5.17-alpha.1", None),
        # Main in June, whatever its number says; the fix of July is not in it.
        ("4.7.1-alpha.1", False),
        ("4.7.1-nightly.2026-06-25+glitch", False),
        ("4.5.9-nightly.2026-06-21+glitch", False),
        # Main since 2026-08-14; the newest fix is of 2026-07-27.
        ("4.8.0-alpha.1", True),
        ("4.8.0-alpha.2", True),
        ("4.8.0", True),
        ("4.8.0-nightly.2026-08-20", True),
        ("4.8.0-nightly", None),
    ],
)
def test_patched_is_the_newest_of_its_branch_or_newer(text, answer):
    assert patched(text) is answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        # A nightly of D is main at 02:00 of D, before the fix of that day; -security is labelled with the day after.
        ("4.8.0-nightly.2026-09-10", False),
        ("4.8.0-nightly.2026-09-11-security", True),
        ("4.8.0-nightly.2026-09-11", True),
        # The known range of alpha.1 is still open: built before or after the fix, nobody knows.
        ("4.8.0-alpha.1", None),
        ("4.8.0-alpha.2", None),
    ],
)
def test_main_needs_the_newest_security_fix(text, answer):
    assert patched(text, with_releases("4.7.1 2026-09-10 true")) is answer


def test_what_main_carried_up_to_the_day_of_a_release_is_older_than_it():
    # Main went back from 4.7.1-alpha.1 on 2026-06-25.
    for day, answer in (("2026-06-24", None), ("2026-06-25", False), ("2026-06-26", False)):
        older = [r for r in packaged_catalogue().releases if r.version.release != "4.7.0"]
        (release,) = parse_releases([{"version": "4.7.0", "date": day, "is_security": ""}])
        catalogue = Catalogue((*older, release), (), packaged_catalogue().main_ranges)
        assert patched("4.7.1-alpha.1", catalogue) is answer


def test_a_nightly_of_the_day_of_a_release_is_older_than_it():
    assert patched("4.7.1-nightly.2026-08-20") is False
    assert patched("4.7.1-nightly.2026-08-21") is None


def test_an_unknown_alpha_has_a_fix_that_came_with_the_one_before_or_earlier():
    # Main became 4.8.0-alpha.1 on 2026-08-14.
    assert patched("4.8.0-alpha.2", with_releases("4.7.1 2026-08-14 true")) is True
    assert patched("4.8.0-alpha.2", with_releases("4.7.1 2026-08-15 true")) is None


def test_a_tagged_pre_release_has_the_fixes_of_its_day():
    fix = "4.7.1 2026-09-10 true"
    for day, answer in (("2026-09-09", None), ("2026-09-10", True), ("2026-09-11", True)):
        assert patched("4.8.0-beta.1", with_releases(fix, f"4.8.0-beta.1 {day} false")) is answer


def test_the_bump_of_a_fix_divides_the_alphas():
    known = packaged_catalogue()
    july = tuple(release for release in known.releases if release.released <= date(2026, 7, 27))
    catalogue = Catalogue(july, known.branches, known.main_ranges)
    assert patched("4.7.0-alpha.1", catalogue) is False
    assert patched("4.7.0-alpha.2", catalogue) is True
    assert patched("4.7.0-beta.1", catalogue) is True
    assert patched("4.7.0-nightly.2026-07-27", catalogue) is False
    assert patched("4.7.0-nightly.2026-07-28-security", catalogue) is True


def test_where_no_fix_is_known_main_cannot_be_judged():
    catalogue = Catalogue((Release(parse_tag("4.7.0"), date(2026, 8, 20)),))
    assert patched("4.8.0-alpha.1", catalogue) is None


def test_each_range_ends_where_the_next_begins():
    first, second = (datetime(2026, 6, day, 14, tzinfo=UTC) for day in (24, 25))
    rows = [
        {"main_version": "4.7.1-alpha.1", "bump_time_utc": first.isoformat()},
        {"main_version": "4.7.0-alpha.1", "bump_time_utc": second.isoformat()},
    ]
    assert parse_main_ranges(rows) == (
        MainRange(parse_tag("4.7.1-alpha.1"), first, second),
        MainRange(parse_tag("4.7.0-alpha.1"), second, None),
    )


def test_main_went_back_once():
    assert len(packaged_catalogue().ranges_of(parse_tag("4.7.0-alpha.1"))) == 2
