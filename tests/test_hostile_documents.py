"""No document that anyone can send makes a parser do anything but return or refuse in its own words."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.documents import DOCUMENTS
from vmcrawl.document import InvalidDocument, InvalidJson, parse_json
from vmcrawl.domain import InvalidDomain, parse_domain
from vmcrawl.instance import InvalidInstance, parse_instance_domain
from vmcrawl.nodeinfo import InvalidNodeInfo, NodeInfo, is_mastodon_family, parse_nodeinfo, whole_number
from vmcrawl.robots import parse_rules, reduce_robots
from vmcrawl.url import InvalidUrl, document_link, redirect_target
from vmcrawl.wellknown import (
    InvalidWellKnown,
    parse_host_meta,
    parse_host_meta_json,
    parse_nodeinfo_links,
    parse_webfinger,
)

BASE = "https://a.example/.well-known/nodeinfo"

POISON = [
    b"",
    b"\0" * 1000,
    b"[" * 100_000,
    b"[" * 2_000_000,
    b'{"a":' * 100_000,
    b'{"links":[' * 50_000,
    b'{"links":{"links":' * 50_000,
    b"9" * 1_000_000,
    b'{"usage":{"users":{"activeMonth":' + b"9" * 4000 + b'}},"software":{"name":"mastodon"}}',
    b'{"software":{"name":"\\ud800","version":"\\u0000"},"domain":"\\udfff.com","uri":"\\u0000"}',
    b'{"software":{"name":"a"},"software":{"name":null},"links":[],"links":{},"domain":"a.com","domain":7}',
    b'{"links":[' + b'{"rel":"http://nodeinfo.diaspora.software/ns/schema/2.0","href":"' + b"/" * 1_000_000 + b'"}]}',
    b'{"links":[' + b'{"rel":"' + b"http://nodeinfo" * 60_000 + b'","href":"/"}]}',
    b'{"domain":"' + b"a." * 500_000 + b'"}',
    b'{"domain":"' + "ü".encode() * 500_000 + b'"}',
    b'{"domain":"https://' + b":" * 500_000 + b'"}',
    b'{"aliases":[' + b'"https://[bad/",' * 60_000 + b'"x"]}',
    b"<XRD " + b"a" * 1_000_000 + b"='1'/>",
    b"<XRD>" + b"<Link rel='lrdd' template='https://[bad/'/>" * 20_000 + b"</XRD>",
    b"<a>" * 300_000,
    "<XRD/>".encode("utf-16"),
    b"\xff\xfe" * 1000,
    b"User-agent: *\nDisallow: /" + b"*a" * 200_000,
]


@pytest.mark.parametrize("body", [*POISON, *(path.read_bytes() for path in sorted(DOCUMENTS.rglob("*.*")))])
def test_no_poison_and_no_document_in_the_wrong_place_does_harm(body):
    _feed_bytes(body)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_arbitrary_bytes_do_no_harm(body):
    _feed_bytes(body)
    _feed_bytes(b"<XRD><Link rel='lrdd' template='" + body + b"'/></XRD>")
    _feed_bytes(b'{"links": [' + body + b"]}")


_TEXTS = st.sampled_from(
    [
        *(
            "http://nodeinfo.diaspora.software/ns/schema/2.0",
            "http://nodeinfo.diaspora.software/ns/schema/1.0",
            "lrdd",
            "self",
        ),
        *("/nodeinfo/2.0", "https://b.example/x", "https://[bad/", "http://b.example:443//x", "//", "\0", "\ud800", ""),
        *(
            "mastodon",
            "example.com",
            "https://example.com:443/",
            "127.1",
            "4.5.0",
            "😀.ws",
            "acct:a@b",
            "xn--a.com",
            "٣.com",
        ),
    ]
)
_KEYS = st.sampled_from(
    [
        *("links", "Links", "rel", "href", "HREF", "template", "aliases", "subject", "m.server", "version", "software"),
        *("name", "usage", "users", "user", "activeMonth", "metadata", "upstream", "domain", "uri", "0", ""),
    ]
)
_NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -1, 12.0, 1e308])
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS | st.text(st.characters(), max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS | st.text(max_size=3), inner, max_size=5),
    max_leaves=20,
)
_LINKS = st.dictionaries(st.sampled_from(["rel", "href", "template"]), _TEXTS | _JSON)
_DOCUMENTS = _JSON | st.fixed_dictionaries(
    {},
    optional={
        "links": st.lists(_LINKS, max_size=4) | _LINKS | _JSON,
        "aliases": st.lists(_TEXTS | _JSON, max_size=4),
        "software": st.fixed_dictionaries({"name": _TEXTS | _JSON}, optional={"version": _TEXTS | _JSON}),
        "usage": st.dictionaries(
            st.sampled_from(["users", "user"]), st.fixed_dictionaries({"activeMonth": _JSON}) | _JSON
        ),
        "metadata": st.fixed_dictionaries({"upstream": _JSON}) | _JSON,
        "domain": _TEXTS | _JSON,
        "uri": _TEXTS | _JSON,
    },
)


@settings(max_examples=300, deadline=None)
@given(_DOCUMENTS, st.sampled_from([BASE, "https://a.example", "https://[::1]/x?y", "nonsense", ""]))
def test_arbitrary_json_does_no_harm(value, base):
    _feed_json(value, base)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=60), st.text(st.characters(), max_size=20))
def test_arbitrary_text_does_no_harm(text, base):
    _try(InvalidDomain, parse_domain, text)
    for parse in (redirect_target, document_link):
        _try(InvalidUrl, parse, text, BASE)
        _try(InvalidUrl, parse, text, base)


def _feed_bytes(body: bytes) -> None:
    reduced = reduce_robots(body, "vmcrawl")
    assert parse_rules(reduced).allows("https://a.example/robots.txt")
    parse_rules(reduced).allows("https://a.example/.well-known/nodeinfo")
    _try(InvalidWellKnown, parse_host_meta, body, BASE)
    _feed_json(_try(InvalidJson, parse_json, body), BASE)


def _feed_json(value: object, base: str) -> None:
    for parse in (parse_nodeinfo_links, parse_host_meta_json, parse_webfinger):
        _try(InvalidWellKnown, parse, value, base)
    _try(InvalidInstance, parse_instance_domain, value)
    whole_number(value, 10_000_000)
    nodeinfo = _try(InvalidNodeInfo, parse_nodeinfo, value)
    if isinstance(nodeinfo, NodeInfo):
        assert is_mastodon_family(nodeinfo) in (True, False)
        number = whole_number(nodeinfo.active_month, 10_000_000)
        assert number is None or 0 <= number <= 10_000_000


def _try(refusal: type[ValueError], parse: Callable[..., object], *arguments: object) -> object:
    """What the parser returns, or None if it refuses as it should: by its own exception, in one short line."""
    assert issubclass(refusal, InvalidDocument | InvalidDomain | InvalidUrl)
    reason = ""
    result = None
    try:
        result = parse(*arguments)
    except refusal as error:
        reason = str(error)
    assert reason.isprintable()
    assert len(reason) < 200
    return result
