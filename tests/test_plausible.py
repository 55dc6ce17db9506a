from datetime import date

import pytest

from vmcrawl.catalogue import Catalogue, Release, packaged_catalogue
from vmcrawl.plausible import Implausible, refuse_leaps, refuse_losses
from vmcrawl.version import parse_tag


def leaps(*names, catalogue=None):
    refuse_leaps([parse_tag(name) for name in names], catalogue or packaged_catalogue())


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("4.7.1", "4.6.5", "1.4.0"),
        ("4.8.0-alpha.2",),
        ("4.9.0-alpha.1",),
        ("5.0.0-alpha.1",),
        # Nobody has asked for years: each follows on the one before.
        ("5.1.0", "4.9.0", "4.10.0", "5.0.0-rc.1"),
        # Never heard of, but below what is known.
        ("3.9.0",),
    ],
)
def test_what_can_follow_on_what_is_known_is_believed(names):
    leaps(*names)


@pytest.mark.parametrize("name", ["99.0.0-alpha.1", "4.10.0", "5.1.0", "6.0.0", "47.1.0"])
def test_what_is_far_above_all_that_is_known_is_refused(name):
    with pytest.raises(Implausible, match=f"{name} cannot follow on 4.8"):
        leaps(name)
    with pytest.raises(Implausible):
        leaps("4.7.1", name)


def test_main_counts_as_known():
    stable = Catalogue((Release(parse_tag("4.7.0"), date(2026, 8, 20)),))
    leaps("4.8.0", catalogue=stable)
    with pytest.raises(Implausible):
        leaps("4.9.0", catalogue=stable)


def test_a_fifth_may_go():
    refuse_losses(0, 0, "releases")
    refuse_losses(20, 100, "releases")
    with pytest.raises(Implausible, match="21 of 100 releases are missing"):
        refuse_losses(21, 100, "releases")
