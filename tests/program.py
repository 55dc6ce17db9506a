"""Running ``vmcrawl`` as its users do: as a program, against a database and the simulated Fediverse."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_PROJECT = Path(__file__).parents[1]


def environment(database_url: str, **more: str) -> dict[str, str]:
    """The environment of a program that is to see nothing of ours but this database."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "VMCRAWL_"))}
    return {**ours, "VMCRAWL_DATABASE_URL": database_url, **more}


def patient_environment(database_url: str, config_file: Path) -> dict[str, str]:
    """For crowds that share the machine with the crawler: their slowness must not look like silence."""
    return environment(
        database_url,
        VMCRAWL_CONFIG=str(config_file),
        VMCRAWL_NETWORK_DNS_TIMEOUT="4s",
        VMCRAWL_HTTP_CONNECT_TIMEOUT="3s",
        VMCRAWL_HTTP_READ_TIMEOUT="2s",
        VMCRAWL_HTTP_REQUEST_TIMEOUT="4s",
    )


def slow_environment(database_url: str, config_file: Path, processes: int) -> dict[str, str]:
    """For servers that take their time, few of them at once: a run lasts long enough for something to happen to it."""
    return environment(
        database_url,
        VMCRAWL_CONFIG=str(config_file),
        VMCRAWL_CRAWL_PROCESSES=str(processes),
        VMCRAWL_CRAWL_THREADS="8",
        VMCRAWL_HTTP_REQUEST_TIMEOUT="5s",
        VMCRAWL_HTTP_READ_TIMEOUT="4s",
        VMCRAWL_NETWORK_DNS_TIMEOUT="4s",
    )


def crawl_crowd(directory: Path, env: Mapping[str, str]) -> None:
    """Exclude, import and crawl what a simulated Fediverse in ``directory`` has listed for that."""
    for excluded in (directory / "exclusions.txt").read_text().split():
        assert vmcrawl("domains", "exclude", excluded, env=env).returncode == 0
    assert vmcrawl("domains", "import", str(directory / "domains.txt"), env=env).returncode == 0
    finished = vmcrawl("crawl", "--processes", "2", "--threads", "24", env=env)
    assert finished.returncode == 0, finished.stderr


def start(arguments: Sequence[str], env: Mapping[str, str], within: Sequence[str] = ()) -> "subprocess.Popen[str]":
    """Start the program in a process group of its own, by the command ``within`` if any; its output is piped."""
    command = [*within, sys.executable, "-m", "vmcrawl", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=_PROJECT, env=dict(env), stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )


def vmcrawl(*arguments: str, env: Mapping[str, str], timeout: float = 120) -> "subprocess.CompletedProcess[str]":
    """Run the program to its end."""
    command = [sys.executable, "-m", "vmcrawl", *arguments]
    return subprocess.run(
        command, cwd=_PROJECT, env=dict(env), capture_output=True, text=True, timeout=timeout, check=False
    )
