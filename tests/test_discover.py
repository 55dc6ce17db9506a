"""``vmcrawl discover`` against servers that say of their peers whatever comes to their minds."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.conftest import temporary_database
from tests.fediverse import Running, start_fediverse
from tests.fediverse.scenario import named
from tests.fediverse.scenarios_peers import FOUND, PEERS, peers_crowd
from tests.program import crawl_crowd, patient_environment, vmcrawl


@dataclass(frozen=True)
class Discovered:
    """The crowd after a crawl and one ``discover``."""

    fediverse: Running
    url: str
    env: dict[str, str]
    answer: dict[str, Any]
    log: str

    def ended(self, slug: str) -> dict[str, Any]:
        return next(each for each in self.answer["asked"] if each["domain"] == named(f"peers-{slug}"))

    def query(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode(), parameters).fetchall()


@pytest.fixture(scope="module")
def discovered(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Discovered]:
    directory: Path = tmp_path_factory.mktemp("fediverse")
    sites = [site for site, _ in peers_crowd().values()]
    with temporary_database(server_url) as url, start_fediverse(sites, directory) as fediverse:
        env = patient_environment(url, fediverse.config_file) | {
            "VMCRAWL_DISCOVERY_TIMEOUT": "3s",
            "VMCRAWL_DISCOVERY_MAX_BODY_BYTES": "20_000_000",
            "VMCRAWL_DISCOVERY_MAX_NAMES": "60_000",
            "VMCRAWL_DISCOVERY_NAMES_PER_INSTANCE": "2_000",
            "VMCRAWL_DISCOVERY_AT_A_TIME": "8",
        }
        crawl_crowd(directory, env)
        finished = vmcrawl("discover", "--limit", "1000", "--json", env=env)
        assert finished.returncode == 0, finished.stderr
        yield Discovered(fediverse, url, env, json.loads(finished.stdout), finished.stderr)


def test_asking_ends_as_it_should_and_only_what_is_news_is_new(discovered):
    wrong = []
    for slug, (_, told) in peers_crowd().items():
        if not told.ended:
            continue
        asked = discovered.ended(slug)
        expected = {"ended": told.ended, "new": told.new, **(told.counts or {})}
        if (found := {name: asked[name] for name in expected}) != expected:
            wrong.append(f"{slug}: {found} ({asked['detail']}), in truth {expected}")
    assert not wrong, "\n".join(wrong)
    assert len(discovered.answer["asked"]) == sum(bool(told.ended) for _, told in peers_crowd().values())


def test_each_ending_is_remembered_and_nobody_is_asked_again(discovered):
    remembered = dict(discovered.query("SELECT domain, ended FROM peers_asked"))
    assert remembered == {each["domain"]: each["ended"] for each in discovered.answer["asked"]}
    before = len(discovered.fediverse.requests())
    again = vmcrawl("discover", "--json", env=discovered.env)
    assert json.loads(again.stdout)["asked"] == []
    assert len(discovered.fediverse.requests()) == before


def test_new_domains_come_from_peers_and_come_due_within_a_day(discovered):
    new = discovered.query(
        "SELECT source, outcome, due_at > now() - interval '5 minutes', due_at <= now() + '1 day'"
        " FROM domains WHERE domain LIKE %s",
        f"%{FOUND}",
    )
    assert len(new) == discovered.answer["new"] == sum(told.new for _, told in peers_crowd().values())
    assert set(new) == {("peers", None, True, True)}


def test_of_a_farm_of_subdomains_only_a_few_enter_the_ledger(discovered):
    (count,) = discovered.query("SELECT count(*) FROM domains WHERE domain LIKE %s", f"%.{FOUND}")
    assert count == (25,)


def test_nowhere_does_the_database_say_who_peers_with_whom(discovered):
    """By a dump of everything: a row that holds the name of a server that was asked holds no name that was found."""
    asked = {each["domain"] for each in discovered.answer["asked"]}
    with psycopg.connect(discovered.url) as connection:
        tables = connection.execute(
            "SELECT c.relname FROM pg_class AS c WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        ).fetchall()
        with_found = set()
        for (table,) in tables:
            for (row,) in connection.execute(
                sql.SQL("SELECT row_to_json(t)::text FROM {} AS t").format(sql.Identifier(table))
            ):
                if FOUND in row:
                    with_found.add(table)
                    assert not [domain for domain in asked if domain in row]
        assert with_found == {"domains"}
        columns = connection.execute(
            "SELECT to_jsonb(d) - '{domain,due_at}'::text[] FROM domains AS d WHERE source = 'peers'"
        ).fetchall()
        # Which of several servers asked that day it was, not even the times tell.
        assert len({json.dumps(column[0], sort_keys=True) for column in columns}) == 1
        moments = connection.execute(
            "SELECT DISTINCT added_at = date_trunc('day', added_at, 'UTC') FROM domains WHERE source = 'peers'"
        ).fetchall()
        assert moments == [(True,)]


def test_neither_the_log_nor_the_answer_names_what_was_found(discovered):
    assert FOUND not in discovered.log
    assert FOUND not in json.dumps(discovered.answer)


def test_robots_txt_is_obeyed_at_this_path_and_the_instance_stays_published(discovered):
    domain = named("peers-robots-path")
    assert PEERS not in {entry["path"] for entry in discovered.fediverse.requests(domain)}
    assert discovered.query("SELECT outcome FROM domains WHERE domain = %s", domain) == [("ok",)]
    assert vmcrawl("crawl", domain, env=discovered.env).returncode == 0
    assert discovered.query("SELECT count(*) FROM instances WHERE domain = %s", domain) == [(1,)]


def test_robots_txt_that_crawls_have_read_is_not_read_again(discovered):
    for slug in ("plain", "farm", "robots-path", "empty"):
        paths = [entry["path"] for entry in discovered.fediverse.requests(named(f"peers-{slug}"))]
        assert paths.count("/robots.txt") == 1


def test_the_host_that_serves_the_api_is_asked_and_no_other(discovered):
    assert PEERS in {entry["path"] for entry in discovered.fediverse.requests(f"web.{named('peers-split')}")}
    assert PEERS not in {entry["path"] for entry in discovered.fediverse.requests(named("peers-split"))}


def test_a_crawl_delay_is_kept_between_the_requests(discovered):
    times = [
        entry["time"] for entry in discovered.fediverse.requests(named("peers-delayed")) if "peers" in entry["path"]
    ]
    assert len(times) == 2
    assert min(later - earlier for earlier, later in pairwise(times)) >= 1.0


def test_no_private_address_is_connected_to_and_no_requests_overlap(discovered):
    log = discovered.fediverse.log()
    assert [entry for entry in log if entry["address"].startswith("127.66.")] == []
    given_up = {each["domain"] for each in discovered.answer["asked"] if each["ended"] in ("timeout", "capped")}
    overlapping = {entry["site"] for entry in discovered.fediverse.requests() if entry["in_flight"] > 1}
    assert overlapping - given_up == set()


def test_an_opt_out_from_this_endpoint_is_one_from_all_and_at_once(discovered):
    for status in (410, 418, 451):
        domain = named(f"peers-opts-out-{status}")
        assert discovered.query(
            "SELECT outcome, detail LIKE %s, due_at > now() + interval '80 days', lease_holder FROM domains"
            " WHERE domain = %s",
            f"%{status}",
            domain,
        ) == [("opted_out", True, True, None)]
        assert discovered.query("SELECT count(*) FROM instances WHERE domain = %s", domain) == [(0,)]
        before = len(discovered.fediverse.requests(domain))
        named_ = vmcrawl("discover", domain, "--json", env=discovered.env)
        assert (named_.returncode, json.loads(named_.stdout)["asked"][0]["ended"]) == (1, "opted_out")
        assert len(discovered.fediverse.requests(domain)) == before


def test_who_asks_to_be_left_alone_is_left_alone_by_crawls_too(discovered):
    for slug in ("limited", "busy"):
        domain = named(f"peers-{slug}")
        assert discovered.query(
            "SELECT outcome, retry_after_until > now() + interval '1 hour' FROM domains WHERE domain = %s", domain
        ) == [("ok", True)]
        before = len(discovered.fediverse.requests(domain))
        assert vmcrawl("crawl", domain, env=discovered.env).returncode == 0
        assert vmcrawl("discover", domain, env=discovered.env).returncode == 1
        assert len(discovered.fediverse.requests(domain)) == before


def test_no_lease_is_left(discovered):
    assert discovered.query("SELECT count(*) FROM domains WHERE lease_holder IS NOT NULL") == [(0,)]
