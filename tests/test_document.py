"""JSON that may be poison, content types, and strangers' text made fit to show and to store."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.document import InvalidJson, clean_text, is_json_type, parse_json


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 2.5, null, true, "x"]}', {"a": [1, 2.5, None, True, "x"]}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('{"a": "和歌"}'.encode("utf-16"), {"a": "和歌"}),
        ('{"a": 1}'.encode("utf-16-le"), {"a": 1}),
        ('{"a": 1}'.encode("utf-32"), {"a": 1}),
        (b' \r\n{"a": 1}\n', {"a": 1}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'"\\ud800"', "\ud800"),
        (b"1e999", float("inf")),
        (b"[" * 100 + b"]" * 100, None),
        (b'"' + b"[{" * 1000 + b'"', "[{" * 1000),
        (b'["\\"' + b"[" * 1000 + b'"]', ['"' + "[" * 1000]),
        (b"[" + b"[]," * 1000 + b"[]]", [[]] * 1001),
    ],
)
def test_json_is_read(body, value):
    assert value is None or parse_json(body) == value


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b" ",
            b"\0",
            b"{",
            b"}",
            b"[1,]",
            b"{'a': 1}",
            b"[1] x",
            b"<html></html>",
            b"\xff",
            b'"\x00"',
            b'"a\nb"',
        ),
        *(b"NaN", b"[Infinity]", b'{"a": -Infinity}', b"0x1", b"01", b"\xff\xfe", b"\xff\xfe{", b'"\\u00"', b'"\xc3"'),
        *(b"[" * 2_000_000, b'{"a":' * 100_000, b"[" * 101 + b"]" * 101, b'[{"a":' * 200_000, b"[" * 200 + b'"'),
        *(b"9" * 100_000, b'{"a": -' + b"1" * 5000 + b"}", '{"a":'.encode("utf-16") * 1000, b'"[' * 500_000),
    ],
)
def test_what_is_not_json_is_refused(body):
    with pytest.raises(InvalidJson) as refusal:
        parse_json(body)
    assert str(refusal.value).isprintable()


def test_deep_nesting_does_not_overflow_the_stack_of_a_small_thread():
    refused = []

    def read():
        for body in (b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100 + b"]" * 100):
            try:
                parse_json(body)
            except InvalidJson as error:
                refused.append(str(error))

    before = threading.stack_size(128 * 1024)
    try:
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert refused == ["nested too deeply"] * 2


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/json;", True),
        (" application/jrd+json ", True),
        ('application/json; profile="http://nodeinfo.diaspora.software/ns/schema/2.0#"', True),
        ("application/activity+json", True),
        ("text/json", True),
        ("", True),
        ("text/html", False),
        ("text/plain", False),
        ("application/jsonp", False),
        ("application/x-json", False),
        ("application/octet-stream", False),
        ("application/+json", False),
        ("text/html+json", False),
        ("text/html, application/json", False),
        ("json", False),
        (" ; charset=utf-8", True),
    ],
)
def test_the_type_says_whether_it_is_json(content_type, expected):
    assert is_json_type(content_type) is expected


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("plain", 10, "plain"),
        ("a\r\nb\tc", 10, "a b c"),
        ("\x1b[31mred\x1b[0m", 20, "[31mred [0m"),
        ("nul\0nul", 10, "nul nul"),
        ("a\u202edcba\u2066x", 10, "a dcba x"),
        ("a\ud800b\udfff", 10, "a b"),
        ("  和歌  ☃ ", 10, "和歌 ☃"),
        ("x" * 11, 10, "x" * 9 + "…"),
        ("x" * 10, 10, "x" * 10),
        (" " * 500 + "x", 10, "…"),
        ("abc", 0, ""),
    ],
)
def test_text_for_people_is_one_clean_line(text, limit, shown):
    assert clean_text(text, limit) == shown


@given(st.text(st.characters()), st.integers(0, 40))
def test_clean_text_is_printable_short_and_encodable(text, limit):
    shown = clean_text(text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()
    shown.encode()
