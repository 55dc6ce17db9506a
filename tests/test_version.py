"""Strings in, versions out: the labelled table, strings of the same families, and what holds for every text."""

import csv
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vmcrawl.catalogue import packaged_catalogue
from vmcrawl.meaning import read_version
from vmcrawl.version import InvalidVersion, Refusal, Version, parse_tag, parse_version

DATA = Path(__file__).parent / "data"
LABELLED = list(csv.DictReader((DATA / "versions.csv").read_text(encoding="utf-8").splitlines()))


def reading(text: object, software: str = "mastodon") -> tuple[str, str, str, str, str]:
    """Release, prerelease, branch, fork and validity, in the words of the labels."""
    try:
        version = read_version(software, text, None, packaged_catalogue())
    except InvalidVersion as refusal:
        return "", "", refusal.branch, refusal.fork, "invalid"
    return version.release, version.prerelease, version.branch, version.fork, "valid"


@pytest.mark.parametrize("row", LABELLED, ids=lambda row: f"{row['software']}-{row['raw_json'][:60]}")
def test_every_labelled_string_is_read_as_labelled(row):
    labels = row["expected_release"], row["prerelease"], row["branch"], row["fork"], row["valid"]
    assert reading(json.loads(row["raw_json"]), row["software"]) == labels


def test_the_table_is_complete():
    assert len(LABELLED) == 427


@pytest.mark.parametrize(
    ("text", "release", "fork"),
    [
        # Upstream's own spellings through the years.
        ("4.0.0rc3", "4.0.0-rc.3", "vanilla"),
        ("4.2.0-beta3", "4.2.0-beta.3", "vanilla"),
        ("4.4.0-rc.1", "4.4.0-rc.1", "vanilla"),
        ("4.6.0-alpha.9", "4.6.0-alpha.9", "vanilla"),
        ("4.10.0-alpha.12", "4.10.0-alpha.12", "vanilla"),
        ("4.7.0-alpha.2+pr-39999-68e5caf", "4.7.0-alpha.2", "vanilla"),
        ("4.7.0-alpha.2+glitch.pr-39999-68e5caf", "4.7.0-alpha.2", "glitch"),
        ("4.1.2+edge-3d8bd09", "4.1.2", "vanilla"),
        ("4.2.0-beta2-nightly.2023-08-25", "4.2.0-nightly.2023-08-25", "vanilla"),
        ("4.2.0-beta1+nightly-2023-08-10", "4.2.0-nightly.2023-08-10", "vanilla"),
        ("4.2.0-beta1+nightly-20230810", "4.2.0-nightly.2023-08-10", "vanilla"),
        ("4.6.0-nightly.2026-05-21-security", "4.6.0-nightly.2026-05-21-security", "vanilla"),
        ("4.6.0-nightly.2026-05-21-SECURITY", "4.6.0-nightly.2026-05-21-security", "vanilla"),
        # Other spellings of the same words.
        ("4.3.0.rc1", "4.3.0-rc.1", "vanilla"),
        ("4.3.0~rc1", "4.3.0-rc.1", "vanilla"),
        ("4.3.0-RC-1", "4.3.0-rc.1", "vanilla"),
        ("4.3.0-rc01", "4.3.0-rc.1", "vanilla"),
        ("4.3.0-pre", "4.3.0-pre", "vanilla"),
        ("4.3.0-dev", "4.3.0-dev", "vanilla"),
        ("4.3.0-rc1-theconnector", "4.3.0-rc.1", "custom"),
        ("4.3.0-alpha.1.2", "4.3.0-alpha.1", "vanilla"),
        # A commit's name has no number to count.
        ("4.3.0-alpha-7ce0e", "4.3.0-alpha", "custom"),
        ("4.3.0-alpha.7ce0e12", "4.3.0-alpha", "custom"),
        ("4.3.0-alpha.1.7ce0e12", "4.3.0-alpha.1", "custom"),
        ("4.3.0-alpha-1234567", "4.3.0-alpha", "custom"),
        ("4.3.0-dev-12ab34c", "4.3.0-dev", "custom"),
        ("4.3.0-nightly-7ce0e12", "4.3.0-nightly", "custom"),
        ("4.3.0-rc1foo", "4.3.0-rc.1", "custom"),
        ("4.3.0-rc_1", "4.3.0-rc.1", "vanilla"),
        # Operators' words that only look like pre-releases.
        ("4.3.0-alphabet", "4.3.0", "custom"),
        ("4.3.0-rcade", "4.3.0", "custom"),
        ("4.3.0-betamax.2", "4.3.0", "custom"),
        ("4.3.0-devuan", "4.3.0", "custom"),
        ("4.3.0-precious", "4.3.0", "custom"),
        ("4.3.0-my-beta.2", "4.3.0", "custom"),
        ("4.2.1+nightlyish", "4.2.1", "custom"),
        ("4.5.6-woof", "4.5.6", "custom"),
        ("4.5.6_club", "4.5.6", "custom"),
        ("4.5.6@0a1b2c3", "4.5.6", "custom"),
        ("4.5.6/main", "4.5.6", "custom"),
        ("4.5.6 (with modifications)", "4.5.6", "custom"),
        ("4.5.6-🐘", "4.5.6", "custom"),
        ("4.5.6+\u00e9l\u00e9phant", "4.5.6", "custom"),
        ("4.5.6+", "4.5.6", "vanilla"),
        ("4.5.6...", "4.5.6", "vanilla"),
        # Dates.
        ("4.5.3-20250801", "4.5.3-nightly.2025-08-01", "vanilla"),
        ("4.5.3-2025-08-01", "4.5.3-nightly.2025-08-01", "vanilla"),
        ("4.5.3-250801+glitch", "4.5.3-nightly.2025-08-01", "glitch"),
        ("4.5.3-250801abc", "4.5.3", "custom"),
        ("4.5.3-2508011", "4.5.3", "custom"),
        ("4.5.3-25-08-01", "4.5.3", "custom"),
        # Nobody built Mastodon before 2016.
        ("4.5.3-160101", "4.5.3-nightly.2016-01-01", "vanilla"),
        ("4.5.3-151231", "4.5.3", "custom"),
        ("4.5.0+20250801", "4.5.0", "custom"),
        ("4.5.0-nightly-2025-08-01", "4.5.0-nightly.2025-08-01", "vanilla"),
        ("4.5.0-nightly.2024-02-29", "4.5.0-nightly.2024-02-29", "vanilla"),
        ("4.5.0-nightly.2025-02-29", "4.5.0-nightly", "vanilla"),
        ("4.5.0-nightly.2025-0801", "4.5.0-nightly", "vanilla"),
        ("4.5.0-nightly.2025.08.01", "4.5.0-nightly", "vanilla"),
        # Forks.
        ("4.5.6+glitch.polyam", "4.5.6", "glitch"),
        ("4.0.2+glitch+x", "4.0.2", "glitch"),
        ("4.0.2+glitch_0801_3b49b5a", "4.0.2", "glitch"),
        ("4.6.0+GLITCH", "4.6.0", "glitch"),
        ("4.6.0+notglitch", "4.6.0", "custom"),
        ("4.6.0+chuckya.glitch", "4.6.0", "chuckya"),
        ("4.3.0-rc.1+glitch+cat.1.0.0", "4.3.0-rc.1", "catstodon"),
        ("4.3.0+cat.1.0.0", "4.3.0", "catstodon"),
        ("4.3.0+glitch.cat.1.0.0", "4.3.0", "catstodon"),
        ("4.3.0+glitch+cat.nightly", "4.3.0", "catstodon"),
        ("4.3.0+glitch+cat", "4.3.0", "catstodon"),
        ("4.3.0+cat", "4.3.0", "catstodon"),
        ("4.3.0+cathode", "4.3.0", "custom"),
        ("4.3.0+cat.pictures", "4.3.0", "custom"),
        ("4.3.0+glitch+cat+pictures", "4.3.0", "glitch"),
        ("4.3.0+glitch.my-cat", "4.3.0", "glitch"),
        ("4.3.0+glitch.cat", "4.3.0", "glitch"),
        ("4.2.3+nagitodon.5.13-LTS", "4.2.3", "nagitodon"),
        ("4.1.2+glitchcafe.41a1757", "4.1.2", "glitchcafe"),
        ("4.4.2+kmyblue.19.2-lts", "4.4.2", "kmyblue"),
        ("4.4.2+kb10", "4.4.2", "custom"),
        ("4.5.6+hometown-1.2.0", "4.5.6", "hometown"),
    ],
)
def test_strings_of_the_same_families(text, release, fork):
    version = parse_version(text)
    assert (version.release, version.fork) == (release, fork)


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("4.6.0+epsilon-0.1.0-beta", "4.6.0"),
        ("4.5.6+Mastodon Bird UI 2.0.0rc", "4.5.6"),
        ("4.3.0+glitch+cat.nightly", "4.3.0"),
        ("4.3.0+cat.nightly", "4.3.0"),
        ("4.3.0+0d54f37f-ruby-3.3.0", "4.3.0"),
        ("4.3.0+glitch.nightly.2024-03-01", "4.3.0"),
        ("4.3.0+rc1", "4.3.0"),
        ("4.7.0-alpha.1+nightly", "4.7.0-alpha.1"),
    ],
)
def test_metadata_is_never_a_pre_release(text, release):
    assert parse_version(text).release == release


def test_a_pre_release_on_a_patch_is_not_that_patch():
    for text in ("4.3.3-alpha.0", "4.4.2-alpha.3", "4.7.1-alpha.1", "4.3.4alpha1", "4.3.3-nightly.2023-12-31"):
        version = parse_version(text)
        assert version.prerelease
        assert version < parse_version(text[:5])


@pytest.mark.parametrize(
    ("text", "software", "canonical"),
    [
        ("1.0.7+3.5.5", "hometown", "3.5.5+hometown-1.0.7"),
        ("1.0.7+3.5.5", "mastodon", "3.5.5+hometown-1.0.7"),
        ("1.0.7+4.0.0rc1", "hometown", "4.0.0-rc.1+hometown-1.0.7"),
        ("v1.0.6+v3.5.2+queer", "hometown", "3.5.2+hometown-1.0.6+queer"),
        ("4.0.2+1.1.1", "hometown", "4.0.2+1.1.1"),
    ],
)
def test_hometowns_old_order_has_mastodon_after_the_plus(text, software, canonical):
    version = parse_version(text, software)
    assert (str(version), version.fork) == (canonical, "hometown")


@pytest.mark.parametrize("text", ["1.0.7-3.5.5", "1.0.7 3.5.5", "1.0.7+1.5.5"])
def test_what_is_not_after_a_plus_or_no_later_mastodon_is_not_hometowns_old_order(text):
    version = parse_version(text)
    assert (version.release, version.fork) == ("1.0.7", "custom")
    assert parse_version(str(version)) == version
    with pytest.raises(InvalidVersion, match="own_number"):
        parse_version(text, "hometown")


@pytest.mark.parametrize(
    ("text", "software", "reason"),
    [
        (None, "mastodon", Refusal.NOT_A_STRING),
        (4.2, "mastodon", Refusal.NOT_A_STRING),
        ("", "mastodon", Refusal.EMPTY),
        (" " * 201, "mastodon", Refusal.EMPTY),
        ("4.2.1+" + "a" * 195, "mastodon", Refusal.TOO_LONG),
        ("4.2.1\tx", "mastodon", Refusal.CONTROL_CHARACTER),
        ("4.2.1+\x9bx", "mastodon", Refusal.CONTROL_CHARACTER),
        ("4.2.1+\u2028x", "mastodon", Refusal.CONTROL_CHARACTER),
        ("4.2.1+\ud83dx", "mastodon", Refusal.CONTROL_CHARACTER),
        ("v 4.2.1", "mastodon", Refusal.NO_NUMBER),
        ("Mastodon::Version", "mastodon", Refusal.NO_NUMBER),
        ("takahe/0.10.1", "mastodon", Refusal.NO_NUMBER),
        ("4.2.x", "mastodon", Refusal.NO_NUMBER),
        ("\u0664.\u0662.\u0661", "mastodon", Refusal.NO_NUMBER),
        ("4.2", "mastodon", Refusal.NO_PATCH),
        ("4.123456.1", "mastodon", Refusal.ABSURD_NUMBER),
        ("0.1", "mastodon", Refusal.NO_PATCH),
        ("0.10.1", "mastodon", Refusal.MAJOR_ZERO),
        ("3.5.3 (compatible; Pixelfed 0.12.7)", "mastodon", Refusal.COMPATIBLE_API),
        ("4.2.1 (compatible; Iceshrimp 2023.11)", "mastodon", Refusal.COMPATIBLE_API),
        ("4.0.0 (not true; really snac/2.52)", "mastodon", Refusal.COMPATIBLE_API),
        ("2.7.2:compatible:Pleroma", "mastodon", Refusal.COMPATIBLE_API),
        ("4.2.1", "iceshrimp", Refusal.OTHER_SOFTWARE),
        ("4.2.1", "mastodon2", Refusal.OTHER_SOFTWARE),
        ("4.2.1", "", Refusal.OTHER_SOFTWARE),
        ("4.2.1", None, Refusal.OTHER_SOFTWARE),
        *(("4.2.1", name, Refusal.OTHER_SOFTWARE) for name in ("paon", "truecolors", "corgidon", "koyuspace")),
        *(("4.4.0+waka.1.0", name, Refusal.OTHER_SOFTWARE) for name in ("waka", "\u548c\u6b4c")),
        ("0.1", "fedibird", Refusal.OWN_NUMBER),
        ("3.4.9001", "Ecko", Refusal.OWN_NUMBER),
        ("1.0.7", "hometown", Refusal.OWN_NUMBER),
        ("1.0.7+100000.1.1", "hometown", Refusal.ABSURD_NUMBER),
    ],
)
def test_refusals_have_names(text, software, reason):
    with pytest.raises(InvalidVersion) as refused:
        parse_version(text, software)
    assert refused.value.reason is reason


def test_whitespace_around_a_version_does_not_make_it_too_long():
    assert parse_version(" " * 200 + "4.2.1+" + "a" * 194 + "\n").release == "4.2.1"


@pytest.mark.parametrize("text", ["0.22.1+git-fdff42b", "0.13.1-SNAPSHOT git-dfc7656", "0.18.0-rc1+git-1234567"])
def test_gotosocial_is_known_by_its_commit(text):
    with pytest.raises(InvalidVersion) as refused:
        parse_version(text)
    assert (refused.value.reason, refused.value.fork) == (Refusal.MAJOR_ZERO, "not-mastodon")


def test_4_10_is_newer_than_4_9():
    assert parse_version("4.10.0") > parse_version("4.9.9")
    assert parse_version("4.10.0").branch_key > parse_version("4.9.9").branch_key
    assert parse_version("4.5.10") > parse_version("4.5.9")
    assert parse_version("4.6.0-alpha.10") > parse_version("4.6.0-alpha.9")


def test_the_order_of_one_release():
    texts = """4.7.0-dev 4.7.0-alpha 4.7.0-alpha.1 4.7.0-alpha.2 4.7.0-nightly 4.7.0-nightly.2026-07-28-security
    4.7.0-nightly.2026-07-28 4.7.0-beta.1 4.7.0-rc.1 4.7.0-rc.10 4.7.0 4.7.0+chuckya 4.7.0+glitch 4.7.1-alpha.1 4.7.1"""
    versions = [parse_version(text) for text in texts.split()]
    assert all(older < newer for older, newer in pairwise(versions))
    assert versions[10].precedence == versions[11].precedence


def test_tags_may_have_two_components_and_nothing_but_a_pre_release():
    tags = {"1.0": "1.0.0", "v1.3": "1.3.0", "1.4rc6": "1.4.0-rc.6", "v4.1.0rc3": "4.1.0-rc.3", "4.5.16": "4.5.16"}
    assert {tag: parse_tag(tag).release for tag in tags} == tags
    for tag in ("4.5.6+glitch", "stable-4.5", "v4", "", "1.0-foo", "v4.5.6-foo"):
        with pytest.raises(InvalidVersion):
            parse_tag(tag)


SOFTWARE = st.sampled_from(["mastodon", "hometown", "kmyblue", "glitchcafe", "fedibird", "akkoma"])
#: Text in the manner of version strings, so that every branch of the parser is met.
PIECES = st.one_of(
    st.sampled_from([".", "-", "_", "~", " ", "+", "++", "(", ";", "0", "v", "\u00a0", "\u00e9", "\U0001f418"]),
    st.sampled_from(["rc", "rc1", "alpha", ".2", "-beta.3", "dev", "mastau.2", "nightly", "+nightly", "-nightly."]),
    st.sampled_from(
        ["2025-08-01", "20230505", "-250801", "-security", "cat", "+cat", "hometown", "kmyblue", "+glitch"]
    ),
    st.sampled_from(["3.5.5", "1.0.7", "compatible;", "git-abcdef0", "pr-1-abcdef", "edge-abcd"]),
)
NUMBERS = st.sampled_from(["4.2.1", "1.0.7", "4.3.0", "v10.11.12", "0.1.0", "04.05.06", ""])
STRINGS = st.one_of(
    st.text(), st.builds(lambda number, rest: number + "".join(rest), NUMBERS, st.lists(PIECES, max_size=60))
)


def parsed(text: str, software: str) -> Version | InvalidVersion:
    try:
        return parse_version(text, software)
    except InvalidVersion as refusal:
        return refusal


@given(STRINGS, SOFTWARE)
@example("1.0.7-4.0.0+nightly-20260501+3.5.5", "mastodon")
@example("1.0.7+nightly-20260501-4.0.0~+cat", "mastodon")
def test_parsing_raises_nothing_but_its_refusal_and_formatting_is_stable(text, software):
    version = parsed(text, software)
    if isinstance(version, InvalidVersion):
        assert str(version).isprintable()
        return
    assert parse_version(str(version), software) == version
    assert parse_version(version.release).release == version.release
    assert parse_tag(version.release) == Version(*version.precedence[:3], version.prerelease)


VERSIONS = [v for row in LABELLED if (v := json.loads(row["raw_json"])) and reading(v, row["software"])[-1] == "valid"]


@given(*[st.sampled_from(VERSIONS).map(parse_version)] * 3)
def test_the_order_is_total(a, b, c):
    assert (a < b) + (a == b) + (a > b) == 1
    assert (a <= b) == (not b < a)
    if a <= b <= c:
        assert a <= c
    if a.precedence < b.precedence:
        assert a < b


#: Few numbers and few pieces: neighbours and equals come often.
NEIGHBOURS = st.builds(
    lambda number, rest: number + "".join(rest), st.sampled_from(["4.2.1", "1.0.7+3.5.5"]), st.lists(PIECES, max_size=2)
)
ANY_VERSION = st.builds(parsed, STRINGS | NEIGHBOURS, SOFTWARE).filter(lambda read: isinstance(read, Version))


@given(ANY_VERSION, ANY_VERSION, ANY_VERSION)
def test_the_order_is_total_whatever_servers_send(a, b, c):
    assert (a < b) + (a == b) + (a > b) == 1
    low, middle, high = sorted([a, b, c])
    assert low <= middle <= high
    assert low <= high
    assert low.precedence <= middle.precedence <= high.precedence


def test_a_version_does_not_compare_with_anything_else():
    version = parse_version("4.2.1")
    others: list[Any] = ["4.2.1", (4, 2, 1), None]
    assert version not in others
    for other in others:
        with pytest.raises(TypeError, match="not supported"):
            sorted([version, other])
