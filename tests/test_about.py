"""The page for people whose servers are crawled: what it says is what is done."""

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from vmcrawl.about import Conduct, as_html, page
from vmcrawl.cli import main
from vmcrawl.polite import MAX_REDIRECTS, REQUESTS_PER_HOST
from vmcrawl.robots import parse_rules, reduce_robots
from vmcrawl.settings import CrawlSettings, HttpSettings, ScheduleSettings, Settings

DOCUMENT = Path(__file__).parents[1] / "docs" / "crawler.md"
CONTACT = "https://example.org/about-our-crawler"
CONDUCT = Conduct(REQUESTS_PER_HOST, MAX_REDIRECTS)
ASKED = ("/.well-known/nodeinfo", "/nodeinfo/2.0", "/api/v2/instance", "/api/v1/instance", "/.well-known/host-meta")


def settings(**changes):
    return Settings(http=HttpSettings(contact=CONTACT), **changes)


def blocks(text, kind="robots.txt"):
    return re.findall(rf"```{re.escape(kind)}\n(.*?)```", text, re.DOTALL)


def rules(robots, agent="vmcrawl"):
    return parse_rules(reduce_robots(robots.encode(), agent))


def allowed(robots, agent="vmcrawl"):
    return {rules(robots, agent).allows(f"https://a.example{path}") for path in ASKED}


def test_the_page_in_the_documents_is_the_one_of_the_default_settings():
    told = "VMCRAWL_HTTP_CONTACT=https://example.org/about-our-crawler vmcrawl about > docs/crawler.md"
    assert DOCUMENT.read_text() == page(settings(), CONDUCT), told


@pytest.mark.parametrize("agent", ["vmcrawl", "our-crawler"])
def test_its_examples_of_robots_txt_do_what_it_says(agent):
    http = HttpSettings(contact=CONTACT, robots_agent=agent)
    text = DOCUMENT.read_text() if agent == "vmcrawl" else page(Settings(http=http), CONDUCT)
    us_alone, everybody, only_us, slowly = blocks(text)
    assert allowed(us_alone, agent) == {False}
    assert allowed(us_alone, "somebody-else") == {True}
    assert allowed(everybody, agent) == allowed(everybody, "somebody-else") == {False}
    assert allowed(only_us, agent) == {True}
    assert allowed(only_us, "somebody-else") == {False}
    assert allowed(slowly, agent) == {True}
    longest = CrawlSettings().domain_timeout.total_seconds() / REQUESTS_PER_HOST
    assert rules(slowly, agent).crawl_delay == longest
    assert agent in blocks(text, "nginx")[0]


def test_its_numbers_are_those_of_the_settings():
    usual = page(settings(), CONDUCT)
    lengths = {
        "ok": "11 hours", "failure_first": "13 minutes", "failure_longest": "17 days", "rate_limited": "19 minutes",
        "rate_limited_longest": "23 days", "not_mastodon": "29 days", "alias": "31 days", "opted_out": "41 days",
        "robots_disallowed": "37 days",
    }  # fmt: skip
    of = {"hours": timedelta(hours=1), "minutes": timedelta(minutes=1), "days": timedelta(days=1)}
    for name, words in lengths.items():
        number, unit = words.split()
        changed = replace(ScheduleSettings(), **{name: int(number) * of[unit]})  # type: ignore[arg-type]  # by name
        assert words not in usual
        assert words in page(settings(schedule=changed), CONDUCT)
    crawl = CrawlSettings(domain_timeout=timedelta(seconds=12), robots_lifetime=timedelta(hours=5))
    text = page(settings(crawl=replace(crawl, reconfirm=timedelta(hours=6))), CONDUCT)
    for said in ("at most once in 5 hours", "about every 6 hours", "up to 3 seconds", "Crawl-delay: 3\n"):
        assert said in text
        assert said not in usual


@pytest.mark.parametrize(
    ("contact", "markdown", "html"),
    [
        ("https://example.org/?a=1&b=2", "<https://example.org/?a=1&b=2>", 'href="https://example.org/?a=1&amp;b=2"'),
        ("admin@example.org", "<admin@example.org>", 'href="mailto:admin@example.org"'),
        ("mailto:admin@example.org", "<admin@example.org>", 'href="mailto:admin@example.org"'),
        ("@admin@example.org on the Fediverse", "`@admin@example.org on", "<code>@admin@example.org on"),
        ("<script>alert(1)</script>", "`<script>alert(1)</script>`", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ('https://x.org/"><b>', '`https://x.org/"><b>`', "<code>https://x.org/&quot;&gt;&lt;b&gt;</code>"),
        ("`</code><img src=x>", "`'</code><img src=x>`", "&#x27;&lt;/code&gt;&lt;img src=x&gt;"),
        ("javascript:alert(1)", "`javascript:alert(1)`", "<code>javascript:alert(1)</code>"),
        ("", "has not said", "has not said"),
    ],
)
def test_the_contact_of_the_operator_is_shown_and_cannot_do_anything(contact, markdown, html):
    text = page(Settings(http=HttpSettings(contact=contact)), CONDUCT)
    assert markdown in text
    document = as_html(text)
    assert html in document
    assert tags(document) <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "ul", "li", "pre", "code", "a"),
    }


def test_the_html_is_whole():
    document = as_html(page(settings(), CONDUCT))
    assert document.count("<h2>") == document.count("</h2>") == 5
    assert document.count("<pre>") == 5
    assert "```" not in document
    assert "User-agent: vmcrawl\nAllow: /\n\nUser-agent: *\nDisallow: /" in document


def test_the_command_takes_the_operators_settings_and_needs_no_database(monkeypatch, capsys):
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    monkeypatch.setenv("VMCRAWL_HTTP_CONTACT", "admin@example.org")
    monkeypatch.setenv("VMCRAWL_SCHEDULE_OK", "11h")
    assert main(["about"]) == 0
    assert "about every 11 hours" in capsys.readouterr().out
    assert main(["about", "--format", "html"]) == 0
    assert capsys.readouterr().out.startswith("<!DOCTYPE html>")
    monkeypatch.delenv("VMCRAWL_HTTP_CONTACT")
    assert main(["about"]) == 0
    assert "http.contact is not set" in capsys.readouterr().err


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)


def tags(document):
    parser = _Tags()
    parser.feed(document)
    return parser.seen
