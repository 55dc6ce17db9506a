"""Names go in, once; people find them again."""

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from tests.store.builders import LEASE, NOW, claim, column, crawl, failed, names, ok, start
from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome
from vmcrawl.store import ledger
from vmcrawl.store.ledger import Added
from vmcrawl.store.matching import Filter

A, B, C = Domain("a.example"), Domain("b.example"), Domain("c.example")
_REAL = Path(__file__).parents[3] / "shared" / "data" / "domains.txt"


def test_a_name_is_added_once_and_keeps_its_first_source(connection: psycopg.Connection):
    assert ledger.add_domains(connection, iter([A, B, A]), "first", NOW) == 2
    assert ledger.add_domains(connection, [A, C], "second", NOW) == 1
    rows = connection.execute("SELECT domain, source, due_at, outcome FROM domains ORDER BY domain").fetchall()
    assert rows == [(A, "first", NOW, None), (B, "first", NOW, None), (C, "second", NOW, None)]


def test_more_names_than_fit_in_one_chunk_are_all_added(connection: psycopg.Connection):
    assert ledger.add_domains(connection, names(10_433), "list", NOW) == 10_433
    assert column(connection, "SELECT domain FROM domains ORDER BY domain") == names(10_433)


def test_pages_follow_each_other_without_gap_or_repeat(connection: psycopg.Connection):
    ledger.add_domains(connection, names(7), "list", NOW)
    first = ledger.list_page(connection, size=4)
    second = ledger.list_page(connection, after=first[-1].domain, size=4)
    assert [len(first), len(second)] == [4, 3]
    assert [entry.domain for entry in first + second] == names(7)
    assert ledger.list_page(connection, after=second[-1].domain) == []


@pytest.mark.skipif(not _REAL.exists(), reason="the real names are not part of the project")
def test_every_real_name_goes_in(connection: psycopg.Connection):
    real = [Domain(line) for line in _REAL.read_text("utf-8").split()]
    assert ledger.add_domains(connection, real, "list", NOW) == len(set(real))


def test_domains_are_listed_by_outcome_source_support_and_patch(connection: psycopg.Connection):
    ledger.add_domains(connection, [C], "peers", NOW)
    crawl(connection, ok(A), failed(B, Outcome.TIMEOUT))

    def listed(**which: object) -> list[Domain]:
        return [entry.domain for entry in ledger.list_page(connection, Filter(**which))]  # type: ignore[arg-type]  # by name

    assert listed() == [A, B, C]
    assert listed(outcomes=(Outcome.TIMEOUT,)) == [B]
    assert listed(source="peers") == [C]
    assert listed(support="latest") == [A]
    assert listed(patched=(True,)) == [A]
    assert listed(patched=(False,)) == []
    assert listed(domains=(C, A)) == [A, C]


def test_who_has_opted_out_is_made_due_only_by_name(connection: psycopg.Connection):
    crawl(connection, failed(A, Outcome.OPTED_OUT))
    assert ledger.requeue(connection, NOW, Filter(outcomes=(Outcome.OPTED_OUT,))) == 0
    assert ledger.requeue(connection, NOW, Filter(domains=(A,))) == 1


def test_requeued_domains_are_due_now_but_for_those_in_flight(connection: psycopg.Connection):
    crawl(connection, ok(A), failed(B, Outcome.TIMEOUT))
    run = start(connection, [C])
    claim(connection, run)
    assert ledger.requeue(connection, NOW, Filter(outcomes=(Outcome.TIMEOUT,))) == 1
    assert ledger.requeue(connection, NOW) == 1
    assert column(connection, "SELECT due_at FROM domains ORDER BY domain") == [NOW, NOW, NOW + LEASE]
    assert ledger.requeue(connection, NOW + timedelta(seconds=1)) == 0


def test_names_are_told_apart_and_nothing_is_written_in_a_dry_run(connection: psycopg.Connection):
    below, hard = Domain("x.b.example"), Domain("x.hard.example")
    connection.execute("INSERT INTO exclusions (domain, subdomains) VALUES ('b.example', true)")
    connection.execute("INSERT INTO dni (domain, severity) VALUES ('hard.example', 'hard'), ('c.example', 'soft')")
    ledger.add_domains(connection, [A], "first", NOW)
    expected = Added(added=1, known=1, excluded=1, on_dni=1)
    for dry_run in (True, True, False):
        told = ledger.add_and_tell(connection, [A, C, below, hard], "second", NOW, dry_run=dry_run)
        assert told == expected
    assert column(connection, "SELECT domain FROM domains ORDER BY domain") == [A, C, below, hard]
    assert ledger.add_and_tell(connection, [A, C, below, hard], "third", NOW) == Added(0, 2, 1, 1)
    assert ledger.add_and_tell(connection, [], "third", NOW) == Added()


def test_every_filter_finds_what_it_says_and_nothing_else(connection: psycopg.Connection):
    old, new = NOW - timedelta(days=5), NOW - timedelta(hours=1)
    crawl(connection, ok(A, old))
    crawl(connection, ok(B, new), failed(C, Outcome.TIMEOUT, new))
    ledger.add_domains(connection, [Domain("d_d.example")], "it's", NOW)

    def listed(**which: object) -> str:
        page = ledger.list_page(connection, Filter(**which))  # type: ignore[arg-type]  # by name
        return " ".join(entry.domain.removesuffix(".example") for entry in page)

    assert listed(outcomes=("ok", None)) == "a b d_d"
    assert listed(outcomes=("ok", "timeout"), crawled_after=new) == "b c"
    assert listed(software="mastodon") == listed(branch="4.5") == listed(patched=(True,)) == "b"
    assert listed(patched=(False, None)) == listed(software="hometown") == ""
    assert (listed(seen_before=new), listed(seen_after=new)) == ("a", "b")
    assert (listed(crawled_before=new), listed(added_after=NOW)) == ("a", "d_d")
    assert listed(due_by=NOW) == "a d_d"
    assert listed(name="?.example") == "a b c"
    assert listed(name="*_*") == listed(source="it's") == "d_d"
    assert listed(name="A*") == "a"
    # Nothing of it is SQL, or a pattern of Postgres.
    for hostile in ("' OR true --", "%", "_", "\\", "%s", "%(after)s", "a.example'; DROP TABLE domains; --"):
        assert listed(name=hostile) == listed(source=hostile) == listed(branch=hostile) == ""


def test_a_row_shows_what_is_published_when_it_was_seen_and_who_covers_it(connection: psycopg.Connection):
    crawl(connection, ok(A, NOW - timedelta(days=5)))
    crawl(connection, ok(B))
    connection.execute("INSERT INTO dni (domain, severity) VALUES ('example', 'soft'), ('b.example', 'hard')")
    old, new = ledger.list_page(connection)
    assert (old.version, old.patched, old.last_seen_at, old.dni) == (None, None, NOW - timedelta(days=5), "soft")
    assert (new.version, new.patched, new.last_seen_at, new.dni) == ("4.5.6", True, NOW, "hard")


def test_a_dry_requeue_counts_what_the_real_one_does(connection: psycopg.Connection):
    crawl(connection, ok(A), failed(B, Outcome.TIMEOUT), failed(C, Outcome.OPTED_OUT))
    for which, number in ((Filter(), 2), (Filter(outcomes=("ok",)), 1), (Filter(domains=(C,)), 1)):
        assert ledger.requeue(connection, NOW, which, dry_run=True) == number
    assert column(connection, "SELECT count(*) FROM domains WHERE due_at <= %s", NOW) == [0]
    assert ledger.requeue(connection, NOW) == 2


def test_a_quarter_of_a_million_domains_are_paged_and_requeued(connection: psycopg.Connection):
    connection.execute(
        "INSERT INTO domains (domain, outcome, due_at)"
        " SELECT 'd' || n || '.example', CASE WHEN n % 10 = 0 THEN 'timeout' ELSE 'ok' END, now() + interval '1 day'"
        " FROM generate_series(1, 250000) AS n"
    )
    which, found, after = Filter(outcomes=("timeout",)), 0, ""
    while page := ledger.list_page(connection, which, after=after):
        found, after = found + len(page), page[-1].domain
    assert found == 25_000
    assert ledger.requeue(connection, NOW, which, dry_run=True) == 25_000
    assert ledger.requeue(connection, NOW, which) == 25_000
