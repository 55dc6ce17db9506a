"""What is served is as Prometheus' own checker wants it."""

import subprocess

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from tests.exporter.numbers import exporter, registry
from tests.exporter.published import prepared, publish
from tests.prometheus import needed
from tests.store.builders import crawl, failed, ok
from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome

#: OpenMetrics has the HELP of a counter at its name without "_total"; promtool 2.42 reads both formats as if they were
#: the older one, and looks for it at the name with it.
_OF_COUNTERS = "_total no help text"


def complaints(exposition: bytes) -> list[str]:
    """All that promtool finds."""
    checked = subprocess.run(
        [needed("promtool"), "check", "metrics"], input=exposition, capture_output=True, check=False
    )
    assert checked.returncode in (0, 3), checked.stderr
    return checked.stderr.decode().splitlines()


@pytest.fixture(params=["filled", "empty", "down"])
def ours(request, connection, database_url):
    """An exporter of a database with something in it, of one that has just been made, and of none."""
    prepared(connection)
    if request.param == "filled":
        publish(connection, "a.example")
        crawl(connection, ok(Domain("b.example"), requests=4), failed(Domain("c.example"), Outcome.TIMEOUT))
    return exporter("host=127.0.0.1 port=1" if request.param == "down" else database_url)


def test_promtool_finds_nothing_in_the_text_format(ours):
    assert complaints(generate_latest(registry(ours))) == []


def test_promtool_finds_nothing_in_openmetrics(ours):
    assert [line for line in complaints(generate_openmetrics(registry(ours))) if not line.endswith(_OF_COUNTERS)] == []


def test_promtool_would_find_what_is_wrong():
    wrong = b"# TYPE vmcrawl_wrongName gauge\nvmcrawl_wrongName 1\n# TYPE vmcrawl_total gauge\nvmcrawl_total 1\n"
    assert len(complaints(wrong)) >= 3
