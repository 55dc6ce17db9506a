"""What the published advisories say, with all their mistakes, and whom they touch."""

from dataclasses import replace
from datetime import date

import pytest

from vmcrawl.advisory import (
    Advisory,
    InvalidAdvisory,
    Override,
    apply_override,
    find_exposures,
    packaged_advisories,
    parse_advisory,
)
from vmcrawl.catalogue import packaged_catalogue
from vmcrawl.exposure import Exposure
from vmcrawl.version import Version, parse_tag, parse_version

ROW = {
    "ghsa_id": "GHSA-aaaa-bbbb-cccc",
    "cve_id": "",
    "severity": "high",
    "score": "7.5",
    "title": "A title",
    "published": "2026-01-08",
    "vulnerable_ranges": "< 4.3.17 || >= 4.4.0, < 4.4.11",
    "patched_versions": "4.3.17, 4.4.11",
}


def named(short: str) -> Advisory:
    (found,) = (a for a in packaged_advisories() if short in a.ghsa_id)
    return found


def read(text: str) -> Version:
    return parse_version(text) if "nightly" in text else parse_tag(text)


def covered(advisory: Advisory, versions: str) -> list[bool | None]:
    return [advisory.covers(read(text), packaged_catalogue()) for text in versions.split()]


def fix_of(advisory: Advisory, version: str) -> tuple[str, str] | None:
    fix = advisory.fix_for(read(version))
    return (fix.version.release, str(fix.released)) if fix else None


def test_the_snapshot_is_whole():
    advisories = packaged_advisories()
    assert len({a.ghsa_id for a in advisories}) == len(advisories) == 60
    assert sum(a.ghsa_id.startswith("GHSA-") for a in advisories) == 53
    # The CVE id stands in where GitHub has none of its own.
    assert {a.cve_id for a in advisories if not a.ghsa_id.startswith("GHSA-")} == {
        a.ghsa_id for a in advisories if a.ghsa_id.startswith("CVE-")
    }


def test_a_range_that_is_empty_by_typo_leaves_the_word_to_the_fixed_version():
    # ">= 4.2.6, < 4.2.6" and fixed in 4.2.6: something before 4.2.6 was broken, and 4.2.6 is not.
    typo = named("7w3c")
    assert covered(typo, "4.2.0 4.2.5 4.2.6 4.2.29 4.1.13 4.1.14 4.3.0") == [
        True,
        True,
        False,
        False,
        True,
        False,
        False,
    ]
    assert "the range from 4.2.6 to 4.2.6 is empty" in typo.ambiguous


def test_a_typo_in_the_upper_bound_leaves_the_lower_one_standing():
    # ">= 4.5.0-beta.1, < 4.2.28" and fixed in 4.5.3: affected from 4.5.0-beta.1 on.
    typo = named("gwhw")
    assert covered(typo, "4.5.0-beta.1 4.5.0 4.5.2 4.5.3") == [True, True, True, False]
    assert "the range from 4.5.0-beta.1 to 4.2.28 is empty" in typo.ambiguous
    assert fix_of(typo, "4.5.2") == ("4.5.3", "2025-12-08")


def test_a_fix_that_was_out_before_the_others_and_fixed_nothing_is_not_the_fix():
    # 4.3.15 came on 2025-11-20 without a word of security; all fixes came on 2025-12-08, and on 4.3 that is 4.3.16.
    wrong = named("gwhw")
    assert covered(wrong, "4.3.14 4.3.15 4.3.16") == [True, True, False]
    assert fix_of(wrong, "4.3.15") == ("4.3.16", "2025-12-08")
    assert "4.3.15 of 2025-11-20 is no security release, 4.3.16 is taken" in wrong.ambiguous


def test_lone_bounds_speak_of_their_own_branch():
    # "< 4.3.19 || < 4.4.13 || < 4.5.6": read as one set of numbers, the patched 4.3.19 would be below 4.5.6.
    lone = named("ccpr")
    assert covered(lone, "4.3.18 4.3.19 4.3.23 4.4.12 4.4.13 4.5.5 4.5.6") == [
        *(True, False, False),
        *(True, False, True, False),
    ]
    # The lowest also speaks of everything before it: 4.2 never got a fix.
    assert covered(lone, "4.2.29 3.5.19 4.6.0") == [True, True, False]
    assert lone.ambiguous == ""


def test_a_fix_that_was_never_released_fixes_nobody():
    # The last of 4.3 is 4.3.23: all of 4.3 stays affected, and the way out is another branch.
    unreleased = named("qrgq")
    assert covered(unreleased, "4.3.0 4.3.23 4.4.18 4.5.11") == [True, True, False, False]
    assert fix_of(unreleased, "4.3.23") == ("4.5.11", "2026-06-03")
    assert unreleased.ambiguous == "4.3.24 is no known release"


@pytest.mark.parametrize("short", ["crr4", "chgx", "xx55"])
def test_a_branch_with_a_fix_and_no_range_was_affected_up_to_its_fix(short):
    # The range lists 4.5 only; nobody would release fixes for 4.3 and 4.4 if they did not have the fault.
    forgotten = named(short)
    assert covered(forgotten, "4.3.22 4.3.23 4.4.16 4.4.17 4.5.9 4.5.10") == [True, False, True, False, True, False]
    # Whether 4.2, out of support, had it: no bound says so, in either way.
    assert covered(forgotten, "4.2.29 4.6.0") == [None, False]
    assert "no range for 4.4, fixed in 4.4.17" in forgotten.ambiguous


def test_a_range_across_branches_holds_branches_that_never_got_a_fix():
    # ">= 4.3.0, < 4.4.18": every 4.3; and ">= 2.6.0, < 4.1.18": every 3.5 and 4.0, too.
    assert covered(named("rwcw"), "4.2.29 4.3.0 4.3.23 4.4.17 4.4.18 4.5.11") == [False, True, True, True, False, False]
    assert covered(named("xjvf"), "2.5.2 2.6.0 3.5.19 4.0.15 4.1.17 4.1.18 4.2.9") == [
        *(False, True, True),
        *(True, True, False, True),
    ]
    assert fix_of(named("rwcw"), "4.3.23") == ("4.5.11", "2026-06-03")


def test_a_lower_bound_may_be_a_nightly():
    # Main had the fault from 2026-03-10 on, in the middle of alpha.5: of that one nobody can say.
    dated = named("vg36")
    assert covered(dated, "4.6.0-nightly.2026-03-09 4.6.0-nightly.2026-03-10") == [False, True]
    assert covered(dated, "4.6.0-alpha.4 4.6.0-alpha.5 4.6.0-alpha.6 4.6.0-alpha.9") == [False, None, True, True]
    assert covered(dated, "4.5.9 4.6.0-beta.1 4.6.0 4.6.0-nightly.2026-06-04") == [False] * 4


def test_a_single_version_may_be_affected():
    # "= 4.5.0-beta.1"; the alphas before it are younger than the fault, which came with 4.4, and older than the fix.
    single = named("8h43")
    assert covered(single, "4.5.0-alpha.3 4.5.0-beta.1 4.5.0-beta.2 4.5.0-rc.1 4.5.0") == [True, True, *[False] * 3]
    assert covered(single, "4.4.0 4.4.7 4.4.8 4.3.15") == [True, True, False, False]
    assert fix_of(single, "4.5.0-beta.1") == ("4.5.0-beta.2", "2025-10-21")


def test_a_lower_bound_may_have_two_components():
    assert covered(named("ccm4"), "1.2 1.3 1.3.1 3.5.8 3.5.9") == [False, True, True, True, False]


def test_a_range_may_hold_pre_releases_only():
    only = named("hcqf")
    assert covered(only, "4.1.9 4.2.0-beta1 4.2.0-rc1 4.2.0-rc2 4.2.0") == [False, True, True, False, False]
    # A nightly is what main called itself on its day: beta3.
    assert covered(only, "4.2.0-nightly.2023-09-10 4.2.0-nightly.2023-09-20") == [True, False]


def test_the_first_security_nightlies_carried_the_day_of_their_fix():
    # 2023-07-06; since February 2024 the label is the day after.
    first = named("9928")
    assert covered(first, "4.1.2-nightly.2023-07-06 4.1.3-nightly.2023-07-06-security") == [True, False]


@pytest.mark.parametrize("short", ["7jvv", "vwhj"])
def test_alphas_are_judged_by_the_day_of_the_fix(short):
    # No range names 4.7.0-alpha.1; the commit that fixed main on 2026-07-27 is the one that made it alpha.2,
    # although the advisory names 4.7.0-beta.1 of 2026-08-10.
    main = named(short)
    assert covered(main, "4.7.0-alpha.1 4.7.0-alpha.2 4.7.0-beta.1 4.7.0") == [True, False, False, False]
    assert covered(main, "4.7.0-nightly.2026-07-27 4.7.0-nightly.2026-07-28-security") == [True, False]
    # For a day main was 4.7.1-alpha.1; that number does not make it newer than the fix.
    assert covered(main, "4.7.1-alpha.1 4.7.1-nightly.2026-06-25") == [True, True]
    assert fix_of(main, "4.7.0-alpha.1") == ("4.7.0-alpha.2", "2026-07-27")


def test_the_cve_record_counts_and_not_what_others_made_of_it():
    # Others lost the fix of 4.2: "< 4.3.4" would flag 4.2.16.
    assert covered(named("v39f"), "4.1.23 4.2.15 4.2.16 4.3.3 4.3.4") == [False, True, False, True, False]


def test_a_fix_on_main_without_a_bump_divides_the_nightlies_but_not_the_alpha():
    # 2025-12-08, in the middle of 4.6.0-alpha.1.
    middle = named("gwhw")
    nightlies = "4.6.0-nightly.2025-12-08 4.6.0-nightly.2025-12-09-security 4.6.0-nightly.2025-12-09"
    assert covered(middle, nightlies) == [True, False, False]
    assert covered(middle, "4.5.0-alpha.3 4.6.0-alpha.1 4.6.0-alpha.2") == [True, None, False]
    assert fix_of(middle, "4.6.0-nightly.2025-12-08") == ("4.6.0-nightly.2025-12-09", "2025-12-09")


def test_a_stable_branch_that_nobody_names_was_safe_and_so_was_main_after_it():
    # Fixed in 4.4.19 and 4.5.12 a week after 4.6.0, which is in no range.
    late = named("3rhr")
    assert covered(late, "4.5.11 4.6.0 4.7.0-alpha.1 4.6.0-alpha.3") == [True, False, False, None]


def test_the_exposure_counts_from_the_release_and_not_from_the_publication():
    late = named("3rhr")
    assert late.published == date(2026, 8, 18)
    assert fix_of(late, "4.5.11") == ("4.5.12", "2026-06-24")


def test_without_a_range_the_fixed_version_speaks_for_its_branch_only():
    # 4.2.15 came out on the day of 4.3.3 and may have the fix, or may never have had the fault.
    bare = named("5wxh")
    assert covered(bare, "4.3.2 4.3.3-alpha.0 4.3.3 4.4.0 4.2.29") == [True, None, False, False, None]


def test_without_a_fixed_version_the_end_of_a_range_is_no_confirmed_fix():
    # "through 4.0.2" became "< 4.0.3"; nobody says that 4.0.3 fixed it.
    unfixed = named("CVE-2022-46405")
    assert covered(unfixed, "4.0.2 4.0.3 4.7.0") == [True, None, None]
    assert fix_of(unfixed, "4.0.2") is None
    assert covered(named("CVE-2018-21018"), "2.5.0 4.7.0") == [None, None]


def test_the_candidate_of_the_release_that_fixes_is_neither():
    assert covered(named("CVE-2022-0432"), "3.4.10 3.5.0rc1 3.5.0") == [True, None, False]


def test_ambiguous_are_those_with_a_reason_and_no_others():
    marked = {a.ghsa_id for a in packaged_advisories() if a.ambiguous}
    without_range = {a.ghsa_id for a in packaged_advisories() if not a.ranges}
    without_fix = {a.ghsa_id for a in packaged_advisories() if not a.patched}
    traps = ["7w3c", "gwhw", "qrgq", "crr4", "chgx", "xx55", "7jvv", "vwhj", "hx34"]
    assert marked == without_range | without_fix | {named(short).ghsa_id for short in traps}


def test_exposures_name_the_fix_that_was_there_to_take():
    found = find_exposures(parse_version("4.5.13+glitch"), packaged_advisories(), packaged_catalogue())
    day = date(2026, 7, 27)
    assert found == (
        Exposure(named("7jvv").ghsa_id, "4.5.14", day),
        Exposure(named("vwhj").ghsa_id, "4.5.14", day),
    )
    assert find_exposures(parse_version("4.7.0"), packaged_advisories(), packaged_catalogue()) == ()


def test_what_forks_and_operators_add_to_a_release_changes_no_exposure():
    known, catalogue = packaged_advisories(), packaged_catalogue()
    plain = find_exposures(parse_version("4.5.0"), known, catalogue)
    assert plain
    assert find_exposures(parse_version("4.5.0+glitch.4"), known, catalogue) == plain
    assert find_exposures(parse_version("4.5.0-beta.1+glitch"), known, catalogue) != plain


def test_exposures_follow_the_advisories_and_the_catalogue_they_are_asked_with():
    version, catalogue = parse_version("4.3.2"), packaged_catalogue()
    override = Override(named("gwhw").ghsa_id, "< 4.3.16", "")
    corrected = (apply_override(named("gwhw"), override, catalogue),)
    published = list(packaged_advisories())
    assert [one.ghsa_id for one in find_exposures(version, corrected, catalogue)] == [named("gwhw").ghsa_id]
    assert len(find_exposures(version, published, catalogue)) > 1
    published.clear()
    assert find_exposures(version, published, catalogue) == ()
    without_main = replace(catalogue, main_ranges=())
    alpha = parse_version("4.7.0-alpha.1")
    touched = [find_exposures(alpha, (named("7jvv"),), known) != () for known in (catalogue, without_main)]
    assert touched == [True, False]


@pytest.mark.parametrize(
    ("ranges", "affected"),
    [
        (">= 4.3.0-beta.1, < 4.3.16", [True, True, False, False, False]),
        ("4.3.15", [False, True, False, False, False]),
        ("none", [False, False, False, False, False]),
        (">= 4.3.0", [True, True, True, True, True]),
    ],
)
def test_an_override_is_exact_and_replaces_everything(ranges, affected):
    override = Override(named("gwhw").ghsa_id, ranges, "the changelog says so")
    corrected = apply_override(named("gwhw"), override, packaged_catalogue())
    assert covered(corrected, "4.3.14 4.3.15 4.3.16 4.4.9 4.5.2") == affected
    assert (corrected.ambiguous, corrected.ranges) == ("", named("gwhw").ranges)


def test_the_end_of_an_override_is_the_fix():
    override = Override(named("gwhw").ghsa_id, "< 4.3.16", "")
    assert fix_of(apply_override(named("gwhw"), override, packaged_catalogue()), "4.3.2") == ("4.3.16", "2025-12-08")


@pytest.mark.parametrize("ranges", ["", "soon", "< 4.2.x.3", ">= 4.2.6, < 4.2.6", "all supported versions"])
def test_an_override_nobody_can_read_is_refused(ranges):
    with pytest.raises(InvalidAdvisory, match="nobody can read"):
        apply_override(named("gwhw"), Override("GHSA-x", ranges, ""), packaged_catalogue())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ghsa_id": "", "cve_id": " "}, "neither a GHSA nor a CVE id"),
        ({"severity": "awful"}, "severity 'awful'"),
        ({"score": "nan"}, "score 'nan'"),
        ({"score": "much"}, "score 'much'"),
        ({"score": "11"}, "score '11'"),
        ({"published": "yesterday"}, "published 'yesterday'"),
    ],
)
def test_what_is_no_advisory_is_refused_with_a_reason(change, message):
    with pytest.raises(InvalidAdvisory, match=message):
        parse_advisory({**ROW, **change}, packaged_catalogue())


def test_a_row_is_read_into_an_advisory():
    advisory = parse_advisory({**ROW, "severity": "Moderate", "score": ""}, packaged_catalogue())
    assert (advisory.severity, advisory.score, advisory.published) == ("medium", None, date(2026, 1, 8))
    with pytest.raises(InvalidAdvisory, match="'title' is missing"):
        parse_advisory({name: text for name, text in ROW.items() if name != "title"}, packaged_catalogue())
