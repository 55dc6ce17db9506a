"""The benchmark runs, and what it crawls over a real nginx gets the right verdicts. It measures nothing here."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.webserver import NoWebServer, find_nginx

_PROJECT = Path(__file__).parents[1]


def test_every_crowd_of_the_benchmark_gets_its_verdicts_and_known_servers_get_one_request():
    try:
        find_nginx()
    except NoWebServer as error:
        pytest.skip(str(error))
    command = [sys.executable, "-m", "tests.bench", "first", "chain", "known", "mix", "--domains", "80", "--runs", "1"]
    finished = subprocess.run(command, cwd=_PROJECT, capture_output=True, text=True, timeout=240, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "WRONG" not in finished.stdout, finished.stdout
    requests = re.findall(r"requests per domain +([0-9.]+)", finished.stdout)
    assert requests[:3] == ["4.00", "4.00", "1.00"], finished.stdout


def test_bulk_commands_can_be_measured():
    command = [sys.executable, "-m", "tests.bench.bulk", "--names", "1000"]
    finished = subprocess.run(command, cwd=_PROJECT, capture_output=True, text=True, timeout=240, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "dni import of 1,000 names" in finished.stdout
