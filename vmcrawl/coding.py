"""Content codings (RFC 9110, 8.4.1): gzip and deflate undone piece by piece, within a limit at every layer."""

import zlib
from collections.abc import Iterable, Iterator

#: What we ask for.
ACCEPT_ENCODING = "gzip, deflate"
#: Names that mean "as it is": the official one, none at all, and two that servers send by mistake.
_PLAIN = frozenset({"identity", "", "none", "utf-8"})
_GZIP = frozenset({"gzip", "x-gzip"})
#: A proxy that compresses again what was compressed makes two.
_MOST_LAYERS = 2
_PIECE = 64 * 1024
_GZIP_MAGIC = 0x1F
#: zlib's window sizes that stand for: gzip format, zlib format, neither (raw).
_GZIP_FORMAT, _ZLIB_FORMAT, _RAW_FORMAT = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class UnknownCoding(ValueError):
    """A content coding that was not asked for."""


class BadCoding(ValueError):
    """A body that is not what its content coding says."""


class Overlong(Exception):
    """A body longer than it may be, at some layer of its coding."""


def parse_codings(header: str) -> tuple[str, ...]:
    """Read ``Content-Encoding``: the codings to undo, innermost first; raises :class:`UnknownCoding`."""
    if not header:
        return ()
    codings = tuple(name for each in header.split(",") if (name := each.strip().lower()) not in _PLAIN)
    if len(codings) > _MOST_LAYERS or not all(each in _GZIP or each == "deflate" for each in codings):
        raise UnknownCoding(f"content coding {header[:60]!r}")
    return codings


def decode(pieces: Iterable[bytes], codings: tuple[str, ...], limit: int) -> Iterator[bytes]:
    """Undo ``codings`` over ``pieces``; yields at most ``limit`` bytes, in pieces of at most 64 KiB where coded.

    Raises :class:`BadCoding` for bytes that aren't in this coding, or end early, and :class:`Overlong` where any
    layer gives more than ``limit`` bytes: memory is bounded by pieces, time by the limit.
    """
    for coding in reversed(codings):
        pieces = _inflate(_bounded(pieces, limit), gzip=coding in _GZIP)
    return _bounded(pieces, limit)


def _bounded(pieces: Iterable[bytes], limit: int) -> Iterator[bytes]:
    left = limit
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise Overlong
        yield piece


def _inflate(pieces: Iterable[bytes], *, gzip: bool) -> Iterator[bytes]:
    stream = None
    for piece in pieces:
        rest, full = piece, False
        # A full piece of output may leave more behind that needs no further input.
        while rest or full:
            if stream is None:
                stream = zlib.decompressobj(_GZIP_FORMAT if gzip else _deflate_format(rest))
            try:
                out = stream.decompress(rest, _PIECE)
            except zlib.error as error:
                raise BadCoding(f"not {'gzip' if gzip else 'deflate'}: {error}") from error
            if out:
                yield out
            rest, full = stream.unconsumed_tail, len(out) == _PIECE and not stream.eof
            if stream.eof:
                # Another member may follow (RFC 1952, 2.2); anything else after the end is of no interest.
                rest = stream.unused_data
                if not gzip or (rest and rest[0] != _GZIP_MAGIC):
                    return
                if rest:
                    stream = None
    if stream is not None and not stream.eof:
        raise BadCoding("the compressed body ends early")


def _deflate_format(start: bytes) -> int:
    """Whether "deflate" means zlib's format, as it should, or a raw stream, as some servers believe."""
    is_zlib = start[0] & 0x0F == 8 and (len(start) < 2 or (start[0] << 8 | start[1]) % 31 == 0)
    return _ZLIB_FORMAT if is_zlib else _RAW_FORMAT
