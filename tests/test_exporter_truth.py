"""A real Prometheus scrapes a real exporter over a crawled simulated Fediverse: what it answers is the truth."""

import csv
import sys
import urllib.request
from collections import Counter
from typing import Any

from tests.measured import DATA, Server, newest_releases
from vmcrawl.outcome import Outcome


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
    newest = newest_releases()
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
