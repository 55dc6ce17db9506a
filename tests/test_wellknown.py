"""Documents under /.well-known/ -> where they lead: each oddity is a file, and one row here."""

import json

import pytest

from tests.documents import document, json_document
from vmcrawl.wellknown import (
    DocumentLink,
    InlineDocument,
    InvalidWellKnown,
    MatrixServer,
    parse_host_meta,
    parse_host_meta_json,
    parse_nodeinfo_links,
    parse_webfinger,
)

BASE = "https://a.example/.well-known/nodeinfo"
LRDD = "https://social.example.com/.well-known/webfinger?resource={uri}"


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("samples/well-known-nodeinfo.json", "https://social.example.com/nodeinfo/2.0"),
        ("links-several-versions-newest-first.json", "https://a.example/nodeinfo/2.1"),
        ("links-several-versions-newest-last.json", "https://a.example/nodeinfo/2.2"),
        ("links-only-1.0.json", "https://a.example/nodeinfo/1.0"),
        ("links-with-foreign-rels.json", "https://a.example/nodeinfo/2.0"),
        ("links-in-capitals.json", "https://a.example/nodeinfo/2.0"),
        ("links-shouting.json", "https://a.example/nodeinfo/2.0"),
        ("links-as-object.json", "https://a.example/nodeinfo/2.0"),
        ("links-as-object-with-keys.json", "https://a.example/nodeinfo/2.0"),
        ("links-keyed-by-rel.json", "https://a.example/nodeinfo/2.0"),
        ("links-as-top-level-list.json", "https://a.example/nodeinfo/2.0"),
        ("links-https-rel-and-trailing-slash.json", "https://a.example/nodeinfo/2.0"),
        ("href-relative.json", "https://a.example/nodeinfo/2.0"),
        ("href-protocol-relative.json", "https://a.example/nodeinfo/2.0"),
        ("href-http.json", "https://a.example/nodeinfo/2.0"),
        ("href-http-port-443.json", "https://a.example/nodeinfo/2.0"),
        ("href-doubled-slashes.json", "https://a.example/nodeinfo/2.0"),
        ("href-unusable-then-usable.json", "https://a.example/nodeinfo/2.0"),
    ],
)
def test_the_newest_usable_link_is_found(name, url):
    assert parse_nodeinfo_links(json_document(name), BASE) == DocumentLink(url)


@pytest.mark.parametrize("name", ["nodeinfo-in-place-of-links.json", "samples/nodeinfo-2.0-hometown.json"])
def test_nodeinfo_in_place_of_the_links_is_recognised(name):
    assert parse_nodeinfo_links(json_document(name), BASE) == InlineDocument(json_document(name))


@pytest.mark.parametrize("name", ["matrix-server.json", "matrix-homeserver.json"])
def test_matrix_is_recognised(name):
    assert parse_nodeinfo_links(json_document(name), BASE) == MatrixServer()


@pytest.mark.parametrize(
    "value",
    [
        *(json_document(name) for name in ("no-links.json", "links-null.json", "links-as-string.json")),
        *(json_document(name) for name in ("links-foreign-only.json", "samples/error-410-self-destruct.json")),
        *(
            None,
            True,
            1,
            "",
            "https://a.example/nodeinfo/2.0",
            [],
            {},
            [[]],
            {"software": "mastodon"},
            {"software": {}},
        ),
        {"links": [{"rel": "http://nodeinfo.diaspora.software/ns/schema/2.0", "href": ["https://a.example/"]}]},
        {"links": [{"rel": "http://nodeinfo.diaspora.software.evil.example/ns/schema/2.0", "href": "/nodeinfo/2.0"}]},
        {"links": [{"rel": "self", "href": "/"}] * 50 + [json_document("href-relative.json")]},
    ],
)
def test_what_leads_nowhere_is_refused(value):
    with pytest.raises(InvalidWellKnown):
        parse_nodeinfo_links(value, BASE)


@pytest.mark.parametrize(
    "body",
    [
        document("samples", "host-meta.xml"),
        document("host-meta-leading-newline.xml"),
        document("host-meta-without-namespace.xml"),
        document("host-meta-with-prefix.xml"),
        document("samples", "host-meta.xml").decode().replace("UTF-8", "UTF-16").encode("utf-16"),
        b"\xef\xbb\xbf" + document("samples", "host-meta.xml"),
        f'<XRD><Link rel="lrdd" template=""/><Link rel="lrdd"/><LINK rel="LRDD" template="{LRDD}"/></XRD>'.encode(),
        f'<XRD><Link rel="lrdd" template="{LRDD.replace("https:", "http:")}"/></XRD>'.encode(),
        f'<XRD><!--c--><?p x?><Link rel="lrdd" template="{LRDD}"/><Link rel="lrdd" template="{LRDD}"/></XRD>'.encode(),
    ],
)
def test_host_meta_names_the_backend(body):
    assert parse_host_meta(body, BASE) == ["social.example.com"]


@pytest.mark.parametrize(
    "body",
    [
        *(document(f"host-meta-{attack}.xml") for attack in ("entity-bomb", "external-entity", "external-dtd")),
        *(
            b"",
            b" ",
            b"\0",
            b"{}",
            b"<XRD>",
            b"<XRD></X>",
            b"\xff\xfe",
            b"<html><br></html>",
            b"not found",
            b"<a>" * 500_000,
        ),
        b'<?xml version="1.0" encoding="no-such-encoding"?><XRD/>',
        b'<?xml version="1.0" encoding="shift_jis"?><XRD/>',
        b"<!DOCTYPE html><html></html>",
        b'<x:XRD><x:Link rel="lrdd"/></x:XRD>',
    ],
)
def test_poison_is_no_host_meta(body):
    with pytest.raises(InvalidWellKnown):
        parse_host_meta(body, BASE)


def test_a_thousand_elements_are_enough():
    assert parse_host_meta(b"<a>" * 1000 + b"</a>" * 1000, BASE) == []
    for body in (b"<a>" * 1001 + b"</a>" * 1001, b"<a>" + b"<b/>" * 1000 + b"</a>"):
        with pytest.raises(InvalidWellKnown):
            parse_host_meta(body, BASE)


def test_host_meta_without_a_template_names_nobody():
    assert parse_host_meta(document("host-meta-without-lrdd.xml"), BASE) == []
    assert parse_host_meta(b'<XRD><Link rel="lrdd" template="https://u@b.example:8443/"/></XRD>', BASE) == []


def test_host_meta_names_at_most_five_hosts():
    links = "".join(f'<Link rel="lrdd" template="https://{number}.example.com/"/>' for number in range(60))
    hosts = parse_host_meta(f"<XRD>{links}</XRD>".encode(), BASE)
    assert hosts == [f"{number}.example.com" for number in range(5)]


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        (json_document("samples", "host-meta.json"), ["social.example.com"]),
        ({"Links": {"Rel": "lrdd", "Template": LRDD}}, ["social.example.com"]),
        ({"links": [{"rel": "lrdd", "template": "/.well-known/webfinger?resource={uri}"}]}, ["a.example"]),
        ({"links": [{"rel": "lrdd", "template": None}, {"rel": None, "template": LRDD}, 1]}, []),
        ({"links": "x"}, []),
        ({}, []),
    ],
)
def test_host_meta_in_json_names_the_backend(value, hosts):
    assert parse_host_meta_json(value, BASE) == hosts


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        (json_document("samples", "webfinger-instance-actor.json"), ["social.example.com"]),
        (json_document("samples", "webfinger-instance-actor-installed-before-4.1.json"), ["social.example.com"]),
        ({"aliases": "https://b.example/actor"}, ["b.example"]),
        ({"aliases": ["acct:x@b.example", "http://c.example/", "https://B.example", "//d.example/"]}, ["b.example"]),
        ({"aliases": [None, 1, ["x"], "https://[bad/", "https://b.example:8443/"], "links": [{"rel": "self"}]}, []),
        ({"links": [{"rel": "self", "href": "https://c.com/"}], "aliases": [LRDD]}, ["social.example.com", "c.com"]),
        ({"links": [{"rel": "http://webfinger.net/rel/profile-page", "href": "https://c.example/"}]}, []),
        ({"aliases": [f"https://{label}.example/" for label in "abcdefg"]}, [f"{label}.example" for label in "abcde"]),
        ({}, []),
    ],
)  # fmt: skip
def test_webfinger_names_hosts_by_alias_then_by_self(value, hosts):
    assert parse_webfinger(value, BASE) == hosts


@pytest.mark.parametrize("value", [None, [], "https://b.example/", 1])
def test_what_is_no_object_names_nobody(value):
    for parse in (parse_host_meta_json, parse_webfinger):
        with pytest.raises(InvalidWellKnown):
            parse(json.loads(json.dumps(value)), BASE)
