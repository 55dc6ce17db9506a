"""Whatever stands where a list of peers should be: names come out as they come in, or a reason why not."""

import json
import resource
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.domain import Domain, parse_domain, registrable
from vmcrawl.exclusion import Exclusions
from vmcrawl.peers import InvalidPeers, Name, PeersReader, Sieve

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(1 - (1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # Half a surrogate pair is no text of UTF-8; yajl makes "?" of it, which no name has.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


def read(*pieces: bytes) -> list[str | None]:
    reader = PeersReader()
    items = [item for piece in pieces for item in reader.read(piece)]
    reader.close()
    return items


@given(st.lists(JSON, max_size=8), st.integers(1, 20), st.booleans())
def test_cut_anywhere_it_says_the_same_as_the_whole(document, size, ascii_only):
    body = json.dumps(document, ensure_ascii=ascii_only).encode()
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    assert read(*pieces) == [item if isinstance(item, str) else None for item in document]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "ends early"),
        (b"  ", "ends early"),
        (b"[", "ends early"),
        (b'["a.example.org"', "ends early"),
        (b'["a.example.org", "b', "ends early"),
        (b"<html>", "not JSON"),
        (b"/* comment */ []", "not JSON"),
        (b"[] []", "not JSON"),
        (b'["a",]', "not JSON"),
        (b"[NaN]", "not JSON"),
        (b'["\xff"]', "not JSON"),
        (b'["a\nb"]', "not JSON"),
        (b'["\xed\xa0\x80"]', "not JSON"),
        (b"[" + b"1" * 5000 + b"]", "not JSON"),
        (b"[1e999]", "not JSON"),
        ("[]".encode("utf-16"), "not JSON"),
        (b'{"error": "This method requires an authenticated user"}', "not an array"),
        (b'{"peers": ["a.example.org"]}', "not an array"),
        (b"12", "not an array"),
        (b'"a.example.org"', "not an array"),
        (b"null", "not an array"),
        (b"[" * 200 + b"]" * 200, "nested too deeply"),
        (b'[{"a":' * 200, "nested too deeply"),
    ],
)
def test_what_is_no_array_is_refused(body, reason):
    with pytest.raises(InvalidPeers, match=reason):
        read(body)
    with pytest.raises(InvalidPeers, match=reason):
        read(*(body[place : place + 1] for place in range(len(body))))


def test_a_reason_never_quotes_what_a_server_calls_its_peers():
    for body in (b'["secret.example" "b"]', b'["secret.example", \xff]', b'["secret.example"'):
        with pytest.raises(InvalidPeers) as refusal:
            read(body)
        assert "secret" not in str(refusal.value)


def test_a_byte_order_mark_is_forgiven():
    assert read(b'\xef\xbb\xbf["a.example.org"]') == ["a.example.org"]


ENDLESS = {
    "a string": (b'["', b"a" * 65536),
    "a key": (b'[{"', b"a" * 65536),
    "a number": (b"[", b"1" * 65536),
    "white space before": (b"", b" " * 65536),
    "white space within": (b'["a.example.org",', b"\n" * 65536),
    "white space after": (b"[]", b" " * 65536),
    "nesting": (b"", b"[" * 65536),
    "nested objects": (b"", b'[{"a":' * 9999),
}


@pytest.mark.parametrize(("start", "more"), ENDLESS.values(), ids=ENDLESS.keys())
def test_what_does_not_end_is_refused_before_it_takes_memory(start, more):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reader = PeersReader()
    list(reader.read(start))
    with pytest.raises(InvalidPeers):  # noqa: PT012 - whichever piece is the one too many
        for _ in range(1600):
            list(reader.read(more))
    # Of the 100 MB nothing was kept; what C code holds does not show in tracemalloc.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


def test_a_long_list_is_never_held():
    reader, sieve, names = PeersReader(), Sieve(Exclusions()), 0
    parse_domain("a.example.org")  # the list of suffixes takes memory of its own
    tracemalloc.start()
    try:
        list(reader.read(b"["))
        for number in range(300):
            piece = b"".join(b'"name-%d.example-%d.org",' % (number, place) for place in range(100))
            names += sum(1 for _ in sieve.sift(reader.read(piece)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert names == sieve.read == 30_000
    assert peak < 300_000


BAD = [
    *("192.0.2.1", "2001:db8::1", "[2001:db8::1]", "0x7f.1", "127.1", "1.2.3.4."),
    *("a.example.org:443", "a.example.org/path", "https://a.example.org", "user@a.example.org", "a.example.org?x"),
    *("localhost", "a.local", "a.onion", "a.i2p", "a.internal", "a.example", "a.test", "a.invalid", "a.home.arpa"),
    *("org", "co.uk", "", " ", ".", "..", "a..org", "-a.org", "a-.org", "a_b.example.org", "a b.example.org"),
    *("a" * 64 + ".org", "a." * 130 + "org", "a" * 100_000, "*.example.org", "a.example.org\x00", "\x00", "a\n.org"),
    *("xn--a.org", "xn--.org", "xn--zzzzzz.org", "a.xn--nothing-here", "\u202emoc.elpmaxe", "ex\u200dample.org"),
    *(None, None, None),
]


def test_names_of_every_bad_kind_are_counted_and_left_out():
    sieve = Sieve(Exclusions())
    assert list(sieve.sift(BAD)) == []
    assert (sieve.read, sieve.unusable) == (len(BAD), len(BAD))


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("A.Example.ORG", "a.example.org"),
        ("a.example.org.", "a.example.org"),
        (" a.example.org ", "a.example.org"),
        ("xn--bcher-kva.example.org", "xn--bcher-kva.example.org"),
        ("bücher.example.org", "xn--bcher-kva.example.org"),
        ("BÜCHER.example.org", "xn--bcher-kva.example.org"),
        ("\uff41.example.org", "a.example.org"),
        ("xn--i-7iq.ws", "xn--i-7iq.ws"),
    ],
)
def test_one_server_has_one_spelling(text, domain):
    assert [name.domain for name in Sieve(Exclusions()).sift([text])] == [domain]


def test_what_is_excluded_does_not_come_through():
    sieve = Sieve(Exclusions(exact=frozenset({"a.example.org"}), trees=frozenset({"bad.example.net"})))
    names = ["a.example.org", "b.a.example.org", "x.bad.example.net", "bad.example.net"]
    assert [name.domain for name in sieve.sift(names)] == ["b.a.example.org"]
    assert sieve.refused == 3


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("example.org", "example.org"),
        ("a.b.example.org", "example.org"),
        ("a.b.example.co.uk", "example.co.uk"),
        # Whoever lets others have names below its own is one owner for us: names there are free of charge.
        ("a.duckdns.org", "duckdns.org"),
    ],
)
def test_a_name_belongs_to_what_was_registered(name, owner):
    assert registrable(parse_domain(name)) == owner
    assert list(Sieve(Exclusions()).sift([name])) == [Name(Domain(name), Domain(owner))]
