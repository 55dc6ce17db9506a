"""Where a server's documents are, and whose numbers they are, on a fake network."""

import pytest

from tests.site import answer, healthy
from tests.test_crawl import HOME, REL, paths, visit
from vmcrawl.domain import Domain
from vmcrawl.observation import CrawlFailed
from vmcrawl.outcome import Outcome

WEB = Domain("web.net")


def xrd(host):
    template = f"https://{host}/.well-known/webfinger?resource={{uri}}"
    return answer(
        f'<XRD xmlns="http://docs.oasis-open.org/ns/xri/xrd-1.0"><Link rel="lrdd" template="{template}"/></XRD>',
        content_type="application/xrd+xml",
    )


JRD = {"links": [{"rel": "lrdd", "template": "https://web.net/.well-known/webfinger?resource={uri}"}]}
ACTOR = {"subject": "acct:home.net@home.net", "aliases": ["https://web.net/actor"]}
WEBFINGER = "home.net/.well-known/webfinger?resource=acct:home.net@home.net"


@pytest.mark.parametrize(
    "pointer",
    [
        {"home.net/.well-known/host-meta": xrd(WEB)},
        {"home.net/.well-known/host-meta": answer(JRD)},
        {"home.net/.well-known/host-meta.json": answer(JRD)},
        {WEBFINGER: answer(ACTOR, content_type="application/jrd+json")},
        {"home.net/.well-known/host-meta": xrd(HOME), WEBFINGER: answer(ACTOR)},
    ],
)
def test_a_backend_is_found_by_host_meta_or_webfinger(pointer):
    seen, _ = visit(healthy(HOME, WEB) | pointer)
    assert (seen.outcome, seen.nodeinfo_url) == (Outcome.OK, "https://web.net/nodeinfo/2.0")


def test_the_failure_of_a_discovered_host_is_decisive():
    pages = {"home.net/.well-known/host-meta": xrd(WEB), "web.net/.well-known/nodeinfo": answer(status=503)}
    assert visit(pages)[0].outcome is Outcome.HTTP_5XX


def test_without_nodeinfo_and_backend_the_domains_own_status_counts_and_webfinger_was_asked():
    seen, site = visit({})
    assert seen.outcome is Outcome.HTTP_4XX
    assert paths(site)[-1] == WEBFINGER


def test_a_transport_failure_of_discovery_ends_the_crawl():
    assert visit({WEBFINGER: CrawlFailed(Outcome.TIMEOUT, "slow")})[0].outcome is Outcome.TIMEOUT


@pytest.mark.parametrize("said", ["home.net", "HOME.net", "https://home.net/", "home.net.", "home.net:443"])
def test_a_domain_is_confirmed_however_it_is_spelled(said):
    assert visit(healthy(HOME) | {"home.net/api/v2/instance": answer({"domain": said})})[0].outcome is Outcome.OK


@pytest.mark.parametrize("v2", [answer(status=404), answer(status=500), answer("<html>"), answer({"domain": ""})])
def test_v1_is_asked_where_v2_names_nobody(v2):
    pages = healthy(HOME) | {"home.net/api/v2/instance": v2, "home.net/api/v1/instance": answer({"uri": "home.net"})}
    assert visit(pages)[0].outcome is Outcome.OK


@pytest.mark.parametrize("said", ["", "localhost:3000", "127.0.0.1", 7, None])
def test_an_api_that_names_no_usable_domain_is_unavailable(said):
    pages = {"home.net/api/v2/instance": answer({"domain": said}), "home.net/api/v1/instance": answer({"uri": said})}
    assert visit(healthy(HOME) | pages)[0].outcome is Outcome.API_UNAVAILABLE


def test_a_web_domain_is_an_alias_of_the_domain_whose_nodeinfo_link_leads_to_it():
    links = answer({"links": [{"rel": REL, "href": "https://web.net/nodeinfo/2.0"}]})
    seen, _ = visit(healthy(HOME, WEB) | {"home.net/.well-known/nodeinfo": links}, domain=WEB)
    assert (seen.outcome, seen.alias_of) == (Outcome.ALIAS, HOME)


@pytest.mark.parametrize(
    "pointer",
    [
        {"home.net/.well-known/nodeinfo": answer(status=301, location="https://web.net/.well-known/nodeinfo")},
        {"home.net/.well-known/host-meta": xrd(WEB)},
        {WEBFINGER: answer(ACTOR)},
    ],
)
def test_a_web_domain_is_an_alias_however_the_domain_leads_to_it(pointer):
    seen, _ = visit(healthy(HOME, WEB) | pointer, domain=WEB)
    assert (seen.outcome, seen.alias_of) == (Outcome.ALIAS, HOME)


def test_www_is_an_alias_when_it_redirects_to_the_server_itself():
    pages = healthy(HOME) | {
        "www.home.net/.well-known/nodeinfo": answer(status=301, location="https://home.net/.well-known/nodeinfo")
    }
    seen, _ = visit(pages, domain=Domain("www.home.net"))
    assert (seen.outcome, seen.alias_of) == (Outcome.ALIAS, HOME)


@pytest.mark.parametrize(
    "victim",
    [
        healthy(Domain("victim.net")),
        {},
        {"victim.net/robots.txt": CrawlFailed(Outcome.DNS_NOT_FOUND, "no such name")},
        {"victim.net/robots.txt": answer("User-agent: *\nDisallow: /\n")},
        {"victim.net/robots.txt": answer(status=410)},
    ],
)
def test_a_server_that_only_claims_to_be_another_is_unverified(victim):
    liar = healthy(HOME) | {"home.net/api/v2/instance": answer({"domain": "victim.net"})}
    seen, _ = visit(liar | victim)
    assert (seen.outcome, seen.alias_of) == (Outcome.ALIAS_UNVERIFIED, None)


def test_another_servers_document_does_not_become_ones_own():
    """A link to a big server's NodeInfo, with an instance API of one's own: the API of the big server is asked."""
    links = answer({"links": [{"rel": REL, "href": "https://big.net/nodeinfo/2.0"}]})
    pages = healthy(HOME) | healthy(Domain("big.net"), active_users=9000)
    seen, site = visit(pages | {"home.net/.well-known/nodeinfo": links})
    assert seen.outcome is Outcome.ALIAS
    assert "home.net/api/v2/instance" not in paths(site)
