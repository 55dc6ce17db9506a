"""Many domains on one slow backend that refuses: real crawlers in threads, and each refusal is heard by all of them."""

import json
from dataclasses import replace

import pytest

from tests.fediverse import Reply, mastodon, start_fediverse
from tests.fediverse.healthy import NODEINFO, WELL_KNOWN
from tests.fediverse.site import Truth
from tests.program import environment, vmcrawl
from vmcrawl.outcome import Outcome

_BACKEND = "slow-backend.net"
_LINKS = {
    "links": [{"rel": "http://nodeinfo.diaspora.software/ns/schema/2.0", "href": f"https://{_BACKEND}{NODEINFO}"}]
}


def crowd(refusal):
    backend = mastodon(_BACKEND, truth=Truth(Outcome.HTTP_4XX))
    yield replace(backend, routes={**backend.routes, NODEINFO: refusal}, latency_seconds=0.3)
    pointer = Reply(200, (("Content-Type", "application/json"),), json.dumps(_LINKS).encode())
    for number in range(10):
        front = mastodon(f"front-{number}.social", truth=Truth(Outcome.HTTP_4XX))
        yield replace(front, routes={**front.routes, WELL_KNOWN: pointer})


@pytest.mark.parametrize(
    ("refusal", "outcome"),
    [
        (Reply(410), "opted_out"),
        (Reply(429, (("Retry-After", "3600"),)), "rate_limited"),
    ],
)
def test_a_refusal_is_heard_by_all_who_wait_for_their_turn(database_url, tmp_path, refusal, outcome):
    with start_fediverse(list(crowd(refusal)), tmp_path / "fediverse") as fediverse:
        env = environment(
            database_url,
            VMCRAWL_CONFIG=str(fediverse.config_file),
            VMCRAWL_CRAWL_PROCESSES="1",
            VMCRAWL_NETWORK_DNS_TIMEOUT="4s",
        )
        assert vmcrawl("domains", "import", str(fediverse.domains_file), env=env).returncode == 0
        finished = vmcrawl("crawl", "--json", env=env)
        assert json.loads(finished.stdout)["outcomes"] == {outcome: 11}
        asked = [entry["path"] for entry in fediverse.requests(_BACKEND)]
    assert asked.count(NODEINFO) == 1
    assert asked.count("/robots.txt") == 1
