"""Who is published and who is listed."""

from datetime import timedelta

import psycopg

from tests.store.builders import NOW, column, crawl, names, ok, start
from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome
from vmcrawl.store import exclusions
from vmcrawl.store.adoption import VersionCount, version_counts
from vmcrawl.store.exclusions import Lifted
from vmcrawl.store.migrations import prepare
from vmcrawl.store.show import Cover, show
from vmcrawl.store.standing import ledger as ledger_parts

A, B = Domain("a.example"), Domain("b.example")


def test_the_relations_have_the_columns_that_others_rely_on(connection: psycopg.Connection):
    promised = {
        "domains": "domain outcome detail alias_of source failures due_at leased_until last_crawled_at",
        "instances": "domain software fork version release branch support patched active_users"
        " first_seen_at last_seen_at",
        "public_instances": "domain software fork version release branch support patched active_users"
        " first_seen_at last_seen_at",
        "runs": "id started_at finished_at status planned crawled",
        "dni": "domain",
        "exclusions": "domain",
        "version_changes": "domain from_version to_version observed_at",
        "adoption_history": "at branch version instances active_users patched",
        "releases": "release branch released_on security",
        "branches": "branch support supported_until support_source latest_release",
        "advisories": "ghsa_id cve_id severity published ranges patched",
    }
    for relation, columns in promised.items():
        there = column(
            connection, "SELECT column_name::text FROM information_schema.columns WHERE table_name = %s", relation
        )
        assert set(columns.split()) <= set(there), relation


def test_an_instance_is_published_while_its_last_good_look_is_within_the_retention(connection: psycopg.Connection):
    crawl(connection, ok(A, NOW - timedelta(days=2)), ok(B, NOW - timedelta(days=4)))
    assert column(connection, "SELECT domain FROM instances") == [A]
    prepare(connection, timedelta(days=5))
    assert column(connection, "SELECT domain FROM instances ORDER BY domain") == [A, B]
    prepare(connection, timedelta(days=1))
    assert column(connection, "SELECT domain FROM instances") == []


def test_an_entry_of_the_dni_list_covers_itself_and_everything_below_but_no_look_alike(connection: psycopg.Connection):
    listed = ["example.org", "notexample.com", "example.com.evil.example", "com.example", "b.example"]
    covered = ["example.com", "www.example.com", "a.b.c.d.e.f.g.h.example.com", "soft.example", "x.soft.example"]
    crawl(connection, *(ok(Domain(domain)) for domain in listed + covered))
    connection.execute(
        "INSERT INTO dni (domain, severity, source, added_at) VALUES"
        " ('example.com', 'soft', 'import', now()), ('soft.example', 'soft', 'manual', now())"
    )
    assert sorted(map(str, column(connection, "SELECT domain FROM public_instances"))) == sorted(listed)
    assert column(connection, "SELECT count(*) FROM instances") == [len(listed + covered)]


def test_a_hard_entry_keeps_even_a_good_look_from_being_published(connection: psycopg.Connection):
    connection.execute("INSERT INTO dni VALUES ('example', 'hard', '', 'manual', now())")
    crawl(connection, ok(A))
    assert column(connection, "SELECT domain FROM instances") == []


def test_an_exclusion_takes_the_row_down_at_once_and_lifting_it_makes_the_domain_due(connection: psycopg.Connection):
    below = Domain("x.a.example")
    crawl(connection, ok(A), ok(below), ok(B))
    assert exclusions.exclude(connection, [A], NOW, reason="asked by mail").taken_down == 1
    assert column(connection, "SELECT domain FROM instances ORDER BY domain") == [B, below]
    assert exclusions.exclude(connection, [A], NOW, subdomains=True).taken_down == 1
    assert column(connection, "SELECT domain FROM instances") == [B]
    assert connection.execute("SELECT domain, subdomains FROM exclusions").fetchall() == [(A, True)]
    connection.execute("UPDATE domains SET outcome = 'excluded' WHERE domain IN ('a.example', 'x.a.example')")
    assert exclusions.include(connection, [A], NOW) == Lifted((A,), freed=2)
    assert column(connection, "SELECT domain FROM domains WHERE due_at = %s ORDER BY 1", NOW) == [A, below]
    assert exclusions.include(connection, [A], NOW) == Lifted()


def test_show_knows_nothing_of_a_stranger(connection: psycopg.Connection):
    assert show(connection, A) is None


def test_show_gives_the_facts_from_which_publication_follows(connection: psycopg.Connection):
    crawl(connection, ok(A))
    connection.execute("INSERT INTO dni VALUES ('example', 'soft', 'why', 'import', now())")
    known = show(connection, A)
    assert known is not None
    assert (known.published, known.listed, known.retention) == (True, False, timedelta(days=3))
    assert known.covers == [Cover("soft", Domain("example"), "why")]
    exclusions.exclude(connection, [A], NOW, reason="mail")
    known = show(connection, A)
    assert known is not None
    assert (known.published, known.sighting) == (False, None)
    assert known.covers == [Cover("exclusion", A, "mail"), Cover("soft", Domain("example"), "why")]


def test_the_ledger_and_the_counts_add_up(connection: psycopg.Connection):
    crawl(connection, ok(A, active_users=10), ok(B, active_users=5), ok(Domain("c.example"), software="hometown"))
    start(connection, names(2), NOW + timedelta(minutes=1))
    good, new = ledger_parts(connection, NOW)
    assert (good.outcome, good.domains, good.due, good.leased, good.suspects) == (Outcome.OK, 3, 0, 0, 0)
    assert (new.outcome, new.domains, new.due, new.next_due_at) == (None, 2, 0, NOW + timedelta(minutes=1))
    assert ledger_parts(connection, NOW + timedelta(minutes=1))[1].due == 2
    assert version_counts(connection) == [VersionCount("4.5", "latest", "mastodon", "4.5.6", True, 3, 31)]
