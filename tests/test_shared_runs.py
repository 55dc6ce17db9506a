"""Several crawlers on one run, on one machine and as if on several: real processes, real kills, a real PgBouncer."""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.conftest import temporary_database
from tests.exporter.numbers import exporter, scrape
from tests.fediverse import Running, healthy_crowd, start_fediverse
from tests.pooler import pooled
from tests.program import environment, slow_environment, start, vmcrawl
from tests.together import CRAWLERS, NAME, play, restart_postgres, wait_for_verdicts
from vmcrawl.embedded import running

_SERVERS = 160
_FEW = 48


@dataclass(frozen=True)
class Stage:
    """A slow, healthy Fediverse in the ledger of a database on a server of its own."""

    fediverse: Running
    postgres: Path
    #: To the server itself.
    url: str
    #: What the program is told, which may lead through a pooler.
    env: dict[str, str]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode()).fetchall()

    def change(self, query: str, *parameters: object) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(query.encode(), parameters)

    def visits(self) -> Counter[str]:
        """How often each server was asked for its NodeInfo document."""
        return Counter(entry["site"] for entry in self.fediverse.requests() if entry["path"] == "/nodeinfo/2.0")


@pytest.fixture(params=["Postgres", "PgBouncer"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with running(tmp_path / "postgres") as server_url, temporary_database(server_url) as url:
        if request.param == "Postgres":
            with slow_fediverse(tmp_path, _SERVERS, url, url) as stage:
                yield stage
            return
        with pooled(server_url, tmp_path / "pooler") as pooler:
            through = make_conninfo(pooler, dbname=conninfo_to_dict(url)["dbname"])
            with slow_fediverse(tmp_path, _SERVERS, url, through) as stage:
                yield stage


@pytest.fixture
def small(database_url: str, tmp_path: Path) -> Iterator[Stage]:
    with slow_fediverse(tmp_path, _FEW, database_url, database_url) as stage:
        yield stage


@contextmanager
def slow_fediverse(directory: Path, servers: int, url: str, told: str) -> Iterator[Stage]:
    sites = [replace(site, latency_seconds=0.2) for site in healthy_crowd(servers)]
    with start_fediverse(sites, directory / "fediverse") as fediverse:
        env = slow_environment(told, fediverse.config_file, processes=1)
        imported = vmcrawl("domains", "import", str(fediverse.domains_file), env=env)
        assert imported.returncode == 0, imported.stderr
        yield Stage(fediverse, directory / "postgres", url, env)


def test_one_killed_one_stopped_and_postgres_restarted_cost_no_domain_its_verdict(stage):
    endings = play(stage.url, stage.env, _SERVERS, lambda: restart_postgres(stage.postgres))

    assert [ending.exit_code for ending in endings] == [-signal.SIGKILL, 128 + signal.SIGTERM, 0, 0], endings
    third, fourth = endings[2].summary, endings[3].summary
    assert third is not None
    assert third == fourth
    assert (third["status"], third["planned"], third["crawled"]) == ("success", _SERVERS, _SERVERS)
    assert third["outcomes"] == {"ok": _SERVERS}

    run_id = third["run_id"]
    assert stage.rows("SELECT id, name, status, planned, crawled FROM runs") == [
        (run_id, NAME, "success", _SERVERS, _SERVERS)
    ]
    assert stage.rows(f"SELECT count(*) FROM domains WHERE outcome = 'ok' AND crawled_in = {run_id}") == [(_SERVERS,)]
    assert stage.rows("SELECT count(*) FROM domains WHERE lease_holder IS NOT NULL OR suspect") == [(0,)]
    assert stage.rows("SELECT outcome, sum(crawls) FROM tallies GROUP BY 1") == [("ok", _SERVERS)]
    assert stage.rows("SELECT status, runs FROM run_endings") == [("success", 1)]
    assert stage.rows("SELECT count(DISTINCT run_id), sum(instances) FROM adoption_history") == [(1, _SERVERS)]
    assert stage.rows("SELECT number FROM run_parts ORDER BY number") == [(n,) for n in range(CRAWLERS)]
    # What was in flight when somebody was killed or stopped is asked twice, and nothing else.
    again = {site: times for site, times in stage.visits().items() if times > 1}
    assert set(again.values()) <= {2}
    assert len(again) <= 2 * 2 * 8

    numbers = scrape(exporter(stage.env["VMCRAWL_DATABASE_URL"]))
    assert numbers.of("vmcrawl_run_last_domains", outcome="ok") == _SERVERS
    assert numbers.of("vmcrawl_runs_total", status="success") == 1
    assert numbers.of("vmcrawl_crawls_total", outcome="ok") == _SERVERS
    assert numbers.of("vmcrawl_run_in_progress") == 0


def test_who_comes_when_a_run_is_over_has_nothing_left_to_do(small):
    first = vmcrawl("crawl", "--run", "one", "--json", env=small.env)
    late = vmcrawl("crawl", "--run", "one", "--json", env=small.env)
    assert (first.returncode, late.returncode) == (0, 0), late.stderr
    assert json.loads(first.stdout) == json.loads(late.stdout)
    assert "over" in late.stderr
    assert set(small.visits().values()) == {1}


def test_a_run_that_everybody_has_left_goes_on_when_somebody_comes_back(small):
    crawlers = [start(["crawl", "--run", "one", "--json"], small.env) for _ in range(2)]
    wait_for_verdicts(small.url, _FEW // 4)
    for crawler in crawlers:
        crawler.send_signal(signal.SIGTERM)
    outputs = [crawler.communicate(timeout=60) for crawler in crawlers]
    assert [crawler.returncode for crawler in crawlers] == [143, 143], outputs
    assert small.rows("SELECT status FROM runs") == [("interrupted",)]
    back = vmcrawl("crawl", "--run", "one", "--json", env=small.env)
    assert back.returncode == 0, back.stderr
    assert small.rows("SELECT status, planned, crawled FROM runs") == [("success", _FEW, _FEW)]
    assert small.rows("SELECT sum(crawls) FROM tallies") == [(_FEW,)]


@pytest.mark.parametrize(
    "more", [["mastodon.social"], ["--all"], ["--limit", "3"], ["--every", "1h"], ["--file", "-"]], ids=" ".join
)
def test_a_shared_run_covers_what_is_due_and_nothing_else(more, database_url):
    refused = vmcrawl("crawl", "--run", "one", *more, env=environment(database_url))
    assert refused.returncode == 2
    assert "--run shares what is due" in refused.stderr
