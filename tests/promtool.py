"""What is in ``deploy/prometheus``, read for tests, and the program that judges it."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.prometheus import needed
from vmcrawl.exporter.family import Histogram
from vmcrawl.exporter.scrape import OWN, SUBJECTS

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
    ended = subprocess.run([needed("promtool"), *arguments], capture_output=True, text=True, timeout=240, check=False)
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
    """Every metric that the exporter serves, as Prometheus names it, and its labels."""
    names: dict[str, frozenset[str]] = {}
    for family in (*OWN, *(family for subject in SUBJECTS for family in subject.families)):
        if isinstance(family, Histogram):
            bucket, *rest = (f"{family.name}_{part}" for part in ("bucket", "count", "sum"))
            names |= {bucket: frozenset({"le"}), **dict.fromkeys(rest, frozenset())}
        else:
            names[family.name] = frozenset(family.labels)
    return names
