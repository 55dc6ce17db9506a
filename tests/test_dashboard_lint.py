"""The rules of Grafana's dashboard-linter (v0.2), and provisioning that fits the dashboards.

The linter itself is a Go program; these are its rules in our own words. Those that do not hold stand in
``grafana/dashboards/.lint`` with their reasons, where the linter itself looks for them.
"""

import json
import re

import pytest
import yaml

from tests.dashboards.answers import panels
from tests.dashboards.shipped import DASHBOARDS, FILES, GRAFANA

EXCLUDED = yaml.safe_load((GRAFANA / "dashboards" / ".lint").read_text())["exclusions"]
SOURCES = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "vmcrawl.yaml").read_text())["datasources"]
PROVIDERS = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "vmcrawl.yaml").read_text())["providers"]

each_dashboard = pytest.mark.parametrize("name", DASHBOARDS)
EXPRESSIONS = [
    (name, panel["title"], target["expr"])
    for name, dashboard in DASHBOARDS.items()
    for panel in panels(dashboard)
    for target in panel["targets"]
    if "expr" in target
]


def test_every_exclusion_has_a_reason():
    assert all(len(rule["reason"]) > 20 for rule in EXCLUDED.values())
    assert set(EXCLUDED) == {
        *("template-datasource-rule", "panel-datasource-rule", "template-job-rule", "template-instance-rule"),
        *("target-job-rule", "target-instance-rule"),
    }


@each_dashboard
def test_uneditable_dashboard(name):
    assert DASHBOARDS[name]["editable"] is False
    assert "id" not in DASHBOARDS[name]
    assert "__inputs" not in DASHBOARDS[name]


@each_dashboard
def test_template_on_time_change_reload(name):
    for variable in DASHBOARDS[name]["templating"]["list"]:
        assert variable["type"] != "query" or variable["refresh"] == 2


@each_dashboard
def test_panel_title_description_units_and_targets(name):
    for panel in panels(DASHBOARDS[name]):
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]


@pytest.mark.parametrize(("name", "title", "expression"), EXPRESSIONS)
def test_rates_and_counters(name, title, expression):
    """target-rate-interval-rule and target-counter-agg-rule."""
    ranges = re.findall(r"\b(?:rate|irate|increase)\([^\[]*\[([^\]]*)\]", expression)
    assert set(ranges) <= {"$__rate_interval"}
    for counter in re.finditer(r"\b\w+_(?:total|bucket|count|sum)\{", expression):
        assert re.search(r"\b(rate|irate|increase)\($", expression[: counter.start()]), expression


@each_dashboard
def test_panels_use_the_sources_that_are_provisioned(name):
    provisioned = {source["uid"]: source["type"] for source in SOURCES}
    for panel in panels(DASHBOARDS[name]):
        for asked in (panel["datasource"], *(target["datasource"] for target in panel["targets"])):
            assert provisioned[asked["uid"]] == asked["type"]


def test_every_dashboard_is_provided_once():
    mounted = re.findall(r"^dashboards/(\S+) +-> (\S+)/\1$", (GRAFANA / "README.md").read_text(), re.MULTILINE)
    assert [name for name, _ in sorted(mounted)] == [file.name for file in FILES]
    assert {path for _, path in mounted} == {provider["options"]["path"] for provider in PROVIDERS}
    assert len({provider["folder"] for provider in PROVIDERS}) == len(PROVIDERS)
    assert not any(provider["allowUiUpdates"] for provider in PROVIDERS)


def test_no_secret_is_written_down():
    for source in SOURCES:
        for value in [source["url"], source.get("user", "$"), *source.get("secureJsonData", {}).values()]:
            assert value.startswith("$")
    assert "password" not in json.dumps([source.get("jsonData") for source in SOURCES])
