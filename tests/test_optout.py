"""What an opt-out is found by can be named: the very line of robots.txt and whom it is for, or the answer."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.site import Site, answer
from vmcrawl.document import clean_text
from vmcrawl.memory import HostMemory
from vmcrawl.observation import CrawlFailed
from vmcrawl.optout import Evidence, forbidden, read_evidence
from vmcrawl.polite import Manners, Visitor

URL = "https://a.example/.well-known/nodeinfo"
ROBOTS = "https://a.example/robots.txt"


def found(robots, status=200):
    """What is read from the failure of a request to a host with this robots.txt."""
    pages = {
        "a.example/robots.txt": answer(robots, status, "text/plain"),
        URL.removeprefix("https://"): answer("", 418),
    }
    memory = HostMemory(timedelta(hours=24))
    visitor = Visitor(Site(pages), Manners("vmcrawl", 30.0), memory, datetime.now(UTC))
    with pytest.raises(CrawlFailed) as failure:
        visitor.get(URL)
    return read_evidence(failure.value.detail)


def test_the_line_that_forbids_is_named_and_whom_it_is_for():
    everybody = "User-agent: *\nDisallow: /x\nDisallow: /.well-known/ # why\n"
    assert found(everybody) == Evidence("Disallow: /.well-known/", "*", URL)
    assert found(f"User-agent: VMCrawl\nDisallow: /\n\n{everybody}") == Evidence("Disallow: /", "vmcrawl", URL)


def test_a_delay_that_is_too_long_is_named():
    assert found("User-agent: *\nCrawl-delay: 500\n") == Evidence("Crawl-delay: 500", "*")


def test_the_answer_is_named_and_from_where():
    assert found("") == Evidence(url=URL, status=418)
    assert found("", 410) == Evidence(url=ROBOTS, status=410)


def test_however_long_the_line_is_there_is_room_for_it():
    detail = clean_text(forbidden("a.example", "Disallow: /" + "x" * 5000, "*", f"https://a.example/{'y' * 2000}"), 500)
    evidence = read_evidence(detail)
    assert evidence.rule is not None
    assert evidence.rule.endswith("x…")
    assert evidence.agent == "*"


@pytest.mark.parametrize("detail", [None, "", "as it was written by an earlier version", "robots.txt of a forbids b"])
def test_anything_else_is_no_evidence(detail):
    assert read_evidence(detail) == Evidence()
