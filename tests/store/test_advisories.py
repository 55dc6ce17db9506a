"""Advisories go into the database and come out again; what GitHub and people say of them changes them."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from tests.store.builders import MEANING, column, crawl, ok
from vmcrawl.advisory import packaged_advisories
from vmcrawl.catalogue import packaged_catalogue
from vmcrawl.domain import Domain
from vmcrawl.exposure import Exposure, Reading
from vmcrawl.store import advisories as store
from vmcrawl.store.catalogue import revision
from vmcrawl.store.migrations import prepare
from vmcrawl.store.results import Result
from vmcrawl.version import parse_version

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
