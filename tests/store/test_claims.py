"""No domain is ever in two hands, and none is lost when a hand goes limp."""

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.store.builders import LEASE, NOW, claim, column, crawl, failed, names, ok, start
from vmcrawl.domain import Domain
from vmcrawl.exclusion import Exclusions
from vmcrawl.observation import LastLook, RobotsRecord
from vmcrawl.outcome import Outcome
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store import claims, exclusions, ledger, results
from vmcrawl.store.connection import connect
from vmcrawl.store.results import Result

_SPAWN = multiprocessing.get_context("spawn")
A, B, C = Domain("a.example"), Domain("b.example"), Domain("c.example")


def test_the_longest_due_comes_first_and_the_limit_holds(connection: psycopg.Connection):
    run = start(connection)
    for domain, hours in ((A, 1), (B, 3), (C, 2)):
        ledger.add_domains(connection, [domain], "test", NOW - timedelta(hours=hours))
    assert [c.domain for c in claim(connection, run, limit=2)] == [B, C]
    assert [c.domain for c in claim(connection, run)] == [A]


def test_a_claim_puts_off(connection: psycopg.Connection):
    run = start(connection, [A])
    claim(connection, run)
    assert column(connection, "SELECT due_at FROM domains") == [NOW + LEASE]
    assert column(connection, "SELECT leased_until FROM domains") == [NOW + LEASE]


def test_what_is_not_due_is_not_claimed(connection: psycopg.Connection):
    run = start(connection, [A], NOW + timedelta(seconds=1))
    assert claim(connection, run) == []


def test_a_domain_is_free_again_when_its_lease_ends(connection: psycopg.Connection):
    run = start(connection, [A])
    claim(connection, run, "one")
    assert claim(connection, run, "two", at=NOW + LEASE - timedelta(seconds=1)) == []
    assert [c.domain for c in claim(connection, run, "two", at=NOW + LEASE)] == [A]


def test_a_renewed_lease_holds_longer(connection: psycopg.Connection):
    run = start(connection, [A, B])
    claim(connection, run, "one")
    assert claims.renew(connection, "one", NOW + 2 * LEASE) == 2
    assert claim(connection, run, "two", at=NOW + LEASE) == []
    assert len(claim(connection, run, "two", at=NOW + 2 * LEASE)) == 2


def test_what_is_given_back_is_due_at_once(connection: psycopg.Connection):
    run = start(connection, [A, B, C])
    claim(connection, run, "one")
    assert claims.release(connection, "one", [A]) == 1
    later = datetime.now(UTC) + timedelta(seconds=60)
    assert [c.domain for c in claim(connection, run, "two", at=later)] == [A]
    assert claims.release(connection, "one") == 2
    assert {c.domain for c in claim(connection, run, "three", at=later)} == {B, C}


def test_the_domains_of_a_dead_process_are_crawled_apart(connection: psycopg.Connection):
    run = start(connection, [A, B, C])
    claim(connection, run, "dead", limit=2)
    assert [c.domain for c in claims.held_by(connection, "dead")] == [A, B]
    assert claims.release_dead(connection, "dead") == 2
    later = datetime.now(UTC) + timedelta(seconds=60)
    assert claims.count_due(connection, later) == 1
    assert claims.count_due(connection, later, suspects=True) == 2
    assert [c.domain for c in claim(connection, run, at=later)] == [C]
    assert [c.domain for c in claim(connection, run, at=later, suspects=True)] == [A, B]
    results.record(connection, [ok(A)], "me")
    assert column(connection, "SELECT domain FROM domains WHERE suspect") == [B]


def test_who_asked_us_to_stay_away_is_left_alone_although_due(connection: psycopg.Connection):
    run = start(connection, [A, B])
    connection.execute("UPDATE domains SET retry_after_until = %s WHERE domain = %s", [NOW + LEASE, A])
    assert claims.count_due(connection, NOW) == 1
    assert [c.domain for c in claim(connection, run)] == [B]
    assert [c.domain for c in claim(connection, run, at=NOW + LEASE)] == [A, B]


def test_nothing_that_fell_due_after_the_run_began_is_claimed_by_it(connection: psycopg.Connection):
    run = start(connection, [A])
    ledger.add_domains(connection, [B], "test", NOW + timedelta(minutes=1))
    later = NOW + timedelta(hours=1)
    claimed = claims.claim(connection, "me", 10, later, LEASE, run_id=run, due_before=NOW)
    assert [c.domain for c in claimed] == [A]


def trusted(domain: Domain, until: datetime, **changes: object) -> Result:
    """A good look that need not be confirmed before a moment."""
    look = ok(domain, NOW, **changes)
    return Result(look.observation, replace(look.appointment, trusted_until=until), look.reading)


def test_a_claim_brings_the_last_look_while_it_is_trusted(connection: psycopg.Connection):
    until = NOW + timedelta(hours=20)
    crawl(connection, trusted(A, until, validator='"x"', upstream_version="4.5.6"), ok(B))
    run = start(connection)
    early, late = NOW + timedelta(hours=19), NOW + timedelta(hours=20)
    first, second = sorted(claim(connection, run, at=early), key=lambda c: c.domain)
    url = "https://a.example/nodeinfo/2.0"
    assert first.last == LastLook(url, '"x"', "mastodon", "4.5.6", "4.5.6", 16, until)
    assert second.last is None
    assert [c.last for c in claim(connection, run, at=late)] == [None, None]


def test_whatever_is_no_good_look_ends_the_trust_and_a_missing_validator_does_not_forget_the_last(
    connection: psycopg.Connection,
):
    until = NOW + timedelta(hours=20)
    crawl(connection, trusted(A, until, validator='"x"'))
    later = NOW + timedelta(hours=3)
    crawl(connection, failed(A, Outcome.TIMEOUT, later))
    kept = "SELECT nodeinfo_validator FROM domains WHERE trusted_until IS NULL"
    assert column(connection, kept) == ['"x"']
    crawl(connection, ok(A, later + timedelta(hours=3), validator=""))
    assert column(connection, kept) == [""]


def test_a_claim_brings_along_what_the_last_crawl_learned(connection: psycopg.Connection):
    robots = (
        RobotsRecord("a.example", NOW, "own"),
        RobotsRecord("backend.example", NOW, "backend"),
        RobotsRecord("other.example", NOW, "other"),
    )
    crawl(connection, ok(A, nodeinfo_url="https://backend.example/nodeinfo/2.0", robots=robots))
    crawl(connection, failed(B, Outcome.TIMEOUT))
    young, old = NOW + timedelta(hours=23), NOW + timedelta(hours=25)
    run = start(connection)
    first, second = sorted(claim(connection, run, at=young), key=lambda c: c.domain)
    assert first == claims.Claim(A, 0, None, robots[:2])
    assert second == claims.Claim(B, 2, None, ())
    assert [c.robots for c in claim(connection, run, at=old)] == [(), ()]


def test_exclusions_and_hard_entries_are_read_together(connection: psycopg.Connection):
    exclusions.exclude(connection, [A], NOW)
    exclusions.exclude(connection, [B], NOW, subdomains=True)
    connection.execute(
        "INSERT INTO dni VALUES ('hard.example', 'hard', '', 'manual', now()),"
        " ('soft.example', 'soft', '', 'import', now())"
    )
    assert claims.load_exclusions(connection) == Exclusions(frozenset({A}), frozenset({B, "hard.example"}))


@pytest.mark.parametrize(("kind", "number"), [(threading.Thread, 8), (_SPAWN.Process, 4)], ids=["threads", "processes"])
def test_concurrent_claimers_get_each_of_two_thousand_domains_exactly_once(
    connection: psycopg.Connection, database_url: str, kind: Callable[..., threading.Thread], number: int
):
    run = start(connection, names(2000))
    connection.execute("CREATE TABLE notes (note text)")
    takers = [kind(target=_take_all, args=(database_url, run, f"taker {index}")) for index in range(number)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join(60)
    taken = column(connection, "SELECT note FROM notes")
    assert Counter(taken) == Counter(names(2000))


def _take_all(url: str, run: int, holder: str) -> None:
    with connect(DatabaseSettings(url=url)) as connection:
        while batch := claim(connection, run, holder, 25):
            connection.execute("INSERT INTO notes SELECT unnest(%s::text[])", [[c.domain for c in batch]])
