"""What crawls that come to one host learn from each other, on a fake network."""

from datetime import timedelta

import pytest

from tests.site import Site, answer, healthy
from tests.test_crawl import HOME, MANNERS, NOW, REL, STANDARDS, paths, visit
from vmcrawl.crawl import crawl
from vmcrawl.domain import Domain
from vmcrawl.memory import HostMemory, KnownHost
from vmcrawl.outcome import Outcome

BACKEND_LINK = answer({"links": [{"rel": REL, "href": "https://backend.net/nodeinfo/2.0"}]})


def fronts(number, backend):
    """Domains that all have their NodeInfo on one backend."""
    pages = dict(backend)
    for front in range(number):
        pages[f"front{front}.net/.well-known/nodeinfo"] = BACKEND_LINK
    return Site(pages)


def test_a_redirect_to_the_robots_txt_of_www_reads_it_once_for_both():
    elsewhere = {"home.net/robots.txt": answer(status=301, location="https://www.home.net/robots.txt")}
    www = {
        "home.net/.well-known/nodeinfo": answer(status=301, location="https://www.home.net/.well-known/nodeinfo"),
        "www.home.net/robots.txt": answer("User-agent: *\nDisallow: /nodeinfo\n"),
    }
    links = {"www.home.net/.well-known/nodeinfo": healthy(HOME)["home.net/.well-known/nodeinfo"]}
    seen, site = visit(healthy(HOME) | elsewhere | www | links)
    assert seen.outcome is Outcome.ROBOTS_DISALLOWED
    assert paths(site).count("www.home.net/robots.txt") == 1
    assert {record.host for record in seen.robots} == {"home.net", "www.home.net"}


@pytest.mark.parametrize("status", [429, 503])
def test_a_host_that_asks_to_be_left_alone_is_left_alone_by_all_crawls(status):
    site = fronts(3, {"backend.net/nodeinfo/2.0": answer(status=status, retry_after="3600")})
    memory = HostMemory(timedelta(hours=24), clock=lambda: site.seconds)
    seen = [crawl(Domain(f"front{n}.net"), site, NOW, MANNERS, memory, STANDARDS) for n in range(3)]
    first = Outcome.RATE_LIMITED if status == 429 else Outcome.HTTP_5XX
    assert [s.outcome for s in seen] == [first, Outcome.RATE_LIMITED, Outcome.RATE_LIMITED]
    assert [s.retry_after_seconds for s in seen] == [3600, 3600, 3600]
    assert paths(site).count("backend.net/nodeinfo/2.0") == 1
    site.seconds += 3601
    crawl(Domain("front1.net"), site, NOW, MANNERS, memory, STANDARDS)
    assert paths(site).count("backend.net/nodeinfo/2.0") == 2


def test_nobody_leads_us_to_a_host_that_has_opted_out():
    site = fronts(3, {"backend.net/nodeinfo/2.0": answer(status=410)})
    memory = HostMemory(timedelta(hours=24))
    seen = [crawl(Domain(f"front{n}.net"), site, NOW, MANNERS, memory, STANDARDS) for n in range(3)]
    assert [s.outcome for s in seen] == [Outcome.OPTED_OUT] * 3
    assert [path for path in paths(site) if path.startswith("backend.net")] == [
        "backend.net/robots.txt",
        "backend.net/nodeinfo/2.0",
    ]


def test_an_opt_out_that_the_ledger_knows_is_obeyed_without_a_request():
    site = fronts(1, {})
    memory = HostMemory(timedelta(hours=24), lambda host, oldest: KnownHost(opted_out=host == "backend.net"))
    seen = crawl(Domain("front0.net"), site, NOW, MANNERS, memory, STANDARDS)
    assert seen.outcome is Outcome.OPTED_OUT
    assert not [path for path in paths(site) if path.startswith("backend.net")]


def test_a_crawl_delay_is_kept_between_crawls_that_come_to_one_host():
    rules = {"backend.net/robots.txt": answer("User-agent: *\nCrawl-delay: 2\n")}
    site = fronts(3, healthy(HOME, "backend.net") | rules)
    memory = HostMemory(timedelta(hours=24), clock=lambda: site.seconds)
    for number in range(3):
        crawl(Domain(f"front{number}.net"), site, NOW, MANNERS, memory, STANDARDS)
    asked = [url for url in site.asked if "backend.net" in url or "pause" in url]
    assert len(asked) > 12
    assert asked[0].endswith("/robots.txt")
    assert asked[1::2] == ["(pause 2)"] * (len(asked) // 2)


def test_who_waits_too_long_for_a_host_with_a_crawl_delay_comes_again_later():
    class Crowded(HostMemory):
        def seconds_until_next(self, host, delay):
            return 40.0

    rules = {"home.net/robots.txt": answer("User-agent: *\nCrawl-delay: 2\n")}
    seen, _ = visit(healthy(HOME) | rules, memory=Crowded(timedelta(hours=24)))
    assert (seen.outcome, seen.retry_after_seconds) == (Outcome.RATE_LIMITED, 40)


def test_rules_that_another_crawl_is_reading_are_waited_for_not_read_again():
    memory = HostMemory(timedelta(hours=24))
    assert memory.begin_reading("home.net")

    class Reading(Site):
        def pause(self, seconds):
            super().pause(seconds)
            if len(self.pauses) == 3:
                other, _ = visit(healthy(HOME))
                memory.remember(other.robots[0])
                memory.end_reading("home.net")

    site = Reading(healthy(HOME))
    seen = crawl(HOME, site, NOW, MANNERS, memory, STANDARDS)
    assert seen.outcome is Outcome.OK
    assert "home.net/robots.txt" not in paths(site)
    assert len(site.pauses) == 3
