"""Every way in which robots.txt can say yes, no, or nothing (RFC 9309)."""

from collections.abc import Iterator

from tests.fediverse.healthy import (
    HOST_META,
    NODEINFO,
    ROBOTS,
    V2,
    WELL_KNOWN,
    apex,
    document,
    html,
    mastodon,
    not_found,
    redirect,
    with_routes,
)
from tests.fediverse.scenario import named, scenario, unlisted
from tests.fediverse.site import Answer, Flood, Hang, Reply, Reset, Script, Send, Site, Truth
from vmcrawl.outcome import Outcome

_OK, _NO = Outcome.OK, Outcome.ROBOTS_DISALLOWED
_PADDING = b"# " + b"x" * 61 + b"\n"

#: slug, outcome, robots.txt
_TEXTS: tuple[tuple[str, Outcome, str | bytes], ...] = (
    ("robots-star-disallow", _NO, "User-agent: *\nDisallow: /\n"),
    ("robots-named-disallow", _NO, "User-agent: vmcrawl\nDisallow: /\n\nUser-agent: *\nDisallow:\n"),
    ("robots-named-allow", _OK, "User-agent: *\nDisallow: /\n\nUser-agent: vmcrawl\nDisallow:\n"),
    ("robots-named-allow-first", _OK, "User-agent: vmcrawl\nAllow: /\n\nUser-agent: *\nDisallow: /\n"),
    ("robots-other-agent", _OK, "User-agent: GPTBot\nDisallow: /\n"),
    ("robots-part-of-our-name", _OK, "User-agent: crawl\nDisallow: /\n\nUser-agent: vm\nDisallow: /\n"),
    ("robots-longer-than-our-name", _OK, "User-agent: vmcrawler\nDisallow: /\n"),
    ("robots-agents-in-one-group", _NO, "User-agent: GPTBot\nUser-agent: vmcrawl\nUser-agent: CCBot\nDisallow: /\n"),
    ("robots-agents-us-first", _NO, "User-agent: vmcrawl\nUser-agent: otherbot\nDisallow: /\n"),
    ("robots-agents-blank-between", _NO, "User-agent: vmcrawl\n\n# and\nUser-agent: otherbot\nDisallow: /\n"),
    ("robots-two-groups-for-us", _NO, "User-agent: vmcrawl\nDisallow: /a\n\nUser-agent: VMcrawl\nDisallow: /api/\n"),
    ("robots-case", _NO, "uSER-aGENT: VMCRAWL\ndISALLOW: /\n"),
    ("robots-spaces", _NO, "  User-agent :\tvmcrawl  # us\n\tDisallow : /  # all\n"),
    ("robots-bom", _NO, b"\xef\xbb\xbfUser-agent: *\nDisallow: /\n"),
    ("robots-crlf", _NO, "User-agent: vmcrawl\r\nDisallow: /\r\n"),
    ("robots-cr", _NO, "User-agent: vmcrawl\rDisallow: /\r"),
    ("robots-no-final-newline", _NO, "User-agent: *\nDisallow: /"),
    ("robots-latin-1", _NO, "# für Läufer\nUser-agent: *\nDisallow: /é\nDisallow: /api/\n".encode("latin-1")),
    ("robots-nul", _NO, b"\0\0User-agent: x\0\nUser-agent: *\nDisallow: /\n"),
    ("robots-binary", _OK, bytes(range(256)) * 40),
    ("robots-empty", _OK, ""),
    ("robots-empty-disallow", _OK, "User-agent: *\nDisallow:\n"),
    ("robots-no-agent", _OK, "Disallow: /\n"),
    ("robots-sitemap-between", _NO, "User-agent: *\nSitemap: https://example.com/map.xml\nDisallow: /\n"),
    ("robots-well-known", _NO, "User-agent: *\nDisallow: /.well-known/\n"),
    ("robots-nodeinfo", _NO, "User-agent: *\nDisallow: /nodeinfo\n"),
    ("robots-nodeinfo-exact", _NO, "User-agent: *\nDisallow: /nodeinfo/2.0$\n"),
    ("robots-nodeinfo-escaped", _NO, "User-agent: *\nDisallow: /%6Eodeinfo/\n"),
    ("robots-nodeinfo-capitals", _OK, "User-agent: *\nDisallow: /NodeInfo/\nDisallow: /.Well-Known/\n"),
    ("robots-api", _NO, "User-agent: *\nDisallow: /api/\n"),
    ("robots-api-v2", _NO, "User-agent: *\nDisallow: /api/v2/instance\n"),
    ("robots-api-v1-only", _OK, "User-agent: *\nDisallow: /api/v1/\n"),
    ("robots-longer-v1-path", _OK, "User-agent: *\nDisallow: /api/v2/instance/\nDisallow: /api/v2/instance?\n"),
    ("robots-webfinger-only", _OK, "User-agent: *\nDisallow: /.well-known/webfinger\n"),
    ("robots-allow-longer", _OK, "User-agent: *\nDisallow: /\nAllow: /.well-known\nAllow: /nodeinfo\nAllow: /api\n"),
    ("robots-allow-shorter", _NO, "User-agent: *\nAllow: /api/\nDisallow: /api/v2/\n"),
    ("robots-allow-as-long", _OK, "User-agent: *\nDisallow: /api/v2/instance\nAllow: /api/v2/instance\n"),
    ("robots-allow-api-too-late", _NO, "User-agent: *\nDisallow: /\nAllow: /.well-known/\nAllow: /nodeinfo/\n"),
    ("robots-wildcard", _NO, "User-agent: *\nDisallow: /*/instance$\n"),
    ("robots-wildcard-php", _OK, "User-agent: *\nDisallow: /*.php$\nDisallow: /*?*\n"),
    ("robots-only-root", _OK, "User-agent: *\nDisallow: /$\n"),
    ("robots-redos", _OK, "User-agent: *\nDisallow: /" + "*e" * 60 + "*!$\nDisallow: /" + "*" * 2000 + "!$\n"),
    ("robots-many-rules", _OK, "User-agent: *\n" + "".join(f"Disallow: /path/{n}\n" for n in range(9000))),
    ("robots-many-groups", _OK, "".join(f"User-agent: bot{n}\nDisallow: /\n\n" for n in range(6000))),
    ("robots-many-agents", _NO, "".join(f"User-agent: bot{n}\n" for n in range(6000)) + "User-agent: *\nDisallow: /\n"),
    ("robots-delay-fits", _OK, "User-agent: *\nCrawl-delay: 1\n"),
    ("robots-delay-fraction", _OK, "User-agent: vmcrawl\nCrawl-delay: 0.3\n"),
    ("robots-delay-too-long", _NO, "User-agent: *\nCrawl-delay: 3600\n"),
    ("robots-delay-just-too-long", _NO, "User-agent: *\nCrawl-delay: 3\n"),
    ("robots-delay-of-others", _OK, "User-agent: *\nCrawl-delay: 3600\n\nUser-agent: vmcrawl\nDisallow: /x\n"),
    ("robots-delay-garbage", _OK, "User-agent: *\nCrawl-delay: soon\n"),
    ("robots-delay-negative", _OK, "User-agent: *\nCrawl-delay: -5\n"),
    ("robots-delay-nan", _OK, "User-agent: *\nCrawl-delay: nan\n"),
    ("robots-large-before-limit", _NO, _PADDING * 7000 + b"User-agent: *\nDisallow: /\n" + _PADDING * 2000),
    ("robots-large-after-limit", _OK, _PADDING * (500 * 16) + b"User-agent: *\nDisallow: /\n"),
    ("robots-large-one-line", _OK, b"# " + b"x" * (3 << 20) + b"\nUser-agent: *\nDisallow: /\n"),
)

#: What leaves room for another reading, and why.
_ALSO: dict[str, tuple[tuple[Outcome, ...], str]] = {
    "robots-delay-nan": ((_NO,), "a delay that is no number"),
    "robots-nul": ((_OK,), "NUL at the start of a line"),
}

#: Instead of a text: slug, outcome, answer.
_ANSWERS: tuple[tuple[str, Outcome, Answer], ...] = (
    ("robots-html", _OK, html("<pre>User-agent: *<br>Disallow: /</pre>")),
    ("robots-404", _OK, not_found()),
    ("robots-400", _OK, html("Bad Request", 400)),
    ("robots-401", _OK, html("Unauthorized", 401)),
    ("robots-403", _OK, html("Forbidden", 403)),
    ("robots-499", _OK, document(b"User-agent: *\nDisallow: /\n", "text/plain", 499)),
    ("robots-204", _OK, Reply(204)),
    ("robots-500", Outcome.ROBOTS_UNREACHABLE, html("Error", 500)),
    ("robots-502", Outcome.ROBOTS_UNREACHABLE, html("Bad Gateway", 502)),
    ("robots-503", Outcome.ROBOTS_UNREACHABLE, document(b"User-agent: *\nDisallow:\n", "text/plain", 503)),
    ("robots-599", Outcome.ROBOTS_UNREACHABLE, html("Error", 599)),
    ("robots-410", Outcome.OPTED_OUT, html("Gone", 410)),
    ("robots-418", Outcome.OPTED_OUT, html("I'm a teapot", 418)),
    ("robots-451", Outcome.OPTED_OUT, html("Unavailable For Legal Reasons", 451)),
    ("robots-429", Outcome.RATE_LIMITED, html("Too many requests", 429)),
    ("robots-silence", Outcome.TIMEOUT, Script((Hang(),))),
    ("robots-reset", Outcome.CONNECTION_RESET, Script((Reset(),))),
    ("robots-loop", Outcome.TOO_MANY_REDIRECTS, redirect("/robots.txt")),
    ("robots-without-type", _NO, document(b"User-agent: *\nDisallow: /\n", None)),
    ("robots-chunked", _NO, Reply(200, body=b"User-agent: *\nDisallow: /\n", chunked=True)),
)


def robots_scenarios() -> Iterator[Site]:
    """Give one site for each."""
    for slug, outcome, text in _TEXTS:
        body = text.encode() if isinstance(text, str) else text
        also, notes = _ALSO.get(slug, ((), ""))
        yield scenario(slug, outcome, {ROBOTS: document(body, "text/plain")}, also=also, notes=notes)
    for slug, outcome, answer in _ANSWERS:
        yield scenario(slug, outcome, {ROBOTS: answer})
    endless = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nUser-agent: *\nDisallow:\n"
    yield scenario("robots-endless", _OK, {ROBOTS: Script((Send(endless), Flood(_PADDING * 64)))})
    yield from _redirected()
    yield from _elsewhere()


def _redirected() -> Iterator[Site]:
    no = document(b"User-agent: *\nDisallow: /\n", "text/plain")
    yield scenario("robots-moved-here", _NO, {ROBOTS: redirect("/static/robots.txt"), "/static/robots.txt": no})
    target = unlisted(scenario("robots-cdn", _OK, {"/our-robots": no}))
    yield target
    notes = "the rules of the redirect's target are those of the host first asked (RFC 9309, 2.3.1.2)"
    there = redirect(f"https://{target.domain}/our-robots")
    yield scenario("robots-moved-elsewhere", _NO, {ROBOTS: there}, notes=notes)
    five: dict[str, Answer] = {f"/r{n}": redirect(f"/r{n + 1}", 302) for n in range(1, 5)}
    yield scenario("robots-five-hops", _NO, {ROBOTS: redirect("/r1"), **five, "/r5": no})
    plain = redirect(f"http://{named('robots-to-http')}/robots.txt")
    yield scenario("robots-to-http", Outcome.BAD_REDIRECT, {ROBOTS: plain})
    missing = {ROBOTS: redirect("/nothing-here")}
    yield scenario("robots-moved-to-404", _OK, missing)
    yield scenario("robots-moved-to-500", Outcome.ROBOTS_UNREACHABLE, {ROBOTS: redirect("/x"), "/x": html("!", 500)})
    dead = {ROBOTS: redirect(f"https://{named('no-such-name-for-robots')}/robots.txt")}
    yield scenario("robots-moved-to-nowhere", Outcome.DNS_NOT_FOUND, dead)


def _elsewhere() -> Iterator[Site]:
    """Robots.txt counts on every host that is asked: redirect targets, backends, those who shall confirm an alias."""
    no = document(b"User-agent: *\nDisallow: /nodeinfo\nDisallow: /.well-known/\n", "text/plain")
    domain, web = named("split-domain-robots"), f"web.{named('split-domain-robots')}"
    yield apex(domain, web, Truth(_NO, notes="the redirect's target forbids it"))
    yield with_routes(mastodon(domain, web_domain=web, truth=Truth(_NO)), {ROBOTS: no})

    domain, web = named("backend-robots"), f"web.{named('backend-robots')}"
    backend = with_routes(mastodon(domain, web_domain=web, truth=Truth(_NO)), {ROBOTS: no})
    static: dict[str, Answer] = {HOST_META: backend.routes[HOST_META]}
    yield backend
    yield Site(domain, Truth(_NO, notes="the backend forbids it"), static, not_found(), listed_as=domain)

    links = {"links": [{"rel": "http://nodeinfo.diaspora.software/ns/schema/2.0", "href": f"https://{web}{NODEINFO}"}]}
    yield scenario("link-to-robots", _NO, {WELL_KNOWN: document(str(links).replace("'", '"').encode(), None)})

    forbidden = document(b"User-agent: *\nDisallow: /secret\n", "text/plain")
    yield scenario("redirect-to-robots", _NO, {ROBOTS: forbidden, WELL_KNOWN: redirect("/secret/nodeinfo", 302)})
    host_meta = document(b"User-agent: *\nDisallow: /.well-known/host-meta\n", "text/plain")
    notes = "there is no NodeInfo, and the way to look for it elsewhere is forbidden"
    yield scenario(
        "robots-host-meta", _NO, {ROBOTS: host_meta, WELL_KNOWN: not_found()}, notes=notes, also=(Outcome.HTTP_4XX,)
    )
    only_v1 = document(b"User-agent: *\nDisallow: /api/v1/\n", "text/plain")
    yield scenario("robots-fallback", _NO, {ROBOTS: only_v1, V2: not_found()}, notes="v2 is not there, v1 forbidden")
    shy = unlisted(scenario("shy-claimed", _OK, {ROBOTS: no}))
    yield shy
    claims = {"v2": {"domain": shy.domain}, "v1": {"uri": shy.domain}}
    yield scenario("claims-shy", Outcome.ALIAS_UNVERIFIED, documents=claims, notes="the claimed one cannot be asked")
