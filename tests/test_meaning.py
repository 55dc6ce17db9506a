"""A server's string with its upstream field, on a day: what the store keeps of it."""

from datetime import date

import pytest

from vmcrawl.catalogue import Support, packaged_catalogue
from vmcrawl.meaning import PARSER_VERSION, Meaning, read_meaning, read_version
from vmcrawl.version import InvalidVersion, Refusal

TODAY = date(2026, 8, 22)


def test_a_meaning_has_release_branch_fork_support_and_patched():
    meaning = read_meaning("mastodon", "4.5.9+glitch", None, packaged_catalogue(), TODAY)
    assert meaning == Meaning("4.5.9", "4.5", "glitch", Support.DEPRECATED, False, PARSER_VERSION)


def test_a_nightly_from_the_future_is_not_patched_nor_unpatched():
    catalogue = packaged_catalogue()
    tomorrow = read_meaning("mastodon", "4.8.0-nightly.2026-08-23-security", None, catalogue, TODAY)
    future = read_meaning("mastodon", "4.8.0-nightly.2099-01-01", None, catalogue, TODAY)
    assert (tomorrow.patched, future.patched) == (True, None)


@pytest.mark.parametrize(
    ("software", "version", "upstream", "read", "fork"),
    [
        ("fedibird", "0.1", "3.4.1", "3.4.1", "fedibird"),
        ("ecko", "3.4.9001", "3.4.1", "3.4.1", "ecko"),
        ("corgidon", "2.9.3", "2.8.4", "2.8.4", "corgidon"),
        ("paon", "4.2.1", "4.2.1", "4.2.1", "paon"),
        ("newfork", "1.0", "4.2.1", "4.2.1", "custom"),
        ("\u548c\u6b4c", "\u548c\u6b4c.1.0-dev+v4.3.0-alpha.5", "4.3.0-alpha.5", "4.3.0-alpha.5", "waka"),
        ("kmyblue", "4.6.3+kmyblue.24.2-lts", "4.6.3", "4.6.3+kmyblue.24.2-lts", "kmyblue"),
        ("nagitodon", "4.2.3+nagitodon.5.13-LTS.", None, "4.2.3+nagitodon.5.13-LTS", "nagitodon"),
        ("HomeTown ", "4.2.3+queergroup", None, "4.2.3+queergroup", "hometown"),
        # The same number: the version string has more to say.
        ("kmyblue", "4.6.0-alpha.7+kmyblue.23.1", "4.6.0", "4.6.0-alpha.7+kmyblue.23.1", "kmyblue"),
        # kmyblue's own numbers, readable and not.
        ("kmyblue", "4.2.1", "4.1.9", "4.1.9", "kmyblue"),
        ("kmyblue", "5.18.1", "4.2.13", "4.2.13", "kmyblue"),
        ("kmyblue", "5.18-LTS", "4.2.13", "4.2.13", "kmyblue"),
        # An upstream field nobody can read, and one under the name mastodon, change nothing.
        ("kmyblue", "4.6.3+kmyblue.24.2-lts", "latest", "4.6.3+kmyblue.24.2-lts", "kmyblue"),
        ("kmyblue", "4.6.3+kmyblue.24.2-lts", "42.0.0", "4.6.3+kmyblue.24.2-lts", "kmyblue"),
        ("mastodon", "4.6.3+kmyblue.24.2-lts", "4.6.2", "4.6.3+kmyblue.24.2-lts", "kmyblue"),
    ],
)
def test_forks_under_their_own_name_are_read_through_upstream(software, version, upstream, read, fork):
    result = read_version(software, version, upstream, packaged_catalogue())
    assert (str(result), result.fork) == (read, fork)


@pytest.mark.parametrize(
    ("software", "version", "upstream", "reason"),
    [
        ("fedibird", "0.1", None, Refusal.OWN_NUMBER),
        ("fedibird", "0.1", "garbage", Refusal.OWN_NUMBER),
        ("fedibird", "0.1\x00", "3.4.1", Refusal.CONTROL_CHARACTER),
        ("paon", "4.2.1", None, Refusal.OTHER_SOFTWARE),
        ("akkoma", "3.10.3", None, Refusal.OTHER_SOFTWARE),
        ("mastodon", "5.18-LTS", "4.2.13", Refusal.NO_NUMBER),
        ("kmyblue", "2.7.2 (compatible; Pleroma 2.10.2)", "4.2.13", Refusal.COMPATIBLE_API),
        ("mastodon", "3.6.0", None, Refusal.NO_SUCH_BRANCH),
    ],
)
def test_what_neither_field_says_is_refused_by_name(software, version, upstream, reason):
    with pytest.raises(InvalidVersion) as refused:
        read_version(software, version, upstream, packaged_catalogue())
    assert refused.value.reason is reason


@pytest.mark.parametrize("version", ["4.9.0", "4.9.0-alpha.1"])
def test_of_a_branch_that_is_newer_than_our_list_nobody_says_that_it_is_patched(version):
    meaning = read_meaning("mastodon", version, None, packaged_catalogue(), date(2026, 8, 22))
    assert (meaning.support, meaning.patched) == (Support.UNKNOWN, None)
