"""Whom a hard entry covers gets no request, from whatever command: told by the logs of simulated servers."""

import json

import pytest

from tests.fediverse import healthy_crowd, start_fediverse
from tests.program import patient_environment, vmcrawl


@pytest.fixture
def stage(database_url, tmp_path):
    with start_fediverse(healthy_crowd(6), tmp_path / "fediverse") as fediverse:
        env = patient_environment(database_url, fediverse.config_file)
        assert vmcrawl("domains", "import", str(fediverse.domains_file), env=env).returncode == 0
        yield fediverse, env, fediverse.domains_file.read_text().split()


def asked(fediverse, domain):
    """Requests, connections and DNS questions about a domain."""
    return [entry for entry in fediverse.log() if entry.get("site") == domain] + [
        question for question in fediverse.questions() if domain in str(question["question"])
    ]


def published(env, view="domains"):
    finished = vmcrawl(view, "list", "--outcome", "ok", "--json", "--with-dni", env=env)
    return sorted(json.loads(line)["domain"] for line in finished.stdout.splitlines())


def test_a_hard_entry_gets_no_request_in_any_command_and_a_soft_one_is_crawled_and_counted(stage, connection, tmp_path):
    fediverse, env, domains = stage
    by_hand, listed, soft = domains[:3]
    names = tmp_path / "dni.csv"
    names.write_text(f"#domain,#severity\n{listed},hard\n{soft},suspend\n")
    assert vmcrawl("dni", "import", str(names), env=env).returncode == 0
    assert vmcrawl("dni", "add", by_hand, "--hard", env=env).returncode == 0
    crawled = vmcrawl("crawl", "--json", env=env)
    assert json.loads(crawled.stdout)["outcomes"] == {"ok": 4, "excluded": 2}, crawled.stderr
    named = vmcrawl("crawl", "--json", by_hand, listed, env=env)
    assert json.loads(named.stdout)["outcomes"] == {"excluded": 2}, named.stderr
    for domain in (by_hand, listed):
        checked = json.loads(vmcrawl("check", domain, "--json", env=env).stdout)
        assert (checked["steps"], checked["observation"]["outcome"]) == ([], "excluded")
        assert asked(fediverse, domain) == []
        assert "excluded from all crawls" in vmcrawl("show", domain, env=env).stdout
    assert published(env) == sorted(domains[2:])
    rows = connection.execute("SELECT domain FROM public_instances ORDER BY domain").fetchall()
    assert [domain for (domain,) in rows] == sorted(domains[3:])
    assert "the DNI list covers it" in vmcrawl("show", soft, env=env).stdout
    # Taken out, they are due, and asked.
    removed = vmcrawl("dni", "remove", by_hand, listed, env=env)
    assert removed.stdout.count("1 domains due again") == 2, removed.stderr
    again = vmcrawl("crawl", "--json", env=env)
    assert json.loads(again.stdout)["outcomes"] == {"ok": 2}, again.stderr
    assert asked(fediverse, by_hand)
