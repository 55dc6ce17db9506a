"""What does not show in a short run: a million names, rivals on one ledger, a run that is killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

from tests.bench.crowd import all_healthy, dead_names, real_mix
from tests.bench.stage import Stage

_RIVALS = 4
#: Where Postgres notes who waited longer for a lock.
_LONGEST_WAIT = "100ms"


def dead(stage: Stage, size: int) -> None:
    """Nearly nothing but dead names: how fast, and whether memory stays flat."""
    crowd = dead_names(size, alive=min(1_000, size // 10))
    with stage.ledger(crowd) as url:
        usage = stage.crawl(url)
    quarter, rest = usage.samples[: len(usage.samples) // 4], usage.samples[len(usage.samples) // 4 :]
    _tell(
        f"{crowd.size:,} names, nearly all dead: {usage.crawled / usage.wall_seconds:.0f} domains a second,"
        f" {usage.cpu_per_domain * 1e6:.0f} us of CPU each; at most {max(quarter) / 1e6:.0f} MB in the first quarter"
        f" of the time, {max(rest) / 1e6:.0f} MB afterwards"
    )
    _check(dict(usage.summary["outcomes"]) == crowd.verdicts(), f"verdicts: {usage.summary['outcomes']}")


def rivals(stage: Stage, size: int) -> None:
    """Four runs at once on one ledger: no domain twice, nobody waits long for a lock."""
    crowd = real_mix(size)
    with stage.ledger(crowd) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET log_lock_waits = on")
            connection.execute(f"ALTER SYSTEM SET deadlock_timeout = '{_LONGEST_WAIT}'".encode())
            connection.execute("SELECT pg_reload_conf()")
        with ThreadPoolExecutor(_RIVALS) as pool:
            settings = {"CRAWL_PROCESSES": "2", "CRAWL_THREADS": "64"}
            usages = list(pool.map(lambda _: stage.crawl(url, **settings), range(_RIVALS)))
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT count(crawled_in), count(DISTINCT crawled_in) FROM domains").fetchone()
    log = (stage.directory / "postgres" / "log").read_text(errors="replace")
    waits = log.count("still waiting for")
    crawled = [usage.crawled for usage in usages]
    _tell(
        f"{_RIVALS} runs at once on {crowd.size:,} domains crawled {crawled}, {sum(crawled):,} in all;"
        f" {waits} waits for a lock of more than {_LONGEST_WAIT}"
    )
    _check(sum(crawled) == crowd.size and row == (crowd.size, _RIVALS), f"crawled {sum(crawled)}, in the ledger {row}")
    _check(waits == 0, "somebody waited for a lock")


def killed(stage: Stage, size: int) -> None:
    """A run that is killed as a whole in the middle: the next one goes on where it was."""
    crowd = all_healthy(size)
    with stage.ledger(crowd) as url:
        command = [sys.executable, "-m", "vmcrawl", "crawl", "--json"]
        project = Path(__file__).parents[2]
        with subprocess.Popen(
            command, cwd=project, env=stage.environment(url), stdout=subprocess.DEVNULL, start_new_session=True
        ) as process:
            while _crawled(url) < size // 3:
                time.sleep(0.1)
            os.killpg(process.pid, signal.SIGKILL)
        before = _crawled(url)
        usage = stage.crawl(url)
        after = _crawled(url)
    _tell(f"killed after {before:,} of {size:,} domains; the next run crawled {usage.crawled:,}, {after:,} in all")
    _check(after == size and before + usage.crawled == size, "some were lost, or crawled twice")


def _crawled(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM domains WHERE last_crawled_at IS NOT NULL").fetchone()
    assert row is not None
    return int(row[0])


def _check(fine: bool, problem: str) -> None:
    if not fine:
        _tell(f"  WRONG: {problem}")


def _tell(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")
    sys.stdout.flush()
