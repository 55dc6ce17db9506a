"""Who a server says it is: well spelt, oddly spelt, an alias, a liar."""

from collections.abc import Iterator
from dataclasses import replace

from tests.fediverse.healthy import (
    HOST_META,
    MISSING,
    NODEINFO,
    V1,
    V2,
    WEBFINGER,
    WELL_KNOWN,
    error_sample,
    html,
    json_reply,
    mastodon,
    not_found,
    redirect,
    with_routes,
)
from tests.fediverse.scenario import named, scenario, unlisted
from tests.fediverse.site import PRIVATE_ADDRESS, Hang, Name, Reset, Script, Site, Truth
from vmcrawl.outcome import Outcome

_OK, _ALIAS, _LIAR = Outcome.OK, Outcome.ALIAS, Outcome.ALIAS_UNVERIFIED
_NONE, _AUTH = Outcome.API_UNAVAILABLE, Outcome.API_AUTH_REQUIRED
_REL = "http://nodeinfo.diaspora.software/ns/schema/2.0"


def identity_scenarios() -> Iterator[Site]:
    """Give one site, or all that belong together, for each."""
    yield from _spellings()
    yield from _unusable()
    yield from _fallbacks()
    yield from _refusals()
    yield from _aliases()
    yield from _liars()


def _spellings() -> Iterator[Site]:
    for slug, spelling in (
        ("upper-case", "{}"),
        ("url", "https://{}"),
        ("url-slash", "https://{}/"),
        ("url-path", "https://{}/about"),
        ("spaces", " {}\n"),
        ("final-dot", "{}."),
    ):
        domain = named(f"named-{slug}")
        text = spelling.format(domain.upper() if slug == "upper-case" else domain)
        yield scenario(f"named-{slug}", _OK, documents={"v2": {"domain": text}, "v1": {"uri": text}})
    for written in ("bücher-mastodon.social", "マストドン例.jp", "分散型社会.jp", "föderation.de", "i❤mastodon.ws"):
        label, _, suffix = written.partition(".")
        # DNS and certificates know the A-label (RFC 5890); the list of domains and the API are written for people.
        domain = f"xn--{label.encode('punycode').decode()}.{suffix}"
        site = mastodon(domain, v2={"domain": written}, v1={"uri": written})
        yield replace(site, listed_as=written)


def _unusable() -> Iterator[Site]:
    """What no domain of the public Internet is: v1 is asked, and if that says no better there is no identity."""
    for slug, value in (
        ("missing", MISSING),
        ("null", None),
        ("number", 42),
        ("list", ["example.com"]),
        ("empty", ""),
        ("localhost", "localhost:3000"),
        ("address", "192.0.2.17"),
        ("address-6", "[2001:db8::1]"),
        ("one-label", "mastodon"),
        ("internal", "mastodon.internal"),
        ("suffix", "co.uk"),
        ("half-pair", "mast\ud800don.social"),
        ("nul", "mast\0don.social"),
        ("long", "a" * 70_000 + ".social"),
        ("words", "My lovely server!"),
    ):
        documents = {"v2": {"domain": value}, "v1": {"uri": value}}
        yield scenario(f"names-{slug}", _NONE, documents=documents)
    yield scenario("names-nothing-in-v2", _OK, documents={"v2": {"domain": ""}})
    yield scenario("names-localhost-in-v2", _OK, documents={"v2": {"domain": "localhost:3000"}})
    account = {"v2": {"domain": MISSING}, "v1": {"uri": MISSING, "domain": MISSING}}
    yield scenario("names-neither", _NONE, documents=account)


def _fallbacks() -> Iterator[Site]:
    no, broken = not_found(), html("We're sorry, but something went wrong", 500)
    yield scenario("v1-only", _OK, {V2: no}, version="3.5.19", notes="v2 came with 4.0")
    yield scenario("v1-only-3-0", _OK, version="3.0.2")
    yield scenario("v2-500", _OK, {V2: broken})
    yield scenario("v2-403", _OK, {V2: html("Forbidden", 403)})
    yield scenario("v2-503", _OK, {V2: html("Unavailable", 503)})
    yield scenario("v2-page", _OK, {V2: html("<h1>Mastodon</h1>")})
    yield scenario("v2-no-json", _OK, {V2: json_reply("oops")})
    yield scenario("v2-204", _OK, {V2: html("", 204)}, also=(_NONE,))
    yield scenario("v1-missing-too", _NONE, {V2: no, V1: no})
    yield scenario("v1-broken-too", _NONE, {V2: broken, V1: broken})
    yield scenario("v2-404-v1-500", _NONE, {V2: no, V1: broken})
    yield scenario("api-empty", _NONE, {V2: json_reply({}), V1: json_reply({})})
    timeout = {V2: Script((Hang(),)), V1: Script((Hang(),))}
    yield scenario("api-silence", Outcome.TIMEOUT, timeout, also=(_NONE,))
    reset = {V2: Script((Reset(),)), V1: Script((Reset(),))}
    yield scenario("api-reset", Outcome.CONNECTION_RESET, reset, also=(_NONE,))


def _refusals() -> Iterator[Site]:
    """How Mastodon itself says no."""
    closed = error_sample("error-401-limited-federation.json", 401)
    old = error_sample("error-401-limited-federation-3.0.json", 401)
    gone = error_sample("error-410-self-destruct.json", 410)
    forbidden = error_sample("error-403-ip-blocked.txt", 403)
    slow_down = error_sample("error-429.json", 429)
    yield scenario("limited-federation-4-3", _AUTH, {V2: closed, V1: closed}, version="4.3.23")
    yield scenario("limited-federation-3-0", _AUTH, {V1: old}, version="3.0.0")
    yield scenario("limited-v1-only", _AUTH, {V2: not_found(), V1: closed})
    yield scenario("self-destruct", Outcome.OPTED_OUT, {V2: gone, V1: gone})
    yield scenario("self-destruct-v1", Outcome.OPTED_OUT, {V2: not_found(), V1: gone})
    yield scenario("ip-blocked", Outcome.HTTP_4XX, {"*": forbidden}, notes="robots.txt, too, answers 403")
    yield scenario("api-rate-limited", Outcome.RATE_LIMITED, {V2: slow_down, V1: slow_down})


def _aliases() -> Iterator[Site]:
    """X is named, and X leads back."""
    target = scenario("has-www", _OK)
    yield target
    www = f"www.{target.domain}"
    to = redirect(f"https://{target.domain}{WELL_KNOWN}")
    yield Site(www, Truth(_ALIAS, alias_of=target.domain), {WELL_KNOWN: to}, not_found(), listed_as=www)
    old = named("old-name")
    everything = {"*": redirect(f"https://{target.domain}{WELL_KNOWN}", 308), "/robots.txt": not_found()}
    yield Site(old, Truth(_ALIAS, alias_of=target.domain), everything, listed_as=old)
    links = json_reply({"links": [{"rel": _REL, "href": f"https://{target.domain}{NODEINFO}"}]})
    notes = "it shows another server's NodeInfo and leads to that one's own API: an alias, and nothing is written"
    truth = Truth(_ALIAS, alias_of=target.domain, notes=notes)
    yield with_routes(mastodon(named("borrows-nodeinfo"), truth=truth), {WELL_KNOWN: links})

    for slug, routes in (("alias-by-host-meta", (HOST_META,)), ("alias-by-webfinger", (WEBFINGER,))):
        domain, web = named(slug), f"web.{named(slug)}"
        server = mastodon(domain, web_domain=web, truth=Truth(_ALIAS, alias_of=domain))
        yield server
        there = {path: answer for path, answer in server.routes.items() if path.partition("?")[0] in routes}
        yield Site(domain, mastodon(domain).truth, there, not_found(), listed_as=domain)
    slug = "alias-by-link"
    domain, web = named(slug), f"web.{named(slug)}"
    server = mastodon(domain, web_domain=web, truth=Truth(_ALIAS, alias_of=domain))
    yield server
    routes_of_domain = {WELL_KNOWN: server.routes[WELL_KNOWN]}
    yield Site(domain, mastodon(domain).truth, routes_of_domain, not_found(), listed_as=domain)


def _liars() -> Iterator[Site]:
    def claims(slug: str, domain: str, notes: str, users: int = 9_999_999) -> Site:
        documents = {"v2": {"domain": domain}, "v1": {"uri": domain}}
        return scenario(slug, _LIAR, users=users, documents=documents, notes=notes)

    victim = scenario("victim", _OK, users=4321)
    yield victim
    yield claims("liar", victim.domain, "a healthy server is claimed, with other numbers")
    yield claims("liar-url", f"https://{victim.domain.upper()}/", "the same, spelt as a URL")
    yield claims("liar-nobody", named("nobody-has-this-name"), "the claimed domain does not exist")
    for slug, outcome in (("claimed-silent", Outcome.TIMEOUT), ("claimed-gone", Outcome.OPTED_OUT)):
        answer = Script((Hang(),)) if outcome is Outcome.TIMEOUT else html("Gone", 410)
        claimed = unlisted(scenario(slug, outcome, {WELL_KNOWN: answer, HOST_META: answer, WEBFINGER: answer}))
        yield claimed
        yield claims(f"liar-{slug}", claimed.domain, "the claimed one cannot say that it agrees")
    other = unlisted(scenario("claimed-pleroma", Outcome.NOT_MASTODON, software="pleroma", version="2.10.2"))
    yield other
    yield claims("liar-pleroma", other.domain, "the claimed one is no Mastodon and knows nothing of it")
    pair = named("pair-a"), named("pair-b")
    yield claims("pair-a", pair[1], "two servers claim to be each other")
    yield claims("pair-b", pair[0], "two servers claim to be each other")
    private = unlisted(scenario("claimed-loopback", Outcome.BLOCKED_ADDRESS, name=Name(a=(PRIVATE_ADDRESS,))))
    yield private
    yield claims("liar-private", private.domain, "the claimed one's address is private: no connection may be made")
    parent = named("has-liar-below")
    yield scenario("has-liar-below", _OK)
    below = f"liar.{parent}"
    notes = "a name below the claimed one proves nothing"
    truth = Truth(_LIAR, notes=notes)
    yield mastodon(below, users=9_999_999, truth=truth, v2={"domain": parent}, v1={"uri": parent})
    finger = scenario("liar-forges-webfinger", _LIAR, documents={"v2": {"domain": victim.domain}})
    subject = f"acct:{victim.domain}@{victim.domain}"
    forged = json_reply({"subject": subject, "aliases": [f"https://{finger.domain}/actor"]})
    yield with_routes(finger, {WEBFINGER: forged})
