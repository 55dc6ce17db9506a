"""A real Prometheus scrapes a real exporter over a crawled simulated Fediverse: what it answers is the truth."""

import csv
import json
import re
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.conftest import temporary_database
from tests.fediverse import demo_crowd, start_fediverse
from tests.program import patient_environment, start, vmcrawl
from tests.prometheus import Prometheus, free_port, prometheus, wait_until
from vmcrawl.outcome import Outcome

DATA = Path(__file__).parent / "data"
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: vmcrawl
    sample_limit: 510
    label_value_length_limit: 128
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
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


@pytest.fixture(scope="module")
def measured(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    directory = tmp_path_factory.mktemp("measured")
    with temporary_database(server_url) as url, start_fediverse(demo_crowd(), directory) as fediverse:
        env = patient_environment(url, fediverse.config_file)
        for excluded in (directory / "exclusions.txt").read_text().split():
            assert vmcrawl("domains", "exclude", excluded, env=env).returncode == 0
        assert vmcrawl("domains", "import", str(fediverse.domains_file), env=env).returncode == 0
        finished = vmcrawl("crawl", "--processes", "2", "--threads", "24", env=env)
        assert finished.returncode == 0, finished.stderr
        servers, outcomes = true_servers(fediverse.truth(), url)
        port = free_port()
        exporter = start(["exporter", "--listen", f"127.0.0.1:{port}"], env=env)
        try:
            with prometheus(directory, CONFIG.format(port=port)) as running:
                wait_until(lambda: running.number("max(vmcrawl_database_up)") == 1, "Prometheus has scraped")
                yield Measured(running, servers, outcomes, exposed_prereleases(url), f"http://127.0.0.1:{port}/metrics")
        finally:
            exporter.terminate()
            exporter.communicate(timeout=10)
            assert exporter.returncode == 143


def weighed(servers: list[Server], key: Any) -> tuple[dict[object, float], dict[object, float]]:
    """How many instances, and how many of their users, are of each key."""
    instances: Counter[object] = Counter(key(server) for server in servers)
    users: Counter[object] = Counter()
    for server in servers:
        users[key(server)] += server.users
    return dict(instances), dict(users)


def test_there_is_something_to_measure(measured):
    assert len(measured.servers) > 150
    assert len(measured.outcomes) > 20
    assert measured.prometheus.get("targets")["activeTargets"][0]["health"] == "up"


def test_totals_are_the_truth(measured):
    ask = measured.prometheus.number
    users = sum(server.users for server in measured.servers)
    for name in ("vmcrawl_instances", "vmcrawl_version_instances", "vmcrawl_software_instances"):
        assert ask(f"sum({name})") == len(measured.servers)
    assert ask("sum(vmcrawl_prerelease_instances)") == len(measured.servers)
    for name in ("", "_version", "_software", "_prerelease"):
        assert ask(f"sum(vmcrawl{name}_monthly_active_users)") == users


def test_branches_are_the_truth(measured):
    instances, users = weighed(measured.servers, lambda server: server.label.branch)
    assert measured.prometheus.query("sum by (branch) (vmcrawl_instances) > 0") == instances
    assert measured.prometheus.query("sum by (branch) (vmcrawl_monthly_active_users)").items() >= users.items()


def test_what_is_patched_is_the_truth(measured):
    """Of branches with a stable release; where main stands is told in tests/test_judgement.py."""
    newest: dict[str, tuple[int, ...]] = {}
    with (files("vmcrawl.snapshot") / "releases.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if re.fullmatch(r"\d+\.\d+\.\d+", release := row["version"]):
                branch, numbers = release.rpartition(".")[0], tuple(map(int, release.split(".")))
                newest[branch] = max(newest.get(branch, ()), numbers)
    of_branches = [server for server in measured.servers if server.label.branch in newest]
    assert len(of_branches) > 100

    def key(server: Server) -> tuple[str, str]:
        patched = not server.label.prerelease and server.numbers >= newest[server.label.branch]
        return server.label.branch, "true" if patched else "false"

    instances, users = weighed(of_branches, key)
    these = f'branch=~"{"|".join(newest)}"'
    found = measured.prometheus.query(f"sum by (branch, patched) (vmcrawl_instances{{{these}}}) > 0")
    assert found == instances
    found = measured.prometheus.query(f"sum by (branch, patched) (vmcrawl_monthly_active_users{{{these}}}) > 0")
    assert found == {key: number for key, number in users.items() if number}


def test_releases_are_the_truth(measured):
    instances, _ = weighed(measured.servers, lambda server: server.label.release)
    found = measured.prometheus.query("sum by (version) (vmcrawl_version_instances) > 0")
    other = found.pop("other", 0)
    assert found.items() <= instances.items()
    assert other == sum(instances.values()) - sum(found.values())
    assert len(found) > 20
    assert "nightly" not in "".join(map(str, found)), "anybody can make a day up"


def test_forks_and_channels_are_the_truth(measured):
    forks, _ = weighed(measured.servers, lambda server: server.label.fork)
    assert measured.prometheus.query("sum by (fork) (vmcrawl_software_instances)") == forks
    channels, users = weighed(measured.servers, lambda server: server.label.prerelease.partition(".")[0] or "stable")
    assert measured.prometheus.query("sum by (channel) (vmcrawl_prerelease_instances) > 0") == channels
    found = measured.prometheus.query("sum by (channel) (vmcrawl_prerelease_monthly_active_users)")
    assert found.items() >= users.items()


def test_exposure_is_the_truth(measured):
    """By the hand-made table of who is exposed; it says nothing of pre-releases, so these are as it was decided."""
    stable = [server for server in measured.servers if not server.label.prerelease]
    found = measured.prometheus.query("max by (advisory) (vmcrawl_exposed_instances)")
    users = measured.prometheus.query("max by (advisory) (vmcrawl_exposed_monthly_active_users)")
    compared = 0
    with (DATA / "exposed.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["advisory"] not in found:
                continue
            ranges = [
                tuple(tuple(map(int, end.split("."))) for end in span.split("-")) for span in row["exposed"].split()
            ]
            exposed = [server for server in stable if any(low <= server.numbers <= high for low, high in ranges)]
            more, their_users = measured.exposed_prereleases.get(row["advisory"], (0, 0))
            assert found[row["advisory"]] == len(exposed) + more, row["advisory"]
            assert users[row["advisory"]] == sum(server.users for server in exposed) + their_users, row["advisory"]
            compared += 1
    assert compared > 5


def test_outcomes_are_the_truth(measured):
    domains = measured.prometheus.query("sum by (outcome) (vmcrawl_domains) > 0")
    never = domains.pop("never_crawled", 0)
    assert domains == dict(measured.outcomes)
    assert measured.prometheus.query("sum by (outcome) (vmcrawl_run_last_domains) > 0") == dict(measured.outcomes)
    assert measured.prometheus.query("sum by (outcome) (vmcrawl_crawls_total) > 0") == dict(measured.outcomes)
    assert measured.prometheus.number("sum(vmcrawl_domains)") == sum(measured.outcomes.values()) + never
    assert measured.prometheus.number("sum(vmcrawl_crawl_duration_seconds_count)") == sum(measured.outcomes.values())
    assert measured.prometheus.number("sum(vmcrawl_requests_total)") == measured.prometheus.number(
        "sum(vmcrawl_run_last_requests)"
    )


def test_the_run_is_the_truth(measured):
    ask = measured.prometheus.number
    assert measured.prometheus.query("sum by (status) (vmcrawl_run_last_status) > 0") == {"success": 1}
    assert measured.prometheus.query("sum by (status) (vmcrawl_runs_total) > 0") == {"success": 1}
    assert ask("sum(vmcrawl_run_last_planned_domains)") == sum(measured.outcomes.values())
    assert ask("sum(vmcrawl_run_in_progress)") == 0
    assert ask("sum(vmcrawl_leases)") == 0
    assert ask("time() - max(vmcrawl_run_last_success_timestamp_seconds)") < 600


def test_there_are_no_more_than_500_series(measured):
    assert measured.prometheus.number("max(scrape_samples_scraped)") <= 500


def test_the_exporter_says_who_it_is(measured):
    build = measured.prometheus.get("query?query=vmcrawl_build_info&x=")["result"][0]["metric"]
    assert build["pythonversion"] == ".".join(map(str, sys.version_info[:3]))
    with urllib.request.urlopen(measured.metrics_url, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_all_outcomes_are_there_for_alerts(measured):
    assert measured.prometheus.query("count by (outcome) (vmcrawl_crawls_total)").keys() == set(map(str, Outcome))
