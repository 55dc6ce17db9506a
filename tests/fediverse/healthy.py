"""Servers as Mastodon and its forks really are, version by version, from the samples in ``tests/data/documents``."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any
from zlib import crc32

from tests.documents import document as recorded
from tests.fediverse.server import etag
from tests.fediverse.site import Answer, Reply, Site, Truth
from vmcrawl.outcome import Outcome

WELL_KNOWN = "/.well-known/nodeinfo"
NODEINFO = "/nodeinfo/2.0"
HOST_META = "/.well-known/host-meta"
WEBFINGER = "/.well-known/webfinger"
V1 = "/api/v1/instance"
V2 = "/api/v2/instance"
ROBOTS = "/robots.txt"

#: As a value in a set of edits: the key is not there.
MISSING = object()

_JSON = "application/json; charset=utf-8"
_NODEINFO_SAMPLES = {
    "hometown": "nodeinfo-2.0-hometown",
    "kmyblue": "nodeinfo-2.0-kmyblue",
    "fedibird": "nodeinfo-2.0-fedibird",
    "ecko": "nodeinfo-2.0-ecko",
    "corgidon": "nodeinfo-2.1-corgidon",
    "和歌": "nodeinfo-2.0-waka-unicode-name",
}
_NUMBERED_LIKE_MASTODON = {"mastodon", "hometown", "kmyblue", "ecko", "corgidon", "和歌", "glitchcafe", "nagitodon"}
_OTHER_ERAS = {"fedibird": (3, 4)}
_NEWEST_ERA = (4, 6)
_SECURITY_HEADERS = (
    ("Strict-Transport-Security", "max-age=63072000; includeSubDomains"),
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
)


def mastodon(
    domain: str,
    version: str = "4.6.6",
    *,
    software: str = "mastodon",
    users: int | None = None,
    web_domain: str | None = None,
    nodeinfo: Mapping[str, object] | None = None,
    v2: Mapping[str, object] | None = None,
    v1: Mapping[str, object] | None = None,
    truth: Truth | None = None,
) -> Site:
    """Build a healthy server at ``web_domain`` (by default ``domain``) that calls itself ``domain``.

    ``nodeinfo``, ``v2`` and ``v1`` edit its documents: dotted key -> value, or :data:`MISSING`. ``truth`` is by
    default that of a server that is published. The endpoints are those of the Mastodon that ``version`` names.
    """
    users = default_users(domain) if users is None else users
    web = web_domain or domain
    era = _era(software, version)
    robots = "robots-4.4plus" if era >= (4, 4) else "robots-4.2-4.3" if era >= (4, 2) else "robots-2.8.1-to-4.1"
    routes: dict[str, Answer] = {
        ROBOTS: document(_sample(f"{robots}.txt").encode(), "text/plain; charset=utf-8"),
        **_discovery_routes(domain, web, era, new_actor=crc32(domain.encode()) % 2 == 0),
        V1: _instance(_v1_document(domain, web, version, era, v1 or {}), 300),
        f"{V1}/peers": _instance([], 300),
    }
    if era >= (3, 0) or software == "corgidon":
        path = "/nodeinfo/2.1" if software == "corgidon" else NODEINFO
        routes[path] = _instance(_nodeinfo_document(software, version, era, users, nodeinfo or {}), 1800)
        routes[WELL_KNOWN] = _instance(_links_document(web, path), 259200)
    if era >= (4, 0):
        routes[V2] = _instance(_v2_document(domain, web, version, era, users, v2 or {}), 300)
    if truth is None:
        truth = Truth(Outcome.OK, software=software, version=version, active_users=users)
    return Site(web, truth, routes, fallback=not_found(), listed_as=web)


def apex(domain: str, web_domain: str, truth: Truth) -> Site:
    """Build the bare domain of a server that lives elsewhere: a static page that redirects ``/.well-known/``."""
    paths = (WELL_KNOWN, HOST_META, WEBFINGER)
    routes: dict[str, Answer] = {path: redirect(f"https://{web_domain}{path}") for path in paths}
    routes["/"] = html("<h1>Our home page</h1>")
    return Site(domain, truth, routes, fallback=html("<h1>Not Found</h1>", 404), listed_as=domain)


def default_users(domain: str) -> int:
    """Give the active users of a server of that name: another number for (almost) every server."""
    return 1 + crc32(domain.encode()) % 9973


def with_routes(site: Site, routes: Mapping[str, Answer]) -> Site:
    """Give the same site with other answers at some paths; ``*`` leaves nothing of its own."""
    kept = {} if "*" in routes else site.routes
    return replace(site, routes={**kept, **routes})


def json_reply(value: object, status: int = 200, content_type: str = _JSON) -> Reply:
    """Answer with a JSON document."""
    return document(json.dumps(value, ensure_ascii=False).encode(), content_type, status)


def document(
    body: bytes, content_type: str | None, status: int = 200, headers: Sequence[tuple[str, str]] = ()
) -> Reply:
    """Answer with any document; gzip where the client takes it, as Mastodon's nginx does for JSON and text."""
    own = () if content_type is None else (("Content-Type", content_type),)
    return Reply(status, (*own, *headers), body, gzip=len(body) > 20)


def html(text: str, status: int = 200) -> Reply:
    """Answer with a web page."""
    return document(f"<!DOCTYPE html><html><body>{text}</body></html>".encode(), "text/html; charset=utf-8", status)


def redirect(location: str, status: int = 301) -> Reply:
    """Answer with a redirect; anything but ASCII in ``location`` goes out as UTF-8."""
    return Reply(status, (("Location", location.encode().decode("latin-1")), ("Content-Type", "text/html")))


def not_found() -> Reply:
    """Answer as Mastodon does where there is nothing."""
    return html("<h1>The page you are looking for isn't here.</h1>", 404)


def error_sample(name: str, status: int) -> Reply:
    """Answer with one of the recorded errors."""
    content_type = _JSON if name.endswith(".json") else "text/plain"
    return document(_sample(name).strip().encode(), content_type, status)


def edited(value: Any, edits: Mapping[str, object]) -> Any:
    """Change a document: dotted key -> value or :data:`MISSING`; ``""`` is the document itself. Keeps the order."""
    for path, new in edits.items():
        if not path:
            value = new
            continue
        *parents, last = path.split(".")
        place = value
        for key in parents:
            place = place.setdefault(key, {})
        if new is MISSING:
            place.pop(last, None)
        else:
            place[last] = new
    return value


def _discovery_routes(domain: str, web: str, era: tuple[int, int], *, new_actor: bool) -> dict[str, Answer]:
    cached = (("Cache-Control", "max-age=259200, public"), *_SECURITY_HEADERS)
    xrd = _sample("host-meta.xml").replace("social.example.com", web).encode()
    actor = "webfinger-instance-actor" + ("" if new_actor else "-installed-before-4.1")
    jrd = _as_own(_sample(f"{actor}.json"), domain, web).encode()
    known = document(jrd, "application/jrd+json; charset=utf-8", headers=cached)
    resources = (f"https://{web}", web, domain, f"acct:mastodon.internal@{domain}", f"acct:{domain}@{domain}")
    routes: dict[str, Answer] = {
        HOST_META: document(xrd, "application/xrd+xml; charset=utf-8", headers=cached),
        WEBFINGER: Reply(404, (("Cache-Control", "max-age=180, public"),)),
    }
    routes |= {f"{WEBFINGER}?resource={resource}": known for resource in resources}
    if era >= (4, 4):
        links = json.loads(_sample("host-meta.json").replace("social.example.com", web))
        routes[f"{HOST_META}.json"] = json_reply(links)
    return routes


def _nodeinfo_document(
    software: str, version: str, era: tuple[int, int], users: int, edits: Mapping[str, object]
) -> object:
    name = _NODEINFO_SAMPLES.get(software)
    if software == "hometown" and re.match(r"[012]\.", version):
        name = "nodeinfo-2.0-hometown-old-order"
    if name is None:
        name = "nodeinfo-2.0-mastodon-" + (
            "3.0-to-3.5" if era < (4, 0) else "4.0-to-4.2" if era < (4, 3) else "4.3plus"
        )
    numbers = {"total": users * 5, "activeMonth": users, "activeHalfyear": users * 2}
    own = {"software.name": software, "software.version": version, "usage.localPosts": users * 400}
    counted = {f"usage.users.{key}": number for key, number in numbers.items()}
    return edited(json.loads(_sample(f"{name}.json")), {**own, **counted, **edits})


def _v2_document(
    domain: str, web: str, version: str, era: tuple[int, int], users: int, edits: Mapping[str, object]
) -> object:
    value = json.loads(_as_own(_sample(f"api-v2-instance-{'4.0' if era < (4, 3) else '4.7'}.json"), domain, web))
    own: dict[str, object] = {"version": version, "usage.users.active_month": users}
    if era >= (4, 3):
        api = {(4, 3): 2, (4, 4): 6, (4, 5): 7, (4, 6): 11}.get(era, 11)
        own["api_versions"] = {"mastodon": api, **({"glitch": 1} if "+glitch" in version else {})}
    if "+glitch" in version:
        own["source_url"] = "https://github.com/glitch-soc/mastodon"
    since = {"configuration.limited_federation": (4, 4), "configuration.timelines_access": (4, 5), "wrapstodon": (4, 6)}
    too_new = {key: MISSING for key, first in since.items() if era < first}
    return edited(value, {**own, **too_new, **edits})


def _v1_document(domain: str, web: str, version: str, era: tuple[int, int], edits: Mapping[str, object]) -> object:
    name = "api-v1-instance-2.4.json" if era < (3, 4) else "api-v1-instance-4.7.json"
    return edited(json.loads(_as_own(_sample(name), domain, web)), {"version": version, **edits})


def _links_document(web: str, path: str) -> object:
    rel = f"http://nodeinfo.diaspora.software/ns/schema/{path.rpartition('/')[2]}"
    links = [{"rel": rel, "href": f"https://{web}{path}"}]
    return edited(json.loads(_sample("well-known-nodeinfo.json")), {"links": links})


def _instance(value: object, seconds: int) -> Reply:
    """Answer as Rails does: compact JSON, a weak validator, public caching."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        body = text.encode()
    except UnicodeEncodeError:
        # Half a surrogate pair can only travel escaped.
        body = json.dumps(value, separators=(",", ":")).encode()
    cached = (("Cache-Control", f"max-age={seconds}, public"), ("ETag", etag(body)), ("Vary", "Accept"))
    return document(body, _JSON, headers=(*cached, *_SECURITY_HEADERS))


def _era(software: str, version: str) -> tuple[int, int]:
    """Tell which Mastodon a version string comes from, as (major, minor)."""
    if software.lower() not in _NUMBERED_LIKE_MASTODON:
        return _OTHER_ERAS.get(software, _NEWEST_ERA)
    if software == "hometown":
        version = version.rpartition("+")[2] if re.match(r"[012]\.", version) else version
    match = re.match(r"\D*(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else _NEWEST_ERA


def _as_own(text: str, domain: str, web: str) -> str:
    """Put a server's own names into a sample, which is of example.com at social.example.com."""
    return text.replace("social.example.com", web).replace("example.com", domain)


@cache
def _sample(name: str) -> str:
    return recorded("samples", name).decode()
