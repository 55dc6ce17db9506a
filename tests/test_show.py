"""``show`` says all that is known of a domain, why it is as it is, and what may have been meant by an unknown name."""

import json
from datetime import timedelta

import psycopg
import pytest

from tests.program import environment, vmcrawl
from tests.store.builders import NOW, column, crawl, failed, ok
from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome
from vmcrawl.store import ledger
from vmcrawl.store.migrations import prepare
from vmcrawl.store.similar import similar

KNOWN = ("mastodon.social", "mastodon.online", "mstdn.jp", "vmst.io", "social.example.org", "example.org")


@pytest.fixture
def env(connection: psycopg.Connection, database_url: str) -> dict[str, str]:
    prepare(connection, timedelta(days=3))
    return environment(database_url)


def test_all_that_is_known_is_shown(env, connection):
    vmst = Domain("vmst.io")
    crawl(connection, ok(vmst, NOW - timedelta(hours=1), version="4.3.1"))
    crawl(connection, ok(vmst, version="4.3.2"))
    crawl(connection, failed(Domain("www.vmst.io"), Outcome.ALIAS, alias_of=vmst))
    connection.execute("UPDATE versions SET branch = '4.3', support = 'eol', patched = false")
    connection.execute(
        "INSERT INTO robots VALUES ('vmst.io', now(), E'User-agent: *\\nCrawl-delay: 2.0\\nDisallow: /media\\n')"
    )
    connection.execute(
        "UPDATE domains SET leased_until = now() + interval '1 minute', lease_holder = 'boot/ns/7/9#1', lease_run = 1"
        " WHERE domain = 'vmst.io'"
    )
    connection.execute("INSERT INTO run_parts VALUES (1, 'boot/ns/3/4', 'pod-7', NULL, now(), now(), NULL)")
    finished = vmcrawl("show", "vmst.io", env=env)
    assert finished.returncode == 0, finished.stderr
    for said in (
        "verdict: ok",
        "which means: Mastodon or a related fork",
        "its aliases: www.vmst.io",
        "moved: from 4.3.1 to 4.3.2",
        "way out: 4.3.",
        "of the next branch that is supported",
        "robots.txt: vmst.io, read ",
        "Crawl-delay: 2.0; Disallow: /media",
        "by boot/ns/7/9#1 on pod-7, run 1",
        "why then: it is being crawled now",
    ):
        assert said in finished.stdout, said
    document = json.loads(vmcrawl("show", "vmst.io", "--json", env=env).stdout)
    assert (document["step"], document["aliases"], document["leased_on"]) == ("end", ["www.vmst.io"], "pod-7")
    assert document["branch"]["branch"] == "4.3"


def test_an_alias_names_whose_it_is(env, connection):
    crawl(connection, failed(Domain("www.vmst.io"), Outcome.ALIAS, alias_of=Domain("vmst.io")))
    shown = vmcrawl("show", "www.vmst.io", env=env).stdout
    assert "alias of: vmst.io" in shown
    assert "removed at once" in shown


def test_a_failure_tells_step_address_and_rule(env, connection):
    url = "https://vmst.io/.well-known/nodeinfo"
    crawl(connection, failed(Domain("vmst.io"), Outcome.HTTP_4XX))
    connection.execute("UPDATE domains SET detail = %s", [f"{url} answered 404"])
    shown = vmcrawl("show", "vmst.io", env=env).stdout
    assert f"reached at: discovery, at {url}" in shown
    assert "why then: schedule.failure_first (1h), doubled with each failure in a row: 2h after 2" in shown


def test_an_unknown_name_gets_those_that_may_have_been_meant(env, connection):
    ledger.add_domains(connection, map(Domain, KNOWN), "test", NOW)
    finished = vmcrawl("show", "mastodn.social", env=env)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert "do you mean mastodon.social" in finished.stderr
    assert finished.stderr.count("is not in the ledger") == 1
    assert "vmcrawl crawl mastodn.social" in finished.stderr
    assert "Traceback" not in finished.stderr
    document = json.loads(vmcrawl("show", "mastodn.social", "--json", env=env).stdout)
    assert document["known"] is False
    assert document["similar"][0] == "mastodon.social"


def test_the_end_of_a_name_may_be_a_slip_too(env, connection):
    ledger.add_domains(connection, map(Domain, KNOWN), "test", NOW)
    finished = vmcrawl("show", "mastodon.socail", env=env)
    assert finished.returncode == 2
    assert "do you mean mastodon.social, mastodon.online?" in finished.stderr


def test_an_unknown_name_that_is_excluded_is_said_to_be(env, connection):
    connection.execute("INSERT INTO exclusions (domain, subdomains) VALUES ('example.org', true)")
    finished = vmcrawl("show", "a.example.org", env=env)
    assert finished.returncode == 1
    assert "excluded from all crawls (exclusion entry for example.org)" in finished.stderr


def test_on_an_empty_database_it_says_what_to_do(env):
    finished = vmcrawl("show", "vmst.io", env=env)
    assert finished.returncode == 1
    assert "crawl it now, and keep the verdict, with: vmcrawl crawl vmst.io" in finished.stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("mastodon.socail", "mastodon.social"),
        ("mastodn.social", "mastodon.social"),
        ("mastodonn.social", "mastodon.social"),
        ("mastodon.socia", "mastodon.social"),
        ("mastodon.net", "mastodon.online"),
        ("nstdn.jp", "mstdn.jp"),
        ("vmst.oi", "vmst.io"),
        ("www.vmst.io", "vmst.io"),
        ("deep.down.example.org", "example.org"),
        ("mastodon.example.org", "social.example.org"),
    ],
)
def test_slips_and_relatives_are_found(connection, typed, meant):
    ledger.add_domains(connection, map(Domain, KNOWN), "test", NOW)
    assert meant in similar(connection, Domain(typed))


def test_nothing_is_like_a_name_that_is_like_nothing(connection):
    ledger.add_domains(connection, map(Domain, KNOWN), "test", NOW)
    assert similar(connection, Domain("quite.different.net")) == []


def test_a_quarter_of_a_million_names_are_not_looked_through_for_a_slip(connection):
    connection.execute(
        "INSERT INTO domains (domain) SELECT 'server-' || n || '.example.net' FROM generate_series(1, 250000) AS n"
    )
    connection.execute("ANALYZE domains")
    before = column(connection, "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'domains'")
    assert similar(connection, Domain("server-12345.exmaple.net"))[0] == "server-12345.example.net"
    connection.execute("SELECT pg_stat_force_next_flush()")
    assert column(connection, "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'domains'") == before
