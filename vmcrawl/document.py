"""What all documents of strangers have in common: JSON that may be poison, and text that will be shown and stored."""

import json
import re
import unicodedata
from itertools import accumulate
from typing import NoReturn


class InvalidDocument(ValueError):
    """A document is not what its place promises; the message is one clean line for people."""


class InvalidJson(InvalidDocument):
    """The bytes are not JSON."""


def parse_json(body: bytes) -> object:
    """Read JSON (RFC 8259) in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Stricter than :func:`json.loads`: ``NaN`` and ``Infinity`` are no JSON. Of a repeated key the last value counts.
    Raises :class:`InvalidJson` for everything else, also for more than a hundred levels, and for numbers with more
    digits than the interpreter takes.
    """
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InvalidJson(f"not {error.encoding} at byte {error.start}") from error
    if _depth(text) > _DEEPEST:
        raise InvalidJson("nested too deeply")
    try:
        value: object = _DECODER.decode(text)
    except InvalidJson:
        raise
    except json.JSONDecodeError as error:
        raise InvalidJson(clean_text(f"{error.msg} at character {error.pos}", _LONGEST_REASON)) from error
    except ValueError as error:
        # int() refuses numbers of more than some thousand digits: converting them takes quadratic time.
        raise InvalidJson("a number with too many digits") from error
    return value


def is_json_type(content_type: str) -> bool:
    """Whether a ``Content-Type`` header value (with or without parameters, any case) promises JSON.

    ``application/json``, ``text/json``, ``application/*+json`` (RFC 6839, 3.1) and a missing header (``""``) do.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    return (
        media_type in {"", "application/json", "text/json"}
        or re.fullmatch(r"application/[^/\s]+\+json", media_type) is not None
    )


def clean_text(value: str, limit: int) -> str:
    """Make a stranger's text fit for one line of a terminal and for a text column of Postgres.

    Control and format characters (NUL, line ends, escape sequences, bidirectional overrides, zero-width characters),
    lone surrogates and unassigned code points become one space per run; the result has at most ``limit`` characters,
    the last of them ``…`` where something was cut off.
    """
    if len(value) <= limit and value.isprintable() and value.isascii():
        # What nearly every text is.
        return " ".join(value.split())
    # Characters beyond a few times the limit cannot show; a long text need not be read whole.
    kept = "".join(" " if _is_unprintable(character) else character for character in value[: 4 * limit + 64])
    line = " ".join(kept.split())
    if len(line) <= limit and len(value) <= 4 * limit + 64:
        return line
    return line[: max(0, limit - 1)] + "…"[:limit]


_LONGEST_REASON = 100
#: The interpreter's own limit comes too late for a thread with a small stack: the C scanner overflows it and the
#: process dies (seen with 128 KiB and 1000 levels).
_DEEPEST = 100
_STRING = re.compile(r'"(?>[^"\\]+|\\.)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def _depth(text: str) -> int:
    """How deep the brackets of a JSON text nest, at most; those within strings do not count."""
    opened = text.count("[") + text.count("{")
    if opened <= _DEEPEST:
        return opened
    brackets = _STRING.sub("", text).encode("utf-8", "surrogatepass").translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)


def _is_unprintable(character: str) -> bool:
    return unicodedata.category(character)[0] == "C"


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidJson(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
