"""References from headers and documents -> the https URL that may be asked for, or a refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.url import InvalidUrl, document_link, host_of, path_of, redirect_target

BASE = "https://a.example/x/y?q=1"


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("https://b.example/n", "https://b.example/n"),
        ("HTTPS://B.Example", "https://b.example/"),
        ("https://b.example:443/n", "https://b.example/n"),
        ("https://b.example:/n", "https://b.example/n"),
        ("https://b.example./n#part", "https://b.example/n"),
        (" https://b.example/n ", "https://b.example/n"),
        ("//b.example/n", "https://b.example/n"),
        ("/n?r", "https://a.example/n?r"),
        ("n", "https://a.example/x/n"),
        ("../n/./m/..", "https://a.example/n/"),
        ("?r=1", "https://a.example/x/y?r=1"),
        ("#part", "https://a.example/x/y?q=1"),
        ("", "https://a.example/x/y?q=1"),
        ("https://b.example/a/../../%2e%2E/b", "https://b.example/b"),
        ("https://b.example?r", "https://b.example/?r"),
        ("https://bücher.example/ü?ü=ü", "https://xn--bcher-kva.example/%C3%BC?%C3%BC=%C3%BC"),
        ("https://🦊.example/", "https://xn--9s9h.example/"),
        ("https://b.example/a b\\c<>", "https://b.example/a%20b%5Cc%3C%3E"),
        ("https://b.example/%zz%2f", "https://b.example/%zz%2f"),
        ("\\\\evil.example", "https://a.example/x/%5C%5Cevil.example"),
        ("https://192.0.2.1/", "https://192.0.2.1/"),
        ("https://127.1/", "https://127.0.0.1/"),
        ("https://0x7f.1/", "https://127.0.0.1/"),
        ("https://0177.0.0.1/", "https://127.0.0.1/"),
        ("https://2130706433/", "https://127.0.0.1/"),
        ("https://\uff11\uff12\uff17.0.0.1/", "https://127.0.0.1/"),
        ("https://[::1]:443/", "https://[::1]/"),
        ("https://[0:0::FFFF:127.0.0.1]/", "https://[::ffff:7f00:1]/"),
        ("https://localhost/", "https://localhost/"),
    ],
)
def test_a_reference_is_resolved_and_spelled_in_one_way(reference, url):
    assert redirect_target(reference, BASE) == url
    assert document_link(reference, BASE) == url
    assert redirect_target(url, BASE) == url


@pytest.mark.parametrize(
    "reference",
    [
        *("https://b.example:8443/", "https://b.example:80/", "https://b.example:99999999/", "https://b.example:٤٤٣/"),
        *("https://u@b.example/", "https://u:p@b.example/", "https://@b.example/", "https://a.example\\@b.example/"),
        *(
            "https://[bad/",
            "https://[::1/",
            "https://[fe80::1%25eth0]/",
            "https://[]/",
            "https://[::1]x/",
            "https://]/",
        ),
        *("https:///n", "https://", "https:n", "https://./", "https://:443/n", "//", "///n", "https://?", "https://#"),
        *("https://09.1/", "https://256.1/", "https://1.2.3.4.5/", "https://a.0x4/", "https://4294967296/"),
        *(
            "https://b .example/",
            "https:// b.example/",
            "https://b\t.example/",
            "https://b%2eexample/",
            "https://a_b.com/",
        ),
        *(
            "https://b.example/\r\nX: y",
            "\0https://b.example/",
            "https://b.example/\x7f",
            "/\ud800",
            "https://\ud800.com",
        ),
        *(
            "ftp://b.example/",
            "javascript:alert(1)",
            "data:,x",
            "mailto:a@b.example",
            "wss://b.example/",
            "file:///etc",
        ),
        *("https://b.example/" + "a" * 2048, "/" + "ü" * 500, "https://" + "a" * 64 + ".example/", "a" * 1_000_000),
    ],
)
def test_what_may_not_be_asked_for_is_refused(reference):
    for read in (redirect_target, document_link):
        with pytest.raises(InvalidUrl) as refusal:
            read(reference, BASE)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "location", ["http://b.example/", "http://b.example:443/", "http://b.example:80/", "HTTP://b.example"]
)
def test_a_redirect_to_http_is_refused_but_a_link_is_lifted_to_https(location):
    with pytest.raises(InvalidUrl):
        redirect_target(location, BASE)
    assert document_link(location, BASE) == "https://b.example/"


def test_an_http_link_with_another_port_is_refused():
    with pytest.raises(InvalidUrl):
        document_link("http://b.example:8080/", BASE)


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("https://b.example//nodeinfo//2.0", "https://b.example/nodeinfo/2.0"),
        ("https://b.example///nodeinfo/2.0?a=//b", "https://b.example/nodeinfo/2.0?a=//b"),
        ("//nodeinfo/2.0", "https://a.example/nodeinfo/2.0"),
        ("//b.example//nodeinfo/2.0", "https://b.example/nodeinfo/2.0"),
        ("/nodeinfo//2.0", "https://a.example/nodeinfo/2.0"),
    ],
)
def test_doubled_slashes_in_a_link_are_one(href, url):
    assert document_link(href, BASE) == url


def test_doubled_slashes_in_a_redirect_are_left():
    assert redirect_target("https://b.example//n//m", BASE) == "https://b.example//n//m"


def test_a_location_in_utf8_is_read_from_its_latin1_form():
    assert redirect_target("/ü".encode().decode("latin-1"), BASE) == "https://a.example/%C3%BC"


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://a.example/x/y?q=1", "a.example", "/x/y?q=1"),
        ("https://a.example", "a.example", "/"),
        ("https://[::1]/", "[::1]", "/"),
        ("https://a.example//x", "a.example", "//x"),
    ],
)
def test_host_and_path_are_cut_out(url, host, path):
    assert (host_of(url), path_of(url)) == (host, path)


@given(st.text() | st.text("htps:/.@[]%?#\\\r0x1a ", max_size=30).map(lambda tail: f"https://{tail}"), st.text())
def test_any_text_gives_a_canonical_url_or_is_refused(reference, other):
    for read in (redirect_target, document_link):
        for base in (BASE, other):
            try:
                url = read(reference, base)
            except InvalidUrl:
                continue
            assert url.isascii()
            assert url.isprintable()
            assert " " not in url
            assert len(url) <= 2048
            assert path_of(url).startswith("/")
            assert "@" not in host_of(url)
            if base == BASE:
                assert redirect_target(url, BASE) == url
