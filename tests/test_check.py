"""``check`` shows each request with its times, address, TLS and rule, says what it would mean, and writes nothing."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from tests.fediverse import Reply, Running, fediverse_in_thread, mastodon
from tests.program import environment, vmcrawl
from tests.store.builders import NOW, column, crawl, failed, ok
from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome
from vmcrawl.store.migrations import prepare

ROBOTS = (
    b"# a comment\nUser-agent: *\nDisallow: /\n\nUser-agent: vmcrawl\nDisallow: /api # not for you\nAllow: /nodeinfo\n"
)


@pytest.fixture
def fediverse(tmp_path) -> Iterator[Running]:
    closed = mastodon("closed.social")
    robots = Reply(200, (("Content-Type", "text/plain"),), ROBOTS)
    closed = replace(closed, routes={**closed.routes, "/robots.txt": robots})
    sites = [mastodon("healthy.social"), closed, mastodon("hard.social"), mastodon("excluded.social")]
    sites += [mastodon("opted-out.social"), mastodon("tired.social")]
    with fediverse_in_thread(sites, tmp_path) as running:
        yield running


@pytest.fixture
def env(fediverse, database_url, connection) -> dict[str, str]:
    prepare(connection, timedelta(days=3))
    return environment(database_url, VMCRAWL_CONFIG=str(fediverse.config_file))


def everything(connection: psycopg.Connection) -> list[object]:
    tables = column(
        connection, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    return [
        column(connection, f"SELECT count(*)::text || coalesce(max({table}::text), '') FROM {table}")
        for table in tables
    ]


def test_each_request_is_traced_and_nothing_is_written(fediverse, env, connection):
    before = everything(connection)
    finished = vmcrawl("check", "healthy.social", "--json", env=env)
    assert finished.returncode == 0, finished.stderr
    document = json.loads(finished.stdout)
    first, *others = document["steps"]
    assert (first["url"], first["result"]) == ("https://healthy.social/robots.txt", "200")
    assert first["address"] == fediverse.address("healthy.social")
    assert first["tls_version"] == "TLSv1.3"
    assert first["tls_cipher"].startswith("TLS_")
    assert first["certificate_until"] > f"{NOW:%Y}"
    assert set(first["times"]) == {"gate", "dns", "connect", "tls", "first_byte", "body"}
    assert sum(first["times"].values()) <= first["milliseconds"] + 1
    assert first["received_bytes"] >= first["body_bytes"]
    assert all("tls" not in step["times"] and step["address"] == first["address"] for step in others)
    assert document["observation"]["outcome"] == "ok"
    assert document["observation"]["requests"] == len(document["steps"]) == 4
    recorded = document["recorded"]
    assert recorded["effect"] == "published, as it was seen"
    assert recorded["why_due"].startswith("schedule.ok (3h")
    assert recorded["reading"]["meaning"]["branch"]
    assert everything(connection) == before


def test_the_rule_that_forbids_is_shown_as_it_stands_in_the_file(fediverse, env):
    document = json.loads(vmcrawl("check", "closed.social", "--json", env=env).stdout)
    assert document["observation"]["outcome"] == "robots_disallowed"
    (forbidden,) = [step for step in document["steps"] if step["result"] == "forbidden"]
    assert forbidden["url"] == "https://closed.social/api/v2/instance"
    assert forbidden["robots"] == {
        "host": "closed.social",
        "allows": False,
        "line": 6,
        "text": "Disallow: /api # not for you",
    }
    (allowed,) = [step for step in document["steps"] if step["robots"] and step["robots"]["allows"]]
    assert (allowed["robots"]["line"], allowed["result"]) == (7, "200")
    asked = [request["path"] for request in fediverse.requests("closed.social")]
    assert not [path for path in asked if path.startswith("/api")]
    shown = vmcrawl("check", "closed.social", env=env).stdout
    assert "forbidden by line 6 of closed.social/robots.txt: Disallow: /api # not for you" in shown
    assert "removed at once" in shown


@pytest.mark.parametrize(
    ("domain", "outcome"),
    [
        ("excluded.social", "excluded"),
        ("hard.social", "excluded"),
        ("opted-out.social", "opted_out"),
        ("tired.social", "rate_limited"),
    ],
)
def test_nobody_is_asked_who_is_excluded_or_has_opted_out_or_wants_to_be_left_alone(
    fediverse, env, connection, domain, outcome
):
    crawl(connection, failed(Domain("opted-out.social"), Outcome.OPTED_OUT), ok(Domain("tired.social")))
    connection.execute("UPDATE domains SET retry_after_until = now() + interval '1 hour' WHERE domain = 'tired.social'")
    connection.execute("INSERT INTO exclusions (domain, reason) VALUES ('excluded.social', 'asked by mail')")
    connection.execute("INSERT INTO dni (domain, severity) VALUES ('hard.social', 'hard')")
    finished = vmcrawl("check", domain, "--json", env=env)
    assert finished.returncode == 0, finished.stderr
    document = json.loads(finished.stdout)
    assert (document["steps"], document["observation"]["outcome"]) == ([], outcome)
    assert "nobody was asked" in vmcrawl("check", domain, env=env).stdout
    assert fediverse.requests(domain) == []


def test_a_name_that_does_not_resolve_is_traced_as_far_as_it_got(env):
    document = json.loads(vmcrawl("check", "nowhere.social", "--json", env=env).stdout)
    (step,) = document["steps"]
    assert (step["result"], step["address"], step["tls_version"]) == ("dns_not_found", None, None)
    assert list(step["times"]) == ["gate", "dns"]
    assert document["recorded"]["why_due"].startswith("schedule.failure_first (1h)")
