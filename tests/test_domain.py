"""Names as people and servers write them -> the one spelling in the ledger, or a refusal."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.domain import InvalidDomain, ascii_host, parse_domain


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("mastodon.social", "mastodon.social"),
        ("Mastodon.SOCIAL", "mastodon.social"),
        (" \tvmst.io\r\n", "vmst.io"),
        ("icosahedron.website.", "icosahedron.website"),
        ("pikaböl.se", "xn--pikabl-0xa.se"),
        ("PIKABÖL.SE", "xn--pikabl-0xa.se"),
        ("pikabo\u0308l.se", "xn--pikabl-0xa.se"),
        ("xn--pikabl-0xa.se", "xn--pikabl-0xa.se"),
        ("XN--PIKABL-0XA.se", "xn--pikabl-0xa.se"),
        ("straße.de", "xn--strae-oqa.de"),
        ("mastodon.\u0131.xyz", "mastodon.xn--cfa.xyz"),
        ("անքուն.հայ", "xn--y9a6bah4ck.xn--y9a3aq"),
        ("浮緲.深海墨客.台灣", "xn--00w656a.xn--2os22eixx6na.xn--kpry57d"),
        ("fedii.☃☃☃.ws", "fedii.xn--n3haa.ws"),
        ("🔵.🦊.it.com", "xn--lw8h.xn--9s9h.it.com"),
        ("❤\ufe0f.ws", "xn--qei.ws"),
        ("\uff25\uff38\uff21\uff2d\uff30\uff2c\uff25\uff0ecom", "example.com"),
        ("example。com", "example.com"),
        ("soft\u00adhyphen.com", "softhyphen.com"),
        ("r3--sn.example.com", "r3--sn.example.com"),
        ("1.example.com", "1.example.com"),
        ("www.ck", "www.ck"),
        ("example.github.io", "example.github.io"),
        ("github.io", "github.io"),
        (f"{'a' * 63}.com", f"{'a' * 63}.com"),
    ],
)
def test_a_name_has_one_spelling(text, domain):
    assert parse_domain(text) == domain
    assert parse_domain(domain) == domain


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ".", "..", "com", "localhost", "example.com..", ".example.com", "a..com"),
        *(
            "192.0.2.1",
            "127.1",
            "0x7f.1",
            "0177.0.0.1",
            "2130706433",
            "0x7f000001",
            "\uff11\uff12\uff17\uff0e\uff10\uff0e\uff10\uff0e\uff11",
            "1.2.3.4.5",
        ),
        *("[::1]", "::1", "2001:db8::1", "[2001:db8::1]"),
        *(
            "https://example.com",
            "example.com/",
            "example.com:443",
            "user@example.com",
            "//example.com",
            "@example.com",
        ),
        *("example.com?x", "example.com#x", "a b.com", "a\tb.com", "a\nb.com", "a\0b.com", "a%2eb.com", "a,b.com"),
        *("under_score.com", "-a.com", "a-.com", "ü-.de", "-ü.de", "*.example.com", "a*.com", "℀.com", "a\u2028b.com"),
        *("xn--.com", "xn--a.com", "xn--zzzzzzzz99999999.com", "xn--abc-.com", "xn--ü.com", "xn--de.com", "xn--.xn--"),
        *("xn--pikaBL-0xa\u0130.se", "xn--xn---epa.com", "a\u200db.com", "\u200d👩\u200d💻.ws", "\u202eabc.com"),
        *("co.uk", "foo.ck", "台灣", "com.", "gov.uk"),
        *(
            "x.test",
            "x.example",
            "x.invalid",
            "x.localhost",
            "x.local",
            "x.internal",
            "x.onion",
            "x.arpa",
            "x.home.arpa",
        ),
        *("x.nosuchsuffix", "example.c0m", "\ud800.com", "a\udfffb.com"),
        *("a" * 64 + ".com", "ü" * 64 + ".de", "a." * 126 + "com", "a" * 100_000, "ü" * 100_000, "." * 100_000),
    ],
)
def test_what_cannot_be_crawled_is_refused(text):
    with pytest.raises(InvalidDomain) as refusal:
        parse_domain(text)
    assert str(refusal.value).isprintable()


def test_the_longest_name_has_253_characters():
    name = ".".join(["a" * 63] * 3 + ["a" * 57, "com"])
    assert len(name) == 253
    assert parse_domain(name) == name
    with pytest.raises(InvalidDomain):
        parse_domain(f"a{name}")


@pytest.mark.parametrize("host", ["localhost", "192.0.2.1", "a.test", "xn--pikabl-0xa.se"])
def test_a_host_name_needs_no_public_suffix(host):
    assert ascii_host(host.upper()) == host


@given(st.text(max_size=30) | st.lists(st.text("aü-._xn1☃\u200d", max_size=8), max_size=5).map(".".join))
def test_any_text_is_a_stable_domain_or_refused(text):
    try:
        domain = parse_domain(f"{text}.com")
    except InvalidDomain:
        return
    assert domain.isascii()
    assert domain == domain.lower()
    assert parse_domain(domain) == domain


def test_the_real_names_are_all_accepted_and_stay_distinct():
    names = Path(__file__).parents[2] / "shared" / "data" / "domains.txt"
    if not names.exists():
        pytest.skip("the list of real names is not part of the project")
    written = names.read_text(encoding="utf-8").split()
    assert len({parse_domain(name) for name in written}) == len({name.removesuffix(".") for name in written}) > 10_000
