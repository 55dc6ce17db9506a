"""The programs that judge what is in ``deploy``: they come with the development dependencies, or with Debian."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a program ended, and what it said."""

    code: int
    out: str
    err: str


def ask(program: str, *arguments: str | Path, given: str = "", environment: Mapping[str, str] | None = None) -> Answer:
    """Run a program of the virtual environment."""
    beside = Path(sys.executable).parent / program
    return _run([str(beside), *map(str, arguments)], given, environment)


def ask_debian(program: str, *arguments: str | Path) -> Answer:
    """Run a program that a package of Debian brings. Without it the test is skipped, but fails in CI."""
    found = shutil.which(program)
    if found is None:
        why = f"no {program} here (Debian: apt-get install systemd)"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return _run([found, *map(str, arguments)], "", None)


def _run(command: list[str], given: str, environment: Mapping[str, str] | None) -> Answer:
    bare = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C.UTF-8", **(environment or {})}
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False, env=bare)
    return Answer(done.returncode, done.stdout, done.stderr)
