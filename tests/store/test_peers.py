"""Who is asked for peers when, by whom, and how many of the names enter the ledger."""

import threading
from datetime import timedelta

import psycopg
import pytest

from tests.store.builders import NOW, claim, column, crawl, failed, ok, start
from vmcrawl.asking import Ending, turnaround
from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome
from vmcrawl.peers import Name
from vmcrawl.settings import DatabaseSettings, DiscoverySettings
from vmcrawl.store import peers
from vmcrawl.store.connection import connect
from vmcrawl.store.ledger import add_domains
from vmcrawl.store.peers import Added, Asking

A, B, C = Domain("a.example"), Domain("b.example"), Domain("c.example")
TURNS = turnaround(DiscoverySettings(), NOW)
UNTIL = NOW + timedelta(minutes=2)


def later(days: float):
    return turnaround(DiscoverySettings(), NOW + timedelta(days=days))


def under(owner: str, *labels: object) -> list[Name]:
    return [Name(Domain(f"{label}.{owner}"), Domain(owner)) for label in labels]


def add(connection: psycopg.Connection, names: list[Name], names_per_domain: int = 25, at_most: int = 1000) -> Added:
    spread = timedelta(days=1)
    return peers.add(connection, names, NOW, names_per_domain=names_per_domain, at_most=at_most, spread=spread)


def publish(connection: psycopg.Connection, **users: int) -> None:
    crawl(connection, *(ok(Domain(f"{name}.example"), active_users=number) for name, number in users.items()))


def test_the_largest_of_those_that_were_never_asked_come_first(connection: psycopg.Connection):
    publish(connection, a=10, b=1000, c=100)
    assert peers.choose(connection, NOW, 10, TURNS) == [B, C, A]
    assert peers.choose(connection, NOW, 1, TURNS) == [B]
    peers.claim(connection, B, "me", NOW, UNTIL, TURNS)
    peers.finish(connection, B, "me", Ending.ANSWERED)
    assert peers.choose(connection, NOW, 10, TURNS) == [C, A]
    assert peers.choose(connection, NOW + timedelta(days=7), 10, later(7)) == [C, A, B]


@pytest.mark.parametrize(
    ("ended", "days"),
    [
        *((Ending.ANSWERED, 7), (Ending.CAPPED, 7)),
        *((Ending.EMPTY, 30), (Ending.NOT_OFFERED, 30), (Outcome.API_AUTH_REQUIRED, 30), (Outcome.BAD_JSON, 30)),
        *((Outcome.ROBOTS_DISALLOWED, 30), (Outcome.HTTP_4XX, 30), (Outcome.BAD_CONTENT_TYPE, 30)),
        *((Outcome.TIMEOUT, 1), (Outcome.HTTP_5XX, 1), (Ending.UNFINISHED, 1), (Outcome.RATE_LIMITED, 1)),
    ],
)
def test_how_asking_ended_says_when_to_ask_again(connection: psycopg.Connection, ended, days):
    publish(connection, a=10)
    assert isinstance(peers.claim(connection, A, "me", NOW, UNTIL, TURNS), Asking)
    peers.finish(connection, A, "me", ended)
    for day, chosen in ((days - 1, []), (days, [A])):
        assert peers.choose(connection, NOW + timedelta(days=day), 10, later(day)) == chosen


def test_only_published_healthy_and_listed_instances_are_chosen(connection: psycopg.Connection):
    publish(connection, a=10, b=10, c=10, d=10, e=10, f=10)
    crawl(connection, failed(Domain("a.example"), Outcome.TIMEOUT, NOW + timedelta(minutes=1)))
    crawl(connection, failed(Domain("b.example"), Outcome.OPTED_OUT, NOW + timedelta(minutes=1)))
    connection.execute("INSERT INTO exclusions (domain) VALUES ('c.example')")
    connection.execute("INSERT INTO dni (domain, severity) VALUES ('d.example', 'hard'), ('e.example', 'soft')")
    assert peers.choose(connection, NOW, 10, TURNS) == ["f.example"]


def test_the_host_that_served_nodeinfo_is_the_one_to_ask(connection: psycopg.Connection):
    crawl(connection, ok(A, nodeinfo_url="https://web.a.example/nodeinfo/2.0"))
    assert peers.claim(connection, A, "me", NOW, UNTIL, TURNS) == Asking(A, "web.a.example", 0)
    assert peers.claim(connection, B, "me", NOW, UNTIL, None) == Asking(B, B, 0)


def test_what_is_asked_is_not_crawled_and_what_is_crawled_is_not_asked(connection: psycopg.Connection):
    run_id = start(connection, [A, B])
    assert isinstance(peers.claim(connection, A, "me", NOW, UNTIL, None), Asking)
    assert [each.domain for each in claim(connection, run_id, "crawler")] == [B]
    assert peers.claim(connection, B, "me", NOW, UNTIL, None) is Ending.BUSY
    assert peers.claim(connection, A, "you", NOW, UNTIL, None) is Ending.BUSY
    peers.finish(connection, A, "me", Ending.EMPTY)
    assert [each.domain for each in claim(connection, run_id, "crawler")] == [A], "and its due time is as it was"


def test_a_lease_ends_by_itself_and_late_words_do_not_take_it_from_another(connection: psycopg.Connection):
    peers.claim(connection, A, "dead", NOW, UNTIL, None)
    assert isinstance(peers.claim(connection, A, "me", UNTIL, UNTIL + timedelta(minutes=2), None), Asking)
    peers.finish(connection, A, "dead", Ending.EMPTY, NOW + timedelta(days=1))
    assert column(connection, "SELECT lease_holder FROM domains") == ["me"]
    assert column(connection, "SELECT retry_after_until FROM domains") == [None]
    peers.give_back(connection, "me")
    assert column(connection, "SELECT lease_holder FROM domains") == [None]


def test_of_many_that_claim_at_once_one_asks(connection: psycopg.Connection, database_url: str):
    publish(connection, a=10)
    answers: list[object] = []
    barrier = threading.Barrier(8)

    def ask(holder: str) -> None:
        with connect(DatabaseSettings(url=database_url)) as own:
            barrier.wait()
            answers.append(peers.claim(own, A, holder, NOW, UNTIL, TURNS))
            peers.finish(own, A, holder, Ending.ANSWERED)

    threads = [threading.Thread(target=ask, args=(f"h{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(isinstance(answer, Asking) for answer in answers) == 1
    assert set(answers) - {Ending.BUSY} == {Asking(A, A, 0)}


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("INSERT INTO exclusions (domain) VALUES ('a.example')", Outcome.EXCLUDED),
        ("INSERT INTO exclusions (domain, subdomains) VALUES ('example', true)", Outcome.EXCLUDED),
        ("INSERT INTO dni (domain, severity) VALUES ('a.example', 'hard')", Outcome.EXCLUDED),
        ("UPDATE domains SET outcome = 'opted_out', due_at = now() - interval '1 day'", Outcome.OPTED_OUT),
        ("UPDATE domains SET retry_after_until = now() + interval '1 hour'", Outcome.RATE_LIMITED),
        ("UPDATE domains SET leased_until = now() + interval '1 hour', lease_holder = 'you'", Ending.BUSY),
    ],
)
def test_some_may_not_be_asked_even_by_name(connection: psycopg.Connection, statement: str, reason: str):
    publish(connection, a=10)
    connection.execute(statement.encode())
    assert peers.why_not(connection, A, NOW) is reason
    assert peers.claim(connection, A, "me", NOW, UNTIL, None) is reason
    assert column(connection, "SELECT count(*) FROM peers_asked") == [0]


def test_a_name_that_may_not_be_asked_does_not_join_the_ledger(connection: psycopg.Connection):
    connection.execute("INSERT INTO exclusions (domain) VALUES ('a.example')")
    peers.claim(connection, A, "me", NOW, UNTIL, None)
    assert column(connection, "SELECT count(*) FROM domains") == [0]


def test_what_is_new_is_added_once_and_comes_due_within_the_spread(connection: psycopg.Connection):
    names = [*under("one.org", "a"), *under("two.org", "a"), *under("one.org", "a")]
    assert add(connection, names) == Added(new=2)
    assert add(connection, names) == Added(known=2)
    assert column(connection, "SELECT DISTINCT source FROM domains") == ["peers"]
    assert column(
        connection, "SELECT bool_and(due_at BETWEEN %s AND %s) FROM domains", NOW, NOW + timedelta(days=1)
    ) == [True]
    assert column(connection, "SELECT DISTINCT added_at = date_trunc('day', added_at, 'UTC') FROM domains") == [True]


def test_a_registrable_domain_gets_so_many_names_and_the_shortest(connection: psycopg.Connection):
    start(connection, [Domain("known.farm.org"), Domain("farm.org"), Domain("farm.organic.net"), Domain("x-farm.org")])
    names = under("farm.org", *(f"spam{number}" for number in range(1000)), "b", "a")
    assert add(connection, names, names_per_domain=5) == Added(crowded=999, new=3)
    assert column(connection, "SELECT domain FROM domains WHERE source = 'peers' ORDER BY length(domain), domain") == [
        "a.farm.org",
        "b.farm.org",
        "spam0.farm.org",
    ]
    assert add(connection, under("farm.org", "c"), names_per_domain=5) == Added(crowded=1)
    assert add(connection, under("x-farm.org", "c"), names_per_domain=5) == Added(new=1)


def test_all_names_of_the_ledger_count_and_those_that_are_gone_do_not(connection: psycopg.Connection):
    owner = Domain("owner.example")
    add_domains(connection, [owner, Domain("one.owner.example"), Domain("notowner.example")], "file", NOW)
    assert add(connection, under(owner, "x", "y"), names_per_domain=3) == Added(crowded=1, new=1)
    connection.execute("DELETE FROM domains WHERE domain = 'one.owner.example'")
    assert add(connection, under(owner, "y", "z"), names_per_domain=3) == Added(crowded=1, new=1)
    backwards = "SELECT reverse(name) FROM domains_backwards ORDER BY 1"
    assert column(connection, backwards) == column(connection, "SELECT domain FROM domains ORDER BY 1")


def test_so_many_are_added_and_no_more(connection: psycopg.Connection):
    names = [name for number in range(10) for name in under(f"own-{number}.org", "a")]
    assert add(connection, names, at_most=4) == Added(new=4)
    assert add(connection, [], at_most=4) == Added()


def test_two_that_add_at_once_do_not_fill_a_domain_twice(connection: psycopg.Connection, database_url: str):
    barrier = threading.Barrier(4)

    def tell(number: int) -> None:
        with connect(DatabaseSettings(url=database_url)) as own:
            barrier.wait()
            for batch in range(5):
                add(own, under("farm.org", *(f"{number}-{batch}-{each}" for each in range(20))))

    threads = [threading.Thread(target=tell, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert column(connection, "SELECT count(*) FROM domains") == [25]


def test_who_may_only_read_sees_nobody_who_was_asked(connection: psycopg.Connection):
    connection.execute("SET ROLE vmcrawl_reader")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM peers_asked")
