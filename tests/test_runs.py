"""Runs that are killed, interrupted or doubled: nothing is lost, nothing is done twice. Real processes, real kills."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest

from tests.fediverse import Running, healthy_crowd, start_fediverse
from tests.program import slow_environment, start, vmcrawl

_SERVERS = 64


@dataclass(frozen=True)
class Stage:
    """A slow, healthy Fediverse in the ledger of an empty database."""

    fediverse: Running
    url: str
    env: dict[str, str]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode()).fetchall()

    def visits(self) -> Counter[str]:
        """How often each server was asked for its NodeInfo document."""
        return Counter(entry["site"] for entry in self.fediverse.requests() if entry["path"] == "/nodeinfo/2.0")

    def wait_for_verdicts(self, number: int) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.rows("SELECT count(*) FROM domains WHERE outcome IS NOT NULL")[0][0] >= number:  # type: ignore[operator]
                return
            time.sleep(0.05)
        pytest.fail(f"no {number} verdicts in 30 s")


@pytest.fixture
def stage(database_url: str, tmp_path: Path) -> Iterator[Stage]:
    sites = [replace(site, latency_seconds=0.2) for site in healthy_crowd(_SERVERS)]
    with start_fediverse(sites, tmp_path / "fediverse") as fediverse:
        env = slow_environment(database_url, fediverse.config_file, processes=2)
        imported = vmcrawl("domains", "import", str(fediverse.domains_file), env=env)
        assert imported.returncode == 0, imported.stderr
        yield Stage(fediverse, database_url, env)


def crawler_processes(parent: int) -> list[int]:
    """The crawler processes of a run: children of its fork server, which is a child of the run."""
    found = []
    for server in children(parent):
        found += [child for child in children(server) if b"forkserver" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return found


def children(parent: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def test_a_killed_crawler_process_costs_no_domain_its_verdict(stage):
    with start(["crawl", "--json"], stage.env) as run:
        stage.wait_for_verdicts(10)
        victim = crawler_processes(run.pid)[0]
        os.kill(victim, signal.SIGKILL)
        output, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    summary = json.loads(output)
    assert (summary["status"], summary["crawled"], summary["outcomes"]) == ("success", _SERVERS, {"ok": _SERVERS})
    assert "died with exit code -9" in errors
    assert stage.rows("SELECT count(*) FROM domains WHERE suspect OR lease_holder IS NOT NULL") == [(0,)]
    assert stage.rows("SELECT count(*), min(failures), max(failures) FROM domains") == [(_SERVERS, 0, 0)]


def test_after_a_killed_run_every_domain_has_a_verdict_or_is_due_again(stage):
    with start(["crawl"], stage.env) as run:
        stage.wait_for_verdicts(10)
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate(timeout=60)
    settled, waiting, limbo = stage.rows(
        "SELECT count(*) FILTER (WHERE outcome = 'ok' AND lease_holder IS NULL),"
        " count(*) FILTER (WHERE outcome IS NULL AND due_at <= now() + interval '60 seconds'),"
        " count(*) FILTER (WHERE leased_until > now() + interval '60 seconds') FROM domains"
    )[0]
    assert settled >= 10
    assert settled + waiting == _SERVERS
    assert limbo == 0
    # The next run on this machine sees that the holders of the leases are gone, and crawls exactly what is left.
    after = vmcrawl("crawl", "--json", env=stage.env)
    assert json.loads(after.stdout)["crawled"] == _SERVERS - settled
    assert stage.rows("SELECT outcome, count(*) FROM domains GROUP BY 1") == [("ok", _SERVERS)]
    assert max(stage.visits().values()) <= 2


def test_crawlers_whose_supervisor_is_killed_finish_what_they_are_doing_and_stop(stage):
    with start(["crawl"], stage.env) as run:
        stage.wait_for_verdicts(10)
        crawlers = crawler_processes(run.pid)
        os.kill(run.pid, signal.SIGKILL)
        run.communicate(timeout=60)
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in crawlers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in crawlers)
    assert stage.rows("SELECT count(*) FROM domains WHERE lease_holder IS NOT NULL") == [(0,)]
    assert stage.rows("SELECT count(*) FROM domains WHERE outcome <> 'ok'") == [(0,)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_in_good_order(stage, number, code):
    with start(["crawl", "--json"], stage.env) as run:
        stage.wait_for_verdicts(10)
        # As a terminal and a container runtime do: to the whole group.
        os.killpg(run.pid, number)
        output, errors = run.communicate(timeout=30)
    assert run.returncode == code, errors
    assert "died" not in errors
    assert "dropped" not in errors
    assert stage.rows("SELECT count(*) FROM domains WHERE suspect") == [(0,)]
    summary = json.loads(output)
    assert summary["status"] == "interrupted"
    finished = stage.rows("SELECT count(*) FROM domains WHERE outcome = 'ok'")[0][0]
    assert summary["crawled"] == finished
    assert 10 <= finished < _SERVERS
    assert stage.rows("SELECT status, crawled FROM runs") == [("interrupted", finished)]
    left = "SELECT count(*) FROM domains WHERE outcome IS NULL AND lease_holder IS NULL AND due_at <= now()"
    assert stage.rows(left) == [(_SERVERS - finished,)]


@pytest.mark.parametrize("named", [False, True])
def test_two_runs_at_once_crawl_no_domain_twice(stage, named):
    arguments = ["crawl", "--json", *(["--file", str(stage.fediverse.domains_file)] if named else [])]
    with start(arguments, stage.env) as first, start(arguments, stage.env) as second:
        outputs = [run.communicate(timeout=60) for run in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert sum(json.loads(output)["crawled"] for output, _ in outputs) == _SERVERS
    assert stage.rows("SELECT outcome, count(*) FROM domains GROUP BY 1") == [("ok", _SERVERS)]
    assert set(stage.visits().values()) == {1}


def test_a_run_that_may_not_last_any_longer_stops_claiming(stage):
    finished = vmcrawl("crawl", "--json", "--max-duration", "2s", env=stage.env)
    summary = json.loads(finished.stdout)
    assert finished.returncode == 0, finished.stderr
    assert summary["status"] == "partial"
    assert 0 < summary["crawled"] < _SERVERS


def test_a_limit_is_kept(stage):
    summary = json.loads(vmcrawl("crawl", "--json", "--limit", "7", env=stage.env).stdout)
    assert (summary["planned"], summary["crawled"]) == (7, 7)


def test_crawling_again_and_again_ends_with_sigterm(stage):
    with start(["crawl", "--limit", "2", "--every", "1s", "--json"], stage.env) as run:
        stage.wait_for_verdicts(4)
        run.send_signal(signal.SIGTERM)
        output, errors = run.communicate(timeout=30)
    assert run.returncode == 143, errors
    assert len(output.splitlines()) >= 2
