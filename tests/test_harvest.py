"""One answer on its way into the ledger: in batches, under caps, and to an end with a name."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from vmcrawl.asking import Ending
from vmcrawl.exclusion import Exclusions
from vmcrawl.harvest import Harvest
from vmcrawl.observation import CrawlFailed
from vmcrawl.peers import Name
from vmcrawl.settings import DiscoverySettings
from vmcrawl.store.peers import Added

SETTINGS = DiscoverySettings(timeout=timedelta(seconds=10))


class Ledger:
    """Takes every name for new, as many as it may."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.seconds = 0.0

    def add(self, names: Sequence[Name], at_most: int) -> Added:
        self.batches.append(len(names))
        return Added(new=min(len(names), at_most))

    def clock(self) -> float:
        """A second passes from look to look."""
        self.seconds += 1
        return self.seconds


def harvest_of(ledger: Ledger, settings: DiscoverySettings = SETTINGS) -> Harvest:
    return Harvest(Exclusions(), settings, ledger.add)


def piece(number: int, start: int = 0) -> bytes:
    return b"".join(b'"a.name-%d.org",' % each for each in range(start, start + number))


def test_names_are_written_in_batches_and_the_rest_at_the_end():
    ledger = Ledger()
    harvest = harvest_of(ledger)
    download = harvest.download()
    assert all(download.take(part) for part in (b"[", piece(1_500), piece(1_500, 5_000), piece(10, 9_000), b"null]"))
    assert harvest.close() is Ending.ANSWERED
    assert (ledger.batches, harvest.new, harvest.sieve.read) == ([2_000, 1_000, 10], 3_010, 3_011)


def test_it_stops_reading_when_one_server_has_told_enough():
    ledger = Ledger()
    harvest = harvest_of(ledger, replace(SETTINGS, names_per_instance=3_000))
    download = harvest.download()
    assert [download.take(part) for part in (b"[", piece(2_000), piece(2_000, 5_000))] == [True, True, False]
    assert harvest.close() is Ending.CAPPED
    assert harvest.new == 3_000


def test_it_stops_reading_after_so_many_names_known_ones_included():
    harvest = harvest_of(Ledger(), replace(SETTINGS, max_names=100))
    assert not harvest.download().take(b"[" + piece(100))
    assert harvest.close() is Ending.CAPPED


def test_it_stops_reading_when_looking_at_names_takes_too_long():
    ledger = Ledger()
    harvest = Harvest(Exclusions(), SETTINGS, ledger.add, ledger.clock)
    take = harvest.download().take
    assert take(b"[")
    assert sum(take(piece(1)) for _ in range(20)) == 9
    assert harvest.close() is Ending.CAPPED


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [([b"["], "ends early"), ([b"{}"], "not an array"), ([b"<html>"], "not JSON"), ([], "ends early")],
)
def test_what_is_no_list_is_bad_json(pieces, reason):
    harvest = harvest_of(Ledger())
    with pytest.raises(CrawlFailed, match=f"bad_json: .*{reason}"):  # noqa: PT012 - at a piece, or at the end
        for part in pieces:
            harvest.download().take(part)
        harvest.close()


def test_an_empty_list_has_a_name_of_its_own():
    harvest = harvest_of(Ledger())
    assert harvest.download().take(b"[]")
    assert harvest.close() is Ending.EMPTY


@pytest.mark.parametrize("content_type", ["text/html", "application/octet-stream", "?"])
def test_another_type_than_json_is_refused_before_it_is_read(content_type):
    with pytest.raises(CrawlFailed, match="bad_content_type"):
        harvest_of(Ledger()).download().begin(content_type)
