"""The tests of rules can fail: each alert is tried with each threshold moved, and some test of it must notice."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.promtool import RULE_TESTS, alerts, names_in, promtool, recordings

_ALERTS = [pytest.param(alert, id=alert["alert"]) for alert in alerts()]
_OPPOSITE = {"==": "!=", ">": "<=", "<": ">=", ">=": "<"}
_COMPARISON = re.compile(r"(?<![=!<>])(==|>=|>|<)(?![=~])")
#: What something is compared with, where that begins with a number.
_THRESHOLD = re.compile(r"(?<![=!<>])(?:==|>=|>|<)\s*(?:time\(\) - )?(\d+(?:\.\d+)?)")


@pytest.mark.parametrize("alert", _ALERTS)
def test_every_alert_has_tests_that_fire_and_stay_silent(alert):
    expected = [
        bool(test.get("exp_alerts"))
        for file in RULE_TESTS
        for case in yaml.safe_load(file.read_text())["tests"]
        for test in case.get("alert_rule_test", [])
        if test["alertname"] == alert["alert"]
    ]
    assert {True, False} == set(expected)


@pytest.mark.parametrize("alert", _ALERTS)
def test_an_alert_with_another_threshold_fails_its_tests(alert, tmp_path):
    mutants = [alert, *_mutants(alert)]
    assert len(mutants) > 2
    folders = [tmp_path / str(number) for number in range(len(mutants))]
    with ThreadPoolExecutor(2) as both_cores:
        passed = list(both_cores.map(_passes, mutants, folders))
    assert passed[0], "as it is"
    survivors = [mutant for mutant, fine in zip(mutants[1:], passed[1:], strict=True) if fine]
    assert not survivors


@pytest.mark.parametrize(
    ("whole", "changed"),
    [
        # Every replica is believed, whatever it says and however old it is.
        (r" and( ignoring \([^)]*\))? instance:vmcrawl_database_up:topk1", ""),
        (r"1e11 \*", "0 *"),
        (r"\+ timestamp\(", "+ 0 * timestamp("),
        # Replicas are counted one by one.
        ("instance, pod, container", "instance"),
        # A branch has as many kinds of support as it is given; one without any is lost.
        (r"topk without \(support\) \(1,", "count without () ("),
        (r'"unknown"', '"eol"'),
        ("main|latest", "main"),
        # Nothing is no number; the unpatched are patched.
        (r"0 \* max without", "1 * max without"),
        ('patched="true"', 'patched="false"'),
        ('adopted="true"', 'adopted="false"'),
        (r"tls_\.\+", "tls"),
    ],
)
def test_recording_rules_that_add_up_otherwise_fail_their_tests(whole, changed, tmp_path):
    mutated = [{**rule, "expr": re.sub(whole, changed, re.sub(r"\s+", " ", rule["expr"]))} for rule in recordings()]
    assert [rule["expr"] for rule in mutated] != [re.sub(r"\s+", " ", rule["expr"]) for rule in recordings()]
    (file,) = (file for file in RULE_TESTS if file.stem == "recording")
    verdict = _judge(mutated, [], yaml.safe_load(file.read_text()), tmp_path)
    assert "FAILED" in verdict or "error" in verdict, verdict


def _mutants(alert: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The alert with one comparison turned round, one threshold moved either way, or another patience."""
    expression = alert["expr"]
    for found in _COMPARISON.finditer(expression):
        yield {**alert, "expr": _replace(expression, found.span(1), _OPPOSITE[found[1]])}
    for found in _THRESHOLD.finditer(expression):
        for number in {float(found[1]) * 0.75, (float(found[1]) or 1) * 2.5} - {0.0}:
            yield {**alert, "expr": _replace(expression, found.span(1), str(number))}
    if "for" in alert:
        yield {key: alert[key] for key in alert if key != "for"}
        yield {**alert, "for": "7h"}


def _replace(text: str, span: tuple[int, int], new: str) -> str:
    return text[: span[0]] + new + text[span[1] :]


def _passes(alert: dict[str, Any], folder: Path) -> bool:
    """Whether the tests that speak of an alert are content with it."""
    folder.mkdir()
    name = alert["alert"]
    for file in RULE_TESTS:
        document = yaml.safe_load(file.read_text())
        tests = [
            (case, [test for test in case.get("alert_rule_test", []) if test["alertname"] == name])
            for case in document["tests"]
        ]
        cases = [{**case, "alert_rule_test": of_it} for case, of_it in tests if of_it]
        if cases:
            said = _judge(_needed_by(alert), [alert], {**document, "tests": cases}, folder)
            assert "FAILED" not in said or "exp:" in said, said
            if "SUCCESS" not in said:
                return False
    return True


def _needed_by(alert: dict[str, Any]) -> list[dict[str, Any]]:
    """The recording rules that an alert stands on, in order; all of them would take much longer."""
    names = names_in(alert["expr"])
    needed: list[dict[str, Any]] = []
    for recording in reversed(recordings()):
        if recording["record"] in names:
            names |= names_in(recording["expr"])
            needed.insert(0, recording)
    return needed


def _judge(recorded: list[dict[str, Any]], alerting: list[dict[str, Any]], tests: object, folder: Path) -> str:
    """What promtool says of rules and of tests that were written for others."""
    by_name = {"vmcrawl.rules": recorded, "vmcrawl.alerts": alerting}
    present = [{"name": name, "rules": rules} for name, rules in by_name.items() if rules]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": present}))
    assert isinstance(tests, dict)
    told = {**tests, "rule_files": ["rules.yaml"], "group_eval_order": [group["name"] for group in present]}
    (folder / "tests.yaml").write_text(yaml.safe_dump(told))
    return promtool("test", "rules", folder / "tests.yaml").said
