import json
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.advisory import PublishedAdvisory
from vmcrawl.catalogue import Branch, Catalogue, Release, packaged_catalogue
from vmcrawl.upstream import (
    InvalidUpstream,
    SupportRow,
    ends_of_support,
    parse_endoflife,
    parse_github_advisories,
    parse_github_releases,
    parse_security_md,
    parse_version_rb,
)
from vmcrawl.version import parse_tag

DATA = Path(__file__).parent / "data" / "upstream"
RELEASE = {"tag_name": "v4.5.6", "published_at": "2026-02-03T14:00:00Z", "prerelease": False, "draft": False}
ADVISORY = json.loads((DATA / "advisories.json").read_text())[0]


def releases(*changes):
    return parse_github_releases(json.dumps([RELEASE | change for change in changes]).encode())


def advisories(*changes):
    return parse_github_advisories(json.dumps([ADVISORY | change for change in changes]).encode())


def without(entry, key):
    return json.dumps([{name: value for name, value in entry.items() if name != key}]).encode()


def security_md(*rows):
    return "## Supported Versions\n\n| Version | Supported |\n| - | - |\n" + "\n".join(rows)


def test_a_page_of_releases_is_read_without_drafts_and_without_tags_that_are_no_versions():
    assert parse_github_releases((DATA / "releases-1.json").read_bytes()) == (
        Release(parse_tag("4.7.1"), date(2026, 9, 1), True),
        Release(parse_tag("4.6.5"), date(2026, 9, 1), True),
        Release(parse_tag("4.7.0"), date(2026, 8, 20), False),
    )
    assert parse_github_releases((DATA / "releases-2.json").read_bytes())[1:] == (
        Release(parse_tag("4.7.0-rc.1"), date(2026, 8, 5), False),
        Release(parse_tag("1.4.0-rc.1"), date(2017, 5, 22), None),
    )


@pytest.mark.parametrize(
    ("notes", "security"),
    [
        ("## Changelog\r\n\r\n### Security\r\n\r\n- Fix", True),
        ("## security fixes", True),
        ("# ⚠️ Security", True),
        ("**Security**\n- Fix", True),
        ("### Fixed\n- Fix security of a button", False),
        ("### Upgrade notes\nNo security problem", False),
        ("###Security", None),
        ("This fixes a security problem", None),
        ("", None),
        (None, None),
    ],
)
def test_a_heading_security_marks_a_security_release(notes, security):
    assert releases({"body": notes})[0].security is security


def test_the_day_of_a_release_is_that_in_utc():
    assert releases({"published_at": "2026-02-03T23:30:00-05:00"})[0].released == date(2026, 2, 4)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>down</html>", b'{"message": "Not Found"}', b"[1]", b"[" * 9999, b"[{}]", b'"x"', b"null", b"\xff"]
    + [without(RELEASE, key) for key in RELEASE],
)
def test_releases_in_another_shape_are_refused(body):
    with pytest.raises(InvalidUpstream):
        parse_github_releases(body)


@pytest.mark.parametrize(
    "change",
    [
        {"tag_name": 4},
        {"tag_name": "kb15.4"},
        {"published_at": "yesterday"},
        {"published_at": "2026-02-03"},
        {"published_at": None},
        {"published_at": "0001-01-01T00:00:00+10:00"},
        {"prerelease": "no"},
        {"body": []},
    ],
)
def test_a_release_with_an_impossible_value_is_refused_in_one_line(change):
    with pytest.raises(InvalidUpstream) as error:
        releases(change)
    assert len(str(error.value).splitlines()) == 1


def test_no_releases_on_a_page_are_no_mistake_of_the_page():
    assert parse_github_releases(b"[]") == ()


VERSION_RB = (DATA / "version.rb").read_text()


@pytest.mark.parametrize(
    ("before", "after", "release"),
    [
        ("", "", "4.8.0-alpha.1"),
        ("'alpha.1' # between releases", "''", "4.8.0"),
        ("'alpha.1' # between releases", "nil", "4.8.0"),
        ("'alpha.1' # between releases", '"rc2"', "4.8.0-rc.2"),
        ("      8\n", "      # soon 11\n\n      10\n", "4.10.0-alpha.1"),
        ("      0\n", "      1\n", "4.8.1-alpha.1"),
    ],
)
def test_version_rb_says_what_main_is(before, after, release):
    assert parse_version_rb(VERSION_RB.replace(before, after)).release == release


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (VERSION_RB, ""),
        (VERSION_RB, "<html>"),
        ("def minor", "def minor_number"),
        ("def default_prerelease", "def flags"),
        ("      8\n", "      'eight'\n"),
        ("      8\n", "      Gem.version\n"),
        ("      8\n", "      123456\n"),
        ("alpha.1", "nobodyknows"),
        ("      4\n", "      0\n"),
    ],
)
def test_a_version_rb_that_says_nothing_plain_is_refused(before, after):
    with pytest.raises(InvalidUpstream):
        parse_version_rb(VERSION_RB.replace(before, after))


def test_security_md_is_read_by_branch():
    assert parse_security_md((DATA / "SECURITY.md").read_text()) == (
        SupportRow("4.7", True, None, "SECURITY.md"),
        SupportRow("4.6", True, None, "SECURITY.md"),
        SupportRow("4.5", True, date(2027, 2, 20), "SECURITY.md"),
        SupportRow("4.4", True, date(2026, 12, 17), "SECURITY.md"),
        SupportRow("4.4", False, None, "SECURITY.md", below=True),
    )


@pytest.mark.parametrize(
    ("row", "branch", "supported", "until", "below"),
    [
        ("| 4.10.x | Yes |", "4.10", True, None, False),
        ("| 4.5 | ✅ |", "4.5", True, None, False),
        ("|`v4.5.0`|**yes**|extra|", "4.5", True, None, False),
        ("4.5.x | until 2026-12-17", "4.5", True, date(2026, 12, 17), False),
        ("| 4.5.x | Yes, until 2026-12-17 |", "4.5", True, date(2026, 12, 17), False),
        ("| 4.0.x | No |", "4.0", False, None, False),
        ("| <4.4.0 | :x: |", "4.4", False, None, True),
        ("| <= 4.3 | No |", "4.4", False, None, True),
    ],
)
def test_rows_of_security_md_came_in_many_forms(row, branch, supported, until, below):
    rows = parse_security_md(security_md("| 9.0.x | Yes |", row))
    assert rows[1] == SupportRow(branch, supported, until, "SECURITY.md", below)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "404: Not Found",
        "| 4.5.x | Yes |",
        security_md(),
        security_md("| 4.5.x | No |"),
        security_md("| 4.5.x | Maybe |"),
        security_md("| 4.5.x | Until 2026-02-30 |"),
        security_md("| 4.5.x |"),
        security_md("| 4.5.x and 4.4.x | Yes |"),
        security_md("| 4 | Yes |"),
        security_md("| 4.5.x | Yes |", "| 4.5.0 | No |"),
        security_md("") + "\n## Else\n| 4.5.x | Yes |",
    ],
)
def test_a_security_md_without_a_readable_table_is_refused(text):
    with pytest.raises(InvalidUpstream):
        parse_security_md(text)


def test_endoflife_is_read_by_cycle():
    assert parse_endoflife((DATA / "endoflife.json").read_bytes()) == (
        SupportRow("4.6", True, None, "endoflife.date"),
        SupportRow("4.5", True, date(2027, 2, 20), "endoflife.date"),
        SupportRow("4.0", False, None, "endoflife.date"),
    )


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"result": []}',
        b'[{"cycle": "4.5"}]',
        b'[{"cycle": "4.5", "eol": null}]',
        b'[{"cycle": "4.5", "eol": "soon"}]',
        b'[{"cycle": "four", "eol": false}]',
        b'[{"cycle": 4.5, "eol": false}]',
        b'[{"cycle": "< 4.5", "eol": false}]',
    ],
)
def test_an_endoflife_in_another_shape_is_refused(body):
    with pytest.raises(InvalidUpstream):
        parse_endoflife(body)


def test_days_and_yeses_go_into_the_catalogue_as_they_stand_and_an_old_no_is_no_news():
    rows = parse_security_md((DATA / "SECURITY.md").read_text())
    assert ends_of_support(rows, packaged_catalogue(), date(2026, 8, 23)) == (
        Branch("4.4", date(2026, 12, 17), "SECURITY.md"),
        Branch("4.5", date(2027, 2, 20), "SECURITY.md"),
        Branch("4.6", None, "SECURITY.md"),
        Branch("4.7", None, "SECURITY.md"),
    )


def test_a_no_ends_the_support_of_a_branch_that_was_thought_to_have_some_left():
    rows = parse_security_md(security_md("| 4.7.0 | Yes |", "| 4.5.x | until 2026-09-30 |", "| < 4.6 | No |"))
    assert ends_of_support(rows, packaged_catalogue(), date(2026, 8, 23)) == (
        Branch("4.4", date(2026, 8, 22), "SECURITY.md"),
        Branch("4.5", date(2026, 9, 30), "SECURITY.md"),
        Branch("4.7", None, "SECURITY.md"),
    )


def test_endoflife_changes_nothing_that_security_md_has_said():
    releases = packaged_catalogue().releases
    rows = (
        SupportRow("4.5", True, date(2027, 3, 1), "endoflife.date"),
        SupportRow("4.4", False, None, "endoflife.date"),
    )
    for source, expected in {
        "SECURITY.md": (),
        "endoflife.date": (
            Branch("4.4", date(2026, 8, 22), "endoflife.date"),
            Branch("4.5", date(2027, 3, 1), "endoflife.date"),
        ),
    }.items():
        known = tuple(Branch(name, date(2026, 12, 17), source) for name in ("4.4", "4.5"))
        assert ends_of_support(rows, Catalogue(releases, known), date(2026, 8, 23)) == expected


def test_a_branch_that_only_the_table_knows_is_kept_if_it_is_supported():
    rows = parse_security_md(security_md("| 4.9.0 | Yes |", "| 4.10.0 | No |"))
    catalogue = Catalogue((Release(parse_tag("4.7.0"), date(2026, 8, 20)),))
    assert ends_of_support(rows, catalogue, date(2026, 8, 23)) == (Branch("4.9", None, "SECURITY.md"),)


def test_advisories_are_read_in_the_words_of_upstream():
    assert parse_github_advisories((DATA / "advisories.json").read_bytes())[:3] == (
        PublishedAdvisory(
            "GHSA-xfrj-c749-jxxq",
            "CVE-2026-22245",
            "high",
            None,
            "SSRF protection bypass",
            date(2026, 1, 7),
            "< 4.2.29, < 4.3.17, < 4.4.11, < 4.5.4",
            "4.2.29, 4.3.17, 4.4.11, 4.5.4",
        ),
        PublishedAdvisory(
            "GHSA-ccm4-vgcc-73hp",
            "CVE-2023-36459",
            "critical",
            9.3,
            "XSS through oEmbed preview cards",
            date(2023, 7, 6),
            ">= 1.3, < 3.5.9 || >= 4.0.0, < 4.0.5 || >= 4.1.0, < 4.1.3",
            "3.5.9, 4.0.5, 4.1.3",
        ),
        PublishedAdvisory(
            "GHSA-5fq7-3p3j-9vrf", "", "", None, "Without a CVE, a range or a severity", date(2024, 9, 30), "", ""
        ),
    )


@pytest.mark.parametrize(
    ("change", "score"),
    [
        ({"cvss_severities": {"cvss_v3": {"score": 7}, "cvss_v4": {"score": 8.7}}}, 8.7),
        ({"cvss_severities": {"cvss_v3": {"score": 7.5}, "cvss_v4": None}}, 7.5),
        ({"cvss_severities": None, "cvss": {"score": 9.9}}, 9.9),
        ({"cvss": {"score": 0.0}}, None),
        ({"cvss": {"score": 11}}, None),
        ({"cvss": {"score": True}}, None),
        ({"cvss": None}, None),
        ({"state": "published"}, None),
    ],
)
def test_the_score_is_the_newest_cvss_there_is(change, score):
    assert advisories(change)[0].score == score


def test_an_advisory_that_is_not_published_is_left_out():
    assert advisories({"state": "draft", "published_at": None}) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"ghsa_id": "GHSA-1"},
        {"ghsa_id": None},
        {"cve_id": "CVE-1\x00"},
        {"severity": "terrible"},
        {"summary": None},
        {"published_at": None},
        {"vulnerabilities": None},
        {"vulnerabilities": ["x"]},
        {"vulnerabilities": [{"vulnerable_version_range": ["< 4"]}]},
    ],
)
def test_an_advisory_in_another_shape_is_refused(change):
    with pytest.raises(InvalidUpstream):
        advisories(change)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ADVISORY, *RELEASE]), inner),
)


@given(st.lists(st.dictionaries(st.sampled_from([*ADVISORY, *RELEASE, "cycle", "eol"]), JSON), max_size=2), st.text())
def test_no_document_raises_anything_but_its_refusal(entries, text):
    body = json.dumps(entries).encode()
    for parse in (parse_github_releases, parse_github_advisories, parse_endoflife):
        with suppress(InvalidUpstream):
            parse(body)
    for parse_text in (parse_version_rb, parse_security_md):
        with pytest.raises(InvalidUpstream):
            parse_text(text)
