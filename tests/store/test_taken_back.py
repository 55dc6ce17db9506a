"""What sources take back goes, and what they contradict is corrected: releases, advisories, ends of support, main."""

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from tests.store.builders import column
from vmcrawl.advisory import packaged_advisories
from vmcrawl.bumps import MainStart
from vmcrawl.catalogue import Branch, Release, packaged_catalogue
from vmcrawl.plausible import Implausible
from vmcrawl.store import advisories, branches, catalogue
from vmcrawl.store.migrations import prepare
from vmcrawl.version import parse_tag

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


@pytest.fixture
def seeded(connection: psycopg.Connection) -> psycopg.Connection:
    prepare(connection, timedelta(days=3))
    return connection


def release(name: str, security: bool | None = False, day: date = date(2026, 11, 20)) -> Release:
    return Release(parse_tag(name), day, security)


def test_a_release_that_is_not_listed_any_more_goes_and_can_come_back(seeded: psycopg.Connection):
    one, other = release("4.7.1"), release("4.6.7")
    number = column(seeded, "SELECT count(*) FROM releases")[0]
    assert catalogue.save_all_releases(seeded, [one, other], "github", NOW) == ["4.6.7", "4.7.1"]
    before = catalogue.revision(seeded)
    assert catalogue.save_all_releases(seeded, [other], "github", LATER) == ["4.7.1 (taken back)"]
    assert catalogue.revision(seeded) == before + 1
    newest = catalogue.load_catalogue(seeded).newest((4, 7))
    assert newest is not None
    assert newest.version.release == "4.7.0"
    assert catalogue.save_all_releases(seeded, [other], "github", LATER) == []
    assert catalogue.save_all_releases(seeded, [one, other], "github", LATER) == ["4.7.1"]
    # What only the package knows was not listed at all, and stays.
    assert column(seeded, "SELECT count(*) FROM releases WHERE source = 'snapshot'") == [number]


def test_a_list_that_lacks_more_than_a_fifth_of_what_is_known_changes_nothing(seeded: psycopg.Connection):
    (number,) = column(seeded, "SELECT count(*) FROM releases")
    assert isinstance(number, int)
    # Of all that is known then: one more than a fifth, and exactly one.
    for extra, refused in ((number // 4 + 1, True), (number // 4, False)):
        catalogue.save_releases(seeded, [release(f"4.7.{n}") for n in range(1, extra + 1)], "github", NOW)
        seeded.execute("DELETE FROM releases WHERE source = 'github' AND substr(release, 5)::int > %s", [extra])
        if refused:
            with pytest.raises(Implausible, match="are missing"):
                catalogue.save_all_releases(seeded, [release("4.6.7")], "github", NOW)
            assert column(seeded, "SELECT count(*) FROM releases WHERE release = '4.6.7'") == [0]
        else:
            assert len(catalogue.save_all_releases(seeded, [release("4.6.7")], "github", NOW)) == extra + 1


@pytest.mark.parametrize(
    ("known", "said", "result"),
    [
        (True, False, True),
        (True, None, True),
        (False, True, True),
        (False, None, False),
        (None, True, True),
        (None, False, False),
        (None, None, None),
    ],
)
def test_that_a_release_fixes_security_problems_is_not_unsaid(
    seeded: psycopg.Connection, known: bool | None, said: bool | None, result: bool | None
):
    catalogue.save_releases(seeded, [release("4.7.1", known)], "github", NOW)
    changed = catalogue.save_releases(seeded, [release("4.7.1", said)], "github", LATER)
    assert column(seeded, "SELECT security FROM releases WHERE release = '4.7.1'") == [result]
    assert changed == (["4.7.1"] if result is not known else [])


def test_advisories_that_are_withdrawn_or_not_listed_any_more_go(seeded: psycopg.Connection):
    known = list(packaged_advisories())
    theirs, own = known[:3], known[3].ghsa_id
    seeded.execute("UPDATE advisories SET source = 'github' WHERE ghsa_id = ANY (%s)", [[a.ghsa_id for a in theirs]])
    advisories.override_advisory(seeded, theirs[1].ghsa_id, "none", NOW)
    before = catalogue.revision(seeded)
    gone = advisories.save_all_advisories(seeded, theirs[2:], [own], "github", NOW)
    assert gone == sorted([f"{theirs[0].ghsa_id} (taken back)", f"{own} (taken back)"])
    assert catalogue.revision(seeded) == before + 1
    assert advisories.save_all_advisories(seeded, theirs[2:], [own], "github", NOW) == []
    assert advisories.save_all_advisories(seeded, theirs, [], "github", NOW) == [theirs[0].ghsa_id]
    with pytest.raises(Implausible):
        advisories.save_all_advisories(seeded, theirs, [a.ghsa_id for a in known[4:20]], "github", NOW)
    assert len(column(seeded, "SELECT ghsa_id FROM advisories")) == len(known) - 1


def stated(connection: psycopg.Connection, branch: str) -> tuple[object, ...] | None:
    return connection.execute("SELECT stated_until, stated_source FROM branches WHERE branch = %s", [branch]).fetchone()


@pytest.mark.parametrize(
    ("until", "source", "kept"),
    [
        (NOW.date() - timedelta(days=1), "anybody", False),
        (NOW.date(), "anybody", True),
        (date(2027, 1, 1), "anybody", True),
        (date(2027, 1, 1), "endoflife.date", False),
        (date(2027, 1, 1), "SECURITY.md Until (9831c5aac2, 2026-08-21)", False),
    ],
)
def test_a_yes_takes_back_an_end_that_is_past_or_lagged_behind_or_was_its_own(
    seeded: psycopg.Connection, until: date, source: str, kept: bool
):
    seeded.execute(
        "UPDATE branches SET stated_until = %s, stated_source = %s, stated_at = %s WHERE branch = '4.6'",
        [until, source, NOW],
    )
    yes = [Branch("4.6", None, "SECURITY.md")]
    assert branches.save_support(seeded, yes, NOW) == ([] if kept else ["4.6"])
    assert branches.save_support(seeded, yes, LATER.replace(hour=0) - timedelta(days=1)) == []
    assert stated(seeded, "4.6") == ((until, source) if kept else (None, "SECURITY.md"))


def test_main_is_told_anew_only_by_who_knows_what_is_told_of_it_now(seeded: psycopg.Connection):
    known = catalogue.load_main(seeded)
    alpha = tuple(MainStart(parse_tag(f"4.8.0-alpha.{number}"), NOW - timedelta(days=9 - number)) for number in (2, 3))
    doubtful = MainStart(alpha[1].version, NOW, NOW - timedelta(days=20))
    assert catalogue.save_main(seeded, known, (*known, doubtful)) == ["4.8.0-alpha.3"]
    assert catalogue.save_main(seeded, known, (*known, *alpha)) == [], "somebody else was faster"
    assert catalogue.load_main(seeded) == (*known, doubtful)
    # No build may be said to have a fix that it may lack: it is as old as it can be.
    assert catalogue.load_catalogue(seeded).main_ranges[-1].since == doubtful.not_before
    before = catalogue.revision(seeded)
    assert catalogue.save_main(seeded, (*known, doubtful), (*known, *alpha)) == ["4.8.0-alpha.2"]
    assert catalogue.load_main(seeded) == (*known, *alpha)
    assert catalogue.revision(seeded) == before + 1
    assert catalogue.save_main(seeded, (*known, *alpha), known) == [known[-1].version.release]
    assert packaged_catalogue().main_ranges == catalogue.load_catalogue(seeded).main_ranges
