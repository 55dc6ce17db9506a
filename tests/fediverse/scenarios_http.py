"""Redirects and statuses: where they lead, and what each of them means at each endpoint."""

from collections.abc import Iterator
from dataclasses import replace

from tests.fediverse.healthy import (
    NODEINFO,
    ROBOTS,
    V1,
    V2,
    WELL_KNOWN,
    apex,
    html,
    mastodon,
    not_found,
    redirect,
)
from tests.fediverse.scenario import named, scenario, unlisted
from tests.fediverse.site import PRIVATE_ADDRESS, Answer, Name, Reply, Site, Truth
from vmcrawl.outcome import Outcome

_OK, _MANY, _BAD, _BLOCKED = Outcome.OK, Outcome.TOO_MANY_REDIRECTS, Outcome.BAD_REDIRECT, Outcome.BLOCKED_ADDRESS


def http_scenarios() -> Iterator[Site]:
    """Give one site for each."""
    yield from _hops()
    yield from _targets()
    yield from _other_hosts()
    yield from _statuses()
    yield from _opt_outs()
    yield from _rate_limits()


def _hops() -> Iterator[Site]:
    def chain(slug: str, hops: int) -> dict[str, Answer]:
        own = mastodon(named(slug)).routes[WELL_KNOWN]
        steps: dict[str, Answer] = {f"/hop/{n}": redirect(f"/hop/{n + 1}", 302) for n in range(1, hops)}
        return {WELL_KNOWN: redirect("/hop/1"), **steps, f"/hop/{hops}": own}

    yield scenario("redirects-5", _OK, chain("redirects-5", 5))
    yield scenario("redirects-6", _MANY, chain("redirects-6", 6))
    yield scenario("redirects-50", _MANY, chain("redirects-50", 50))
    yield scenario("redirect-to-itself", _MANY, {WELL_KNOWN: redirect(WELL_KNOWN)})
    yield scenario("redirect-circle", _MANY, {WELL_KNOWN: redirect("/a"), "/a": redirect("/b"), "/b": redirect("/a")})
    yield scenario("redirect-to-www-and-back", _MANY, {WELL_KNOWN: redirect(f"https://{named('redirect-back')}/x")})
    back = redirect(f"https://{named('redirect-to-www-and-back')}{WELL_KNOWN}")
    yield unlisted(scenario("redirect-back", _MANY, {"/x": back}))
    for status in (301, 302, 303, 307, 308):
        slug = f"redirect-{status}"
        moved = mastodon(named(slug)).routes[WELL_KNOWN]
        yield scenario(slug, _OK, {WELL_KNOWN: redirect("/elsewhere/nodeinfo", status), "/elsewhere/nodeinfo": moved})
    moved = mastodon(named("redirect-nodeinfo")).routes[NODEINFO]
    yield scenario("redirect-nodeinfo", _OK, {NODEINFO: redirect("/nodeinfo/2.0.json"), "/nodeinfo/2.0.json": moved})
    moved = mastodon(named("redirect-api")).routes[V2]
    yield scenario("redirect-api", _OK, {V2: redirect("/api/v2/instance/"), "/api/v2/instance/": moved})
    slash = mastodon(named("redirect-slash")).routes[WELL_KNOWN]
    yield scenario("redirect-slash", _OK, {WELL_KNOWN: redirect(f"{WELL_KNOWN}/"), f"{WELL_KNOWN}/": slash})


def _targets() -> Iterator[Site]:
    domain = named("redirect-spellings")
    for slug, location, outcome, also in (
        ("http", f"http://{domain}/x", _BAD, ()),
        ("http-itself", f"http://{named('redirect-to-http-itself')}{WELL_KNOWN}", _BAD, ()),
        ("port", f"https://{domain}:8443/x", _BAD, ()),
        ("port-0", f"https://{domain}:0/x", _BAD, ()),
        ("ftp", f"ftp://{domain}/x", _BAD, ()),
        ("file", "file:///etc/passwd", _BAD, ()),
        ("javascript", "javascript:alert(1)", _BAD, ()),
        ("bad-url", "https://[bad/x", _BAD, ()),
        ("no-host", "https:///x", _BAD, ()),
        ("private", f"https://{PRIVATE_ADDRESS}/x", _BLOCKED, ()),
        ("loopback", "https://127.0.0.1/x", _BLOCKED, ()),
        ("private-10", "https://10.0.0.1/x", _BLOCKED, ()),
        ("metadata", "https://169.254.169.254/latest/meta-data/", _BLOCKED, ()),
        ("mapped", f"https://[::ffff:{PRIVATE_ADDRESS}]/x", _BLOCKED, ()),
        ("link-local-6", "https://[fe80::1]/x", _BLOCKED, ()),
        ("nat64", "https://[64:ff9b::a00:1]/x", _BLOCKED, ()),
        ("decimal", "https://2130706433/x", _BLOCKED, (_BAD,)),
        ("hexadecimal", "https://0x7f.0x42.0x0.0x1/x", _BLOCKED, (_BAD,)),
        ("octal", "https://0177.0102.0.1/x", _BLOCKED, (_BAD,)),
        ("short", "https://127.66.1/x", _BLOCKED, (_BAD,)),
        ("full-width", "https://\uff11\uff12\uff17.\uff16\uff16.\uff10.\uff11/x", _BLOCKED, (_BAD,)),
        ("private-name", f"https://{named('private-target')}/x", _BLOCKED, ()),
        ("localhost", "https://localhost/x", Outcome.DNS_NOT_FOUND, (_BLOCKED, _BAD)),
        ("nobody", f"https://{named('nobody-at-all')}/x", Outcome.DNS_NOT_FOUND, ()),
    ):
        notes = "an odd spelling of an address may as well be refused as no URL" if also else ""
        yield scenario(f"redirect-to-{slug}", outcome, {WELL_KNOWN: redirect(location, 302)}, also=also, notes=notes)
    yield unlisted(scenario("private-target", _BLOCKED, name=Name(a=(PRIVATE_ADDRESS,))))
    yield scenario("redirect-nodeinfo-to-private", _BLOCKED, {NODEINFO: redirect(f"https://{PRIVATE_ADDRESS}/x")})
    also = (Outcome.API_UNAVAILABLE,)
    private = redirect(f"https://{PRIVATE_ADDRESS}/x")
    yield scenario("redirect-api-to-private", _BLOCKED, {V2: private}, also=(_OK, *also))
    plain = redirect(f"http://{named('redirect-api-to-http')}{V2}")
    yield scenario("redirect-api-to-http", _BAD, {V2: plain, V1: plain}, also=also)
    nowhere = Reply(302, (("Content-Type", "text/html"),))
    yield scenario("redirect-nowhere", Outcome.HTTP_OTHER, {WELL_KNOWN: nowhere}, also=(_BAD,), notes="no Location")
    yield scenario("redirect-empty", Outcome.HTTP_OTHER, {WELL_KNOWN: redirect("")}, also=(_BAD, _MANY), notes="empty")
    user = f"https://user:secret@{named('redirect-to-user')}/x"
    yield scenario("redirect-to-user", _BAD, {WELL_KNOWN: redirect(user)}, also=(Outcome.HTTP_4XX, Outcome.BAD_JSON))


def _other_hosts() -> Iterator[Site]:
    domain, web = named("redirect-across"), f"elsewhere.{named('redirect-across')}"
    yield apex(domain, web, mastodon(domain).truth)
    yield unlisted(mastodon(domain, web_domain=web))
    domain, web = named("redirect-idn"), f"bücher.{named('redirect-idn')}"
    ascii_web = web.encode("idna").decode()
    yield apex(domain, web, mastodon(domain).truth)
    yield unlisted(mastodon(domain, web_domain=ascii_web))
    domain, web = named("redirect-protocol-relative"), f"web.{named('redirect-protocol-relative')}"
    site = apex(domain, web, mastodon(domain).truth)
    yield replace(site, routes={WELL_KNOWN: redirect(f"//{web}{WELL_KNOWN}#fragment")})
    yield unlisted(mastodon(domain, web_domain=web))
    for slug, outcome in (
        ("refused", Outcome.CONNECTION_REFUSED),
        ("expired", Outcome.TLS_CERTIFICATE),
        ("servfail", Outcome.DNS_FAILURE),
    ):
        there = redirect(f"https://{named(f'transport-{slug}')}{WELL_KNOWN}")
        yield scenario(f"redirect-to-{slug}", outcome, {WELL_KNOWN: there})


def _statuses() -> Iterator[Site]:
    for status, outcome in (
        (400, Outcome.HTTP_4XX),
        (401, Outcome.HTTP_4XX),
        (403, Outcome.HTTP_4XX),
        (404, Outcome.HTTP_4XX),
        (406, Outcome.HTTP_4XX),
        (421, Outcome.HTTP_4XX),
        (499, Outcome.HTTP_4XX),
        (500, Outcome.HTTP_5XX),
        (502, Outcome.HTTP_5XX),
        (503, Outcome.HTTP_5XX),
        (520, Outcome.HTTP_5XX),
        (530, Outcome.HTTP_5XX),
        (204, Outcome.HTTP_OTHER),
        (300, Outcome.HTTP_OTHER),
        (304, Outcome.HTTP_OTHER),
        (600, Outcome.HTTP_OTHER),
        (999, Outcome.HTTP_OTHER),
    ):
        also = (Outcome.BAD_JSON,) if status == 204 else ()
        answer = Reply(status) if status in (204, 304) else html("<h1>Status</h1>", status)
        yield scenario(f"status-{status}", outcome, {WELL_KNOWN: answer}, also=also)
        if status in (404, 500, 999):
            yield scenario(f"nodeinfo-status-{status}", outcome, {NODEINFO: answer})
    good = mastodon(named("status-404-json")).routes[NODEINFO]
    assert isinstance(good, Reply)
    json_404 = replace(good, status=404)
    yield scenario("status-404-json", Outcome.HTTP_4XX, {NODEINFO: json_404}, notes="a good document, but status 404")
    yield scenario("everything-500", Outcome.ROBOTS_UNREACHABLE, {"*": html("<h1>Error</h1>", 500)})
    yield scenario("everything-404", Outcome.HTTP_4XX, {"*": not_found()})


def _opt_outs() -> Iterator[Site]:
    for status in (410, 418, 451):
        answer = html("<h1>No.</h1>", status)
        for where, path in (("well-known", WELL_KNOWN), ("nodeinfo", NODEINFO), ("v2", V2)):
            yield scenario(f"opt-out-{where}-{status}", Outcome.OPTED_OUT, {path: answer})
        yield scenario(f"opt-out-v1-{status}", Outcome.OPTED_OUT, {V2: not_found(), V1: answer})
    domain = named("opt-out-backend")
    yield apex(domain, f"web.{domain}", Truth(Outcome.OPTED_OUT, notes="the redirect's target says so"))
    gone = html("Gone", 410)
    yield unlisted(replace(mastodon(domain, web_domain=f"web.{domain}"), routes={"*": gone}))
    yield scenario("everything-gone", Outcome.OPTED_OUT, {"*": gone})


def _rate_limits() -> Iterator[Site]:
    limited = Outcome.RATE_LIMITED
    for slug, header, seconds in (
        ("seconds", "120", 120),
        ("missing", None, None),
        ("garbage", "in a while", None),
        ("negative", "-5", None),
        ("fraction", "1.5", None),
        ("huge", "99999999999999999999", None),
        ("past-date", "Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("date", "Wed, 21 Oct 2099 07:28:00 GMT", None),
        ("bad-date", "Wed, 99 Foo 2099 99:99:99 GMT", None),
    ):
        headers = (("Content-Type", "application/json"), *((("Retry-After", header),) if header else ()))
        answer = Reply(429, headers, b'{"error":"Too many requests"}')
        yield scenario(f"retry-after-{slug}", limited, {WELL_KNOWN: answer}, retry_after=seconds)
    for where, path in (("nodeinfo", NODEINFO), ("v2", V2), ("robots", ROBOTS)):
        answer = Reply(429, (("Retry-After", "7200"),))
        yield scenario(f"rate-limited-{where}", limited, {path: answer}, retry_after=7200)
    yield scenario("rate-limited-everything", limited, {"*": Reply(429)})
