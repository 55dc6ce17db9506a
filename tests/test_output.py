"""Output that cannot be written, or that nobody reads any more: said, and never a success."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest

from tests.program import environment
from tests.store.builders import NOW, names
from vmcrawl.store import ledger
from vmcrawl.store.migrations import prepare

#: One that writes a little, one that writes a table, one that writes more than a pipe holds, and argparse's own.
COMMANDS = ["classify --json 4.5.6", "releases show", "domains list --json", "domains list", "--help", "--version"]


@pytest.fixture
def env(database_url, connection):
    prepare(connection, timedelta(days=3))
    ledger.add_domains(connection, names(2000), "test", NOW)
    return environment(database_url)


def run(command: str, into: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run it in a shell; its exit code, not that of what it is piped into, is the last line of the errors."""
    line = f'"{sys.executable}" -m vmcrawl {command} {into}; echo "${{PIPESTATUS[0]}}" >&2'
    return subprocess.run(
        ["bash", "-c", line], env=env, capture_output=True, text=True, timeout=60, check=True, cwd=os.getcwd()
    )


def ending(finished: "subprocess.CompletedProcess[str]") -> tuple[str, int]:
    assert "Traceback" not in finished.stderr
    assert "Exception ignored" not in finished.stderr
    *errors, code = finished.stderr.splitlines()
    return "\n".join(errors), int(code)


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_said(env, command, buffered):
    errors, code = ending(run(command, ">/dev/full", {**env, "PYTHONUNBUFFERED": buffered}))
    assert (errors, code) == ("vmcrawl: the output cannot be written: No space left on device", 1)


@pytest.mark.parametrize("command", COMMANDS)
def test_without_standard_output_nothing_is_done(env, command):
    assert ending(run(command, ">&-", env)) == ("vmcrawl: standard output is closed", 1)


def test_without_standard_error_all_goes_on(env):
    finished = run("classify --json 4.5.6", "2>&-", env)
    assert ending(finished) == ("", 0)
    assert '"4.5.6"' in finished.stdout


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("command", ["domains list --json", "domains list"])
def test_who_has_read_enough_ends_it_quietly(env, command, buffered):
    finished = run(command, "| head -1", {**env, "PYTHONUNBUFFERED": buffered})
    assert ending(finished) == ("", 141)
    assert len(finished.stdout.splitlines()) == 1


def test_what_was_written_before_the_reader_left_is_a_success(env):
    finished = run("classify --json 4.5.6 4.5.7", "| (head -1; cat >/dev/null)", env)
    assert ending(finished) == ("", 0)
