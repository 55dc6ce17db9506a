"""Runs that are told what to crawl, alone and beside each other."""

from datetime import timedelta

import psycopg
import pytest

from tests.store.builders import LEASE, NOW, claim, column, failed, names, ok, start
from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome
from vmcrawl.schedule import Appointment
from vmcrawl.store import ledger, results, runs
from vmcrawl.store.results import Result
from vmcrawl.store.runs import RunStatus
from vmcrawl.store.wants import want, want_all, want_due

A, B, C = Domain("a.example"), Domain("b.example"), Domain("c.example")
LATER = NOW + timedelta(minutes=1)


def test_a_named_domain_is_due_whatever_its_time_and_an_unknown_one_joins_the_ledger(connection: psycopg.Connection):
    run = start(connection, [A], NOW + timedelta(days=30))
    ledger.add_domains(connection, [C], "test", NOW)
    assert want(connection, run, [B, A, A], NOW, source="list") == 2
    assert [c.domain for c in claim(connection, run, named=True)] == [A, B]
    assert column(connection, "SELECT source FROM domains ORDER BY domain") == ["test", "list", "test"]


def test_a_run_that_was_given_domains_claims_no_others(connection: psycopg.Connection):
    run = start(connection, [A, B])
    want(connection, run, [B], NOW)
    assert [c.domain for c in claim(connection, run, named=True)] == [B]
    assert claim(connection, run, named=True) == []
    assert [c.domain for c in claim(connection, run)] == [A]


def test_two_runs_that_are_given_the_same_list_share_no_domain(connection: psycopg.Connection):
    first = start(connection)
    want(connection, first, names(9), NOW)
    in_flight = claim(connection, first, "first", 3, named=True)
    written = claim(connection, first, "first", 3, named=True)
    results.record(connection, [ok(c.domain, LATER) for c in written], "first")
    runs.heartbeat(connection, first, LATER, {})
    second = runs.start_run(connection, LATER, "test")
    assert want(connection, second, names(9), LATER + timedelta(seconds=1)) == 3
    moved = claim(connection, second, "second", 9, at=LATER + timedelta(seconds=1), named=True)
    assert claim(connection, first, "first", 9, at=LATER + timedelta(seconds=1), named=True) == []
    everybody = [c.domain for c in (*in_flight, *written, *moved)]
    assert sorted(everybody) == names(9)


def test_what_a_finished_run_crawled_may_be_crawled_again(connection: psycopg.Connection):
    first = start(connection)
    want(connection, first, [A], NOW)
    claim(connection, first)
    results.record(connection, [ok(A)], "me")
    second = runs.start_run(connection, LATER, "test")
    assert want(connection, second, [A], LATER) == 0
    runs.finish_run(connection, first, LATER, RunStatus.SUCCESS, {"ok": 1})
    assert want(connection, second, [A], LATER) == 1


def test_what_a_dead_run_crawled_may_be_crawled_again(connection: psycopg.Connection):
    first = start(connection)
    want(connection, first, [A], NOW)
    claim(connection, first)
    results.record(connection, [ok(A)], "me")
    much_later = NOW + timedelta(minutes=3)
    assert want(connection, runs.start_run(connection, much_later), [A], much_later) == 1


def test_a_429_is_obeyed_even_when_the_domain_is_named(connection: psycopg.Connection):
    run = start(connection, [A])
    claim(connection, run)
    until = NOW + timedelta(hours=1)
    refused = Result(failed(A, Outcome.RATE_LIMITED).observation, Appointment(until, 0, until))
    results.record(connection, [refused], "me")
    runs.finish_run(connection, run, NOW, RunStatus.SUCCESS, {})
    again = runs.start_run(connection, LATER)
    assert want(connection, again, [A], LATER) == 0
    assert want_all(connection, again, LATER) == 0
    assert want(connection, again, [A], until) == 1


@pytest.mark.parametrize("limit", [None, 100])
def test_everything_is_all_but_those_who_refused_before_their_time_has_come(
    connection: psycopg.Connection, limit: int | None
):
    refusals = {Outcome.OPTED_OUT, Outcome.EXCLUDED, Outcome.ROBOTS_DISALLOWED}
    domain_of = {outcome: Domain(f"{outcome.replace('_', '-')}.example") for outcome in Outcome}
    run = start(connection, [*domain_of.values(), Domain("new.example")])
    for outcome, domain in domain_of.items():
        connection.execute(
            "UPDATE domains SET outcome = %s, due_at = %s WHERE domain = %s", [outcome, NOW + LEASE, domain]
        )
    assert want_all(connection, run, NOW, limit) == len(Outcome) - 3 + 1
    left = column(connection, "SELECT domain FROM domains WHERE wanted_by IS NULL")
    assert sorted(map(str, left)) == sorted(domain_of[outcome] for outcome in refusals)
    assert want_all(connection, run, NOW + LEASE, limit) == len(Outcome) + 1


def test_everything_is_marked_page_by_page(connection: psycopg.Connection):
    run = start(connection, names(12_345))
    assert want_all(connection, run, NOW) == 12_345


def test_a_limit_takes_those_that_have_waited_longest(connection: psycopg.Connection):
    run = start(connection)
    for domain, hours in ((A, 1), (B, 3), (C, -1)):
        ledger.add_domains(connection, [domain], "test", NOW - timedelta(hours=hours))
    assert want_due(connection, run, NOW, 1) == 1
    assert [c.domain for c in claim(connection, run, named=True)] == [B]
    assert want_due(connection, run, NOW, 5) == 1
    assert want_all(connection, run, NOW, 1) == 1
