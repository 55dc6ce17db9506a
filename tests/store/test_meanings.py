"""What version strings mean follows the catalogue, the day and the parser; sightings are never touched."""

import threading
from datetime import date, timedelta

import psycopg
import pytest

from tests.store.builders import MEANING, NOW, claim, column, crawl, names, ok, start
from vmcrawl.catalogue import Support, packaged_catalogue
from vmcrawl.domain import Domain
from vmcrawl.exposure import Exposure, Reading
from vmcrawl.meaning import Meaning
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store import results
from vmcrawl.store.catalogue import changed, revision
from vmcrawl.store.connection import connect
from vmcrawl.store.meanings import needs_reclassify, reclassify
from vmcrawl.store.results import Result
from vmcrawl.store.snapshot import take_in

pytestmark = pytest.mark.usefixtures("_seeded")

A, B, C = Domain("a.example"), Domain("b.example"), Domain("c.example")
TODAY = date(2026, 8, 1)
EXPOSED = Exposure("GHSA-aaaa", "4.5.7", date(2026, 7, 1))
OPEN = Exposure("GHSA-bbbb")


@pytest.fixture
def _seeded(connection: psycopg.Connection) -> None:
    take_in(connection, TODAY, packaged_catalogue(), ())


def reading(*exposures: Exposure, support: Support = Support.LATEST, number: int = 1, day: date = TODAY) -> Reading:
    fix = date(2026, 7, 1) if exposures else None
    return Reading(Meaning("4.5.6", "4.5", "vanilla", support, not exposures, 1), day, number, fix, exposures)


def look(connection: psycopg.Connection, read: Reading, hours: int = 0, version: str = "4.5.6") -> None:
    good = ok(A, NOW + timedelta(hours=hours), version=version)
    crawl(connection, Result(good.observation, good.appointment, read))


def redo(connection: psycopg.Connection, read: Reading | None, number: int = 1, day: date = TODAY) -> int:
    return reclassify(connection, lambda *said: read, today=day, revision=number, parser=1)


def exposures(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT * FROM instance_advisories ORDER BY domain, ghsa_id").fetchall()


def test_a_crawl_writes_what_its_version_is_exposed_to(connection: psycopg.Connection):
    look(connection, reading(EXPOSED, OPEN))
    assert exposures(connection) == [
        (A, "GHSA-aaaa", "4.5.7", date(2026, 7, 1)),
        (A, "GHSA-bbbb", None, None),
    ]
    assert column(connection, "SELECT fix_available_on FROM instances") == [date(2026, 7, 1)]
    assert column(connection, "SELECT fix_available_on FROM public_instances") == [date(2026, 7, 1)]


def test_a_new_catalogue_corrects_past_and_present_without_touching_a_sighting(connection: psycopg.Connection):
    crawl(connection, ok(A), ok(B), ok(C, version="4.5.5"))
    before = connection.execute("SELECT xmin::text, * FROM sightings").fetchall()
    assert redo(connection, reading(EXPOSED, support=Support.EOL)) == 2
    assert column(connection, "SELECT support FROM instances") == ["eol"] * 3
    assert [row[0] for row in exposures(connection)] == [A, B, C]
    assert connection.execute("SELECT xmin::text, * FROM sightings").fetchall() == before
    assert redo(connection, reading(EXPOSED, support=Support.EOL)) == 0
    assert redo(connection, reading(number=2), 2) == 2
    assert exposures(connection) == []


def test_a_change_of_the_exposures_alone_is_a_change(connection: psycopg.Connection):
    look(connection, reading(EXPOSED))
    assert redo(connection, reading(EXPOSED, OPEN, number=2), 2) == 1
    assert [row[1] for row in exposures(connection)] == ["GHSA-aaaa", "GHSA-bbbb"]


def test_a_string_that_is_refused_now_loses_its_meaning(connection: psycopg.Connection):
    look(connection, reading(EXPOSED))
    assert redo(connection, None, 2) == 1
    assert connection.execute("SELECT version, release, patched FROM instances").fetchall() == [("4.5.6", None, None)]
    assert exposures(connection) == []
    assert redo(connection, reading(number=3), 3) == 1


def test_a_crawler_that_still_has_the_old_catalogue_or_day_turns_nothing_back(connection: psycopg.Connection):
    look(connection, reading())
    tomorrow = TODAY + timedelta(days=1)
    redo(connection, reading(EXPOSED, number=2, day=tomorrow), 2, tomorrow)
    look(connection, reading(), 1)
    look(connection, reading(number=2), 2)
    assert column(connection, "SELECT patched FROM instances") == [False]
    assert len(exposures(connection)) == 1
    look(connection, reading(number=2, day=tomorrow), 3)
    assert column(connection, "SELECT patched FROM instances") == [True]
    assert exposures(connection) == []


def test_strings_are_to_be_read_anew_when_the_catalogue_the_day_or_the_parser_has_changed(
    connection: psycopg.Connection,
):
    assert needs_reclassify(connection, TODAY, 1)
    redo(connection, None, revision(connection))
    assert not needs_reclassify(connection, TODAY, 1)
    assert needs_reclassify(connection, TODAY + timedelta(days=1), 1)
    assert needs_reclassify(connection, TODAY, 2)
    changed(connection)
    assert needs_reclassify(connection, TODAY, 1)


def test_each_string_is_read_with_what_distinguishes_it(connection: psycopg.Connection):
    crawl(connection, ok(A), ok(B, software="kmyblue", version="1.0", upstream_version="4.5.6"))
    asked: list[tuple[str, str, str | None]] = []

    def read(*said: str | None) -> Reading:
        asked.append(said)  # type: ignore[arg-type]  # three of them
        return Reading(MEANING)

    reclassify(connection, read, today=TODAY, revision=1, parser=1)
    assert sorted(asked, key=str) == [("kmyblue", "1.0", "4.5.6"), ("mastodon", "4.5.6", None)]


def test_many_instances_of_few_strings_are_few_rows(connection: psycopg.Connection):
    crawl(connection, *(ok(name, version=f"4.5.{index % 7}") for index, name in enumerate(names(700))))
    assert redo(connection, reading(EXPOSED), 1) == 7
    assert len(exposures(connection)) == 700


def test_strings_are_read_anew_while_crawls_come_in(connection: psycopg.Connection, database_url: str):
    domains = names(240)
    run = start(connection, domains)
    problems: list[Exception] = []

    def write(number: int) -> None:
        with connect(DatabaseSettings(url=database_url)) as own:
            try:
                while mine := claim(own, run, f"writer {number}", 20):
                    looks = [ok(c.domain, version=f"4.5.{(i * (number + 3)) % 17}") for i, c in enumerate(mine)]
                    batch = [Result(look.observation, look.appointment, reading(EXPOSED)) for look in looks]
                    results.record(own, batch, f"writer {number}")
            except psycopg.Error as error:
                problems.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    again = 1
    while any(writer.is_alive() for writer in writers):
        again += 1
        redo(connection, reading(OPEN, number=again), again)
    for writer in writers:
        writer.join(30)
    redo(connection, reading(OPEN, number=again + 1), again + 1)
    assert problems == []
    assert {row[1] for row in exposures(connection)} == {"GHSA-bbbb"}
    assert len(exposures(connection)) == 240


def test_what_is_written_with_knowledge_of_yesterday_is_read_anew(connection: psycopg.Connection):
    """A refresh in the middle of a run: a process that has not heard of it yet brings in a string nobody knew."""
    number = revision(connection)
    look(connection, reading(number=number))
    redo(connection, reading(number=number), number)
    assert not needs_reclassify(connection, TODAY, 1)
    changed(connection)
    redo(connection, reading(EXPOSED, number=number + 1), number + 1)
    assert not needs_reclassify(connection, TODAY, 1)
    look(connection, reading(number=number), hours=1)
    assert not needs_reclassify(connection, TODAY, 1), "the string was known: nothing was written"
    look(connection, reading(number=number), hours=2, version="4.5.6+new")
    assert needs_reclassify(connection, TODAY, 1)
    redo(connection, reading(EXPOSED, number=number + 1), number + 1)
    assert not needs_reclassify(connection, TODAY, 1)
    assert {row[1] for row in exposures(connection)} == {EXPOSED.ghsa_id}


def test_a_string_that_comes_in_while_a_refresh_is_read_waits_for_it(connection: psycopg.Connection, database_url: str):
    """Or it would be written after the others were read, with the old knowledge, and nobody would notice."""
    number = revision(connection)
    redo(connection, reading(number=number), number)
    with connect(DatabaseSettings(url=database_url)) as refreshing, refreshing.transaction():
        changed(refreshing)
        writer = threading.Thread(target=_look_from_elsewhere, args=(database_url, number))
        writer.start()
        writer.join(0.5)
        assert writer.is_alive()
    writer.join(30)
    assert needs_reclassify(connection, TODAY, 1)


def _look_from_elsewhere(database_url: str, number: int) -> None:
    with connect(DatabaseSettings(url=database_url)) as own:
        look(own, reading(number=number))
