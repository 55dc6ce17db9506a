"""Answers as they come in: framing, interim answers, and everything that breaks HTTP, in pieces of any size."""

import pytest

from vmcrawl.answer import MAX_FIELDS, Answer, BrokenAnswer, HungUp, OverlongHead, field_text, media_type

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def read(received: bytes, size: int = 1 << 20) -> tuple[Answer, bytes]:
    """The answer, and all of its body, fed in pieces, and its end where that is what ends it."""
    answer, body = Answer(), b""
    for start in range(0, len(received), size):
        answer.feed(received[start : start + size])
        body += answer.take_body()
    if not answer.ended:
        answer.feed(b"")
    return answer, body + answer.take_body()


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("received", "status", "body", "reusable"),
    [
        (OK, 200, b"hi", True),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", True),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", 200, b"hi", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", False),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, b"until the end", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nuntil the end", 200, b"until the end", False),
        (b"HTTP/1.1 204 No\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b"", True),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=1\r\nhi\r\n0\r\nT: railer\r\n\r\n",
            200,
            b"hi",
            True,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            200,
            b"hi",
            True,
        ),
        (b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 103 Early\r\nLocation: /x\r\n\r\n" + OK, 200, b"hi", True),
        (b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", 101, b"", False),
    ],
)
def test_a_body_ends_where_its_framing_says(received, status, body, reusable, size):
    answer, found = read(received, size)
    assert (answer.status, found, answer.reusable) == (status, body, reusable)
    assert answer.headers.keys() <= {"content-length", "transfer-encoding", "connection", "upgrade"}


@pytest.mark.parametrize(
    "received",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"<html>",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 099 Less\r\n\r\n",
        b"HTTP/1.1 2000 More\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
        # Also if they are the same (RFC 9112, 6.3 leaves it to us): nobody who means well sends two.
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ],
)
def test_what_is_no_http_or_ends_early_is_broken(received):
    with pytest.raises(BrokenAnswer):
        read(received)


def test_a_server_that_hangs_up_without_a_word_is_told_from_one_that_breaks_off():
    with pytest.raises(HungUp):
        Answer().feed(b"")


@pytest.mark.parametrize("field", [b"X: y\r\n", b"X: " + b"y" * 1000])
def test_a_head_without_an_end_is_too_long(field):
    with pytest.raises(OverlongHead):
        read(b"HTTP/1.1 200 OK\r\n" + field * (MAX_FIELDS + 2), 1000)


def test_a_hundred_fields_are_fine_and_interim_answers_do_not_make_it_more():
    fields = b"".join(b"X-%d: y\r\n" % index for index in range(MAX_FIELDS - 1))
    assert read(b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 0\r\n\r\n")[0].status == 200
    with pytest.raises(OverlongHead):
        read(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * (MAX_FIELDS + 1) + OK)


def test_what_follows_an_answer_is_not_part_of_it_and_spoils_the_connection():
    follows = b"HTTP/1.1 410 Gone\r\nContent-Length: 4\r\nETag: y\r\n\r\ngone"
    answer, body = read(OK + follows)
    assert (answer.status, body, answer.reusable) == (200, b"hi", False)
    assert "etag" not in answer.headers
    assert not read(OK + b"noise")[0].reusable


def test_of_two_fields_the_first_counts_unless_they_are_a_list():
    head = b"Location: /a\r\nlocation: /b\r\nContent-Encoding: gzip\r\nContent-Encoding: deflate\r\n"
    answer, _ = read(b"HTTP/1.1 302 Found\r\n" + head + b"Content-Length: 0\r\n\r\n")
    assert (answer.headers["location"], answer.headers["content-encoding"]) == ("/a", "gzip, deflate")


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("Application/JSON; charset=utf-8", "application/json"),
        ("", ""),
        ("text/html, application/json", "text/html"),
        ("text/\x1b[31mhtml", "text/ [31mhtml?"),
    ],
)
def test_a_media_type_is_one_that_can_be_shown(field, expected):
    assert media_type(field) == expected


def test_the_text_of_a_field_is_one_line_in_utf_8_where_it_was_sent_raw():
    assert field_text("/über".encode().decode("latin-1")) == "/über"
    assert field_text("/a\tb\x00c") == "/a b c"
    assert field_text(None) is None


def test_a_length_with_more_zeros_than_the_interpreter_converts_is_a_length():
    answer, body = read(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"0" * 5000 + b"2\r\n\r\nhi")
    assert (answer.length, body) == (2, b"hi")
