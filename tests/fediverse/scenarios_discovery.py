"""Where NodeInfo is: odd well-known documents, and domains whose server lives on another host."""

import json
from collections.abc import Iterator, Mapping

from tests.fediverse.healthy import (
    HOST_META,
    NODEINFO,
    WEBFINGER,
    WELL_KNOWN,
    apex,
    document,
    html,
    json_reply,
    mastodon,
    not_found,
    with_routes,
)
from tests.fediverse.scenario import named, scenario, unlisted
from tests.fediverse.site import Answer, Hang, Script, Site, Truth
from vmcrawl.outcome import Outcome

_OK, _BAD = Outcome.OK, Outcome.BAD_JSON
_REL = "http://nodeinfo.diaspora.software/ns/schema/"
_FOREIGN = [
    {"rel": "https://www.w3.org/ns/activitystreams#Application", "href": "https://{domain}/actor"},
    {"rel": "http://nodeinfo.example/ns/schema/9.9", "href": "https://{domain}/nodeinfo/9.9"},
]
_XRD = '<?xml version="1.0" encoding="UTF-8"?>\n<XRD xmlns="http://docs.oasis-open.org/ns/xri/xrd-1.0">{}</XRD>\n'


def discovery_scenarios() -> Iterator[Site]:
    """Give one site, or one pair of sites, for each."""
    for slug, outcome, value in _LINKS:
        domain = named(slug)
        own = json.loads(json.dumps(value).replace("{domain}", domain))
        yield scenario(slug, outcome, {WELL_KNOWN: json_reply(own)})
    yield from _debatable()
    yield from _newest_wins()
    yield from _inline()
    yield from _split_domains()
    for slug, routes in _by_host_meta():
        yield from _backed(slug, routes)
    yield from _nowhere()


def _link(version: str, href: str) -> dict[str, object]:
    return {"rel": _REL + version, "href": href}


_HERE = "https://{domain}/nodeinfo/2.0"
#: slug, outcome, well-known document
_LINKS: tuple[tuple[str, Outcome, object], ...] = (
    ("links-foreign-first", _OK, {"links": [*_FOREIGN, _link("2.0", _HERE)]}),
    ("links-foreign-last", _OK, {"links": [_link("2.0", _HERE), *_FOREIGN]}),
    ("links-only-foreign", _BAD, {"links": _FOREIGN}),
    ("links-capitals", _OK, {"Links": [{"Rel": _REL + "2.0", "Href": _HERE}]}),
    ("links-one-object", _OK, {"links": _link("2.0", _HERE)}),
    ("links-relative", _OK, {"links": [_link("2.0", "/nodeinfo/2.0")]}),
    ("links-relative-to-path", _OK, {"links": [_link("2.0", "../nodeinfo/2.0")]}),
    ("links-protocol-relative", _OK, {"links": [_link("2.0", "//{domain}/nodeinfo/2.0")]}),
    ("links-http-443", _OK, {"links": [_link("2.0", "http://{domain}:443/nodeinfo/2.0")]}),
    ("links-https-443", _OK, {"links": [_link("2.0", "https://{domain}:443/nodeinfo/2.0")]}),
    ("links-http", _OK, {"links": [_link("2.0", "http://{domain}/nodeinfo/2.0")]}),
    ("links-doubled-slash", _OK, {"links": [_link("2.0", "https://{domain}//nodeinfo/2.0")]}),
    ("links-upper-case-host", _OK, {"links": [_link("2.0", "HTTPS://{domain}/nodeinfo/2.0")]}),
    ("links-spaces", _OK, {"links": [_link("2.0", "  https://{domain}/nodeinfo/2.0 \n")]}),
    ("links-junk-among", _OK, {"links": [None, 7, "x", [], {}, {"rel": 5, "href": []}, _link("2.0", _HERE)]}),
    ("links-1-0-only", _OK, {"links": [_link("1.0", _HERE)]}),
    ("links-forty", _OK, {"links": [*_FOREIGN * 20, _link("2.0", _HERE)]}),
    ("links-none", _BAD, {"links": []}),
    ("links-missing", _BAD, {"nodeinfo": "yes"}),
    ("links-null", _BAD, {"links": None}),
    ("links-no-href", _BAD, {"links": [{"rel": _REL + "2.0"}]}),
    ("links-number-href", _BAD, {"links": [{"rel": _REL + "2.0", "href": 2.0}]}),
    ("links-other-port", _BAD, {"links": [_link("2.0", "https://{domain}:8443/nodeinfo/2.0")]}),
    ("links-ftp", _BAD, {"links": [_link("2.0", "ftp://{domain}/nodeinfo/2.0")]}),
    ("links-javascript", _BAD, {"links": [_link("2.0", "javascript:alert(1)")]}),
    ("links-not-a-url", _BAD, {"links": [_link("2.0", "https://[bad/nodeinfo/2.0")]}),
    ("links-to-private", Outcome.BLOCKED_ADDRESS, {"links": [_link("2.0", "https://127.66.0.1/nodeinfo/2.0")]}),
    ("links-to-metadata", Outcome.BLOCKED_ADDRESS, {"links": [_link("2.0", "https://169.254.169.254/nodeinfo/2.0")]}),
    ("links-string", _BAD, "https://{domain}/nodeinfo/2.0"),
    ("matrix", Outcome.NOT_MASTODON, {"m.server": "{domain}:443"}),
    ("matrix-client", Outcome.NOT_MASTODON, {"m.server": "matrix.{domain}:8448", "links": None}),
)


def _debatable() -> Iterator[Site]:
    def link(slug: str) -> dict[str, object]:
        return _link("2.0", f"https://{named(slug)}{NODEINFO}")

    many = {WELL_KNOWN: json_reply({"links": [_FOREIGN[1]] * 3000 + [link("links-many")]})}
    yield scenario("links-many", _OK, many, notes="links may come in any number")
    bare = {WELL_KNOWN: json_reply([link("links-list")])}
    yield scenario("links-list", _BAD, bare, also=(_OK,), notes="a list without the object around it")
    slug = "newest-link-useless"
    links = [_link("2.1", "gopher://x/"), link(slug)]
    notes = "the newest link leads nowhere, an older one does"
    yield scenario(slug, _OK, {WELL_KNOWN: json_reply({"links": links})}, notes=notes, also=(_BAD,))


def _newest_wins() -> Iterator[Site]:
    """2.0 tells other numbers than the newer document."""
    for slug, versions, newest in (
        ("newest-2-1", ("1.0", "2.0", "2.1"), "2.1"),
        ("newest-2-2", ("2.2", "2.0", "2.1"), "2.2"),
        ("newest-2-0-first", ("2.0", "1.0", "1.1"), "2.0"),
        ("newest-we-read", ("2.0", "2.1", "9.0"), "2.1"),
    ):
        domain = named(slug)
        links = [_link(version, f"https://{domain}/nodeinfo/{version}") for version in versions]
        routes: dict[str, Answer] = {WELL_KNOWN: json_reply({"links": links})}
        new = mastodon(domain).routes[NODEINFO]
        old = mastodon(domain, "3.0.0", users=424242).routes[NODEINFO]
        routes |= {f"/nodeinfo/{version}": new if version == newest else old for version in versions}
        yield scenario(slug, _OK, routes)


def _inline() -> Iterator[Site]:
    domain = named("inline-nodeinfo")
    yield scenario("inline-nodeinfo", _OK, {WELL_KNOWN: mastodon(domain).routes[NODEINFO], NODEINFO: not_found()})
    other = mastodon(named("inline-pleroma"), "2.10.2", software="pleroma").routes[NODEINFO]
    yield scenario("inline-pleroma", Outcome.NOT_MASTODON, {WELL_KNOWN: other})


def _split_domains() -> Iterator[Site]:
    """The usual case: the bare domain redirects ``/.well-known/``; both are in the list, one of them is published."""
    for slug, version in (("split-domain", "4.7.0"), ("split-domain-old", "3.5.19"), ("split-domain-4-2", "4.2.29")):
        domain, web = named(slug), f"social.{named(slug)}"
        server = mastodon(domain, version, web_domain=web, truth=Truth(Outcome.ALIAS, alias_of=domain))
        published = mastodon(domain, version).truth
        yield apex(domain, web, published)
        yield server


def _by_host_meta() -> Iterator[tuple[str, Mapping[str, Answer]]]:
    """Slug and the only answers of a static domain; its backend is ``backend.`` before the domain."""

    def lrdd(slug: str) -> str:
        return f"https://backend.{named(slug)}{WEBFINGER}?resource={{uri}}"

    def xrd(body: str, content_type: str = "application/xrd+xml") -> Answer:
        return document(_XRD.format(body).encode(), content_type)

    def link(slug: str) -> str:
        return f'<Link rel="lrdd" type="application/xrd+xml" template="{lrdd(slug)}"/>'

    yield "host-meta", {HOST_META: xrd(link("host-meta"))}
    yield "host-meta-as-html", {HOST_META: xrd(link("host-meta-as-html"), "text/html")}
    yield "host-meta-as-text", {HOST_META: xrd(link("host-meta-as-text"), "text/plain")}
    others = '<Link rel="license" href="https://example.com/"/><Link rel="restconf" href="/restconf"/>'
    yield "host-meta-other-links", {HOST_META: xrd(others + link("host-meta-other-links"))}
    prefixed = '<h:XRD xmlns:h="http://docs.oasis-open.org/ns/xri/xrd-1.0"><h:Link rel="lrdd" template="{}"/></h:XRD>'
    body = prefixed.format(lrdd("host-meta-prefixed")).encode()
    yield "host-meta-prefixed", {HOST_META: document(body, "application/xrd+xml")}
    body = b"\xef\xbb\xbf" + _XRD.format(link("host-meta-bom")).encode()
    yield "host-meta-bom", {HOST_META: document(body, "application/xrd+xml")}
    jrd = {"links": [{"rel": "lrdd", "template": lrdd("host-meta-json")}]}
    yield "host-meta-json", {f"{HOST_META}.json": json_reply(jrd)}
    slug = "host-meta-bad-xml"
    jrd = {"links": [{"rel": "lrdd", "template": lrdd(slug)}]}
    yield slug, {HOST_META: html("no <b>XRD"), f"{HOST_META}.json": json_reply(jrd)}
    slug = "webfinger-only"
    yield slug, {WEBFINGER: mastodon(named(slug), web_domain=f"backend.{named(slug)}").routes[_acct(slug)]}
    slug = "webfinger-exact"
    yield slug, {_acct(slug): mastodon(named(slug), web_domain=f"backend.{named(slug)}").routes[_acct(slug)]}
    slug = "webfinger-alias-only"
    finger = {"subject": f"acct:{named(slug)}@{named(slug)}", "aliases": [f"https://backend.{named(slug)}/actor"]}
    yield slug, {WEBFINGER: json_reply(finger, content_type="application/jrd+json"), HOST_META: html("x", 404)}
    slug = "billion-laughs-then-webfinger"
    yield slug, {HOST_META: document(_billion_laughs(), "application/xrd+xml"), WEBFINGER: _finger(slug)}


def _acct(slug: str) -> str:
    return f"{WEBFINGER}?resource=acct:{named(slug)}@{named(slug)}"


def _finger(slug: str) -> Answer:
    return mastodon(named(slug), web_domain=f"backend.{named(slug)}").routes[_acct(slug)]


def _backed(slug: str, routes: Mapping[str, Answer]) -> Iterator[Site]:
    domain = named(slug)
    truth = mastodon(domain).truth
    yield Site(domain, truth, routes, fallback=html("<h1>Not Found</h1>", 404), listed_as=domain)
    yield unlisted(mastodon(domain, web_domain=f"backend.{domain}"))


def _billion_laughs() -> bytes:
    entities = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
    prolog = f'<?xml version="1.0"?><!DOCTYPE XRD [<!ENTITY l0 "lol">{entities}]>'
    return f'{prolog}<XRD><Link rel="lrdd" template="&l9;"/></XRD>'.encode()


def _nowhere() -> Iterator[Site]:
    """No NodeInfo here, and nothing that leads to another host: the well-known document decides."""
    none = {WELL_KNOWN: not_found(), HOST_META: not_found(), f"{HOST_META}.json": not_found(), WEBFINGER: not_found()}
    four = Outcome.HTTP_4XX
    page, domain = html("<h1>Hello</h1>"), named("web-page")
    yield Site(domain, Truth(Outcome.BAD_CONTENT_TYPE), fallback=page, listed_as=domain)
    yield Site(named("nothing-at-all"), Truth(four), fallback=html("nothing", 404), listed_as=named("nothing-at-all"))
    yield scenario("mastodon-2-9", four, version="2.9.4", notes="NodeInfo came with 3.0; host-meta names only itself")
    yield scenario("mastodon-2-4", four, version="2.4.5")
    yield scenario("host-meta-itself", four, {WELL_KNOWN: not_found()})
    yield scenario("host-meta-gone", Outcome.OPTED_OUT, {**none, HOST_META: html("Gone", 410)})
    yield scenario("host-meta-json-gone", Outcome.OPTED_OUT, {**none, f"{HOST_META}.json": html("Gone", 410)})
    gone = html("Unavailable For Legal Reasons", 451)
    yield scenario("webfinger-gone", Outcome.OPTED_OUT, {**none, WEBFINGER: gone, _acct("webfinger-gone"): gone})
    laughs = document(_billion_laughs(), "application/xrd+xml")
    yield scenario("billion-laughs", four, {**none, HOST_META: laughs})
    quadratic = f'<!DOCTYPE XRD [<!ENTITY a "{"a" * 50_000}">]><XRD>{"&a;" * 5_000}</XRD>'
    yield scenario("quadratic-blowup", four, {**none, HOST_META: document(quadratic.encode(), "application/xrd+xml")})
    link = '<XRD><Link rel="lrdd" template="https://&x;/"/></XRD>'
    external = f'<!DOCTYPE XRD [<!ENTITY x SYSTEM "file:///etc/passwd">]>{link}'
    yield scenario("external-entity", four, {**none, HOST_META: document(external.encode(), "application/xrd+xml")})
    deep = "<a>" * 100_000 + "</a>" * 100_000
    yield scenario("deep-xml", four, {**none, HOST_META: document(deep.encode(), "application/xrd+xml")})
    slug = "host-meta-500"
    yield scenario(slug, four, {**none, HOST_META: html("Error", 500), f"{HOST_META}.json": html("Error", 500)})
    slug = "host-meta-to-private"
    xrd = _XRD.format(f'<Link rel="lrdd" template="https://127.66.0.1{WEBFINGER}?resource={{uri}}"/>')
    routes = {**none, HOST_META: document(xrd.encode(), "application/xrd+xml")}
    notes = "an address is no host that NodeInfo could be asked at; asking is refused either way"
    yield scenario(slug, Outcome.BLOCKED_ADDRESS, routes, notes=notes, also=(four,))
    slug = "backend-500"
    domain = named(slug)
    backend = with_routes(mastodon(domain, web_domain=f"web.{domain}"), {WELL_KNOWN: html("Error", 500)})
    yield unlisted(backend)
    yield Site(
        domain, Truth(Outcome.HTTP_5XX), {HOST_META: backend.routes[HOST_META]}, html("-", 404), listed_as=domain
    )
    slug = "backend-unknown"
    nobody = named("no-backend-of-this-name")
    xrd = _XRD.format(f'<Link rel="lrdd" template="https://{nobody}{WEBFINGER}?resource={{uri}}"/>')
    routes = {**none, HOST_META: document(xrd.encode(), "application/xrd+xml")}
    yield scenario(slug, Outcome.DNS_NOT_FOUND, routes, notes="discovery found another host, and that is decisive")
    yield scenario("host-meta-silence", Outcome.TIMEOUT, {**none, HOST_META: Script((Hang(),))}, also=(four,))
