import json
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.advisory import PublishedAdvisory
from vmcrawl.catalogue import Release
from vmcrawl.support import parse_endoflife, parse_security_md
from vmcrawl.upstream import (
    Commit,
    InvalidUpstream,
    WithdrawnAdvisory,
    parse_github_advisories,
    parse_github_commits,
    parse_github_releases,
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


def test_advisories_are_read_in_the_words_of_upstream_and_what_was_withdrawn_is_called_so():
    assert parse_github_advisories((DATA / "advisories.json").read_bytes()) == (
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
        WithdrawnAdvisory("GHSA-aaaa-bbbb-cccc"),
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
    (advisory,) = advisories(change)
    assert isinstance(advisory, PublishedAdvisory)
    assert advisory.score == score


def test_an_advisory_that_is_not_published_is_left_out():
    assert advisories({"state": "draft", "published_at": None}, {"state": "triage", "published_at": None}) == ()


@pytest.mark.parametrize("change", [{"withdrawn_at": "2026-11-25T10:00:00Z"}, {"state": "closed"}])
def test_of_an_advisory_that_was_taken_back_only_its_name_counts(change):
    (withdrawn,) = advisories(change | {"published_at": None, "severity": "?", "vulnerabilities": None})
    assert withdrawn == WithdrawnAdvisory(ADVISORY["ghsa_id"])
    with pytest.raises(InvalidUpstream):
        advisories(change | {"ghsa_id": "x"})


SHA = "9831c5aac2" * 4


@pytest.mark.parametrize(
    ("sha", "text", "commit"),
    [
        (SHA, "2026-09-03T10:00:00Z", Commit(SHA, datetime(2026, 9, 3, 10, tzinfo=UTC))),
        (SHA, "2026-09-03T12:00:00+02:00", Commit(SHA, datetime(2026, 9, 3, 10, tzinfo=UTC))),
        ("../../x", "2026-09-03T10:00:00", Commit("", datetime(2026, 9, 3, 10, tzinfo=UTC))),
        (None, "0001-01-01T00:00:00+10:00", None),
        (SHA, "yesterday", None),
        (SHA, 7, None),
    ],
)
def test_a_commit_has_a_name_and_a_moment(sha, text, commit):
    body = json.dumps([{"sha": sha, "commit": {"committer": {"date": text}}}]).encode()
    if commit is not None:
        assert parse_github_commits(body) == (commit,)
        return
    with pytest.raises(InvalidUpstream):
        parse_github_commits(body)


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
    for parse in (parse_github_releases, parse_github_advisories, parse_github_commits, parse_endoflife):
        with suppress(InvalidUpstream):
            parse(body)
    for parse_text in (parse_version_rb, parse_security_md):
        with pytest.raises(InvalidUpstream):
            parse_text(text)
