"""A server that is known is asked once, and the saving never changes a verdict."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.site import Site, answer, healthy
from tests.test_crawl import MANNERS, REL, STANDARDS
from vmcrawl.crawl import crawl
from vmcrawl.domain import Domain
from vmcrawl.exclusion import Exclusions
from vmcrawl.memory import HostMemory
from vmcrawl.observation import CrawlFailed, LastLook, Observation, RobotsRecord
from vmcrawl.outcome import Outcome
from vmcrawl.wire import Response

NOW = datetime.now(UTC)
HOME, BACKEND = Domain("home.net"), Domain("social.home.net")
LAST = LastLook(
    "https://home.net/nodeinfo/2.0", '"old"', "mastodon", "4.5.4", None, 41, trusted_until=NOW + timedelta(hours=1)
)
ELSEWHERE = replace(LAST, nodeinfo_url="https://social.home.net/nodeinfo/2.0")
REDIRECT = answer(status=301, location="https://home.net/nodeinfo/2.1")


def visit(pages: dict[str, Response | CrawlFailed], last: LastLook | None = LAST) -> tuple[Observation, Site]:
    """A crawl with rules of robots.txt that were read an hour ago."""
    memory = HostMemory(timedelta(hours=24))
    for host in (HOME, BACKEND):
        memory.remember(RobotsRecord(host, NOW - timedelta(hours=1), ""))
    site = Site(pages)
    return crawl(HOME, site, NOW, MANNERS, memory, STANDARDS, last), site


def with_page(path: str, page: Response | CrawlFailed, **changes: object) -> dict[str, Response | CrawlFailed]:
    return {**healthy(HOME, **changes), path: page}  # type: ignore[arg-type]  # by name


def nodeinfo(software: object = "mastodon", version: object = "4.5.4", active_users: object = 42) -> Response:
    usage = {"users": {"activeMonth": active_users}}
    return answer({"software": {"name": software, "version": version}, "usage": usage})


def test_a_known_server_is_asked_for_one_document():
    page = replace(nodeinfo(), validator='"new"', fresh_seconds=1800)
    seen, site = visit(with_page("home.net/nodeinfo/2.0", page))
    assert site.asked == ["https://home.net/nodeinfo/2.0"]
    assert (seen.outcome, seen.version, seen.active_users, seen.requests) == (Outcome.OK, "4.5.4", 42, 1)
    assert (seen.confirmed, seen.validator, seen.fresh_seconds) == (False, '"new"', 1800)
    assert seen.nodeinfo_url == LAST.nodeinfo_url
    assert seen.rules_read_at == NOW - timedelta(hours=1)


def test_what_has_not_changed_is_what_it_was():
    seen, site = visit(with_page("home.net/nodeinfo/2.0", answer(status=304)))
    assert (seen.outcome, seen.version, seen.active_users, seen.requests) == (Outcome.OK, "4.5.4", 41, 1)
    assert (seen.software, seen.validator, seen.confirmed) == ("mastodon", '"old"', False)
    assert site.validators == ['"old"']


def test_a_304_that_nobody_asked_for_is_odd():
    seen, site = visit(with_page("home.net/nodeinfo/2.0", answer(status=304)), replace(LAST, validator=""))
    assert seen.outcome is Outcome.HTTP_OTHER
    assert len(site.asked) == 3


def test_without_trust_all_is_looked_at():
    for last in (None, replace(LAST, trusted_until=NOW)):
        seen, site = visit(dict(healthy(HOME)), last)
        assert (seen.outcome, seen.confirmed, len(site.asked)) == (Outcome.OK, True, 3)
        assert site.validators == []


ODD: dict[str, Response | CrawlFailed] = {
    "an upgrade": nodeinfo(version="4.5.5"),
    "a version that goes back": nodeinfo(version="4.5.3"),
    "no version": nodeinfo(version=None),
    "other software": nodeinfo(software="hometown"),
    "no users": nodeinfo(active_users=None),
    "too many users": nodeinfo(active_users=10**9),
    "a redirect": REDIRECT,
    "not found": answer(status=404),
    "an error": answer(status=500),
    "a web page": answer("<html>", content_type="text/html"),
    "no JSON": answer("{"),
    "no NodeInfo": answer([]),
    "a time-out": CrawlFailed(Outcome.TIMEOUT, "slow"),
    "a hang-up": CrawlFailed(Outcome.CONNECTION_RESET, "gone"),
    "too much": CrawlFailed(Outcome.TOO_LARGE, "endless"),
}


@pytest.mark.parametrize("oddity", ODD)
@pytest.mark.parametrize("where", [HOME, BACKEND])
def test_whatever_is_odd_leads_to_a_whole_look_with_its_own_verdict(oddity, where):
    pages: dict[str, Response | CrawlFailed] = {**healthy(HOME, where), f"{where}/nodeinfo/2.0": ODD[oddity]}
    pages[f"{HOME}/.well-known/nodeinfo"] = pages[f"{where}/.well-known/nodeinfo"]
    pages["home.net/nodeinfo/2.1"] = nodeinfo()
    last = LAST if where == HOME else ELSEWHERE
    shortened, site = visit(dict(pages), last)
    whole, _ = visit(dict(pages), None)
    assert site.asked[:2] == [last.nodeinfo_url, "https://home.net/.well-known/nodeinfo"]
    assert replace(shortened, requests=0) == replace(whole, requests=0)
    assert shortened.confirmed


def test_a_server_that_moved_is_found_where_it_is_now():
    moved = {**healthy(HOME, BACKEND)}
    moved["home.net/.well-known/nodeinfo"] = answer(
        {"links": [{"rel": f"{REL}", "href": "https://social.home.net/nodeinfo/2.0"}]}
    )
    seen, _ = visit({**moved, "home.net/nodeinfo/2.0": answer(status=404)})
    assert (seen.outcome, seen.nodeinfo_url) == (Outcome.OK, ELSEWHERE.nodeinfo_url)


NOBODY = [Outcome.DNS_NOT_FOUND, Outcome.CONNECTION_REFUSED, Outcome.TLS_CERTIFICATE, Outcome.BLOCKED_ADDRESS]


@pytest.mark.parametrize("outcome", NOBODY)
def test_a_host_that_is_not_there_is_not_asked_twice_but_a_backend_may_have_moved(outcome):
    gone = CrawlFailed(outcome, "as the test wants it")
    seen, site = visit(with_page("home.net/nodeinfo/2.0", gone))
    assert (seen.outcome, len(site.asked)) == (outcome, 1)
    seen, _ = visit(with_page("social.home.net/nodeinfo/2.0", gone), ELSEWHERE)
    assert seen.outcome is Outcome.OK


@pytest.mark.parametrize(("status", "outcome"), [(410, Outcome.OPTED_OUT), (429, Outcome.RATE_LIMITED)])
def test_a_refusal_is_heard_at_once_and_nothing_else_is_asked(status, outcome):
    for last in (LAST, ELSEWHERE):
        url = last.nodeinfo_url
        seen, site = visit(with_page(url.removeprefix("https://"), answer(status=status)), last)
        assert (seen.outcome, site.asked, seen.retry_after_seconds) == (outcome, [url], None)


def test_rules_that_have_come_to_forbid_the_document_are_obeyed():
    memory = HostMemory(timedelta(hours=24))
    site = Site({**healthy(HOME), "home.net/robots.txt": answer("User-agent: *\nDisallow: /nodeinfo/\n")})
    seen = crawl(HOME, site, NOW, MANNERS, memory, STANDARDS, LAST)
    assert seen.outcome is Outcome.ROBOTS_DISALLOWED
    assert not [url for url in site.asked if "nodeinfo/2" in url]


def test_the_domain_itself_must_be_open_to_a_whole_look_wherever_the_short_one_leads():
    memory = HostMemory(timedelta(hours=24))
    for host, rules in ((HOME, "User-agent: *\nDisallow: /\n"), (BACKEND, "")):
        memory.remember(RobotsRecord(host, NOW, rules))
    site = Site(healthy(HOME, BACKEND))
    assert crawl(HOME, site, NOW, MANNERS, memory, STANDARDS, ELSEWHERE).outcome is Outcome.ROBOTS_DISALLOWED
    memory = HostMemory(timedelta(hours=24))
    memory.note_opt_out(HOME)
    assert crawl(HOME, site, NOW, MANNERS, memory, STANDARDS, ELSEWHERE).outcome is Outcome.OPTED_OUT
    manners = replace(MANNERS, exclusions=Exclusions(exact=frozenset({HOME})))
    assert crawl(HOME, site, NOW, manners, HostMemory(timedelta(hours=24)), STANDARDS, ELSEWHERE).outcome is (
        Outcome.EXCLUDED
    )
    assert site.asked == []


def test_a_short_look_goes_by_the_rules_of_both_hosts():
    memory = HostMemory(timedelta(hours=24))
    old, young = NOW - timedelta(hours=20), NOW - timedelta(hours=1)
    memory.remember(RobotsRecord(HOME, old, ""))
    memory.remember(RobotsRecord(BACKEND, young, ""))
    seen = crawl(HOME, Site(healthy(HOME, BACKEND)), NOW, MANNERS, memory, STANDARDS, ELSEWHERE)
    assert (seen.outcome, seen.rules_read_at, seen.confirmed) == (Outcome.OK, old, False)


def test_a_server_in_trouble_that_says_when_to_come_again_is_asked_nothing_more():
    seen, site = visit(with_page("home.net/nodeinfo/2.0", answer(status=503, retry_after="600")))
    assert (seen.outcome, seen.retry_after_seconds, len(site.asked)) == (Outcome.HTTP_5XX, 600, 1)
