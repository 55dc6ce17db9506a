"""``python -m tests.dashboards DIRECTORY``: answers to all dashboards, from real servers, to draw pictures of.

Adoption and instances are of a plausible Fediverse with four months of history; crawl health is of real crawls of a
simulated one, again and again for some minutes. Takes about as long as ``--minutes`` says and two more.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from tests.conftest import temporary_database
from tests.dashboards.answers import Asking, answer
from tests.dashboards.plausible import fill
from tests.fediverse import mixed_crowd, start_fediverse
from tests.program import environment, patient_environment, start, vmcrawl
from tests.prometheus import Prometheus, free_port, prometheus, promtool, wait_until
from vmcrawl.embedded import running

_PROJECT = Path(__file__).parents[2]
_DAY = 86_400
_CONFIG = """
global: {{scrape_interval: 5s, scrape_timeout: 4s, evaluation_interval: 5s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: vmcrawl
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def main() -> int:
    """Write one file of answers for each dashboard."""
    parser = argparse.ArgumentParser(prog="python -m tests.dashboards", description=__doc__)
    parser.add_argument("directory", type=Path, help="where the answers go")
    parser.add_argument("--minutes", type=float, default=6, help="of crawling (default: %(default)s)")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="vmcrawl-dashboards-") as directory, running(Path(directory) / "postgres") as server:
        _of_adoption(server, Path(directory), arguments.directory)
        _of_health(server, Path(directory), arguments.directory, arguments.minutes * 60)
    return 0


def _of_adoption(server: str, directory: Path, out: Path) -> None:
    with temporary_database(server) as url:
        fill(url)
        watched = _watched(url, directory / "adoption", environment(url), past=True)
        with watched as (server_, end), _reading(url) as reader:
            _write(out, "adoption", Asking(server_, reader, end - 90 * _DAY, end, points=400))
            _write(out, "instances", Asking(server_, reader, end - _DAY, end))


def _of_health(server: str, directory: Path, out: Path, seconds: float) -> None:
    crowd = directory / "crowd"
    crowd.mkdir()
    with temporary_database(server) as url, start_fediverse(mixed_crowd(700), crowd) as fediverse:
        env = patient_environment(url, fediverse.config_file)
        assert vmcrawl("domains", "import", str(fediverse.domains_file), env=env).returncode == 0
        crawler = start(["crawl", "--all", "--every", "40s"], env)
        try:
            with _watched(url, directory / "health", env) as (server_, began):
                time.sleep(seconds)
                with _reading(url) as reader:
                    now = time.time()
                    _write(out, "health", Asking(server_, reader, began, now, rate_interval="20s"))
        finally:
            crawler.terminate()
            crawler.communicate()


@contextmanager
def _watched(
    url: str, directory: Path, env: dict[str, str], *, past: bool = False
) -> Iterator[tuple[Prometheus, float]]:
    """An exporter of a database, and a Prometheus that has scraped it; and the time at which it had."""
    directory.mkdir()
    port = free_port()
    if past:
        labels = ("--label", f"instance=127.0.0.1:{port}")
        exported = vmcrawl("history", "export", "--openmetrics", *labels, env=env)
        (directory / "past.om").write_text(exported.stdout)
        promtool(directory, "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics", "past.om", "data")
    exporter = start(["exporter", "--listen", f"127.0.0.1:{port}"], env)
    config = _CONFIG.format(port=port, rules=_PROJECT / "deploy" / "prometheus" / "rules.yaml")
    try:
        with prometheus(directory, config, "--storage.tsdb.retention.time=400d") as running_:
            wait_until(lambda: running_.number("max(vmcrawl_database_up)") == 1, "Prometheus has scraped")
            yield running_, time.time()
    finally:
        exporter.terminate()
        exporter.communicate()


@contextmanager
def _reading(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET ROLE vmcrawl_reader")
        yield connection


def _write(out: Path, name: str, asking: Asking) -> None:
    dashboard = json.loads((_PROJECT / "grafana" / "dashboards" / f"{name}.json").read_text())
    file = out / f"{Path(name).name}.json"
    file.write_text(json.dumps(answer(dashboard, asking), default=str))
    sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    sys.exit(main())
