"""Four crawlers on one run, as a Kubernetes Job runs them, and what can happen to them: the play, for any size."""

import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.program import start
from vmcrawl.embedded import running

CRAWLERS = 4
NAME = "vmcrawl-crawl-29401217.6f1d"
_LONGEST_SECONDS = 1800


@dataclass(frozen=True)
class Ending:
    """How one crawler ended."""

    exit_code: int
    summary: Mapping[str, Any] | None
    log: str


def play(
    url: str,
    env: Mapping[str, str],
    domains: int,
    restart: Callable[[], None],
    within: Callable[[int], Sequence[str]] = lambda index: (),
) -> list[Ending]:
    """Start four crawlers on one run; kill the first, stop the second, restart Postgres, wait for the others.

    ``within`` says what starts the program, for each of them: a program that limits it, for example.
    """
    crawlers = [
        start(["crawl", "--run", NAME, "--json"], {**env, "JOB_COMPLETION_INDEX": str(index)}, within(index))
        for index in range(CRAWLERS)
    ]
    try:
        wait_for_verdicts(url, domains // 5)
        # A container's processes end together.
        os.killpg(crawlers[0].pid, signal.SIGKILL)
        wait_for_verdicts(url, domains // 3)
        # The kubelet's signal goes to PID 1 alone.
        crawlers[1].send_signal(signal.SIGTERM)
        wait_for_verdicts(url, domains // 2)
        restart()
        outputs = [crawler.communicate(timeout=_LONGEST_SECONDS) for crawler in crawlers]
    finally:
        for crawler in crawlers:
            crawler.kill()
    return [
        Ending(crawler.returncode, json.loads(output) if output else None, log)
        for crawler, (output, log) in zip(crawlers, outputs, strict=True)
    ]


def restart_postgres(directory: Path) -> None:
    """Stop the embedded server of ``directory`` as an administrator would (fast), and start it again.

    Whoever keeps it running with :func:`vmcrawl.embedded.running` still does.
    """
    pid = int((directory / "data" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGINT)
    while (directory / "data" / "postmaster.pid").exists():
        time.sleep(0.05)
    with running(directory):
        pass


def wait_for_verdicts(url: str, verdicts: int) -> None:
    """Wait until so many have been recorded; raises ``TimeoutError``."""
    deadline = time.monotonic() + _LONGEST_SECONDS
    while time.monotonic() < deadline:
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT coalesce(sum(crawls), 0) FROM tallies").fetchone()
        if row is not None and row[0] >= verdicts:
            return
        time.sleep(0.05)
    raise TimeoutError(f"no {verdicts} verdicts in {_LONGEST_SECONDS} s")
