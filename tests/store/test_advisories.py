"""Advisories go into the database and come out again; what GitHub and people say of them changes them."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from tests.store.builders import MEANING, column, crawl, ok
from vmcrawl.advisory import Advisory, packaged_advisories
from vmcrawl.catalogue import Release, packaged_catalogue
from vmcrawl.domain import Domain
from vmcrawl.exposure import Exposure, Reading
from vmcrawl.store import advisories as store
from vmcrawl.store.catalogue import revision, save_releases
from vmcrawl.store.migrations import prepare
from vmcrawl.store.results import Result
from vmcrawl.version import parse_tag, parse_version

NOW = datetime(2026, 8, 22, tzinfo=UTC)
KNOWN = packaged_advisories()[:3]


@pytest.fixture
def seeded(connection: psycopg.Connection) -> psycopg.Connection:
    store.save_advisories(connection, KNOWN, "snapshot", NOW)
    return connection


def test_the_packaged_facts_come_back_as_they_are(connection: psycopg.Connection):
    prepare(connection, timedelta(days=3))
    loaded = store.load_advisories(connection, packaged_catalogue())
    assert {advisory.ghsa_id: advisory for advisory in loaded} == {one.ghsa_id: one for one in packaged_advisories()}
    assert prepare(connection, timedelta(days=3)) == []
    assert column(connection, "SELECT count(*) FROM advisories") == [len(packaged_advisories())]


def test_only_what_is_new_or_changed_is_written_and_named(seeded: psycopg.Connection):
    before = revision(seeded)
    changed, new = replace(KNOWN[0], score=9.9), replace(KNOWN[1], ghsa_id="GHSA-new", cve_id="CVE-2026-1")
    assert store.save_advisories(seeded, [changed, new, KNOWN[1]], "github", NOW) == sorted(
        [changed.ghsa_id, "GHSA-new"]
    )
    assert revision(seeded) == before + 1
    assert store.save_advisories(seeded, [changed, new], "github", NOW) == []
    assert revision(seeded) == before + 1
    rows = {row.ghsa_id: row for row in store.list_advisories(seeded)}
    assert (len(rows), rows[changed.ghsa_id].score, rows[changed.ghsa_id].source) == (4, 9.9, "github")


def test_what_a_source_leaves_out_stays(seeded: psycopg.Connection):
    bare = replace(KNOWN[0], cve_id="", severity="", score=None, published=None)
    assert store.save_advisories(seeded, [bare], "github", NOW) == []
    assert store.save_advisories(seeded, [], "github", NOW) == []
    assert len(store.list_advisories(seeded)) == 3


def test_an_override_replaces_the_ranges_and_is_shown_until_it_is_lifted(seeded: psycopg.Connection):
    catalogue, ghsa_id = packaged_catalogue(), KNOWN[0].ghsa_id
    inside, outside = parse_version("4.4.1"), parse_version("3.5.1")
    store.override_advisory(seeded, ghsa_id, ">= 4.4.0, < 4.4.3", NOW, "tested it")
    loaded = {one.ghsa_id: one for one in store.load_advisories(seeded, catalogue)}[ghsa_id]
    assert (loaded.covers(inside, catalogue), loaded.covers(outside, catalogue)) == (True, False)
    row = {row.ghsa_id: row for row in store.list_advisories(seeded)}[ghsa_id]
    assert (row.override_ranges, row.override_reason, row.ranges) == (">= 4.4.0, < 4.4.3", "tested it", KNOWN[0].ranges)
    assert store.lift_override(seeded, ghsa_id) is True
    assert {one.ghsa_id: one for one in store.load_advisories(seeded, catalogue)}[ghsa_id] == KNOWN[0]
    assert store.lift_override(seeded, ghsa_id) is False


def test_what_is_unknown_cannot_be_overridden(seeded: psycopg.Connection):
    with pytest.raises(store.UnknownAdvisory):
        store.override_advisory(seeded, "GHSA-none", "none", NOW)


def test_an_advisory_that_gets_an_id_of_its_own_stays_one_and_keeps_its_override(connection: psycopg.Connection):
    cve = KNOWN[0].cve_id
    store.save_advisories(connection, [replace(KNOWN[0], ghsa_id=cve)], "snapshot", NOW)
    store.override_advisory(connection, cve, "none", NOW)
    store.save_advisories(connection, [KNOWN[0]], "github", NOW)
    assert [(row.ghsa_id, row.override_ranges) for row in store.list_advisories(connection)] == [
        (KNOWN[0].ghsa_id, "none")
    ]


def test_each_advisory_shows_how_many_are_exposed(seeded: psycopg.Connection):
    exposed = Reading(MEANING, exposures=(Exposure(KNOWN[0].ghsa_id, "4.5.7", date(2026, 7, 1)),))
    looks = [ok(Domain(f"{letter}.example"), active_users=5) for letter in "ab"]
    crawl(seeded, *(Result(look.observation, look.appointment, exposed) for look in looks))
    touched = {row.ghsa_id: (row.instances, row.active_users) for row in store.list_advisories(seeded)}
    assert touched == {KNOWN[0].ghsa_id: (2, 10), KNOWN[1].ghsa_id: (0, 0), KNOWN[2].ghsa_id: (0, 0)}


def test_a_new_id_alone_is_a_change(connection: psycopg.Connection):
    # Exposures are stored by it.
    store.save_advisories(connection, [replace(KNOWN[0], ghsa_id=KNOWN[0].cve_id)], "snapshot", NOW)
    before = revision(connection)
    assert store.save_advisories(connection, [KNOWN[0]], "github", NOW) == [KNOWN[0].ghsa_id]
    assert revision(connection) == before + 1
    assert store.save_advisories(connection, [KNOWN[0]], "github", NOW) == []


def test_what_was_known_by_two_ids_becomes_one_and_loses_nothing(connection: psycopg.Connection):
    cve = KNOWN[0].cve_id
    bare = replace(KNOWN[0], cve_id="", severity="", score=None, published=None, ranges="", patched="")
    store.save_advisories(connection, [replace(KNOWN[0], ghsa_id=cve), bare], "snapshot", NOW)
    store.override_advisory(connection, cve, "none", NOW, "tried it")
    before = revision(connection)
    assert store.save_advisories(connection, [replace(bare, cve_id=cve)], "github", NOW) == [bare.ghsa_id]
    assert revision(connection) == before + 1
    (row,) = store.list_advisories(connection)
    assert (row.ghsa_id, row.cve_id, row.override_ranges, row.override_reason) == (
        bare.ghsa_id,
        cve,
        "none",
        "tried it",
    )
    known = KNOWN[0]
    assert (row.severity, row.score, row.published) == (known.severity, known.score, known.published)
    assert (row.ranges, row.patched) == (known.ranges, known.patched)


def test_of_two_overrides_that_of_its_own_id_stays(connection: psycopg.Connection):
    cve = KNOWN[0].cve_id
    store.save_advisories(connection, [replace(KNOWN[0], ghsa_id=cve, cve_id="")], "snapshot", NOW)
    store.save_advisories(connection, [replace(KNOWN[0], cve_id="")], "github", NOW)
    store.override_advisory(connection, cve, "none", NOW)
    store.override_advisory(connection, KNOWN[0].ghsa_id, "< 4.4.9", NOW)
    store.save_advisories(connection, [KNOWN[0]], "github", NOW)
    assert [(row.ghsa_id, row.override_ranges) for row in store.list_advisories(connection)] == [
        (KNOWN[0].ghsa_id, "< 4.4.9")
    ]
    assert column(connection, "SELECT count(*) FROM advisory_overrides") == [1]


@pytest.mark.parametrize("bare", [replace(KNOWN[0], ranges=""), replace(KNOWN[0], patched="")])
def test_ranges_and_fixed_versions_that_a_source_leaves_out_stay(seeded: psycopg.Connection, bare: Advisory):
    bare = replace(bare, title="Another title")
    assert store.save_advisories(seeded, [bare], "github", NOW) == [KNOWN[0].ghsa_id]
    (row,) = (row for row in store.list_advisories(seeded) if row.ghsa_id == KNOWN[0].ghsa_id)
    assert (row.title, row.ranges, row.patched) == ("Another title", KNOWN[0].ranges, KNOWN[0].patched)


def test_what_is_unclear_is_no_change_of_its_own(seeded: psycopg.Connection):
    assert store.save_advisories(seeded, [replace(KNOWN[0], ambiguous="of another day")], "github", NOW) == []


def test_what_is_unclear_follows_the_releases(connection: psycopg.Connection):
    prepare(connection, timedelta(days=3))
    store.mark_ambiguous(connection)

    def unclear() -> str:
        (found,) = (row.ambiguous for row in store.list_advisories(connection) if "qrgq" in row.ghsa_id)
        return found

    assert unclear() == "4.3.24 is no known release"
    before = column(connection, "SELECT xmin::text FROM advisories ORDER BY ghsa_id")
    store.mark_ambiguous(connection)
    assert column(connection, "SELECT xmin::text FROM advisories ORDER BY ghsa_id") == before
    number = revision(connection)
    save_releases(connection, [Release(parse_tag("4.3.24"), date(2026, 6, 3), True)], "github", NOW)
    store.mark_ambiguous(connection)
    assert unclear() == ""
    assert revision(connection) == number + 1


def test_an_override_that_nobody_can_read_leaves_what_is_published(
    seeded: psycopg.Connection, caplog: pytest.LogCaptureFixture
):
    store.override_advisory(seeded, KNOWN[0].ghsa_id, ">= nightly.2020-01-01", NOW)
    store.override_advisory(seeded, KNOWN[1].ghsa_id, "none", NOW)
    loaded = {one.ghsa_id: one for one in store.load_advisories(seeded, packaged_catalogue())}
    assert loaded[KNOWN[0].ghsa_id] == KNOWN[0]
    assert loaded[KNOWN[1].ghsa_id].affected.spans == ()
    assert [KNOWN[0].ghsa_id in record.getMessage() for record in caplog.records] == [True]


def test_what_is_withdrawn_goes_unless_somebody_has_spoken_for_it(seeded: psycopg.Connection):
    gone, overridden = KNOWN[0].ghsa_id, KNOWN[1].ghsa_id
    store.override_advisory(seeded, overridden, "< 4.4.9", NOW)
    before = revision(seeded)
    withdrawn = [gone, overridden, "GHSA-none"]
    assert store.save_advisories(seeded, [KNOWN[2]], "github", NOW, withdrawn) == [gone]
    assert revision(seeded) == before + 1
    assert {row.ghsa_id for row in store.list_advisories(seeded)} == {overridden, KNOWN[2].ghsa_id}
    assert store.save_advisories(seeded, [], "github", NOW, withdrawn) == []
