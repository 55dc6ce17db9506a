"""``deploy/prometheus`` and ``deploy/runbooks`` are right in themselves, and fit to each other and to the exporter."""

import contextlib
import io
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.promtool import (
    DEPLOY,
    PROMETHEUS,
    RULE_TESTS,
    RULES,
    alerts,
    exported_names,
    groups,
    labels_in,
    names_in,
    promtool,
    recordings,
)
from vmcrawl.cli import _parser
from vmcrawl.outcome import Outcome

#: One convention, so that one substitution can move them all; deploy/prometheus/README.md says how.
RUNBOOKS = "https://github.com/vmcrawl/vmcrawl/blob/main/deploy/runbooks/"
_HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
_REPLICA = "instance, pod, container, endpoint, service, node"
#: What Prometheus itself says of a target.
_OF_PROMETHEUS = {"up", "scrape_duration_seconds", "scrape_samples_post_metric_relabeling"}
_ALERTS = [alert["alert"] for alert in alerts()]
_RULES = [pytest.param(rule, id=rule.get("alert") or rule["record"]) for rules in groups().values() for rule in rules]


def test_promtool_finds_no_fault_with_the_rules():
    verdict = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert verdict.fine, verdict.said


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_the_rules_do_what_their_own_tests_say(file):
    verdict = promtool("test", "rules", file)
    assert verdict.fine, verdict.said


def test_promtool_finds_no_fault_with_the_example_of_a_configuration():
    verdict = promtool("check", "config", PROMETHEUS / "scrape-config.example.yaml")
    assert verdict.fine, verdict.said


def test_the_example_with_tls_and_a_password_is_a_configuration_too(tmp_path):
    example = (PROMETHEUS / "scrape-config.example.yaml").read_text()
    head, _, secured = example.partition("  # - job_name: vmcrawl\n")
    head = head[: head.index("scrape_configs:")]
    for name in ("vmcrawl-ca.pem", "vmcrawl-password"):
        secured = secured.replace(f"/etc/prometheus/{name}", str(tmp_path / name))
        (tmp_path / name).write_text("")
    job = "".join(line.replace("  # ", "  ", 1) + "\n" for line in secured.splitlines())
    (tmp_path / "rules.yaml").write_text(RULES.read_text())
    (tmp_path / "prometheus.yml").write_text(f"{head}scrape_configs:\n  - job_name: vmcrawl\n{job}")
    verdict = promtool("check", "config", tmp_path / "prometheus.yml")
    assert verdict.fine, verdict.said
    (job,) = yaml.safe_load((tmp_path / "prometheus.yml").read_text())["scrape_configs"]
    plain = yaml.safe_load(example)["scrape_configs"][0]
    assert {**job, **{key: plain[key] for key in plain if key != "static_configs"}} == job
    assert job["basic_auth"]["password_file"] == str(tmp_path / "vmcrawl-password")


@pytest.mark.parametrize("rule", _RULES)
def test_every_name_and_label_in_a_rule_is_served_or_recorded(rule):
    recorded = [recording["record"] for recording in recordings()]
    if "record" in rule:
        # In order: what comes later is a minute old.
        recorded = recorded[: recorded.index(rule["record"])]
    exported = exported_names()
    assert names_in(rule["expr"]) <= exported.keys() | set(recorded)
    for name, labels in labels_in(rule["expr"]):
        assert name in exported.keys() | set(recorded) | _OF_PROMETHEUS, name
        assert labels <= (exported[name] if name in exported else _level(name)), name


@pytest.mark.parametrize("rule", _RULES)
def test_every_rule_reads_one_job_and_takes_replicas_away_in_the_same_words(rule):
    for name, matchers in re.findall(r"(?<![\w:])((?:vmcrawl|scrape)_\w+|up)\b(\{[^}]*\})?", rule["expr"]):
        assert matchers.startswith('{job="vmcrawl"'), name
    for labels in re.findall(r"without \(([^)]*instance[^)]*)\)", rule["expr"]):
        assert labels.startswith(_REPLICA)


def test_every_recording_rule_is_named_for_its_labels_its_metric_and_what_was_done():
    names = [recording["record"] for recording in recordings()]
    assert all(re.fullmatch(r"[a-z_]+:vmcrawl_[a-z_]+:(topk1|max|sum|ratio)", name) for name in names)
    assert len(set(names)) == len(names)


def test_every_recording_rule_is_read_by_a_test_or_by_another_rule():
    by_tests = {name for file in RULE_TESTS for name in names_in(file.read_text())}
    by_rules = {name for rule in (*recordings(), *alerts()) for name in names_in(rule["expr"])}
    assert {recording["record"] for recording in recordings()} <= by_tests | by_rules


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_what_tests_of_rules_feed_them_is_what_the_exporter_serves(file):
    exported = exported_names()
    for test in yaml.safe_load(file.read_text())["tests"]:
        for series in test["input_series"]:
            ((name, labels),) = labels_in(series["series"])
            if name not in _OF_PROMETHEUS:
                assert labels - {"pod", "namespace"} == exported[name], series


def test_rules_know_no_outcome_that_does_not_exist():
    for rule in (*recordings(), *alerts()):
        for pattern in re.findall(r'outcome=~?"([^"]*)"', rule["expr"]):
            for part in pattern.split("|"):
                assert any(re.fullmatch(part, outcome) for outcome in Outcome), part


@pytest.mark.parametrize("alert", alerts(), ids=_ALERTS)
def test_an_alert_says_how_grave_it_is_what_it_is_and_what_to_do(alert):
    assert re.fullmatch(r"Vmcrawl([A-Z][a-z]+)+", alert["alert"])
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert re.fullmatch(r"[A-Z][^{}.]*\.", alert["annotations"]["summary"]), "one sentence, the same each time"
    assert "{{ $labels.job }}" in alert["annotations"]["description"]
    assert alert["annotations"]["runbook_url"] == f"{RUNBOOKS}{alert['alert']}.md"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert():
    assert sorted(path.stem for path in (DEPLOY / "runbooks").iterdir()) == sorted(_ALERTS)


@pytest.mark.parametrize("name", _ALERTS)
def test_a_runbook_says_what_it_means_what_it_costs_how_to_find_out_and_what_to_do(name):
    text = _runbook(name)
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == _HEADINGS
    for link in re.findall(r"\]\(([^)]*)\)", text):
        assert (DEPLOY / "runbooks" / link).is_file(), link


@pytest.mark.parametrize("name", _ALERTS)
def test_every_command_in_a_runbook_can_be_given(name):
    for command in _commands(_runbook(name)):
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                arguments = _parser().parse_args(shlex.split(command)[1:])
        except SystemExit:
            pytest.fail(f"{command}: {said.getvalue()}")
        assert set(getattr(arguments, "outcome", None) or ()) <= {*Outcome, "none"}, command


def test_every_query_in_a_runbook_can_be_asked_and_names_what_exists(tmp_path):
    queries = [query for name in _ALERTS for query in _blocks(_runbook(name), "promql")]
    assert queries
    exported, recorded = exported_names(), {recording["record"] for recording in recordings()}
    for query in queries:
        assert names_in(query) <= exported.keys() | recorded, query
    rules = [{"record": f"query:number:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": rules}]}))
    verdict = promtool("check", "rules", tmp_path / "rules.yaml")
    assert verdict.fine, verdict.said


def test_the_readme_says_where_runbooks_are_and_names_only_what_exists():
    text = (PROMETHEUS / "README.md").read_text()
    assert RUNBOOKS in text
    assert names_in(text) <= exported_names().keys() | {recording["record"] for recording in recordings()}
    assert set(re.findall(r"Vmcrawl[A-Z]\w+", text)) <= set(_ALERTS)


def test_the_mixin_is_the_rules():
    assert json.loads(_mixin("{}")) == yaml.safe_load(RULES.read_text())


def test_the_mixin_takes_another_job_and_other_runbooks():
    text = _mixin("{ _config+:: { selector: 'job=\"mastodon/vmcrawl\"', runbooks: 'https://wiki.example.org/' } }")
    assert 'job=\\"vmcrawl\\"' not in text
    assert "github.com" not in text
    assert text.count("https://wiki.example.org/") == len(_ALERTS)


def _mixin(changes: str) -> str:
    jsonnet = pytest.importorskip("_jsonnet", reason="no jsonnet (pip install jsonnet)")
    code = (
        f"local m = (import 'mixin.libsonnet') + {changes};"
        " { groups: m.prometheusRules.groups + m.prometheusAlerts.groups }"
    )
    return str(jsonnet.evaluate_snippet(str(PROMETHEUS / "snippet.jsonnet"), code))


def _level(name: str) -> frozenset[str]:
    """The labels that a recording rule has by its name: ``branch_patched:…`` has branch and patched."""
    return frozenset(name.partition(":")[0].split("_"))


def _runbook(name: str) -> str:
    return Path(DEPLOY / "runbooks" / f"{name}.md").read_text()


def _blocks(text: str, language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def _commands(text: str) -> list[str]:
    in_blocks = [line for block in _blocks(text, "sh") for line in block.splitlines()]
    in_text = [code for code in re.findall(r"`(vmcrawl [^`]+)`", text) if code != "vmcrawl exporter"]
    return [*in_blocks, *in_text]
