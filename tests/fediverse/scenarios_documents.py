"""Documents that are not what they should be: types, encodings, sizes, JSON that is none."""

import gzip
import json
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

from tests.fediverse.healthy import MISSING, NODEINFO, V1, V2, WELL_KNOWN, document, edited, html, json_reply, mastodon
from tests.fediverse.scenario import named, scenario
from tests.fediverse.site import Answer, Flood, Reply, Script, Send, Site
from vmcrawl.outcome import Outcome

_OK, _BAD, _LARGE, _TYPE = Outcome.OK, Outcome.BAD_JSON, Outcome.TOO_LARGE, Outcome.BAD_CONTENT_TYPE
_JSON = (("Content-Type", "application/json; charset=utf-8"),)
_MIB = 1 << 20
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def document_scenarios() -> Iterator[Site]:
    """Give one site for each."""
    yield from _types()
    yield from _encodings()
    yield from _sizes()
    yield from _not_json()
    yield from _not_nodeinfo()


def _own(slug: str) -> bytes:
    reply = mastodon(named(slug)).routes[NODEINFO]
    assert isinstance(reply, Reply)
    return reply.body


def _types() -> Iterator[Site]:
    challenge = html("<title>Just a moment...</title><script>/* are you a human being? */</script>")
    yield scenario("nodeinfo-as-html", _TYPE, {NODEINFO: document(_own("nodeinfo-as-html"), "text/html")})
    yield scenario("nodeinfo-page", _TYPE, {NODEINFO: challenge})
    yield scenario("well-known-page", _TYPE, {WELL_KNOWN: challenge})
    yield scenario("anti-bot", _TYPE, {WELL_KNOWN: challenge, NODEINFO: challenge, V2: challenge, V1: challenge})
    yield scenario("anti-bot-403", Outcome.HTTP_4XX, {"*": html("<title>Attention Required!</title>", 403)})
    yield scenario("api-page", Outcome.API_UNAVAILABLE, {V2: challenge, V1: challenge})
    for slug, content_type, outcome in (
        ("type-plain", "text/plain", _TYPE),
        ("type-octets", "application/octet-stream", _TYPE),
        ("type-xml", "application/xml", _TYPE),
        ("type-jsonp", "application/javascript", _TYPE),
        ("type-json-seq", "application/json-seq", _TYPE),
        ("type-json", "application/json", _OK),
        ("type-profile", 'application/json; profile="http://nodeinfo.diaspora.software/ns/schema/2.0#"', _OK),
        ("type-capitals", "Application/JSON;Charset=UTF-8", _OK),
        ("type-activity", "application/activity+json", _OK),
        ("type-text-json", "text/json", _OK),
        ("type-missing", None, _OK),
        ("type-wrong-charset", "application/json; charset=iso-8859-1", _OK),
        ("type-no-charset", "application/json; charset=klingon", _OK),
    ):
        yield scenario(slug, outcome, {NODEINFO: document(_own(slug), content_type)})


def _encodings() -> Iterator[Site]:
    raw = zlib.compressobj(wbits=-15)
    for slug, encoding, outcome, also in (
        ("encoded-gzip", "gzip", _OK, ()),
        ("encoded-x-gzip", "x-gzip", _OK, (_BAD,)),
        ("encoded-deflate", "deflate", _OK, ()),
        ("encoded-deflate-raw", "deflate", _OK, (_BAD,)),
        ("encoded-gzip-upper-case", "GZIP", _OK, (_BAD,)),
        ("encoded-gzip-not-really", "gzip", _BAD, (_OK, Outcome.CONNECTION_RESET)),
        ("encoded-gzip-cut-off", "gzip", _BAD, (Outcome.CONNECTION_RESET,)),
        ("encoded-gzip-damaged", "gzip", _BAD, (Outcome.CONNECTION_RESET,)),
        ("encoded-brotli-unasked", "br", _BAD, (_TYPE,)),
        ("encoded-zstd-unasked", "zstd", _BAD, (_TYPE,)),
        ("encoded-nonsense", "klingon", _BAD, (_TYPE, _OK)),
        ("encoded-identity", "identity", _OK, ()),
        ("encoded-twice", "gzip, gzip", _OK, (_BAD,)),
    ):
        own = _own(slug)
        body = {
            "encoded-deflate": zlib.compress(own),
            "encoded-deflate-raw": raw.compress(own) + raw.flush() if slug == "encoded-deflate-raw" else b"",
            "encoded-gzip-not-really": own,
            "encoded-gzip-cut-off": gzip.compress(own)[:-30],
            "encoded-gzip-damaged": gzip.compress(own)[:40] + b"\xff" * 60,
            "encoded-brotli-unasked": b"\x0b\x10\x80" + bytes(range(40)),
            "encoded-zstd-unasked": b"\x28\xb5\x2f\xfd" + bytes(range(40)),
            "encoded-nonsense": own,
            "encoded-identity": own,
            "encoded-twice": gzip.compress(gzip.compress(own)),
        }.get(slug, gzip.compress(own))
        reply = Reply(200, (*_JSON, ("Content-Encoding", encoding)), body)
        notes = "an encoding that was not asked for, or not kept to" if also else ""
        yield scenario(slug, outcome, {NODEINFO: reply}, also=also, notes=notes)


def _sizes() -> Iterator[Site]:
    def padded(slug: str, size: int) -> bytes:
        return _own(slug) + b" " * (size - len(_own(slug)))

    plain = (*_JSON, ("Content-Encoding", "identity"))
    slug = "size-just-fits"
    yield scenario(slug, _OK, {NODEINFO: Reply(200, plain, padded(slug, 1_000_000))})
    slug = "size-just-fits-gzip"
    yield scenario(slug, _OK, {NODEINFO: document(padded(slug, 2_000_000), "application/json")})
    slug = "size-3-mib"
    yield scenario(slug, _LARGE, {NODEINFO: Reply(200, plain, padded(slug, 3 * _MIB))})
    slug = "size-3-mib-gzip"
    yield scenario(slug, _LARGE, {NODEINFO: document(padded(slug, 3 * _MIB), "application/json")})
    yield scenario("size-well-known", _LARGE, {WELL_KNOWN: Reply(200, plain, padded("size-well-known", 3 * _MIB))})
    also = (Outcome.API_UNAVAILABLE,)
    both = Reply(200, plain, padded("size-api", 3 * _MIB))
    yield scenario("size-api", _LARGE, {V2: both, V1: both}, also=also)
    announced = _HEAD + b"Content-Length: 10000000000\r\n\r\n"
    yield scenario("size-10-gb", _LARGE, {NODEINFO: Script((Send(announced), Flood(b" " * 65536)))})
    endless = _HEAD + b"Connection: close\r\n\r\n"
    yield scenario("size-endless", _LARGE, {WELL_KNOWN: Script((Send(endless), Flood(b"[" * 65536)))})
    chunked = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"1000\r\n%b\r\n" % (b" " * 4096)
    yield scenario("size-endless-chunks", _LARGE, {NODEINFO: Script((Send(chunked), Flood(chunk)))})
    tiny = Script((Send(chunked), Flood(b"1\r\n \r\n" * 8192)))
    yield scenario("size-tiny-chunks", _LARGE, {NODEINFO: tiny}, also=(Outcome.TIMEOUT,))
    zipped = (*_JSON, ("Content-Encoding", "gzip"))
    yield scenario("gzip-bomb", _LARGE, {NODEINFO: Reply(200, zipped, _bomb())})
    yield scenario("gzip-bomb-well-known", _LARGE, {WELL_KNOWN: Reply(200, zipped, _bomb())})
    bomb = Reply(200, zipped, _bomb())
    yield scenario("gzip-bomb-api", _LARGE, {V2: bomb, V1: bomb}, also=also)
    text = (("Content-Type", "text/plain"), ("Content-Encoding", "gzip"))
    yield scenario("gzip-bomb-robots", _OK, {"/robots.txt": Reply(200, text, _bomb())}, notes="500 KiB of it count")
    twice = Reply(200, (*_JSON, ("Content-Encoding", "gzip, gzip")), gzip.compress(_bomb()))
    yield scenario("gzip-bomb-twice", _LARGE, {NODEINFO: twice}, also=(_BAD,))
    deflated = Reply(200, (*_JSON, ("Content-Encoding", "deflate")), _bomb()[10:])
    yield scenario("deflate-bomb", _LARGE, {NODEINFO: deflated}, also=(_BAD,), notes="raw deflate")


@cache
def _bomb() -> bytes:
    """Compress 200 MB of spaces to 200 KB, without compressing more than one of them."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(b" " * _MIB) + packer.flush(zlib.Z_FULL_FLUSH)
    header = gzip.compress(b"", mtime=0)[:10]
    # Nobody gets as far as the checksum.
    return header + block * 200 + b"\x03\x00" + bytes(8)


def _not_json() -> Iterator[Site]:
    for slug, body, outcome, also in (
        ("empty", b"", _BAD, ()),
        ("cut-off", b'{"version": "2.0", "software": {"na', _BAD, ()),
        ("two", b"{}{}", _BAD, ()),
        ("single-quotes", b"{'version': '2.0'}", _BAD, ()),
        ("trailing-comma", b'{"version": "2.0",}', _BAD, ()),
        ("jsonp", b"callback({})", _BAD, ()),
        ("php-warning", b"<b>Warning</b>: mysqli() in /var/www\n{}", _BAD, ()),
        ("deep-lists", b"[" * 100_000 + b"]" * 100_000, _BAD, ()),
        ("deep-objects", b'{"a":' * 50_000 + b"1" + b"}" * 50_000, _BAD, ()),
        ("deep-unclosed", b"[" * 900_000, _BAD, ()),
        ("random-bytes", bytes(range(255, -1, -1)) * 8, _BAD, ()),
        ("long-number", b'{"usage": ' + b"9" * 100_000 + b"}", _BAD, ()),
        ("null", b"null", _BAD, ()),
        ("number", b"42", _BAD, ()),
        ("string", b'"mastodon"', _BAD, ()),
        ("list", b"[]", _BAD, ()),
        ("nothing-in-it", b"{}", _BAD, ()),
    ):
        yield scenario(f"json-{slug}", outcome, {NODEINFO: document(body, "application/json")}, also=also)
        if slug in ("empty", "cut-off", "deep-lists", "null", "random-bytes"):
            yield scenario(f"links-json-{slug}", outcome, {WELL_KNOWN: document(body, "application/json")}, also=also)
    for slug, routes in (("api-json-deep", b"[" * 100_000), ("api-json-empty", b""), ("api-json-null", b"null")):
        bad = document(routes, "application/json")
        yield scenario(slug, Outcome.API_UNAVAILABLE, {V2: bad, V1: bad})
    yield from _other_unicode()


def _other_unicode() -> Iterator[Site]:
    latin_1 = _own("json-latin-1").replace(b"An example", "Ein schöner".encode("latin-1"))

    def unquoted(slug: str, constant: bytes) -> bytes:
        return _own(slug).replace(b'"metadata":{', b'"metadata":{"x":' + constant + b",")

    for slug, body, outcome, also in (
        ("json-bom", b"\xef\xbb\xbf" + _own("json-bom"), _OK, (_BAD,)),
        ("json-utf-16", _own("json-utf-16").decode().encode("utf-16"), _OK, (_BAD,)),
        ("json-utf-16-le", _own("json-utf-16-le").decode().encode("utf-16-le"), _OK, (_BAD,)),
        ("json-latin-1", latin_1, _BAD, (_OK,)),
        ("json-nan-elsewhere", unquoted("json-nan-elsewhere", b"NaN"), _BAD, (_OK,)),
        ("json-infinity", unquoted("json-infinity", b"-Infinity"), _BAD, (_OK,)),
    ):
        notes = "RFC 8259 wants UTF-8 without a mark, and numbers; parsers may be kinder"
        yield scenario(slug, outcome, {NODEINFO: document(body, "application/json")}, also=also, notes=notes)


def _not_nodeinfo() -> Iterator[Site]:
    def changed(slug: str, edits: dict[str, Any]) -> dict[str, Answer]:
        return {NODEINFO: json_reply(edited(json.loads(_own(slug)), edits))}

    yield scenario("software-missing", _BAD, changed("software-missing", {"software": MISSING}))
    yield scenario("software-string", _BAD, changed("software-string", {"software": "mastodon"}))
    yield scenario("software-list", _BAD, changed("software-list", {"software": ["mastodon", "4.6.6"]}))
    yield scenario("name-missing", _BAD, changed("name-missing", {"software.name": MISSING}))
    yield scenario("name-number", _BAD, changed("name-number", {"software.name": 5}))
    none = Outcome.NOT_MASTODON
    yield scenario("name-empty", _BAD, changed("name-empty", {"software.name": ""}), also=(none,))
    yield scenario("name-nul", none, changed("name-nul", {"software.name": "mastodon\0"}), also=(_BAD,))
    half = document(_own("name-half-pair").replace(b'"mastodon"', b'"mas\\ud800don"'), "application/json")
    yield scenario("name-half-pair", none, {NODEINFO: half}, also=(_BAD,), notes="a lone surrogate, escaped")
    long = changed("name-long", {"software.name": "mastodon" * 10_000})
    yield scenario("name-long", none, long, also=(_BAD,))
    notes = "NodeInfo of a version that does not exist"
    odd = changed("schema-odd", {"version": 2, "protocols": "activitypub", "services": [], "openRegistrations": "no"})
    yield scenario("schema-odd", _OK, odd, notes=notes)
