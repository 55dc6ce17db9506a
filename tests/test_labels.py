"""Which branches and releases metrics may name."""

from datetime import UTC, date, datetime

import pytest

from vmcrawl.catalogue import Branch, Catalogue, MainRange, Release, packaged_catalogue
from vmcrawl.labels import OTHER, PATCHED, known_branches, known_releases
from vmcrawl.version import parse_tag

_CATALOGUE = Catalogue(
    releases=(Release(parse_tag("4.5.6"), date(2026, 2, 3)), Release(parse_tag("4.6.0-rc.1"), date(2026, 5, 1))),
    branches=tuple(Branch(name, None) for name in ("4.4", "4.5", "4.6")),
    main_ranges=(
        MainRange(parse_tag("4.6.0-alpha.1"), datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)),
        MainRange(parse_tag("4.7.0-alpha.1"), datetime(2026, 6, 1, tzinfo=UTC), None),
    ),
)


def test_branches_are_named_that_the_catalogue_lists():
    assert known_branches(_CATALOGUE) == {"4.4", "4.5", "4.6"}


def test_releases_and_what_main_has_been_are_named_if_their_branch_is():
    assert known_releases(_CATALOGUE) == {"4.5.6": "4.5", "4.6.0-rc.1": "4.6", "4.6.0-alpha.1": "4.6"}


@pytest.mark.parametrize("made_up", ["4.5.999", "4.7.0-nightly.2026-07-09", "4.99", OTHER, ""])
def test_what_upstream_never_released_has_no_name(made_up):
    known = packaged_catalogue()
    assert made_up not in known_releases(known).keys() | known_branches(known)


def test_every_way_to_be_patched_or_not_has_a_name():
    assert PATCHED == {True: "true", False: "false", None: "unknown"}
