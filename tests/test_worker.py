"""One crawler process, within this one: what it writes down when it has to stop, and what it takes on."""

from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import Pipe

import pytest

from tests.servers import eventually
from tests.store.builders import NOW, column, start
from vmcrawl.advisory import packaged_advisories
from vmcrawl.catalogue import SNAPSHOT_DATE, packaged_catalogue
from vmcrawl.domain import Domain
from vmcrawl.orders import Orders
from vmcrawl.settings import DatabaseSettings, NetworkSettings, Settings
from vmcrawl.store.snapshot import take_in
from vmcrawl.worker import Worker

NAMES = [Domain(f"{letter}.example.org") for letter in "abc"]


@pytest.fixture
def orders(connection, database_url) -> Orders:
    """Three domains are due, and no name server is there: each look-up fails at once."""
    take_in(connection, SNAPSHOT_DATE, packaged_catalogue(), packaged_advisories())
    settings = Settings(
        database=DatabaseSettings(url=database_url), network=NetworkSettings(nameservers=("127.0.0.1:9",))
    )
    return Orders(settings, 4, start(connection, NAMES), named=False, suspects=False, due_before=NOW)


@pytest.fixture
def pipe() -> Iterator[object]:
    ours, theirs = Pipe()
    yield theirs
    ours.close()
    theirs.close()


def test_what_is_finished_when_the_grace_ends_is_written_down(orders, pipe, connection):
    worker = Worker(orders, pipe)
    try:
        assert worker._claim()
        assert eventually(lambda: worker._crew._finished.qsize() == len(NAMES))
        worker._stop_at = 0.0
        worker._abandon()
    finally:
        worker.close()
    assert column(connection, "SELECT outcome FROM domains") == ["dns_failure"] * len(NAMES)
    assert column(connection, "SELECT count(*) FROM domains WHERE lease_holder IS NOT NULL") == [0]


def test_a_suspect_is_alone_until_there_is_a_verdict(orders, pipe, connection):
    connection.execute("UPDATE domains SET suspect = true")
    worker = Worker(replace(orders, threads=1, suspects=True), pipe)
    try:
        assert worker._claim()
        assert eventually(lambda: worker._crew._finished.qsize() == 1)
        # It will be looked at once more: that is no room for another.
        worker._starved_at = float("inf")
        worker._collect()
        assert len(worker._to_look_at_again) == 1
        assert worker._claim()
        assert len(worker._open) == 1
    finally:
        worker._abandon()
        worker.close()
    assert column(connection, "SELECT count(*) FROM domains WHERE suspect AND lease_holder IS NULL") == [len(NAMES)]


def test_a_silence_while_the_machine_starves_is_looked_at_once_more_and_then_believed(orders, pipe, connection):
    worker = Worker(orders, pipe)
    try:
        worker._starved_at = float("inf")
        assert worker._claim()
        assert eventually(lambda: worker._crew._finished.qsize() == len(NAMES))
        worker._collect()
        assert {claim.domain for claim in worker._to_look_at_again} == set(NAMES)
        assert column(connection, "SELECT count(*) FROM domains WHERE outcome IS NOT NULL") == [0]
        worker._crew.give(worker._to_look_at_again)
        worker._to_look_at_again.clear()
        assert eventually(lambda: worker._crew._finished.qsize() == len(NAMES))
        worker._collect()
        assert worker._to_look_at_again == []
    finally:
        worker._abandon()
        worker.close()
    assert column(connection, "SELECT outcome FROM domains") == ["dns_failure"] * len(NAMES)
