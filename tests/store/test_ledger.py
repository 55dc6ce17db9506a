"""Names go in, once; people find them again."""

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from tests.store.builders import LEASE, NOW, claim, column, crawl, failed, names, ok, start
from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome
from vmcrawl.store import ledger
from vmcrawl.store.ledger import Filter

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
    assert listed(outcome=Outcome.TIMEOUT) == [B]
    assert listed(source="peers") == [C]
    assert listed(support="latest") == [A]
    assert listed(patched=True) == [A]
    assert listed(patched=False) == []
    assert listed(domains=(C, A)) == [A, C]


def test_who_has_opted_out_is_made_due_only_by_name(connection: psycopg.Connection):
    crawl(connection, failed(A, Outcome.OPTED_OUT))
    assert ledger.requeue(connection, NOW, Filter(outcome=Outcome.OPTED_OUT)) == 0
    assert ledger.requeue(connection, NOW, Filter(domains=(A,))) == 1


def test_requeued_domains_are_due_now_but_for_those_in_flight(connection: psycopg.Connection):
    crawl(connection, ok(A), failed(B, Outcome.TIMEOUT))
    run = start(connection, [C])
    claim(connection, run)
    assert ledger.requeue(connection, NOW, Filter(outcome=Outcome.TIMEOUT)) == 1
    assert ledger.requeue(connection, NOW) == 1
    assert column(connection, "SELECT due_at FROM domains ORDER BY domain") == [NOW, NOW, NOW + LEASE]
    assert ledger.requeue(connection, NOW + timedelta(seconds=1)) == 0
