"""What a scrape costs with a ledger of a year, and what a crawl and scrapes cost each other."""

import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.bench.crowd import all_healthy
from tests.bench.population import populate
from tests.bench.stage import Stage
from tests.conftest import temporary_database
from tests.exporter.numbers import parse
from tests.prometheus import free_port, wait_until

_DOMAINS, _INSTANCES = 250_000, 30_000
_SCRAPES = 20
#: While a crawl goes on; twelve times as often as Prometheus is told to.
_EVERY_SECONDS = 5.0
#: As Prometheus 2.42 asks.
_HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}


def scrape(stage: Stage, size: int, runs: int) -> None:
    """Scrape a database of 250,000 domains; then crawl ``size`` more of them, with and without being scraped."""
    with temporary_database(stage.server_url) as url:
        populate(url, _DOMAINS, _INSTANCES)
        with _exporting(stage, url) as (metrics, process):
            _get(metrics)
            quiet = [_timed(metrics) for _ in range(_SCRAPES)]
            numbers = parse(_plain(metrics))
            _tell(
                f"\n{_DOMAINS:,} domains, {_INSTANCES:,} instances: a scrape takes {_spread(quiet)};"
                f" {len(numbers.samples)} series, {len(_get(metrics)):,} bytes compressed;"
                f" peak memory {_peak_bytes(process.pid) / 1e6:.0f} MB"
            )
            for name, seconds in sorted(
                numbers.by("vmcrawl_scrape_collector_duration_seconds", "collector").items(), key=lambda item: -item[1]
            ):
                _tell(f"  {name!s:<12} {seconds * 1e3:>6.1f} ms")
            _crawl_and_scrape(stage, url, metrics, size, runs)


def _crawl_and_scrape(stage: Stage, url: str, metrics: str, size: int, runs: int) -> None:
    crowd = all_healthy(size)
    names = list(crowd.domains())
    listed = stage.directory / "scraped.txt"
    listed.write_text("\n".join(names) + "\n")
    stage.vmcrawl(url, "domains", "import", str(listed))
    _make_due(url, names)
    stage.crawl(url)
    alone, watched = [], []
    busy: list[float] = []
    for _ in range(runs):
        _make_due(url, names)
        used = stage.crawl(url)
        alone.append(used.crawled / used.wall_seconds)
        _make_due(url, names)
        with _scraping(metrics) as taken:
            used = stage.crawl(url)
        watched.append(used.crawled / used.wall_seconds)
        busy += taken
        if used.crawled != size:
            _tell(f"  WRONG: {used.crawled} of {size} domains crawled")
    ratio = statistics.median(one / other for one, other in zip(watched, alone, strict=True))
    _tell(
        f"{size:,} known domains crawled: {statistics.median(alone):.0f} a second alone,"
        f" {statistics.median(watched):.0f} with a scrape every {_EVERY_SECONDS:g} s (median of {runs} pairs:"
        f" {ratio:.2f} times as many); a scrape then takes {_spread(busy)}"
    )


@contextmanager
def _exporting(stage: Stage, url: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    port = free_port()
    command = [sys.executable, "-m", "vmcrawl", "exporter", "--listen", f"127.0.0.1:{port}"]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], env=stage.environment(url)) as process:
        try:
            metrics = f"http://127.0.0.1:{port}/metrics"
            wait_until(lambda: _answers(metrics), "the exporter answers")
            yield metrics, process
        finally:
            process.terminate()


@contextmanager
def _scraping(metrics: str) -> Iterator[Sequence[float]]:
    """Scrape every few seconds, beside whatever is done meanwhile; gives how long each took, in seconds."""
    taken: list[float] = []
    over = threading.Event()

    def scrape_on() -> None:
        while not over.wait(_EVERY_SECONDS):
            taken.append(_timed(metrics))

    thread = threading.Thread(target=scrape_on)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()


def _make_due(url: str, domains: Sequence[str]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE domains SET due_at = now() + interval '9 days', lease_holder = NULL")
        connection.execute("UPDATE domains SET due_at = now() WHERE domain = ANY (%s)", [list(domains)])
        connection.execute("VACUUM ANALYZE domains")


def _timed(metrics: str) -> float:
    started = time.perf_counter()
    _get(metrics)
    return time.perf_counter() - started


def _get(metrics: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(metrics, headers=_HEADERS), timeout=30) as answer:
        content: bytes = answer.read()
    return content


def _plain(metrics: str) -> str:
    with urllib.request.urlopen(metrics, timeout=30) as answer:
        return str(answer.read(), "utf-8")


def _answers(metrics: str) -> bool:
    try:
        return bool(_get(metrics))
    except OSError:
        return False


def _peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _spread(seconds: Sequence[float]) -> str:
    milliseconds = sorted(each * 1e3 for each in seconds)
    return f"{statistics.median(milliseconds):.0f} ms (median of {len(seconds)}, at most {milliseconds[-1]:.0f})"


def _tell(text: str) -> None:
    sys.stdout.write(text + os.linesep)
    sys.stdout.flush()
