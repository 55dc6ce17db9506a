"""``pause`` and ``resume``: whoever crawls rests within seconds, and nothing is lost. Real processes, real servers."""

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.program import start, vmcrawl
from tests.servers import eventually
from tests.test_shared_runs import Stage, slow_fediverse
from tests.together import wait_for_verdicts

_SERVERS = 96


@pytest.fixture
def stage(database_url: str, tmp_path: Path) -> Iterator[Stage]:
    with slow_fediverse(tmp_path, _SERVERS, database_url, database_url) as stage:
        yield stage


def said(stage: Stage, *arguments: str) -> dict[str, object]:
    finished = vmcrawl(*arguments, "--json", env=stage.env)
    assert finished.returncode == 0, finished.stderr
    return dict(json.loads(finished.stdout))


def crawled(stage: Stage) -> int:
    ((number,),) = stage.rows("SELECT coalesce(sum(crawls), 0)::int FROM tallies")
    return int(str(number))


def wait_until_it_rests(stage: Stage) -> int:
    """Until nothing is in flight; returns how many verdicts there are then."""
    assert eventually(lambda: stage.rows("SELECT count(*) FROM domains WHERE leased_until > now()") == [(0,)], 20)
    return crawled(stage)


def requests(stage: Stage) -> int:
    return len(list(stage.fediverse.requests()))


def test_runs_that_are_going_on_finish_what_is_in_flight_rest_and_go_on(stage):
    crawlers = [start(["crawl", "--run", "one", "--json"], stage.env) for _ in range(2)]
    wait_for_verdicts(stage.url, 10)
    paused = said(stage, "pause", "--reason", "the uplink")
    at_rest = wait_until_it_rests(stage)
    assert 10 <= at_rest < _SERVERS
    asked = requests(stage)
    time.sleep(3)
    assert (crawled(stage), requests(stage)) == (at_rest, asked), "nobody is asked while it lasts"
    assert [crawler.poll() for crawler in crawlers] == [None, None]
    assert paused["paused"] is True
    was = said(stage, "resume")["was"]
    assert isinstance(was, dict)
    assert was["reason"] == "the uplink"
    outputs = [crawler.communicate(timeout=60) for crawler in crawlers]
    assert [crawler.returncode for crawler in crawlers] == [0, 0], outputs
    summary = json.loads(outputs[0][0])
    assert (summary["status"], summary["crawled"], summary["outcomes"]) == ("success", _SERVERS, {"ok": _SERVERS})
    assert "the uplink" in outputs[0][1]
    assert "crawls go on" in outputs[0][1]
    assert set(stage.visits().values()) == {1}


def test_a_run_that_rests_ends_with_its_time_as_any_other(stage):
    run = start(["crawl", "--max-duration", "8s", "--processes", "2", "--json"], stage.env)
    wait_for_verdicts(stage.url, 4)
    said(stage, "pause")
    output, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    summary = json.loads(output)
    assert summary["status"] == "partial"
    assert summary["crawled"] < _SERVERS
    assert stage.rows("SELECT count(*) FROM domains WHERE lease_holder IS NOT NULL") == [(0,)]
    assert stage.rows("SELECT status, runs FROM run_endings") == [("partial", 1)]


@pytest.mark.parametrize("how", [[], ["--run", "one"], ["--all"]], ids=" ".join)
def test_who_comes_while_crawls_are_paused_is_done_at_once_and_no_run_has_failed(stage, how):
    said(stage, "pause", "--by", "somebody", "--reason", "maintenance")
    came = vmcrawl("crawl", *how, "--json", env=stage.env)
    assert came.returncode == 0
    assert "by somebody, until vmcrawl resume (maintenance): nothing is crawled" in came.stderr
    answer = json.loads(came.stdout)
    assert (answer["status"], answer["pause"]["paused_by"]) == ("paused", "somebody")
    assert stage.rows("SELECT count(*) FROM runs") == [(0,)]
    assert requests(stage) == 0


def test_certain_domains_are_to_be_tried_again_later(stage):
    said(stage, "pause")
    (domain, *_) = stage.fediverse.domains_file.read_text().split()
    assert vmcrawl("crawl", domain, env=stage.env).returncode == 75
    assert vmcrawl("crawl", "--file", str(stage.fediverse.domains_file), env=stage.env).returncode == 75
    assert vmcrawl("discover", domain, env=stage.env).returncode == 75
    assert vmcrawl("discover", env=stage.env).returncode == 0
    assert requests(stage) == 0


def test_crawling_again_and_again_waits_until_crawls_go_on(stage):
    said(stage, "pause")
    with start(["crawl", "--every", "1h", "--json"], stage.env) as run:
        time.sleep(2)
        assert (run.poll(), requests(stage)) == (None, 0)
        said(stage, "resume")
        wait_for_verdicts(stage.url, 1)
        run.terminate()
        output, errors = run.communicate(timeout=30)
    assert run.returncode == 143, errors
    assert errors.count("nothing is crawled") == 1
    assert json.loads(output)["status"] == "interrupted"


def test_a_signal_ends_the_wait(stage):
    said(stage, "pause")
    with start(["crawl", "--every", "1h"], stage.env) as run:
        assert run.stderr is not None
        while "nothing is crawled" not in run.stderr.readline():
            pass
        run.terminate()
        run.communicate(timeout=30)
    assert run.returncode == 143


def test_a_pause_ends_by_itself(stage):
    paused = said(stage, "pause", "--for", "3s")
    until = datetime.fromisoformat(str(paused["until"]))
    assert until > datetime.now(UTC) or requests(stage) == 0
    assert vmcrawl("crawl", "--limit", "1", env=stage.env).returncode == 0
    time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()) + 0.1)
    assert said(stage, "crawl", "--limit", "2")["crawled"] == 2
    assert said(stage, "resume")["was"] is None


def test_a_pause_that_is_called_again_has_lasted_since_the_first(stage):
    first = said(stage, "pause", "--by", "one", "--reason", "because")
    second = said(stage, "pause", "--by", "two", "--for", "2h")
    assert second["paused_at"] == first["paused_at"]
    assert (second["paused_by"], second["reason"]) == ("two", "")
    assert second["until"] is not None
    assert re.fullmatch(r"crawls go on, after (\d+m)?\d+s\n", vmcrawl("resume", env=stage.env).stdout)
    assert vmcrawl("resume", env=stage.env).stdout == "crawls are not paused\n"
