"""The dashboards: current, well-formed, and asking only for what there is."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest

from grafana.build import colours
from tests.dashboards.answers import panels, promql_of
from tests.dashboards.shipped import DASHBOARDS, PANELS, TARGETS
from tests.promtool import exported_names

PROJECT = Path(__file__).parents[1]
#: Metrics that Prometheus makes itself, or the client library.
NOT_OURS = {"ALERTS", "scrape_duration_seconds", "process_resident_memory_bytes"}

each_panel = pytest.mark.parametrize(
    ("name", "panel"), PANELS, ids=[f"{name}: {panel['title']}" for name, panel in PANELS]
)
each_dashboard = pytest.mark.parametrize("name", DASHBOARDS)
PROMQL = [(panel["title"], target["expr"]) for _, panel, target in TARGETS if "expr" in target] + [
    (source["name"], source["expr"]) for dashboard in DASHBOARDS.values() for source in dashboard["annotations"]["list"]
]
each_query = pytest.mark.parametrize(("title", "expression"), PROMQL, ids=[title for title, _ in PROMQL])


def test_there_are_three():
    assert {dashboard["uid"] for dashboard in DASHBOARDS.values()} == {
        *("vmcrawl-adoption", "vmcrawl-instances", "vmcrawl-health")
    }


def test_they_are_what_is_built():
    command = [sys.executable, "-m", "grafana.build", "--check"]
    built = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr


@each_query
def test_every_query_parses_and_asks_only_for_what_is_served(title, expression):
    expression = promql_of({"expr": expression}, "5m")
    promql_parser.parse(expression)
    selected = re.findall(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}", expression)
    assert selected
    for metric, matchers in selected:
        if metric in NOT_OURS:
            continue
        assert metric in exported_names()
        labels = set(re.findall(r"(\w+)\s*[=!]~?", matchers)) - {"job"}
        assert labels <= exported_names()[metric], metric
        assert 'job="vmcrawl"' in matchers


@each_panel
def test_every_panel_says_what_it_is(name, panel):
    assert panel["title"].strip()
    assert len(panel["description"]) > 10
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"]
    assert defaults["noValue"]
    assert defaults["thresholds"]["steps"][0]["value"] is None
    assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH"[: len(panel["targets"])])


@each_dashboard
def test_panels_do_not_overlap_and_fill_the_width(name):
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARDS[name]["panels"]:
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not mine & cells, panel["title"]
        cells |= mine
    assert len(cells) == 24 * (max(y for _, y in cells) + 1)
    assert len({panel["id"] for panel in DASHBOARDS[name]["panels"]}) == len(DASHBOARDS[name]["panels"])


def test_the_public_one_has_nothing_that_a_public_dashboard_cannot_have():
    public = DASHBOARDS["adoption"]
    assert public["templating"]["list"] == []
    assert not re.findall(r"\$\{?(?!__)\w+", json.dumps(public)), "no variable of its own"
    assert {panel["datasource"]["type"] for panel in panels(public)} == {"prometheus"}


def coloured_names() -> Iterator[tuple[str, str]]:
    """What has which colour, as a series or as a word in a table."""
    for _, panel in PANELS:
        for override in panel["fieldConfig"]["overrides"]:
            for one in override["properties"]:
                if one["id"] == "color" and one["value"].get("fixedColor"):
                    yield override["matcher"]["options"], one["value"]["fixedColor"]
                if one["id"] == "mappings":
                    yield from ((word, said["color"]) for word, said in one["value"][0]["options"].items())


def test_one_name_has_one_colour_everywhere():
    found: dict[str, set[str]] = {}
    for name, colour in coloured_names():
        found.setdefault(name, set()).add(colour)
    assert {name: several for name, several in found.items() if len(several) > 1} == {}


@each_panel
def test_all_colours_are_those_that_can_be_told_apart(name, panel):
    found = set(re.findall(r'"#[0-9A-Fa-f]{6}"', json.dumps(panel["fieldConfig"])))
    assert found <= {f'"{value}"' for value in vars(colours).values() if isinstance(value, str)}


def test_every_variable_in_a_statement_is_quoted():
    """Grafana puts the rest in as it stands in the address, which anybody can make up."""
    for _, panel, target in TARGETS:
        for used in re.findall(r"\$\{?\w+[^}]*\}?", target.get("rawSql", "")):
            assert used.endswith(":sqlstring}"), panel["title"]


def test_every_runbook_that_is_linked_is_there():
    links = re.findall(r"deploy/runbooks/(\w+\.md)", json.dumps(DASHBOARDS["health"]))
    assert len(set(links)) > 8
    for link in links:
        assert (PROJECT / "deploy" / "runbooks" / link).exists()
