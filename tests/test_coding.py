"""Content codings: what is read, what is refused, and that nothing costs more than its limit."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.coding import BadCoding, Overlong, UnknownCoding, decode, parse_codings

TEXT = b'{"software": {"name": "mastodon"}}' * 100


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def undo(data: bytes, header: str, limit: int = 1 << 20, step: int = 7) -> bytes:
    pieces = [data[start : start + step] for start in range(0, len(data), step)]
    return b"".join(decode(pieces, parse_codings(header), limit))


@pytest.mark.parametrize("header", ["", "identity", "Identity, ", "none", "utf-8"])
def test_a_plain_body_passes(header):
    assert undo(TEXT, header) == TEXT


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("gzip", gzip.compress(TEXT, mtime=0)),
        ("X-GZIP", gzip.compress(TEXT, mtime=0)),
        ("gzip, identity", gzip.compress(TEXT, mtime=0)),
        ("gzip", gzip.compress(TEXT[:50], mtime=0) + gzip.compress(TEXT[50:], mtime=0)),
        ("gzip", gzip.compress(TEXT, mtime=0) + b"\0\0 trailing rubbish"),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("gzip, gzip", gzip.compress(gzip.compress(TEXT, mtime=0), mtime=0)),
        ("deflate, gzip", gzip.compress(zlib.compress(TEXT), mtime=0)),
    ],
)
def test_what_we_ask_for_is_read_in_all_its_variants(header, body):
    assert undo(body, header) == TEXT
    assert undo(body, header, step=1 << 20) == TEXT


@pytest.mark.parametrize("header", ["br", "zstd", "compress", "gzip, br", "gzip,gzip,gzip", "gzip;q=1"])
def test_other_codings_are_refused(header):
    with pytest.raises(UnknownCoding):
        parse_codings(header)


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("gzip", TEXT),
        ("deflate", b"\xff\xff" + TEXT),
        ("gzip", gzip.compress(TEXT, mtime=0)[:-9]),
        ("deflate", zlib.compress(TEXT)[:-5]),
    ],
)
def test_a_body_in_another_coding_or_cut_short_is_refused(header, body):
    with pytest.raises(BadCoding):
        undo(body, header)


@pytest.mark.parametrize("header", ["", "gzip", "gzip, gzip"])
def test_the_limit_is_exact(header):
    body = TEXT
    for _ in parse_codings(header):
        body = gzip.compress(body)
    assert undo(body, header, limit=len(TEXT)) == TEXT
    with pytest.raises(Overlong):
        undo(body, header, limit=len(TEXT) - 1)


def test_an_inner_layer_that_yields_nothing_is_bounded_too():
    # Empty deflate blocks: any amount of them is an empty body.
    empty_blocks = gzip.compress(raw_deflate(b"")[:0] + b"\x00\x00\x00\xff\xff" * 1_000_000)
    with pytest.raises(Overlong):
        undo(empty_blocks, "deflate, gzip", limit=100_000, step=1 << 16)


@given(st.binary(), st.sampled_from(["gzip", "deflate", "gzip, deflate"]))
def test_no_bytes_do_anything_but_decode_or_fail_by_name(body, header):
    try:
        assert len(undo(body, header, limit=1000)) <= 1000
    except (BadCoding, Overlong):
        return


@pytest.mark.parametrize("extra", [-1, 0, 1, 2, 3])
@pytest.mark.parametrize("window", [16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS])
def test_nothing_is_lost_where_the_end_lies_just_past_a_piece(extra, window):
    body = (b"xyz" * 50_000)[: 64 * 1024 + extra]
    compress = zlib.compressobj(9, zlib.DEFLATED, window)
    coded = compress.compress(body) + compress.flush()
    coding = "gzip" if window > zlib.MAX_WBITS else "deflate"
    assert b"".join(decode([coded], (coding,), 1 << 20)) == body
