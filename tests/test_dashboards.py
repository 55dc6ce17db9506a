"""The dashboards: current, well-formed, asking only for what there is, and answered by the truth."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import promql_parser
import psycopg
import pytest

from tests.dashboards.answers import Asking, annotations, frames, panels, promql_of, sql_of, variables
from tests.measured import APART, PAGES, past
from tests.promtool import exported_names

PROJECT = Path(__file__).parents[1]
FILES = sorted((PROJECT / "grafana" / "dashboards").rglob("*.json"))
DASHBOARDS = {file.stem: json.loads(file.read_text()) for file in FILES}
#: Metrics that Prometheus makes itself, or the client library.
NOT_OURS = {"ALERTS", "scrape_duration_seconds", "process_resident_memory_bytes"}
#: What may have nothing to say on a good day.
MAY_BE_EMPTY = {
    "Running now",
    "Alerts that fire",
    "Published, but failing now",
    "Patch delay: the newest security release of each branch",
}

PANELS = [(name, panel) for name, dashboard in DASHBOARDS.items() for panel in panels(dashboard)]
TARGETS = [(name, panel, target) for name, panel in PANELS for target in panel["targets"]]
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


def test_one_name_has_one_colour_everywhere():
    colours: dict[str, set[str]] = {}
    for _, panel in PANELS:
        for override in panel["fieldConfig"]["overrides"]:
            for one in override["properties"]:
                if one["id"] == "color" and one["value"].get("fixedColor"):
                    colours.setdefault(override["matcher"]["options"], set()).add(one["value"]["fixedColor"])
    assert {name: found for name, found in colours.items() if len(found) > 1} == {}


@pytest.fixture(scope="module")
def reader(measured):
    """A connection with the rights of whoever reads for Grafana."""
    with psycopg.connect(measured.database_url, autocommit=True) as connection:
        connection.execute("SET ROLE vmcrawl_reader")
        yield connection


@pytest.fixture(scope="module")
def asking(measured, reader):
    """Everything of the last weeks, and of now."""
    end = time.time()
    return Asking(measured.prometheus, reader, end - 21 * 86_400, end, rate_interval="20s")


@pytest.fixture(scope="module")
def of_now(measured, reader):
    """The last minute: for what there has to be two scrapes of."""
    time.sleep(2.5)
    return Asking(measured.prometheus, reader, time.time() - 60, time.time(), rate_interval="20s")


@each_panel
def test_every_panel_has_an_answer(name, panel, asking, of_now):
    asking = of_now if name == "health" else asking
    found = frames(panel, asking, variables(DASHBOARDS[name], asking))
    rows = sum(len(frame["fields"][0]["values"]) for frame in found)
    assert rows > 0 or panel["title"] in MAY_BE_EMPTY


def value_of(name: str, title: str, asking: Asking) -> float:
    """The one number of a panel."""
    (panel,) = [panel for of, panel in PANELS if of == name and panel["title"] == title]
    (frame,) = frames(panel, asking, variables(DASHBOARDS[name], asking))
    (number,) = frame["fields"][-1]["values"]
    return float(number)


def rows_of(name: str, title: str, asking: Asking) -> list[dict[str, Any]]:
    """The frames of a panel that asks for tables, by the labels that all have in common."""
    (panel,) = [panel for of, panel in PANELS if of == name and panel["title"] == title]
    merged: dict[tuple[str, ...], dict[str, Any]] = {}
    for frame in frames(panel, asking, variables(DASHBOARDS[name], asking)):
        columns = {column["name"]: column["values"] for column in frame["fields"]}
        for row in range(len(columns["Time"])):
            record = {key: values[row] for key, values in columns.items() if key != "Time"}
            key = record.get("branch"), record.get("advisory"), record.get("version")
            merged.setdefault(tuple(map(str, key)), {}).update(record)
    return list(merged.values())


def series_of(name: str, title: str, asking: Asking) -> dict[str, dict[int, float]]:
    """The curves of a panel: value by second, by legend."""
    (panel,) = [panel for of, panel in PANELS if of == name and panel["title"] == title]
    return {
        frame["fields"][1]["config"]["displayNameFromDS"]: dict(
            zip((ms // 1000 for ms in frame["fields"][0]["values"]), frame["fields"][1]["values"], strict=True)
        )
        for frame in frames(panel, asking, {})
    }


def test_the_numbers_of_now_are_the_truth(measured, asking):
    servers = measured.servers
    assert value_of("adoption", "Servers", asking) == len(servers)
    assert value_of("adoption", "Active users", asking) == sum(server.users for server in servers)
    assert 0 < value_of("adoption", "Patched servers", asking) < 1
    assert value_of("health", "Database", asking) == 1
    assert value_of("health", "Since the last success", asking) < 600


def test_the_totals_of_both_sources_agree(measured, asking):
    for one, other in (("Servers", "Published servers"), ("Active users", "Their active users")):
        assert value_of("adoption", one, asking) == value_of("instances", other, asking)


def test_the_branches_are_the_truth(measured, asking):
    found = {
        row["branch"]: row["Value #B"]
        for row in rows_of("adoption", "Patched servers, against all", asking)
        if row["Value #B"]
    }
    supported = {"4.8", "4.7", "4.6", "4.5", "4.4"}
    expected: dict[str, int] = {}
    for server in measured.servers:
        if server.label.branch in supported:
            expected[server.label.branch] = expected.get(server.label.branch, 0) + 1
    assert found == expected


def test_the_past_is_what_the_history_says(measured, asking):
    curves = series_of("adoption", "Servers by branch", asking)
    compared = 0
    for second, value in curves["4.6"].items():
        pages_ago = (asking.end - second) / APART.total_seconds()
        # Not near the moment of a run, nor within the hours that are not exported, nor before the first page.
        if not 1 < pages_ago < PAGES - 1 or min(pages_ago % 1, 1 - pages_ago % 1) < 0.2:
            continue
        page = {row[0]: row[3] for row in past(int(pages_ago) + 1)}
        assert value == page["4.6"]
        assert curves["4.5"][second] == page["4.5"]
        compared += 1
    assert compared > 50


def test_the_table_is_of_those_who_are_listed(measured, asking, reader):
    with psycopg.connect(measured.database_url, autocommit=True) as owner:
        name = owner.execute("SELECT domain FROM instances ORDER BY active_users DESC LIMIT 1").fetchone()
        assert name is not None
        (panel,) = [panel for of, panel in PANELS if of == "instances" and panel["type"] == "table"]
        dashboard = DASHBOARDS["instances"]

        def domains(**chosen: list[str]) -> list[str]:
            choice = Asking(asking.prometheus, reader, asking.start, asking.end, chosen=chosen)
            (frame,) = frames(panel, choice, variables(dashboard, choice))
            columns = {column["name"]: column["values"] for column in frame["fields"]}
            return list(columns["domain"])

        assert len(domains()) == len(measured.servers)
        assert domains()[0] == name[0]
        owner.execute("INSERT INTO dni (domain) VALUES (%s)", name)
        try:
            assert name[0] not in domains()
            assert len(domains()) == len(measured.servers) - 1
        finally:
            owner.execute("DELETE FROM dni WHERE domain = %s", name)
        assert domains(search=[name[0]]) == [name[0]]
        assert domains(search=["' OR true --"]) == []
        branch = [server for server in measured.servers if server.label.branch == "4.6"]
        assert len(domains(branch=["4.6"])) == len(branch)
        assert len(domains(patched=["yes"])) + len(domains(patched=["no", "unknown"])) == len(measured.servers)
        assert domains(failing=["yes"]) == []


def test_releases_are_marked_where_they_came_out(asking):
    (source,) = DASHBOARDS["adoption"]["annotations"]["list"]
    long = Asking(asking.prometheus, asking.postgres, asking.end - 400 * 86_400, asking.end)
    marked = {event["title"]: event["time"] for event in annotations(source, long)}
    assert marked["Mastodon 4.6.6"] == 1_786_579_200_000, "2026-08-13"


def test_the_role_cannot_read_more_than_the_dashboards_need(reader):
    for table in ("domains", "sightings", "dni", "instances", "runs"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(f"SELECT * FROM {table}".encode())


def test_a_hostile_choice_is_a_value_and_nothing_more():
    target = {"rawSql": "SELECT ${branch:sqlstring}, '${branch:text}'"}
    assert sql_of(target, {"branch": ["4.6", "x' OR 'a'='a"]}, {}) == "SELECT '4.6','x'' OR ''a''=''a', 'All'"
