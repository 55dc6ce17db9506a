"""The simulated Fediverse itself, asked by plain http.client, ssl and dnspython."""

import json
import signal
import socket
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.documents import document
from tests.fediverse import (
    Running,
    Tls,
    all_scenarios,
    demo_crowd,
    fediverse_in_thread,
    healthy_crowd,
    mastodon,
    mixed_crowd,
    named,
    start_fediverse,
)
from tests.fediverse.asking import PATIENCE, connect, get
from tests.fediverse.site import PRIVATE_ADDRESS
from vmcrawl.domain import parse_domain
from vmcrawl.outcome import Outcome


@pytest.fixture(scope="module")
def fediverse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    slow = replace(mastodon("very-slow.social"), latency_seconds=0.3)
    with fediverse_in_thread([*all_scenarios(), slow], tmp_path_factory.mktemp("fediverse")) as running:
        yield running


def test_a_healthy_server_answers_what_was_recorded(fediverse):
    domain = named("version-rc")
    status, headers, body = get(fediverse, domain, "/.well-known/nodeinfo")
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    href = json.loads(body)["links"][0]["href"]
    assert href == f"https://{domain}/nodeinfo/2.0"
    nodeinfo = json.loads(get(fediverse, domain, "/nodeinfo/2.0")[2])
    recorded = json.loads(document("samples", "nodeinfo-2.0-mastodon-4.3plus.json"))
    assert list(nodeinfo) == list(recorded)
    assert nodeinfo["software"] == {"name": "mastodon", "version": "4.6.0-rc.2"}
    assert json.loads(get(fediverse, domain, "/api/v2/instance")[2])["domain"] == domain
    assert b"User-agent: GPTBot" in get(fediverse, domain, "/robots.txt")[2]
    assert get(fediverse, domain, "/nodeinfo/2.1")[0] == 404


def test_endpoints_came_with_their_versions(fediverse):
    old, ancient = named("v1-only-3-0"), named("mastodon-2-9")
    assert get(fediverse, old, "/nodeinfo/2.0")[0] == 200
    assert get(fediverse, old, "/api/v2/instance")[0] == 404
    assert json.loads(get(fediverse, old, "/api/v1/instance")[2])["uri"] == old
    assert get(fediverse, ancient, "/.well-known/nodeinfo")[0] == 404
    assert get(fediverse, ancient, "/.well-known/host-meta")[0] == 200


def test_a_server_that_lives_elsewhere_is_reached_by_a_redirect(fediverse):
    domain = named("split-domain")
    status, headers, _ = get(fediverse, domain, "/.well-known/nodeinfo")
    assert (status, headers["Location"]) == (301, f"https://social.{domain}/.well-known/nodeinfo")
    assert json.loads(get(fediverse, f"social.{domain}", "/api/v2/instance")[2])["domain"] == domain


def test_webfinger_answers_for_the_resources_of_the_server_only(fediverse):
    domain = named("host-meta-itself")
    own = f"/.well-known/webfinger?resource=acct%3A{domain}%40{domain}"
    assert json.loads(get(fediverse, domain, own)[2])["aliases"] == [f"https://{domain}/actor"]
    assert get(fediverse, domain, "/.well-known/webfinger?resource=acct:admin@elsewhere.social")[0] == 404


def test_gzip_is_used_where_the_client_takes_it(fediverse):
    domain = named("v2-500")
    plain = get(fediverse, domain, "/nodeinfo/2.0")
    packed = get(fediverse, domain, "/nodeinfo/2.0", Accept_Encoding="gzip, deflate")
    assert plain[1]["Content-Encoding"] is None
    assert packed[1]["Content-Encoding"] == "gzip"
    assert zlib.decompress(packed[2], wbits=31) == plain[2]


def test_an_unchanged_document_need_not_be_sent_again(fediverse):
    domain = named("v2-500")
    _, headers, _ = get(fediverse, domain, "/nodeinfo/2.0")
    status, _, body = get(fediverse, domain, "/nodeinfo/2.0", If_None_Match=headers["ETag"])
    assert (status, body) == (304, b"")


def test_a_gzip_bomb_is_small_on_the_wire_and_huge_behind_it(fediverse):
    _, _, body = get(fediverse, named("gzip-bomb"), "/nodeinfo/2.0")
    assert len(body) < 1 << 20
    # Past the ten bytes of the header, and without a look at the checksum, which no crawler should get to see.
    unpacker = zlib.decompressobj(wbits=-15)
    size = len(unpacker.decompress(body[10:], 1 << 24))
    while not unpacker.eof:
        size += len(unpacker.decompress(unpacker.unconsumed_tail, 1 << 24))
    assert size == 200 << 20


def test_every_request_is_in_the_log(fediverse):
    domain = named("v2-403")
    with closing(connect(fediverse, domain)) as connection:
        for path in ("/robots.txt", "/nodeinfo/2.0?x=1"):
            connection.request("GET", path, headers={"User-Agent": "test/1.0", "Accept": "text/plain"})
            connection.getresponse().read()
    first, second = fediverse.requests(domain)
    assert (first["path"], second["path"]) == ("/robots.txt", "/nodeinfo/2.0?x=1")
    assert (first["host"], first["sni"], first["user_agent"]) == (domain, domain, "test/1.0")
    assert (first["method"], first["headers"]["accept"], first["in_flight"]) == ("GET", "text/plain", 1)
    assert first["connection"] == second["connection"]
    assert first["time"] <= second["time"]


def test_requests_at_the_same_time_show_in_the_log(fediverse):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda path: get(fediverse, "very-slow.social", path), ("/robots.txt", "/nodeinfo/2.0")))
    assert [entry["in_flight"] for entry in fediverse.requests("very-slow.social")] == [1, 2]


def test_the_private_address_has_a_server_that_reports_every_visitor(tmp_path):
    with fediverse_in_thread([mastodon("alone.social")], tmp_path) as fediverse:
        socket.create_connection((PRIVATE_ADDRESS, fediverse.port), timeout=PATIENCE).close()
        get(fediverse, "alone.social", "/robots.txt")
        visited = [entry["address"] for entry in fediverse.log() if entry["event"] == "connection"]
        assert visited == [PRIVATE_ADDRESS, fediverse.address("alone.social")]


def test_two_servers_cannot_have_one_name(tmp_path):
    twins = [mastodon("twin.social"), mastodon("twin.social")]
    with pytest.raises(RuntimeError, match="did not start"), fediverse_in_thread(twins, tmp_path):
        pass


def test_nothing_went_wrong_within_the_servers(fediverse):
    assert [entry for entry in fediverse.log() if entry["event"] == "bug"] == []


def test_there_is_a_server_for_every_outcome_but_our_own_bugs():
    found = {site.truth.outcome for site in all_scenarios() if site.listed_as}
    assert found == set(Outcome) - {Outcome.INTERNAL_ERROR}


def test_every_name_in_the_list_is_one_that_can_be_crawled():
    crowd = demo_crowd()
    assert [site.domain for site in crowd if parse_domain(site.domain) != site.domain] == []
    written = {site.domain: site.listed_as for site in crowd if site.listed_as}
    assert {domain: str(parse_domain(text)) for domain, text in written.items()} == {
        domain: domain for domain in written
    }


def test_the_truth_of_each_site_makes_sense():
    for site in demo_crowd():
        truth = site.truth
        assert truth.published == (truth.active_users is not None), site.domain
        assert (truth.outcome is Outcome.ALIAS) == (truth.alias_of is not None), site.domain
        assert truth.outcome not in truth.also, site.domain


def test_crowds_are_the_same_for_the_same_seed():
    assert healthy_crowd(40, 7) == healthy_crowd(40, 7)
    assert healthy_crowd(40, 7) != healthy_crowd(40, 8)
    assert len({site.domain for site in healthy_crowd(500)}) == 500
    assert {site.truth.outcome for site in healthy_crowd(500)} == {Outcome.OK}


def test_a_mixed_crowd_fails_as_often_as_the_real_one():
    crowd = mixed_crowd(2000, 1, latency_seconds=0.05)
    counted = Counter(site.truth.outcome for site in crowd)
    assert counted[Outcome.OK] / len(crowd) == pytest.approx(0.135, abs=0.03)
    assert counted[Outcome.DNS_NOT_FOUND] / len(crowd) == pytest.approx(0.25, abs=0.03)
    assert counted[Outcome.TLS_CERTIFICATE] / len(crowd) == pytest.approx(0.08, abs=0.02)
    assert {site.latency_seconds for site in crowd} == {0.05}


def test_it_runs_as_a_process_of_its_own_and_says_how_to_crawl_it(tmp_path):
    sites = [*healthy_crowd(3), *(site for site in all_scenarios() if site.tls is Tls.EXPIRED)]
    with start_fediverse(sites, tmp_path / "files") as fediverse:
        config = yaml.safe_load(fediverse.config_file.read_text())
        assert config["network"]["port"] == fediverse.port
        assert config["network"]["nameservers"] == [":".join(map(str, fediverse.nameserver))]
        assert "127.10.0.0/16" in config["network"]["allow_addresses"]
        assert config["network"]["ca_file"] == str(fediverse.ca_file.absolute())
        listed = fediverse.domains_file.read_text().split()
        assert set(fediverse.truth()) == set(listed)
        assert get(fediverse, listed[0], "/nodeinfo/2.0")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((fediverse.address(listed[0]), fediverse.port), timeout=PATIENCE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly(tmp_path, number):
    command = [sys.executable, "-W", "error", "-m", "tests.fediverse", "--write", str(tmp_path), "--healthy", "5"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[1]
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, b"")
