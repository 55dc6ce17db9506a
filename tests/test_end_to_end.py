"""The whole program against the simulated Fediverse: each verdict against the truth, each request against the rules."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.conftest import temporary_database
from tests.fediverse import Reply, Running, Site, demo_crowd, start_fediverse
from tests.program import crawl_crowd, patient_environment
from vmcrawl.outcome import Outcome


@dataclass(frozen=True)
class Crawled:
    """A crowd after one run of the program."""

    fediverse: Running
    domains: dict[str, dict[str, Any]]
    instances: dict[str, dict[str, Any]]
    runs: list[dict[str, Any]]


@pytest.fixture(scope="module")
def crawled(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crawled]:
    directory: Path = tmp_path_factory.mktemp("fediverse")
    with temporary_database(server_url) as url, start_fediverse(demo_crowd(), directory) as fediverse:
        env = patient_environment(url, fediverse.config_file)
        crawl_crowd(directory, env)
        with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
            domains = {row["domain"]: row for row in connection.execute("SELECT * FROM domains")}
            instances = {row["domain"]: row for row in connection.execute("SELECT * FROM instances")}
            runs = connection.execute("SELECT * FROM runs").fetchall()
        yield Crawled(fediverse, domains, instances, runs)


def test_every_verdict_is_the_true_one(crawled):
    wrong = []
    for domain, truth in crawled.fediverse.truth().items():
        row = crawled.domains[domain]
        if row["outcome"] not in {truth["outcome"], *truth["also"]} or row["alias_of"] != truth["alias_of"]:
            wrong.append(f"{domain}: {row['outcome']} ({row['detail']}), in truth {truth['outcome']}: {truth['notes']}")
    assert not wrong, "\n".join(wrong)


def test_every_outcome_of_the_contract_is_reached_but_the_one_for_bugs(crawled):
    reached = {row["outcome"] for row in crawled.domains.values()}
    assert set(map(str, Outcome)) - reached == {"internal_error"}


def test_what_is_published_is_exactly_what_is_true(crawled):
    truth = crawled.fediverse.truth()
    wrong = []
    for domain, row in crawled.instances.items():
        seen = {name: row[name] for name in ("software", "version", "active_users")}
        # Some sites may be read either way; what their documents say is then left open.
        said = {name: truth[domain][name] for name in seen if truth[domain][name] is not None}
        if seen != seen | said:
            wrong.append(f"{domain}: {seen}, in truth {said}")
    assert not wrong, "\n".join(wrong)
    assert crawled.instances.keys() == {name for name, row in crawled.domains.items() if row["outcome"] == "ok"}


def test_the_run_says_what_the_ledger_says(crawled):
    (run,) = crawled.runs
    counts: dict[str, int] = defaultdict(int)
    for row in crawled.domains.values():
        counts[row["outcome"] or "none"] += 1
    aliases = counts.pop("none", 0)
    assert run["status"] == "success"
    assert run["outcomes"] == dict(counts)
    assert run["crawled"] == run["planned"] == len(crawled.domains) - aliases


def test_no_private_address_was_ever_connected_to(crawled):
    assert [entry for entry in crawled.fediverse.log() if entry["address"].startswith("127.66.")] == []


def test_every_request_says_who_asks(crawled):
    agents = {entry["user_agent"] for entry in crawled.fediverse.requests()}
    assert len(agents) == 1
    assert agents.pop().startswith("vmcrawl/")


def test_robots_txt_is_the_first_request_to_every_host_and_read_once(crawled):
    paths = defaultdict(list)
    for entry in crawled.fediverse.requests():
        paths[entry["site"]].append(entry["path"])
    assert {asked[0] for asked in paths.values()} == {"/robots.txt"}
    # A host that several domains lead to may be met by both processes at the same moment.
    reads = {site: asked.count("/robots.txt") for site, asked in paths.items()}
    assert {site: number for site, number in reads.items() if number > 2} == {}
    assert sum(number == 2 for number in reads.values()) < 0.04 * len(reads)


def test_no_path_that_robots_txt_forbids_was_ever_asked_for(crawled):
    """Judged by a reader of its own, which knows only files of one group with plain prefixes."""
    forbidden = {site.domain: plain_prefixes(site) for site in demo_crowd()}
    judged = {domain for domain, prefixes in forbidden.items() if prefixes}
    asked = [(entry["site"], entry["path"]) for entry in crawled.fediverse.requests() if entry["site"] in judged]
    assert len(judged) > 15
    assert [
        (domain, path)
        for domain, path in asked
        if path != "/robots.txt" and any(path.startswith(prefix) for prefix in forbidden[domain])
    ] == []


def test_requests_to_one_host_never_overlap_and_keep_its_crawl_delay(crawled):
    requests = crawled.fediverse.requests()
    overlapping = {entry["site"] for entry in requests if entry["in_flight"] > 1}
    # A server may not have noticed yet that we have given a request up, when we look at it once more.
    given_up = {domain for domain, row in crawled.domains.items() if row["outcome"] == "timeout"}
    assert overlapping - given_up == set()
    delayed = {site.domain for site in demo_crowd() if b"Crawl-delay: 1\n" in robots_txt(site)}
    assert delayed
    for domain in delayed & {domain for domain, row in crawled.domains.items() if row["outcome"] == "ok"}:
        times = [entry["time"] for entry in requests if entry["site"] == domain]
        assert len(times) == 4
        assert min(later - earlier for earlier, later in pairwise(times)) >= 1.0


def robots_txt(site: Site) -> bytes:
    reply = site.routes.get("/robots.txt")
    return reply.body if isinstance(reply, Reply) and reply.status == 200 else b""


def plain_prefixes(site: Site) -> tuple[str, ...]:
    text = robots_txt(site).decode("latin-1")[:5000]
    fields = [line.partition(":")[::2] for line in text.splitlines() if ":" in line and not line.startswith("#")]
    names = [name.strip().lower() for name, _ in fields]
    values = [value.partition("#")[0].strip() for _, value in fields]
    if names[:1] != ["user-agent"] or set(names[1:]) != {"disallow"} or values[0].lower() not in ("*", "vmcrawl"):
        return ()
    return tuple(value for value in values[1:] if value and not set(value) & set("*$%"))
