"""``vmcrawl discover`` as a program: whom it never asks, how it ends, several at once, and at the end of a crawl."""

import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.fediverse import Running, Site, start_fediverse
from tests.fediverse.healthy import ROBOTS, document
from tests.fediverse.scenario import named, scenario
from tests.fediverse.scenarios_peers import FOUND, HEAD, PEERS, array, found
from tests.fediverse.site import Drip, Reply, Script, Send
from tests.program import crawl_crowd, environment, patient_environment, start, vmcrawl
from vmcrawl.outcome import Outcome

Begin = Callable[[Sequence[Site]], tuple[Running, dict[str, str]]]


def teller(slug: str, *names: str, users: int = 10, **changes: Any) -> Site:
    """A healthy server whose peers are ``names``, by default one that nobody else tells."""
    return scenario(slug, Outcome.OK, {PEERS: array(names or found(slug, 1))}, users=users, **changes)


@pytest.fixture
def begin(database_url: str, tmp_path: Path) -> Iterator[Begin]:
    """A function that starts a Fediverse and crawls what it has listed."""
    with ExitStack() as stack:

        def begin(sites: Sequence[Site]) -> tuple[Running, dict[str, str]]:
            running = stack.enter_context(start_fediverse(sites, tmp_path / "fediverse"))
            env = patient_environment(database_url, running.config_file)
            crawl_crowd(running.directory, env)
            return running, env

        yield begin


def rows(url: str, query: str, *parameters: object) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode(), parameters).fetchall()


def asked_for_peers(fediverse: Running) -> set[str]:
    return {entry["site"] for entry in fediverse.requests() if entry["path"] == PEERS}


def test_nobody_who_is_excluded_opted_out_or_hard_dni_gets_a_request_not_even_by_name(begin, database_url):
    slugs = ("excluded", "hard", "backend-excluded", "out", "fine")
    sites = [teller(slug) for slug in slugs]
    sites[-2] = scenario("out", Outcome.OPTED_OUT, {"*": Reply(410)})
    fediverse, env = begin(sites)
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO dni (domain, severity) VALUES (%s, 'hard')", [named("hard")])
        connection.execute("INSERT INTO exclusions (domain) VALUES (%s)", [named("excluded")])
        connection.execute("INSERT INTO exclusions (domain) VALUES ('backend.excluded-host.net')")
        connection.execute(
            "UPDATE domains SET nodeinfo_url = 'https://backend.excluded-host.net/nodeinfo/2.0' WHERE domain = %s",
            [named("backend-excluded")],
        )
    refused = [named(slug) for slug in ("excluded", "hard", "out", "backend-excluded")]
    before = {domain: len(fediverse.requests(domain)) for domain in refused}
    assert vmcrawl("discover", "--limit", "100", env=env).returncode == 0
    by_name = vmcrawl("discover", *refused, "--json", env=env)
    assert by_name.returncode == 1
    ended = {each["domain"]: (each["ended"], each["requests"]) for each in json.loads(by_name.stdout)["asked"]}
    assert ended == dict.fromkeys(refused, ("excluded", 0)) | {named("out"): ("opted_out", 0)}
    assert {domain: len(fediverse.requests(domain)) for domain in refused} == before
    assert asked_for_peers(fediverse) == {named("fine")}
    assert [q for q in fediverse.questions() if "excluded-host" in json.dumps(q)] == []


def test_an_opted_out_domain_is_not_asked_when_crawls_may_look_again_either(begin, database_url):
    fediverse, env = begin([scenario("out", Outcome.OPTED_OUT, {"*": Reply(410)})])
    rows(database_url, "UPDATE domains SET due_at = now() - interval '1 day' RETURNING 1")
    before = len(fediverse.requests())
    assert vmcrawl("discover", named("out"), env=env).returncode == 1
    assert len(fediverse.requests()) == before


def test_names_of_excluded_and_hard_dni_domains_do_not_enter_the_ledger(begin, database_url):
    names = [f"{name}-{FOUND}" for name in ("excluded", "tree", "a.tree", "hard", "a.hard", "soft", "good")]
    _, env = begin([teller("teller", *names)])
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO exclusions (domain) VALUES (%s)", [names[0]])
        connection.execute("INSERT INTO exclusions (domain, subdomains) VALUES (%s, true)", [names[1]])
        connection.execute("INSERT INTO dni (domain, severity) VALUES (%s, 'hard'), (%s, 'soft')", [names[3], names[5]])
    (asked,) = json.loads(vmcrawl("discover", "--json", env=env).stdout)["asked"]
    assert (asked["refused"], asked["new"]) == (5, 2)
    assert rows(database_url, "SELECT domain FROM domains WHERE source = 'peers' ORDER BY 1") == [
        (names[6],),
        (names[5],),
    ]


def test_the_largest_go_first_and_the_next_time_those_that_were_not_asked(begin):
    fediverse, env = begin([teller(f"size-{users}", users=users) for users in (5, 500, 50)])
    dry = vmcrawl("discover", "--limit", "2", "--dry-run", "--json", env=env)
    assert json.loads(dry.stdout)["would_ask"] == [named("size-500"), named("size-50")]
    assert asked_for_peers(fediverse) == set()
    assert vmcrawl("discover", "--limit", "2", env=env).returncode == 0
    assert asked_for_peers(fediverse) == {named("size-500"), named("size-50")}
    assert vmcrawl("discover", "--dry-run", env=env).stdout == f"would ask {named('size-5')}\n"


def test_whoever_forbids_everything_is_not_asked_by_name_either(begin):
    rules = document(b"User-agent: *\nDisallow: /\n", "text/plain")
    fediverse, env = begin([scenario("closed", Outcome.ROBOTS_DISALLOWED, {ROBOTS: rules})])
    finished = vmcrawl("discover", named("closed"), "--json", env=env)
    assert json.loads(finished.stdout)["asked"][0]["ended"] == "robots_disallowed"
    assert {entry["path"] for entry in fediverse.requests()} == {"/robots.txt"}


def test_a_server_that_nobody_knew_can_be_asked_by_name(begin, database_url):
    fediverse, env = begin([teller("unknown", listed_as=None)])
    finished = vmcrawl("discover", named("unknown"), "--json", env=env)
    assert json.loads(finished.stdout)["new"] == 1, finished.stderr
    assert rows(database_url, "SELECT domain, source FROM domains ORDER BY source") == [
        (named("unknown"), "named"),
        (found("unknown", 1)[0], "peers"),
    ]
    assert [entry["path"] for entry in fediverse.requests(named("unknown"))] == ["/robots.txt", PEERS]


def test_several_at_once_ask_nobody_twice(begin):
    fediverse, env = begin([teller(f"many-{number}", latency_seconds=0.1) for number in range(12)])
    programs = [start(["discover", "--limit", "12", "--json"], env) for _ in range(3)]
    answers = [program.communicate(timeout=60) for program in programs]
    assert [program.returncode for program in programs] == [0, 0, 0], answers
    asked = [entry["site"] for entry in fediverse.requests() if entry["path"] == PEERS]
    assert len(asked) == len(set(asked)) == 12
    assert sum(json.loads(output)["new"] for output, _ in answers) == 12


def test_sigterm_ends_it_soon_with_all_that_was_found_written(begin, database_url):
    endless = Script((Send(HEAD + b"\r\n[" + b'"early-%b",' % FOUND.encode() + b" " * 9), Drip(b" ", 0.2)))
    fediverse, env = begin([scenario("drip", Outcome.OK, {PEERS: endless}), teller("quick")])
    env |= {"VMCRAWL_DISCOVERY_TIMEOUT": "60s", "VMCRAWL_CRAWL_GRACE": "1s"}
    with start(["discover", "--json"], env) as program:
        while len(asked_for_peers(fediverse)) < 2:
            time.sleep(0.05)
        time.sleep(0.5)
        program.send_signal(signal.SIGTERM)
        output, errors = program.communicate(timeout=20)
    assert program.returncode == 143, errors
    ended = {each["domain"]: each["ended"] for each in json.loads(output)["asked"]}
    assert ended == {named("quick"): "answered", named("drip"): "unfinished"}
    assert rows(database_url, "SELECT domain FROM domains WHERE source = 'peers' ORDER BY 1") == [
        (f"early-{FOUND}",),
        (found("quick", 1)[0],),
    ]
    assert rows(database_url, "SELECT count(*) FROM domains WHERE lease_holder IS NOT NULL") == [(0,)]


def test_one_that_is_killed_leaves_a_lease_that_ends_and_is_not_asked_first_again(begin, database_url):
    endless = Script((Send(HEAD + b"\r\n["), Drip(b" ", 0.2)))
    fediverse, env = begin([scenario("drip", Outcome.OK, {PEERS: endless}, users=99), teller("small")])
    with start(["discover", named("drip")], env) as program:
        while not asked_for_peers(fediverse):
            time.sleep(0.05)
        program.kill()
    assert rows(database_url, "SELECT domain, ended FROM peers_asked") == [(named("drip"), "unfinished")]
    assert rows(database_url, "SELECT leased_until < now() + '3 minutes' FROM domains WHERE lease_holder <> ''") == [
        (True,)
    ]
    assert vmcrawl("discover", "--dry-run", env=env).stdout == f"would ask {named('small')}\n"


def test_a_crawl_discovers_a_little_if_it_is_told_to(begin, database_url):
    fediverse, env = begin([teller(f"run-{number}") for number in range(3)])
    assert asked_for_peers(fediverse) == set(), "by default it does not"
    env |= {"VMCRAWL_DISCOVERY_PER_RUN": "2"}
    assert vmcrawl("crawl", named("run-0"), env=env).returncode == 0
    assert asked_for_peers(fediverse) == set(), "nor does a run that was given names"
    finished = vmcrawl("crawl", "--json", env=env)
    assert (finished.returncode, json.loads(finished.stdout)["status"]) == (0, "success"), finished.stderr
    assert len(asked_for_peers(fediverse)) == 2
    assert rows(database_url, "SELECT count(*), min(source) FROM domains WHERE outcome IS NULL") == [(2, "peers")]


def test_of_a_run_that_several_share_only_the_one_that_closes_it_discovers(begin):
    fediverse, env = begin([teller(f"share-{number}") for number in range(6)])
    env |= {"VMCRAWL_DISCOVERY_PER_RUN": "2"}
    programs = [start(["crawl", "--run", "together", "--json"], env) for _ in range(3)]
    answers = [program.communicate(timeout=60) for program in programs]
    assert [program.returncode for program in programs] == [0, 0, 0], answers
    assert len(asked_for_peers(fediverse)) == 2


def test_without_instances_or_a_database_it_says_so(database_url, tmp_path):
    env = environment(database_url)
    for arguments in (["discover"], ["discover", "--dry-run"]):
        finished = vmcrawl(*arguments, env=env)
        assert (finished.returncode, finished.stdout[:14]) == (0, "nobody's turn:"), finished.stderr
    assert json.loads(vmcrawl("discover", "--json", env=env).stdout)["asked"] == []
    assert vmcrawl("discover", "no/domain", env=env).returncode == 2
    nowhere = environment("postgresql://127.0.0.1:1/none", VMCRAWL_DATABASE_CONNECT_TIMEOUT="1s")
    assert vmcrawl("discover", env=nowhere).returncode == 75


def test_its_help_has_an_example():
    assert "vmcrawl discover --limit" in vmcrawl("discover", "--help", env=environment("")).stdout
