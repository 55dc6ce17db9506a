"""Whom never to ask: what an exclusion does at once, what it keeps, and what lifts it."""

from datetime import timedelta

import psycopg

from tests.store.builders import NOW, column, crawl, failed, names, ok
from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome
from vmcrawl.store import claims, exclusions, opt_outs
from vmcrawl.store.exclusions import Effect, Exclusion, Lifted

A, B, BELOW = Domain("a.example"), Domain("b.example"), Domain("x.a.example")
LATER = NOW + timedelta(hours=1)


def test_several_are_excluded_at_once_and_a_second_time_changes_nothing(connection: psycopg.Connection):
    crawl(connection, ok(A), ok(B), ok(BELOW))
    both = [B, A, A]
    assert exclusions.exclude(connection, both, NOW, reason="why", dry_run=True) == Effect(2, 2)
    assert exclusions.list_page(connection) == []
    assert exclusions.exclude(connection, both, NOW, reason="why") == Effect(2, 2)
    assert exclusions.exclude(connection, both, LATER, reason="why") == Effect()
    assert column(connection, "SELECT domain FROM instances") == [BELOW]
    assert exclusions.list_page(connection) == [Exclusion(name, False, False, "why", NOW) for name in (A, B)]
    assert exclusions.list_page(connection, after=A, size=5) == [Exclusion(B, False, False, "why", NOW)]


def test_an_exclusion_only_ever_grows_and_keeps_its_reason_and_day(connection: psycopg.Connection):
    exclusions.exclude(connection, [A], NOW, subdomains=True, reason="a farm")
    assert exclusions.exclude(connection, [A], LATER, requested=True) == Effect(1, 0)
    assert exclusions.exclude(connection, [A], LATER) == Effect()
    assert exclusions.list_page(connection) == [Exclusion(A, True, True, "a farm", NOW)]
    exclusions.exclude(connection, [A], LATER, reason="they wrote")
    assert exclusions.list_page(connection, requested=True) == [Exclusion(A, True, True, "they wrote", NOW)]
    assert exclusions.list_page(connection, requested=False) == []


def test_what_somebody_asked_for_is_not_lifted_by_accident(connection: psycopg.Connection):
    crawl(connection, ok(A), ok(B))
    exclusions.exclude(connection, [A], NOW, requested=True)
    exclusions.exclude(connection, [B], NOW)
    connection.execute("UPDATE domains SET outcome = 'excluded'")
    assert exclusions.include(connection, [A, B], NOW, dry_run=True) == Lifted((B,), (A,), 1)
    assert exclusions.include(connection, [A, B], NOW) == Lifted((B,), (A,), 1)
    assert exclusions.include(connection, [A, B], NOW, requested=True) == Lifted((A,), (), 1)
    assert exclusions.list_page(connection) == []


def test_what_is_covered_otherwise_stays_as_it_is(connection: psycopg.Connection):
    crawl(connection, ok(A), ok(BELOW))
    exclusions.exclude(connection, [A], NOW, subdomains=True)
    exclusions.exclude(connection, [BELOW], NOW)
    connection.execute("UPDATE domains SET outcome = 'excluded'")
    assert exclusions.include(connection, [BELOW], NOW) == Lifted((BELOW,), (), 0)
    assert exclusions.refusal_of(connection, BELOW) == "exclusion of a.example"
    assert exclusions.refusal_of(connection, B) is None
    assert claims.load_exclusions(connection).covers("y.x.a.example")


def test_the_past_is_not_rewritten(connection: psycopg.Connection):
    crawl(connection, ok(A), ok(B))
    connection.execute(
        "INSERT INTO adoption_history (at, run_id, branch, version, instances, active_users)"
        " VALUES (now(), 1, '4.5', '4.5.6', 2, 32)"
    )
    exclusions.exclude(connection, [A], NOW, requested=True)
    assert column(connection, "SELECT sum(instances) FROM adoption") == [1]
    assert column(connection, "SELECT domain FROM public_instances") == [B]
    assert column(connection, "SELECT instances FROM adoption_history") == [2]


def test_opt_outs_of_all_kinds_are_listed_once_each_page_by_page(connection: psycopg.Connection):
    shut, gone = Domain("d.example"), Domain("c.example")
    crawl(connection, failed(shut, Outcome.ROBOTS_DISALLOWED), failed(gone, Outcome.OPTED_OUT), ok(A), ok(B))
    exclusions.exclude(connection, [A, shut], NOW, requested=True, reason="by mail", subdomains=True)
    exclusions.exclude(connection, [B], NOW)
    connection.execute("INSERT INTO dni VALUES ('c.example', 'soft', '', 'manual', now())")
    rows = opt_outs.list_page(connection)
    assert [(row.domain, row.how, row.subdomains, row.again_at is None, row.dni) for row in rows] == [
        (A, "request", True, True, None),
        (B, "exclusion", False, True, None),
        (gone, "status", False, False, "soft"),
        (shut, "request", True, True, None),
        (shut, "robots.txt", False, True, None),
    ]
    assert rows[2].again_at == NOW + timedelta(hours=2)
    paged = opt_outs.list_page(connection, size=4)
    paged += opt_outs.list_page(connection, after=(paged[-1].domain, paged[-1].how), size=4)
    assert paged == rows
    assert [row.domain for row in opt_outs.list_page(connection, how="status")] == [gone]


def test_a_long_list_is_excluded_and_included(connection: psycopg.Connection):
    many = names(5_000)
    assert exclusions.exclude(connection, many, NOW).changed == 5_000
    assert len(exclusions.include(connection, many, NOW).domains) == 5_000
