"""What a batch of results leaves behind, whatever is in it and however often it comes."""

import threading
from datetime import timedelta

import psycopg
import pytest

from tests.store.builders import LEASE, MEANING, NOW, claim, column, crawl, failed, names, ok, start
from vmcrawl.catalogue import Support
from vmcrawl.domain import Domain
from vmcrawl.exposure import Reading
from vmcrawl.observation import RobotsRecord
from vmcrawl.outcome import REMOVES_PUBLISHED, Outcome
from vmcrawl.schedule import Appointment
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store import exclusions, results
from vmcrawl.store.connection import connect
from vmcrawl.store.results import Recorded, Result
from vmcrawl.store.show import show

A, B, C = Domain("a.example"), Domain("b.example"), Domain("c.example")


def test_a_good_look_is_written_everywhere(connection: psycopg.Connection):
    assert crawl(connection, ok(A, upstream_version="4.5.6")) == Recorded({"ok": 1})
    known = show(connection, A)
    assert known is not None
    assert known.sighting is not None
    assert (known.row.outcome, known.row.failures, known.row.due_at) == ("ok", 0, NOW + timedelta(hours=3))
    assert (known.row.leased_until, known.row.lease_holder, known.row.wanted_by) == (None, None, None)
    assert (known.row.last_crawled_at, known.row.nodeinfo_url) == (NOW, "https://a.example/nodeinfo/2.0")
    assert (known.sighting.software, known.sighting.version, known.sighting.upstream_version) == (
        "mastodon",
        "4.5.6",
        "4.5.6",
    )
    assert (known.sighting.release, known.sighting.branch, known.sighting.support) == ("4.5.6", "4.5", "latest")
    assert (known.sighting.active_users, known.sighting.first_seen_at, known.sighting.last_seen_at) == (16, NOW, NOW)


def test_a_failure_is_written_with_its_detail_and_keeps_what_is_known(connection: psycopg.Connection):
    crawl(connection, ok(A))
    later = NOW + timedelta(hours=3)
    crawl(connection, failed(A, Outcome.TIMEOUT, later))
    known = show(connection, A)
    assert known is not None
    assert (known.row.outcome, known.row.detail, known.row.failures) == ("timeout", "as the test wants it", 2)
    assert known.row.nodeinfo_url == "https://a.example/nodeinfo/2.0"


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.OK])
def test_a_published_row_goes_at_once_or_stays(connection: psycopg.Connection, outcome: Outcome):
    crawl(connection, ok(A), ok(B))
    crawl(connection, failed(A, outcome, NOW + timedelta(minutes=9)))
    left = column(connection, "SELECT domain FROM instances ORDER BY domain")
    assert left == ([B] if outcome in REMOVES_PUBLISHED else [A, B])


def test_the_first_sight_stays_and_the_last_moves_on(connection: psycopg.Connection):
    crawl(connection, ok(A))
    later = NOW + timedelta(hours=3)
    crawl(connection, ok(A, later, version="4.5.7", active_users=0))
    row = connection.execute("SELECT first_seen_at, last_seen_at, version, active_users FROM instances").fetchone()
    assert row == (NOW, later, "4.5.7", 0)


def test_a_confirmed_alias_brings_the_other_name_into_the_ledger(connection: psycopg.Connection):
    crawl(connection, failed(A, Outcome.ALIAS, alias_of=B), failed(C, Outcome.ALIAS_UNVERIFIED, alias_of="d.example"))
    rows = connection.execute("SELECT domain, source, alias_of FROM domains ORDER BY domain").fetchall()
    assert rows == [(A, "test", B), (B, "alias", None), (C, "test", None)]


def test_the_same_batch_again_changes_nothing_and_counts_the_same(connection: psycopg.Connection):
    batch = [ok(A), failed(B, Outcome.DNS_NOT_FOUND)]
    first = crawl(connection, *batch)
    before = connection.execute("SELECT * FROM domains ORDER BY domain").fetchall()
    assert results.record(connection, batch, "me") == first == Recorded({"ok": 1, "dns_not_found": 1})
    assert connection.execute("SELECT * FROM domains ORDER BY domain").fetchall() == before


def test_a_result_whose_lease_is_lost_is_dropped(connection: psycopg.Connection):
    run = start(connection, [A, B])
    claim(connection, run, "slow")
    claim(connection, run, "quick", at=NOW + LEASE)
    assert results.record(connection, [ok(A), ok(B)], "slow") == Recorded({}, lost=2)
    assert column(connection, "SELECT count(*) FROM instances") == [0]
    assert results.record(connection, [ok(A)], "quick") == Recorded({"ok": 1})


def test_an_empty_batch_is_nothing(connection: psycopg.Connection):
    assert results.record(connection, [], "me") == Recorded()


@pytest.mark.parametrize(
    "poison",
    [
        {"version": "4.5.6\x00"},
        {"version": "4.5.6\ud800"},
        {"software": "\udfff"},
        {"detail": "NUL \x00"},
        {"active_users": 2**31},
        {"active_users": 2**63},
        {"active_users": 10**30},
        {"active_users": -1},
        {"active_users": None},
        {"version": None},
        {"version": "".join(map(chr, range(0x4E00, 0x6E00)))},
        {"nodeinfo_url": "https://a.example/\x00"},
        {"robots": (RobotsRecord("a.example", NOW, "Disallow: /\x00"),)},
    ],
    ids=lambda poison: ascii(poison)[:40],
)
def test_a_row_that_cannot_be_stored_costs_only_itself(connection: psycopg.Connection, poison: dict[str, object]):
    domains = names(20)
    batch = [ok(domain, NOW, **(poison if domain == domains[7] else {})) for domain in domains]
    assert crawl(connection, *batch) == Recorded({"ok": 19, "internal_error": 1}, spoiled=1)
    assert column(connection, "SELECT count(*) FROM instances") == [19]
    known = show(connection, domains[7])
    assert known is not None
    assert (known.row.outcome, known.row.failures, known.row.lease_holder) == ("internal_error", 1, None)
    assert "cannot be stored" in (known.row.detail or "")


def test_a_count_of_failures_out_of_range_is_no_reason_to_lose_the_row(connection: psycopg.Connection):
    broken = Result(ok(A).observation, Appointment(NOW, 2**40), Reading(MEANING))
    assert crawl(connection, broken, ok(B)) == Recorded({"ok": 1, "internal_error": 1}, spoiled=1)


def test_a_name_that_cannot_be_stored_costs_only_itself(connection: psycopg.Connection):
    run = start(connection, [A])
    claim(connection, run)
    assert results.record(connection, [ok(A), ok(Domain("\x00.example"))], "me") == Recorded({"ok": 1}, lost=1)


def test_a_batch_of_nothing_but_poison_is_written(connection: psycopg.Connection):
    batch = [ok(domain, version="\x00") for domain in names(40)]
    assert crawl(connection, *batch) == Recorded({"internal_error": 40}, spoiled=40)


def test_hostile_text_is_only_text(connection: psycopg.Connection):
    text = '\'; DROP TABLE domains; -- %s %(x)s \\ {"a",NULL} $1'
    crawl(connection, ok(A, version=text, nodeinfo_url=text), failed(B, Outcome.BAD_JSON))
    assert column(connection, "SELECT version FROM instances") == [text]
    assert column(connection, "SELECT nodeinfo_url FROM domains ORDER BY domain") == [text, None]


def test_each_distinct_version_is_kept_once(connection: psycopg.Connection):
    crawl(connection, ok(A), ok(B), ok(C, upstream_version="4.5.6"))
    later = NOW + timedelta(hours=3)
    crawl(connection, ok(A, later), ok(B, later, software="hometown"))
    assert column(connection, "SELECT count(*) FROM versions") == [3]


def test_a_newer_meaning_replaces_an_older_one_but_not_the_other_way_round(connection: psycopg.Connection):
    def look(support: Support, parser: int, hours: int) -> None:
        meaning = type(MEANING)("4.5.6", "4.5", "mastodon", support, None, parser)
        good = ok(A, NOW + timedelta(hours=hours))
        crawl(connection, Result(good.observation, good.appointment, Reading(meaning)))

    look(Support.LATEST, 2, 0)
    look(Support.PREVIOUS, 2, 3)
    assert column(connection, "SELECT support FROM instances") == ["previous"]
    look(Support.EOL, 1, 6)
    assert column(connection, "SELECT support FROM instances") == ["previous"]


def test_a_sighting_that_changes_nothing_is_a_hot_update(connection: psycopg.Connection):
    if connection.info.server_version < 150000:
        pytest.skip("before Postgres 15 the counters come late")
    crawl(connection, ok(A))
    crawl(connection, ok(A, NOW + timedelta(hours=3)))
    connection.execute("SELECT pg_stat_force_next_flush()")
    hot = "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'sightings'"
    assert column(connection, hot) == [1]


def test_robots_records_are_kept_by_host_and_never_turned_back(connection: psycopg.Connection):
    def rules(*records: tuple[int, str]) -> tuple[RobotsRecord, ...]:
        return tuple(RobotsRecord("shared.example", NOW + timedelta(minutes=at), text) for at, text in records)

    crawl(connection, ok(A, robots=rules((2, "second"))), ok(B, robots=rules((1, "first"), (0, "zeroth"))))
    assert column(connection, "SELECT rules FROM robots") == ["second"]
    crawl(connection, ok(C, robots=rules((1, "late"))))
    assert column(connection, "SELECT rules FROM robots") == ["second"]


def test_what_was_excluded_while_its_crawl_was_in_flight_is_not_published(connection: psycopg.Connection):
    run = start(connection, [A, B])
    claim(connection, run)
    exclusions.exclude(connection, [A], NOW)
    results.record(connection, [ok(A), ok(B)], "me")
    assert column(connection, "SELECT domain FROM instances") == [B]


def test_many_writers_of_the_same_strings_do_not_block_each_other_for_good(
    connection: psycopg.Connection, database_url: str
):
    domains = names(400)
    run = start(connection, domains)
    problems: list[Exception] = []

    def write(number: int) -> None:
        holder = f"writer {number}"
        with connect(DatabaseSettings(url=database_url)) as own:
            try:
                while mine := claim(own, run, holder, 20):
                    batch = [
                        ok(
                            c.domain,
                            version=f"4.5.{(index * (number + 3)) % 17}" + ("\x00" if index == 11 else ""),
                            robots=(RobotsRecord(f"host{(index * (number + 5)) % 13}.example", NOW, holder),),
                        )
                        for index, c in enumerate(mine)
                    ]
                    results.record(own, batch, holder)
            except psycopg.Error as error:
                problems.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert problems == []
    assert column(connection, "SELECT count(*) FROM domains WHERE outcome IS NULL OR lease_holder IS NOT NULL") == [0]
