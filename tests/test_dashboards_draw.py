"""The tool that draws dashboards (tests/dashboards), where its npm packages and Chromium are."""

import json
import os
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest

TOOL = Path(__file__).parent / "dashboards"
SAMPLE = TOOL / "sample" / "answers.json"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("no node here")
    return found


@pytest.fixture(scope="module")
def packages(node: str) -> None:
    installed = TOOL / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (TOOL / "package-lock.json").stat().st_mtime:
        pytest.skip("the npm packages of tests/dashboards are not installed (tests/dashboards/install.sh)")


@pytest.fixture(scope="module")
def browser(packages: None) -> None:
    if not os.environ.get("CHROMIUM") and not any(map(shutil.which, _BROWSERS)):
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")


def test_the_sample_is_what_its_maker_makes(node, tmp_path):
    subprocess.run([node, TOOL / "sample" / "make.mjs", tmp_path / "made.json"], check=True, timeout=60)
    assert (tmp_path / "made.json").read_text() == SAMPLE.read_text()


def test_a_picture_is_as_wide_as_asked_and_not_blank(browser, tmp_path):
    ended = _draw(SAMPLE, tmp_path, "--theme", "dark", "--theme", "light", "--width", "1200", "--width", "400")
    assert ended.returncode == 0, ended.stderr
    names = {f"vmcrawl-sample-{theme}-{width}.png": width for theme in ("dark", "light") for width in (1200, 400)}
    assert {path.name for path in tmp_path.iterdir()} == set(names)
    for name, width in names.items():
        picture = (tmp_path / name).read_bytes()
        assert _width(picture) == width
        assert len(_different_lines(picture)) > 500


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda answers, panel: answers["panels"].pop(str(panel["id"])), "the answers have nothing for it"),
        (lambda answers, panel: panel.update(type="gauge"), 'panels of type "gauge" are not drawn'),
        (lambda answers, panel: panel.update(repeat="branch"), "repeated panels are not drawn"),
        (lambda answers, panel: panel.update(transformations=[{"id": "sort", "options": {}}]), '"sort"'),
        (lambda answers, panel: panel.pop("gridPos"), "has no gridPos"),
    ],
)
def test_what_cannot_be_drawn_is_told(browser, tmp_path, spoil, complaint):
    answers = json.loads(SAMPLE.read_text())
    spoil(answers, _first(answers["dashboard"], "stat"))
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    ended = _draw(tmp_path / "answers.json", tmp_path)
    assert ended.returncode == 1
    assert complaint in ended.stderr


def test_the_sample_agrees_with_the_published_types(packages, tmp_path):
    ended = _check(tmp_path, _dashboard())
    assert ended.returncode == 0, ended.stderr


def test_what_the_published_types_do_not_have_is_told_with_its_place(packages, tmp_path):
    spoilt: dict[str, dict[str, Any]] = {
        "stat": {"unit": 5, "unti": "short", "color": {"mode": "fixd"}},
        "timeseries": {"custom": {"drawStyle": "lines"}},
    }
    dashboards = []
    for kind, defaults in spoilt.items():
        for key, value in defaults.items():
            dashboard = _dashboard()
            _first(dashboard, kind)["fieldConfig"]["defaults"][key] = value
            dashboards.append(dashboard)
    ended = _check(tmp_path, *dashboards)
    assert ended.returncode == 1
    for place in (
        '0.json, panel 2 "Instances": "unit": 5',
        '1.json, panel 2 "Instances": "unti": "short"',
        '2.json, panel 2 "Instances": "mode": "fixd"',
        '3.json, panel 9 "Instances by branch": "drawStyle": "lines"',
    ):
        assert place in ended.stderr
    assert "4 complaints" in ended.stdout


def _draw(answers: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return _run("draw.sh", answers, out, *options)


def _check(directory: Path, *dashboards: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    paths = [directory / f"{number}.json" for number in range(len(dashboards))]
    for path, dashboard in zip(paths, dashboards, strict=True):
        path.write_text(json.dumps(dashboard))
    return _run("check-schema.sh", *paths)


def _run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([TOOL / script, *arguments], capture_output=True, text=True, timeout=240, check=False)


def _dashboard() -> dict[str, Any]:
    dashboard: dict[str, Any] = json.loads(SAMPLE.read_text())["dashboard"]
    return dashboard


def _first(dashboard: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(panel for panel in dashboard["panels"] if panel["type"] == kind)


def _width(png: bytes) -> int:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(png[16:20])


def _different_lines(png: bytes) -> set[bytes]:
    """The lines of pixels as PNG has them, each once: a blank picture has hardly more than one."""
    pixels, at = b"", 8
    while at < len(png):
        length, kind = int.from_bytes(png[at : at + 4]), png[at + 4 : at + 8]
        if kind == b"IDAT":
            pixels += png[at + 8 : at + 8 + length]
        at += length + 12
    lines = zlib.decompress(pixels)
    height = int.from_bytes(png[20:24])
    stride = len(lines) // height
    return {lines[start : start + stride] for start in range(0, len(lines), stride)}
