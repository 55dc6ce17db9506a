"""Servers that are healthy but for what they say of their peers, and how asking each of them has to end."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.fediverse.healthy import ROBOTS, V1, apex, document, error_sample, html, json_reply, mastodon, redirect
from tests.fediverse.scenario import named, scenario
from tests.fediverse.site import (
    PRIVATE_ADDRESS,
    Answer,
    Close,
    Drip,
    Flood,
    Hang,
    Name,
    Reply,
    Reset,
    Script,
    Send,
    Site,
    Truth,
)
from vmcrawl.outcome import Outcome

PEERS = f"{V1}/peers"
#: How every name ends that the answers of this crowd hold, and nothing else.
FOUND = "found-by-discovery.org"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SUBDOMAINS = 50_000

BAD_NAMES: tuple[object, ...] = (
    *("192.0.2.7", "2001:db8::7", "[2001:db8::7]", "a.found-by-discovery.org:443", "a.found-by-discovery.org/path"),
    *("https://a.found-by-discovery.org", "user@a.found-by-discovery.org", "*.found-by-discovery.org", "localhost"),
    *("printer.local", "a.onion", "a.i2p", "a.internal", "org", "co.uk", "", " ", ".", "a..org", "-a.org", "a_b.org"),
    *("a" * 64 + ".org", "a." * 130 + "org", "x" * 10_000, "xn--a.org", "xn--zzzzzz.org", "a\u0000.org", "\u202egro.a"),
    *(None, True, 7, -1.5, [], ["nested.found-by-discovery.org"], [[["deep.found-by-discovery.org"]]]),
    *({}, {"domain": "object.found-by-discovery.org", "more": ["in.found-by-discovery.org"]}),
)
#: Of one server each, in several spellings.
ODD_NAMES = (
    *("UPPER.Odd-1-found-by-discovery.ORG", "upper.odd-1-found-by-discovery.org."),
    *("b\u00fccher.odd-2-found-by-discovery.org", "xn--bcher-kva.odd-2-found-by-discovery.org"),
    *("xn--i-7iq.odd-3-found-by-discovery.org", "xn--i-7iq.odd-3-found-by-discovery.org"),
)


@dataclass(frozen=True, slots=True)
class Told:
    """How asking a site ends: the word, how many names that nobody else tells become new, and what is left out."""

    ended: str
    new: int = 0
    counts: Mapping[str, int] | None = None


def peers_crowd() -> dict[str, tuple[Site, Told]]:
    """Give the crowd by slug."""
    return {slug: (_site(slug, answer), told) for slug, answer, told in _answers()} | {
        slug: (site, told) for slug, site, told in _others()
    }


def found(slug: str, number: int) -> list[str]:
    """Names that only the server called ``slug`` tells, each under a registrable domain of its own."""
    return [f"{slug}-{each}-{FOUND}" for each in range(number)]


def array(names: Sequence[object]) -> Reply:
    """Answer as Mastodon does."""
    return json_reply(names)


def _site(slug: str, answer: Answer) -> Site:
    return scenario(f"peers-{slug}", Outcome.OK, {PEERS: answer})


def _answers() -> Iterator[tuple[str, Answer, Told]]:
    yield "plain", array(found("plain", 3)), Told("answered", 3, {"read": 3, "unusable": 0})
    yield "chunked", replace(array(found("chunked", 1)), chunked=True), Told("answered", 1)
    yield "no-type", document(b'["no-type-0-%b"]' % FOUND.encode(), None), Told("answered", 1)
    yield "repeated", array(found("repeated", 1) * 5_000), Told("answered", 1, {"read": 5_000})
    farm = [f"spam{number}.farm.{FOUND}" for number in range(SUBDOMAINS)]
    yield "farm", array(farm), Told("answered", 25, {"read": SUBDOMAINS, "crowded": SUBDOMAINS - 25})
    bad = len(BAD_NAMES)
    yield "bad-names", array(BAD_NAMES), Told("answered", 0, {"read": bad, "unusable": bad})
    yield "odd-names", array(ODD_NAMES), Told("answered", 3, {"read": 6, "unusable": 0})
    yield "empty", array([]), Told("empty")
    yield "unauthorized", error_sample("error-401-limited-federation.json", 401), Told("api_auth_required")
    yield "switched-off", Reply(404), Told("not_offered")
    yield "forbidden", error_sample("error-403-ip-blocked.txt", 403), Told("http_4xx")
    yield "error", html("<h1>Oops</h1>", 500), Told("http_5xx")
    yield "busy", Reply(503, (("Retry-After", "7200"),)), Told("http_5xx")
    yield "limited", Reply(429, (("Retry-After", "7200"),)), Told("rate_limited")
    for status in (410, 418, 451):
        yield f"opts-out-{status}", Reply(status), Told("opted_out")
    yield "html", html("<h1>Are you human?</h1>"), Told("bad_content_type")
    yield "html-as-json", document(b"<!DOCTYPE html><p>Are you human?", "application/json"), Told("bad_json")
    yield "object", json_reply({"error": "no"}), Told("bad_json")
    yield "number", json_reply(7), Told("bad_json")
    yield "half", document(b'["half-0-%b", "half-1' % FOUND.encode(), "application/json"), Told("bad_json", 1)
    cut = HEAD + b'Content-Length: 999\r\n\r\n["cut-0-%b", "cut' % FOUND.encode()
    yield "cut", Script((Send(cut), Close())), Told("connection_reset", 1)
    # Whether bytes arrive that a reset follows, is the kernel's choice.
    yield "reset", Script((Send(HEAD + b"Content-Length: 999\r\n\r\n["), Reset())), Told("connection_reset")
    yield from _endless()
    yield from _hops()


def _endless() -> Iterator[tuple[str, Answer, Told]]:
    name = b'"endless-0-%b",' % FOUND.encode()
    yield "endless", Script((Send(HEAD + b"\r\n["), Flood(name * 500))), Told("capped", 1)
    invented = [b'"invented-%d-%b",' % (number, FOUND.encode()) for number in range(3_000)]
    yield "invented", Script((Send(HEAD + b"\r\n[" + b"".join(invented)), Flood(name))), Told("capped", 2_000)
    yield "white", Script((Send(HEAD + b"\r\n["), Flood(b" " * 65536))), Told("bad_json")
    yield "string", Script((Send(HEAD + b'\r\n["'), Flood(b"a" * 65536))), Told("bad_json")
    yield "digits", Script((Send(HEAD + b"\r\n["), Flood(b"7" * 65536))), Told("bad_json")
    yield "nested", Script((Send(HEAD + b"\r\n"), Flood(b"[" * 65536))), Told("bad_json")
    yield "drip", Script((Send(HEAD + b'\r\n["drip-0-%b",' % FOUND.encode()), Drip(b" ", 0.1))), Told("timeout", 1)
    yield "silent", Script((Send(HEAD + b"\r\n["), Hang())), Told("timeout")
    yield "announced", Script((Send(HEAD + b"Content-Length: 9000000000\r\n\r\n["), Flood(name))), Told("too_large")
    coded = (("Content-Type", "application/json"), ("Content-Encoding", "gzip"))
    long_texts = b'["a"' + (b',"' + b"a" * 1000 + b'"') * 30_000
    yield "bomb", Reply(200, coded, _packed(long_texts)), Told("too_large")
    yield "white-bomb", Reply(200, coded, _packed(b"[" + b" " * 30_000_000)), Told("bad_json")
    yield "no-gzip", Reply(200, coded, b'["a.org"]'), Told("bad_json")
    yield "brotli", Reply(200, (coded[0], ("Content-Encoding", "br")), b"\x0b"), Told("bad_content_type")


def _hops() -> Iterator[tuple[str, Answer, Told]]:
    private = named("peers-private-target")
    yield "private", redirect(f"https://{private}{PEERS}"), Told("blocked_address")
    yield "private-address", redirect(f"https://{PRIVATE_ADDRESS}{PEERS}"), Told("blocked_address")
    yield "plain-http", redirect("http://example.org/"), Told("bad_redirect")
    yield "circle", redirect(PEERS), Told("too_many_redirects")
    yield "moved", redirect(f"https://{named('peers-new-home')}{PEERS}", 302), Told("answered", 1)


def _others() -> Iterator[tuple[str, Site, Told]]:
    """Those that differ in more than the answer."""
    for slug, path, told in (
        ("robots-path", PEERS, Told("robots_disallowed")),
        ("robots-other-path", f"{PEERS}/x", Told("answered", 1)),
    ):
        rules = document(f"User-agent: vmcrawl\nDisallow: {path}\n".encode(), "text/plain")
        yield slug, scenario(f"peers-{slug}", Outcome.OK, {ROBOTS: rules, PEERS: array(found(slug, 1))}), told
    slow = document(b"User-agent: *\nCrawl-delay: 1\n", "text/plain")
    delayed = {ROBOTS: slow, PEERS: redirect("/peers.json", 302), "/peers.json": array(found("delayed", 1))}
    yield "delayed", scenario("peers-delayed", Outcome.OK, delayed), Told("answered", 1)
    domain, web = named("peers-split"), f"web.{named('peers-split')}"
    home = mastodon(domain, web_domain=web)
    truth = Truth(Outcome.OK, software="mastodon", version="4.6.6")
    yield "split", apex(domain, web, truth), Told("answered", 1)
    served = {**home.routes, PEERS: array(found("split", 1))}
    yield "split-web", Site(web, truth, served, fallback=home.fallback), Told("")
    new_home = scenario("peers-new-home", Outcome.OK, {PEERS: array(found("moved", 1))}, listed_as=None)
    yield "new-home", new_home, Told("")
    trap = scenario("peers-private-target", Outcome.OK, name=Name(a=(PRIVATE_ADDRESS,)), listed_as=None)
    yield "private-target", trap, Told("")


def _packed(body: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(body) + packer.flush()
