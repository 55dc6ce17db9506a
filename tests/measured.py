"""A crawled simulated Fediverse, an exporter, a Prometheus with some weeks of history, and the truth about it all."""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg

from tests.conftest import temporary_database
from tests.fediverse import demo_crowd, start_fediverse
from tests.program import crawl_crowd, patient_environment, start, vmcrawl
from tests.prometheus import Prometheus, free_port, prometheus, promtool, wait_until
from tests.store.builders import leave_page

DATA = Path(__file__).parent / "data"
#: How far the history goes back, and how far apart its runs are.
PAGES, APART = 80, timedelta(hours=6)
_CONFIG = """
global: {{scrape_interval: 2s, scrape_timeout: 2s}}
scrape_configs:
  - job_name: vmcrawl
    sample_limit: 510
    label_value_length_limit: 128
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


#: How a fix has spread; a crowd that was crawled once cannot tell.
_UPTAKE = """
INSERT INTO uptakes
VALUES ('4.6', '4.6.6', '2026-08-13', now(), 200, 4000, 120, 3600, '2 days', '1 day', NULL, '5 days')
ON CONFLICT (branch) DO UPDATE SET (release, released_on, noted_at, instances, active_users, adopted_instances,
    adopted_users, half_of_instances, half_of_users, nine_tenths_of_instances, nine_tenths_of_users)
    = (EXCLUDED.release, EXCLUDED.released_on, EXCLUDED.noted_at, EXCLUDED.instances, EXCLUDED.active_users,
       EXCLUDED.adopted_instances, EXCLUDED.adopted_users, EXCLUDED.half_of_instances, EXCLUDED.half_of_users,
       EXCLUDED.nine_tenths_of_instances, EXCLUDED.nine_tenths_of_users)
"""


@dataclass(frozen=True)
class Label:
    """What a version string says, as it is labelled by hand."""

    release: str
    prerelease: str
    branch: str
    fork: str


@dataclass(frozen=True)
class Server:
    """One published instance, as the simulation knows it."""

    label: Label
    users: int

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(map(int, self.label.release.partition("-")[0].split(".")))


@dataclass(frozen=True)
class Measured:
    """A Prometheus that has scraped, and what is true."""

    prometheus: Prometheus
    servers: list[Server]
    outcomes: Counter[str]
    #: Instances and users on pre-releases that an advisory touches, as it was decided.
    exposed_prereleases: dict[str, tuple[int, int]]
    metrics_url: str
    database_url: str


#: What the crowd says that is neither a plain number nor in the table of labels.
ODD = {
    "4.6.5+glitch": Label("4.6.5", "", "4.6", "glitch"),
    "4.7.0+glitch": Label("4.7.0", "", "4.7", "glitch"),
    "4.5.11+hometown-1.2.1": Label("4.5.11", "", "4.5", "hometown"),
    "1.0.7+3.5.5": Label("3.5.5", "", "3.5", "hometown"),
    "4.4.0+waka.1.0": Label("4.4.0", "", "4.4", "waka"),
    "4.1.2+cafe.41a1757": Label("4.1.2", "", "4.1", "glitchcafe"),
    "4.2.3+nagitodon.5.13-LTS.": Label("4.2.3", "", "4.2", "nagitodon"),
    "4.5.16 (with modifications)": Label("4.5.16", "", "4.5", "custom"),
    "4.5.16+🐘": Label("4.5.16", "", "4.5", "custom"),
    "v4.6.6": Label("4.6.6", "", "4.6", "vanilla"),
    "4.8.0-alpha.1": Label("4.8.0-alpha.1", "alpha.1", "4.8", "vanilla"),
    "4.8.0-nightly.2026-08-20": Label("4.8.0-nightly.2026-08-20", "nightly.2026-08-20", "4.8", "vanilla"),
    "4.6.0-nightly.2026-05-21-security": Label(
        "4.6.0-nightly.2026-05-21-security", "nightly.2026-05-21-security", "4.6", "vanilla"
    ),
    "4.6.0-rc.2": Label("4.6.0-rc.2", "rc.2", "4.6", "vanilla"),
    "4.7.1-alpha.1": Label("4.7.1-alpha.1", "alpha.1", "4.7", "vanilla"),
    "4.7.0-alpha.2+pr-39999-68e5caf": Label("4.7.0-alpha.2", "alpha.2", "4.7", "vanilla"),
}


def labels() -> dict[tuple[str, str], Label]:
    with (DATA / "versions.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["software"], str(json.loads(row["raw_json"]))): Label(
                row["expected_release"], row["prerelease"], row["branch"], row["fork"]
            )
            for row in csv.DictReader(file)
            if row["valid"] == "valid"
        }


@cache
def newest_releases() -> dict[str, tuple[int, ...]]:
    """The newest stable release of each branch, of the snapshot that comes with the program."""
    newest: dict[str, tuple[int, ...]] = {}
    with (files("vmcrawl.snapshot") / "releases.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if re.fullmatch(r"\d+\.\d+\.\d+", release := row["version"]):
                branch, numbers = release.rpartition(".")[0], tuple(map(int, release.split(".")))
                newest[branch] = max(newest.get(branch, ()), numbers)
    return newest


def label_of(software: str, version: str, known: dict[tuple[str, str], Label]) -> Label:
    if re.fullmatch(r"\d+\.\d+\.\d+", version) and software == "mastodon":
        return Label(version, "", version.rpartition(".")[0], "vanilla")
    return ODD.get(version) or known[software, version]


def true_servers(truth: dict[str, dict[str, Any]], url: str) -> tuple[list[Server], Counter[str]]:
    """The published instances, and how many domains end how; where the contract leaves room, as it was decided.

    So is a version that says nothing of itself (fedibird's 0.1), and software whose name is left open.
    """
    known = labels()
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        decided = {row["domain"]: row for row in connection.execute("SELECT domain, outcome FROM domains")}
        instances = {row["domain"]: row for row in connection.execute("SELECT * FROM instances")}
    servers, left_open = [], 0
    outcomes: Counter[str] = Counter()
    for domain, one in truth.items():
        is_open = bool(one["also"]) or one["version"] == "0.1" or (one["published"] and one["software"] is None)
        left_open += is_open
        outcomes[decided[domain]["outcome"] if is_open else one["outcome"]] += 1
        if is_open and domain in instances:
            row = instances[domain]
            label = Label(row["release"], row["release"].partition("-")[2], row["branch"], row["fork"])
            servers.append(Server(label, row["active_users"]))
        elif not is_open and one["published"]:
            servers.append(Server(label_of(one["software"], one["version"], known), one["active_users"]))
    assert left_open < 0.2 * len(truth)
    return servers, outcomes


def exposed_prereleases(url: str) -> dict[str, tuple[int, int]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT ghsa_id, count(*), sum(active_users)::bigint FROM instance_advisories JOIN instances USING (domain)"
            " WHERE release LIKE '%-%' GROUP BY ghsa_id"
        ).fetchall()
    return {advisory: (instances, users) for advisory, instances, users in rows}


@contextmanager
def measuring(server_url: str, directory: Path) -> Iterator[Measured]:
    """Crawl, export the past, serve, scrape."""
    with temporary_database(server_url) as url, start_fediverse(demo_crowd(), directory) as fediverse:
        env = patient_environment(url, fediverse.config_file)
        crawl_crowd(directory, env)
        servers, outcomes = true_servers(fediverse.truth(), url)
        with psycopg.connect(url, autocommit=True) as connection:
            _leave_history(connection)
            connection.execute(_UPTAKE)
        port = free_port()
        _bring_the_past(directory, url, f"127.0.0.1:{port}")
        exporter = start(["exporter", "--listen", f"127.0.0.1:{port}"], env=env)
        try:
            with prometheus(directory, _CONFIG.format(port=port), "--storage.tsdb.retention.time=400d") as running:
                wait_until(lambda: running.number("max(vmcrawl_database_up)") == 1, "Prometheus has scraped")
                metrics_url = f"http://127.0.0.1:{port}/metrics"
                yield Measured(running, servers, outcomes, exposed_prereleases(url), metrics_url, url)
        finally:
            exporter.terminate()
            exporter.communicate(timeout=10)
            assert exporter.returncode == 143


def past(pages_ago: int) -> list[tuple[str, str, bool | None, int, int]]:
    """What a run of the past found: branch, release, patched, instances, active users."""
    return [
        ("4.6", "4.6.6", True, 200 - pages_ago, 2_000 - 20 * pages_ago),
        ("4.5", "4.5.9", False, 50 + pages_ago, 500 + 10 * pages_ago),
        ("4.2", "4.2.29", True, 7, 70),
    ]


def _leave_history(connection: psycopg.Connection) -> None:
    now = datetime.now(UTC)
    for ago in range(1, PAGES + 1):
        leave_page(connection, 1_000_000 - ago, now - ago * APART, *past(ago))


def _bring_the_past(directory: Path, url: str, instance: str) -> None:
    env = patient_environment(url, directory / "config.yaml")
    labels = ("--label", f"instance={instance}")
    exported = vmcrawl("history", "export", "--openmetrics", *labels, env=env)
    assert exported.returncode == 0, exported.stderr
    (directory / "past.om").write_text(exported.stdout)
    promtool(directory, "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics", "past.om", "data")
