"""One domain, from robots.txt to a verdict, on a fake network."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.site import Site, answer, healthy
from vmcrawl.crawl import Standards, crawl
from vmcrawl.domain import Domain
from vmcrawl.exclusion import Exclusions
from vmcrawl.memory import HostMemory
from vmcrawl.observation import CrawlFailed, RobotsRecord
from vmcrawl.outcome import Outcome
from vmcrawl.polite import Manners

NOW = datetime.now(UTC)
HOME = Domain("home.net")
REL = "http://nodeinfo.diaspora.software/ns/schema/2.0"


def why_bad_version(software, version, upstream_version):
    return None if version and version[0].isdigit() else f"{version} is no version"


STANDARDS = Standards(why_bad_version, max_active_users=10_000)
MANNERS = Manners("vmcrawl", domain_timeout_seconds=30.0)


def visit(pages, domain=HOME, manners=MANNERS, memory=None):
    site = Site(dict(pages))
    memory = memory or HostMemory(timedelta(hours=24), clock=lambda: site.seconds)
    return crawl(domain, site, NOW, manners, memory, STANDARDS), site


def paths(site):
    return [url.removeprefix("https://") for url in site.asked]


def test_a_healthy_server_is_asked_four_times_and_is_ok():
    seen, site = visit(healthy(HOME))
    assert (seen.outcome, seen.version, seen.software, seen.active_users) == (Outcome.OK, "4.5.4", "mastodon", 42)
    assert seen.nodeinfo_url == "https://home.net/nodeinfo/2.0"
    assert paths(site) == [
        "home.net/robots.txt",
        "home.net/.well-known/nodeinfo",
        "home.net/nodeinfo/2.0",
        "home.net/api/v2/instance",
    ]
    assert seen.requests == 4
    assert [record.host for record in seen.robots] == ["home.net"]


def test_rules_that_are_remembered_are_not_read_again():
    record = RobotsRecord("home.net", datetime.now(UTC), "User-agent: *\nDisallow: /api/v2/\n")
    memory = HostMemory(timedelta(hours=24))
    memory.remember(record)
    seen, site = visit(healthy(HOME), memory=memory)
    assert seen.outcome is Outcome.ROBOTS_DISALLOWED
    assert "home.net/robots.txt" not in paths(site)
    assert seen.robots == ()


@pytest.mark.parametrize(
    ("path", "requests"),
    [("/.well-known/nodeinfo", 1), ("/nodeinfo/2.0", 2), ("/api/v2/instance", 3), ("/", 1)],
)
def test_a_forbidden_path_is_never_requested(path, requests):
    pages = healthy(HOME) | {"home.net/robots.txt": answer(f"User-agent: vmcrawl\nDisallow: {path}\n")}
    seen, site = visit(pages)
    assert seen.outcome is Outcome.ROBOTS_DISALLOWED
    assert len(site.asked) == requests


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.OK),
        (404, Outcome.OK),
        (403, Outcome.OK),
        (401, Outcome.OK),
        (500, Outcome.ROBOTS_UNREACHABLE),
        (503, Outcome.ROBOTS_UNREACHABLE),
        (410, Outcome.OPTED_OUT),
        (451, Outcome.OPTED_OUT),
        (429, Outcome.RATE_LIMITED),
    ],
)
def test_the_status_of_robots_txt_decides_as_rfc_9309_says(status, outcome):
    seen, site = visit(healthy(HOME) | {"home.net/robots.txt": answer(status=status)})
    assert seen.outcome is outcome
    if outcome is not Outcome.OK:
        assert paths(site) == ["home.net/robots.txt"]


@pytest.mark.parametrize("status", [410, 418, 451])
@pytest.mark.parametrize("page", [".well-known/nodeinfo", "nodeinfo/2.0", "api/v2/instance"])
def test_a_refusal_by_status_at_any_endpoint_is_an_opt_out(status, page):
    seen, site = visit(healthy(HOME) | {f"home.net/{page}": answer(status=status)})
    assert seen.outcome is Outcome.OPTED_OUT
    assert paths(site)[-1] == f"home.net/{page}"


def test_rate_limiting_ends_the_crawl_and_carries_retry_after():
    seen, _ = visit(healthy(HOME) | {"home.net/nodeinfo/2.0": answer(status=429, retry_after="120")})
    assert (seen.outcome, seen.retry_after_seconds) == (Outcome.RATE_LIMITED, 120)


def test_a_crawl_delay_is_kept_between_requests_to_one_host():
    pages = healthy(HOME) | {"home.net/robots.txt": answer("User-agent: *\nCrawl-delay: 2\n")}
    seen, site = visit(pages)
    assert seen.outcome is Outcome.OK
    assert site.pauses == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("delay", [8, 3600])
def test_a_crawl_delay_that_does_not_fit_counts_as_disallowed(delay):
    pages = healthy(HOME) | {"home.net/robots.txt": answer(f"User-agent: *\nCrawl-delay: {delay}\n")}
    seen, site = visit(pages)
    assert seen.outcome is Outcome.ROBOTS_DISALLOWED
    assert len(site.asked) == 1


def test_an_excluded_domain_gets_no_request_at_all():
    manners = replace(MANNERS, exclusions=Exclusions(trees=frozenset({"net"})))
    seen, site = visit(healthy(HOME), manners=manners)
    assert seen.outcome is Outcome.EXCLUDED
    assert site.asked == []


def test_a_redirect_to_an_excluded_host_is_not_followed():
    manners = replace(MANNERS, exclusions=Exclusions(exact=frozenset({"other.net"})))
    pages = healthy(HOME) | {
        "home.net/.well-known/nodeinfo": answer(status=302, location="https://other.net/.well-known/nodeinfo")
    }
    seen, site = visit(pages, manners=manners)
    assert seen.outcome is Outcome.EXCLUDED
    assert all(path.startswith("home.net/") for path in paths(site))


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.DNS_NOT_FOUND, Outcome.TLS_CERTIFICATE])
def test_a_transport_failure_ends_the_crawl_with_its_own_name(outcome):
    seen, site = visit({"home.net/robots.txt": CrawlFailed(outcome, "because")})
    assert (seen.outcome, seen.detail) == (outcome, "because")
    assert len(site.asked) == 1


def test_a_bug_of_ours_becomes_internal_error_with_its_traceback_in_the_log(caplog):
    seen, _ = visit({"home.net/robots.txt": ZeroDivisionError("oops")})
    assert seen.outcome is Outcome.INTERNAL_ERROR
    assert "ZeroDivisionError" in seen.detail
    assert "Traceback" in caplog.text


def test_what_was_seen_before_a_failure_is_kept():
    seen, _ = visit(healthy(HOME) | {"home.net/api/v2/instance": answer(status=401)})
    assert (seen.outcome, seen.version, seen.active_users) == (Outcome.API_AUTH_REQUIRED, "4.5.4", 42)


@pytest.mark.parametrize(
    ("nodeinfo", "outcome"),
    [
        ({"software": {"name": "pleroma", "version": "2.7"}}, Outcome.NOT_MASTODON),
        ({"software": {"name": "mastodon", "version": "x"}}, Outcome.BAD_VERSION),
        ({"software": {"name": "mastodon"}}, Outcome.BAD_VERSION),
        ({"software": {"name": "mastodon", "version": "4.5.4"}}, Outcome.NO_ACTIVE_USERS),
        ({"software": {"version": "4.5.4"}}, Outcome.BAD_JSON),
        ([], Outcome.BAD_JSON),
    ],
)
def test_the_nodeinfo_document_is_judged_before_the_api_is_asked(nodeinfo, outcome):
    seen, site = visit(healthy(HOME) | {"home.net/nodeinfo/2.0": answer(nodeinfo)})
    assert seen.outcome is outcome
    assert paths(site)[-1] == "home.net/nodeinfo/2.0"


@pytest.mark.parametrize("users", [-1, 10_001, 1.5, True, "16", None, 10**40, [1]])
def test_active_users_must_be_a_plausible_whole_number(users):
    assert visit(healthy(HOME, active_users=users))[0].outcome is Outcome.NO_ACTIVE_USERS


@pytest.mark.parametrize(
    ("page", "outcome"),
    [
        (answer("<html>", content_type="text/html"), Outcome.BAD_CONTENT_TYPE),
        (answer("{", content_type="application/json"), Outcome.BAD_JSON),
        (answer("{}", status=403), Outcome.HTTP_4XX),
        (answer("{}", status=502), Outcome.HTTP_5XX),
        (answer("", status=204), Outcome.HTTP_OTHER),
        (answer("", status=302), Outcome.HTTP_OTHER),
        (answer("", status=999), Outcome.HTTP_OTHER),
        (answer({"m.server": "matrix.home.net:443"}), Outcome.NOT_MASTODON),
        (answer("", status=301, location="http://home.net/.well-known/nodeinfo"), Outcome.BAD_REDIRECT),
        (answer("", status=301, location="/.well-known/nodeinfo"), Outcome.TOO_MANY_REDIRECTS),
    ],
)
def test_without_another_host_the_domains_own_failure_is_decisive(page, outcome):
    assert visit(healthy(HOME) | {"home.net/.well-known/nodeinfo": page})[0].outcome is outcome


def test_after_a_server_error_no_discovery_is_tried():
    _, site = visit(healthy(HOME) | {"home.net/.well-known/nodeinfo": answer(status=500)})
    assert paths(site) == ["home.net/robots.txt", "home.net/.well-known/nodeinfo"]


def chain(hops):
    pages = {f"home.net/{n}": answer(status=302, location=f"/{n + 1}") for n in range(1, hops)}
    pages["home.net/.well-known/nodeinfo"] = answer(status=302, location="/1")
    links = healthy(HOME)["home.net/.well-known/nodeinfo"]
    return healthy(HOME) | pages | {f"home.net/{hops}": links}


def test_five_redirects_are_followed_and_a_sixth_is_not():
    assert visit(chain(5))[0].outcome is Outcome.OK
    assert visit(chain(6))[0].outcome is Outcome.TOO_MANY_REDIRECTS


def test_the_robots_txt_of_a_redirect_target_is_obeyed():
    pages = healthy(HOME) | {
        "home.net/.well-known/nodeinfo": answer(status=302, location="https://web.net/.well-known/nodeinfo"),
        "web.net/robots.txt": answer("User-agent: vmcrawl\nDisallow: /\n"),
    }
    seen, site = visit(pages)
    assert seen.outcome is Outcome.ROBOTS_DISALLOWED
    assert paths(site)[-1] == "web.net/robots.txt"


@pytest.mark.parametrize("outcome", [Outcome.BAD_CONTENT_TYPE, Outcome.BAD_JSON, Outcome.TOO_LARGE])
def test_rules_that_cannot_be_read_forbid_everything(outcome):
    seen, site = visit(healthy(HOME) | {"home.net/robots.txt": CrawlFailed(outcome, "unknown coding")})
    assert seen.outcome is Outcome.ROBOTS_UNREACHABLE
    assert paths(site) == ["home.net/robots.txt"]


def test_two_robots_files_that_redirect_to_each_other_end():
    pages = healthy(HOME) | {
        "home.net/robots.txt": answer(status=302, location="https://web.net/rules"),
        "web.net/robots.txt": answer(status=302, location="https://home.net/rules"),
        "web.net/rules": answer("User-agent: *\nDisallow: /api/\n"),
        "home.net/rules": answer("User-agent: *\nAllow: /\n"),
    }
    seen, site = visit(pages)
    assert seen.outcome is Outcome.ROBOTS_DISALLOWED
    assert len(site.asked) < 10
