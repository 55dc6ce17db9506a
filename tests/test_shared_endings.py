"""How runs of several crawlers end when the wrong one dies, stops or comes at the wrong moment. Real processes."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.fediverse import healthy_crowd, mastodon, start_fediverse
from tests.fediverse.site import Truth
from tests.program import environment, start, vmcrawl
from tests.servers import eventually
from tests.test_killers import Watcher, connections_to, sockets_of
from tests.test_runs import crawler_processes
from tests.test_shared_runs import Stage, slow_fediverse
from vmcrawl.outcome import Outcome

_FEW = 24
_KILLER = "killer-of-machines.net"
_RUN = ["crawl", "--run", "one", "--json"]


@pytest.fixture
def stage(database_url: str, tmp_path: Path) -> Iterator[Stage]:
    with slow_fediverse(tmp_path, _FEW, database_url, database_url) as stage:
        yield stage


@pytest.fixture
def after() -> Iterator[ExitStack]:
    """What is to be done in any case."""
    with ExitStack() as stack:
        yield stack


def test_who_dies_over_closing_a_run_is_relieved(stage, after):
    with psycopg.connect(stage.url) as lock:
        # Whoever closes the run cannot leave its page of history.
        lock.execute("LOCK TABLE adoption_history IN EXCLUSIVE MODE")
        crawlers = [start(_RUN, stage.env) for _ in range(3)]
        after.callback(end, crawlers)
        assert eventually(lambda: stage.rows(_WAITS_FOR_THE_LOCK) == [(1,)], 60)
        (closer,) = stage.rows("SELECT closer FROM runs")[0]
        dying = next(crawler for crawler in crawlers if str(closer).split("/")[2] == str(crawler.pid))
        os.killpg(dying.pid, signal.SIGKILL)
    outputs = [crawler.communicate(timeout=60) for crawler in crawlers]
    assert sorted(crawler.returncode for crawler in crawlers) == [-9, 0, 0], outputs
    assert stage.rows("SELECT status, crawled FROM runs") == [("success", _FEW)]
    assert stage.rows("SELECT status, runs FROM run_endings") == [("success", 1)]
    assert stage.rows("SELECT count(DISTINCT run_id), sum(instances) FROM adoption_history") == [(1, _FEW)]


def test_what_falls_free_while_a_run_is_about_to_be_closed_is_crawled(stage):
    (last,) = stage.rows("SELECT max(domain) FROM domains")[0]
    # Somebody else has it, in a run that began before.
    stage.change(
        "UPDATE domains SET lease_holder = 'elsewhere/x/1/2#1', lease_run = 0,"
        " leased_until = now() + interval '1 hour', due_at = now() + interval '1 hour' WHERE domain = %s",
        last,
    )
    with crawling(_RUN, stage.env) as crawler:
        assert eventually(lambda: stage.rows("SELECT count(*) FROM runs") == [(1,)], 30)
        # A part on another machine that says it is about to close.
        stage.change(
            "INSERT INTO run_parts (run_id, part, machine, joined_at, heartbeat_at)"
            " SELECT id, 'elsewhere/x/1/3', 'other', now(), now() + interval '1 hour' FROM runs"
        )
        stage.change("UPDATE runs SET closer = 'elsewhere/x/1/3'")
        assert eventually(lambda: stage.rows("SELECT sum(crawls) FROM tallies") == [(_FEW - 1,)], 60)
        assert eventually(lambda: stage.rows(_WOULD_CLOSE) != [(0,)], 60)
        stage.change(
            "UPDATE domains SET lease_holder = NULL, lease_run = NULL, leased_until = NULL,"
            " due_at = (SELECT started_at FROM runs) WHERE lease_run = 0"
        )
        eventually(lambda: stage.rows("SELECT sum(crawls) FROM tallies") == [(_FEW,)], 15)
        stage.change("UPDATE run_parts SET left_at = now() WHERE machine = 'other'")
        output, errors = crawler.communicate(timeout=60)
    assert (json.loads(output)["status"], json.loads(output)["crawled"]) == ("success", _FEW), errors


def test_a_run_that_was_planned_for_a_suspect_alone_crawls_what_falls_free_meanwhile(stage):
    first, last = stage.rows("SELECT min(domain), max(domain) FROM domains")[0]
    stage.change("DELETE FROM domains WHERE domain NOT IN (%s, %s)", first, last)
    stage.change("UPDATE domains SET suspect = true WHERE domain = %s", first)
    stage.change("UPDATE domains SET due_at = now() + interval '1 hour' WHERE domain = %s", last)
    with crawling(_RUN, stage.env) as crawler:
        assert eventually(lambda: stage.rows("SELECT planned FROM runs") == [(1,)], 30)
        stage.change("UPDATE domains SET due_at = (SELECT started_at FROM runs) WHERE domain = %s", last)
        output, errors = crawler.communicate(timeout=30)
    assert json.loads(output)["crawled"] == 2, errors


@pytest.mark.parametrize(("left", "status"), [(False, "success"), (True, "partial")])
def test_a_run_whose_time_is_up_is_partial_only_if_something_is_left(stage, left, status):
    stage.change(
        "UPDATE domains SET due_at = CASE WHEN domain = (SELECT min(domain) FROM domains) AND %s"
        " THEN now() - interval '2 hours' ELSE now() + interval '1 hour' END",
        left,
    )
    stage.change(
        "INSERT INTO runs (name, host, started_at, heartbeat_at) VALUES ('one', '', now() - interval '1 hour', now())"
    )
    late = vmcrawl(*_RUN, "--max-duration=50m", env=stage.env)
    assert (json.loads(late.stdout)["status"], late.returncode) == (status, 0), late.stderr
    assert not stage.visits()


def test_a_server_that_takes_machines_down_costs_itself_one_verdict_and_nobody_else(database_url, tmp_path, after):
    killer = replace(mastodon(_KILLER, truth=Truth(Outcome.INTERNAL_ERROR)), latency_seconds=0.5)
    crowd = [replace(site, latency_seconds=1.0) for site in healthy_crowd(_FEW)]
    with start_fediverse([killer, *crowd], tmp_path / "fediverse") as fediverse:
        env = environment(
            database_url,
            VMCRAWL_CONFIG=str(fediverse.config_file),
            VMCRAWL_CRAWL_PROCESSES="4",
            VMCRAWL_CRAWL_THREADS="4",
            VMCRAWL_HTTP_REQUEST_TIMEOUT="8s",
            VMCRAWL_HTTP_READ_TIMEOUT="8s",
            VMCRAWL_NETWORK_DNS_TIMEOUT="4s",
        )
        assert vmcrawl("domains", "import", str(fediverse.domains_file), env=env).returncode == 0
        # A machine has died over all of them.
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE domains SET suspect = true")
        crawlers = [start(_RUN, env) for _ in range(4)]
        after.callback(end, crawlers)
        with Reaper([crawler.pid for crawler in crawlers], fediverse.address(_KILLER)):
            outputs = [crawler.communicate(timeout=150) for crawler in crawlers]
    assert sorted(crawler.returncode for crawler in crawlers) == [-9, -9, 0, 0], outputs
    summary = next(json.loads(output) for output, _ in outputs if output)
    assert summary["outcomes"] == {"internal_error": 1, "ok": _FEW}
    with psycopg.connect(database_url) as connection:
        bad = connection.execute("SELECT domain FROM domains WHERE outcome <> 'ok'").fetchall()
    assert bad == [(_KILLER,)]


# It has asked whether it may close the run, and looks whether another has.
_WOULD_CLOSE = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT id, started_at, finished_at%'"
_WAITS_FOR_THE_LOCK = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'adoption_history'::regclass"


@contextmanager
def crawling(arguments: Sequence[str], env: Mapping[str, str]) -> "Iterator[subprocess.Popen[str]]":
    crawler = start(arguments, env)
    try:
        yield crawler
    finally:
        end([crawler])


def end(crawlers: Sequence["subprocess.Popen[str]"]) -> None:
    """End them with all their processes, as far as they are still there."""
    for crawler in crawlers:
        with suppress(ProcessLookupError):
            os.killpg(crawler.pid, signal.SIGKILL)
        with suppress(ValueError):
            crawler.communicate()


class Reaper(Watcher):
    """Kills each crawler with all its processes as soon as one of them talks to an address."""

    def __init__(self, crawlers: Sequence[int], address: str) -> None:
        super().__init__()
        self._crawlers = crawlers
        self._address = address

    def look(self) -> None:
        inodes = connections_to(self._address)
        for crawler in self._crawlers:
            # One that has ended must not keep the others from being looked at.
            with suppress(FileNotFoundError, ProcessLookupError):
                if crawler not in self.killed and any(inodes & sockets_of(p) for p in crawler_processes(crawler)):
                    os.killpg(crawler, signal.SIGKILL)
                    self.killed.append(crawler)
