"""What is in ``deploy/prometheus``, read for tests, and the program that judges it."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
RULES = PROMETHEUS / "rules.yaml"
RULE_TESTS = sorted((PROMETHEUS / "tests").glob("*.yaml"))

#: Labels that a target has by being scraped; whatever it is, a rule may name them.
_OF_THE_TARGET = frozenset({"job", "instance"})
_SELECTOR = re.compile(r"(?<![\w:$])(?P<name>[a-zA-Z_:][\w:]*)\{(?P<matchers>[^}]*)\}")
_NAME = re.compile(r"(?<![\w:$.\"])(?:vmcrawl_\w+|\w+:vmcrawl_\w+:\w+)")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How promtool ended, and all it said."""

    fine: bool
    said: str


def promtool(*arguments: str | Path) -> Verdict:
    """Run promtool. Without it the test is skipped, but fails in CI."""
    program = shutil.which("promtool")
    if program is None:
        reason = "no promtool (Debian: apt-get install prometheus)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    ended = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=240, check=False)
    return Verdict(ended.returncode == 0, ended.stdout + ended.stderr)


@cache
def groups() -> Mapping[str, list[dict[str, Any]]]:
    """The rules of ``rules.yaml`` by name of their group, in order."""
    return {group["name"]: group["rules"] for group in yaml.safe_load(RULES.read_text())["groups"]}


def recordings() -> list[dict[str, Any]]:
    """The recording rules, in order."""
    return groups()["vmcrawl.rules"]


def alerts() -> list[dict[str, Any]]:
    """The alerts, in order."""
    return groups()["vmcrawl.alerts"]


def names_in(expression: str) -> set[str]:
    """Our own metrics and recording rules that an expression reads."""
    return set(_NAME.findall(expression))


def labels_in(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each selector of an expression: the metric, and the labels that it is selected by."""
    for selector in _SELECTOR.finditer(expression):
        yield selector["name"], set(re.findall(r"(\w+)\s*[=!]", selector["matchers"])) - _OF_THE_TARGET


def exported_names() -> Mapping[str, frozenset[str]]:
    """Every metric that the exporter serves, and its labels.

    TO BE CONNECTED: the one place that has to ask the exporter, instead of the table below.
    """
    return {name: frozenset(labels.split()) for name, labels in _EXPORTED.items()}


_EXPORTED = {
    "vmcrawl_instances": "branch patched",
    "vmcrawl_monthly_active_users": "branch patched",
    "vmcrawl_version_instances": "version branch",
    "vmcrawl_version_monthly_active_users": "version branch",
    "vmcrawl_software_instances": "software fork",
    "vmcrawl_software_monthly_active_users": "software fork",
    "vmcrawl_prerelease_instances": "channel",
    "vmcrawl_prerelease_monthly_active_users": "channel",
    "vmcrawl_branch_info": "branch support latest_version",
    "vmcrawl_branch_support_end_timestamp_seconds": "branch",
    "vmcrawl_release_published_timestamp_seconds": "version branch",
    "vmcrawl_exposed_instances": "advisory severity",
    "vmcrawl_exposed_monthly_active_users": "advisory severity",
    "vmcrawl_patch_delay_seconds": "branch version share weight",
    "vmcrawl_patch_instances": "branch version adopted",
    "vmcrawl_patch_monthly_active_users": "branch version adopted",
    "vmcrawl_domains": "outcome",
    "vmcrawl_failing_instances": "outcome",
    "vmcrawl_due_domains": "overdue",
    "vmcrawl_oldest_due_timestamp_seconds": "",
    "vmcrawl_stale_domains": "",
    "vmcrawl_oldest_check_timestamp_seconds": "",
    "vmcrawl_leases": "state",
    "vmcrawl_run_shards": "state",
    "vmcrawl_catalogue_last_update_timestamp_seconds": "source",
    "vmcrawl_run_last_start_timestamp_seconds": "",
    "vmcrawl_run_last_completion_timestamp_seconds": "",
    "vmcrawl_run_last_success_timestamp_seconds": "",
    "vmcrawl_run_last_duration_seconds": "",
    "vmcrawl_run_last_status": "status",
    "vmcrawl_run_last_planned_domains": "",
    "vmcrawl_run_last_domains": "outcome",
    "vmcrawl_run_last_requests": "",
    "vmcrawl_run_last_received_bytes": "",
    "vmcrawl_run_in_progress": "",
    "vmcrawl_run_current_start_timestamp_seconds": "",
    "vmcrawl_run_current_planned_domains": "",
    "vmcrawl_run_current_processed_domains": "",
    "vmcrawl_runs_total": "status",
    "vmcrawl_crawls_total": "outcome",
    "vmcrawl_requests_total": "",
    "vmcrawl_received_bytes_total": "",
    "vmcrawl_crawl_duration_seconds_bucket": "le",
    "vmcrawl_crawl_duration_seconds_count": "",
    "vmcrawl_crawl_duration_seconds_sum": "",
    "vmcrawl_build_info": "version revision pythonversion",
    "vmcrawl_database_up": "",
    "vmcrawl_scrape_collector_success": "collector",
    "vmcrawl_scrape_collector_duration_seconds": "collector",
}
