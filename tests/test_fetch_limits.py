"""Whatever a server sends, or doesn't: a request ends in time, and costs little memory."""

import gzip
import time
import tracemalloc
import zlib
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.servers import IMPATIENT, Conversation, Script, Server, answering, client_for, healthy
from vmcrawl.observation import CrawlFailed
from vmcrawl.outcome import Outcome
from vmcrawl.settings import HttpSettings
from vmcrawl.wire import Request

#: Each single read may take longer than the whole request: only a real deadline ends a drip.
HTTP = replace(IMPATIENT, request_timeout=timedelta(seconds=0.4), max_wire_bytes=100_000, max_body_bytes=200_000)


def failure_of(script: Script, http: HttpSettings = HTTP, **server) -> tuple[Outcome, float]:
    """How one request to ``script`` fails, and after how many seconds."""
    with (
        Server(script, **server) as running,
        client_for(running.port, http) as world,
        world.client.session(timedelta(seconds=9)) as session,
    ):
        started = time.monotonic()
        with pytest.raises(CrawlFailed) as failure:
            session.get(Request("https://a.example/"))
        return failure.value.outcome, time.monotonic() - started


def after_head(send: Script) -> Script:
    def script(conversation: Conversation) -> None:
        conversation.head()
        send(conversation)

    return script


SLOW = {
    "never answers": after_head(lambda c: c.stall()),
    "drips the status line": after_head(lambda c: c.drip(b"HTTP/1.1 200 OK OK OK")),
    "drips a header": after_head(lambda c: c.send(b"HTTP/1.1 200 OK\r\nX: ").drip(b"x")),
    "drips headers": after_head(lambda c: c.send(b"HTTP/1.1 200 OK\r\n").drip(b"a: b\r\n" * 1000)),
    "drips the body": after_head(lambda c: c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n").drip(b"x")),
    "drips until it closes": after_head(lambda c: c.send(b"HTTP/1.1 200 OK\r\n\r\n").drip(b"x")),
    "drips chunks": after_head(
        lambda c: c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").drip(b"1\r\nx\r\n" * 1000)
    ),
    "drips a chunk extension": after_head(
        lambda c: c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;").drip(b"x")
    ),
    "drips trailers": after_head(
        lambda c: c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n").drip(b"a: b\r\n" * 1000)
    ),
    "drips 100 Continue": after_head(lambda c: c.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, every=0.02)),
    "drips 103 Early Hints": after_head(lambda c: c.drip(b"HTTP/1.1 103 Hints\r\n\r\n" * 1000, every=0.02)),
    "drips gzip": after_head(
        lambda c: c.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n").drip(gzip.compress(b"x" * 99) * 99)
    ),
    "stops in the body": after_head(lambda c: c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234").stall()),
}


@pytest.mark.parametrize("script", SLOW.values(), ids=SLOW.keys())
def test_a_slow_server_is_a_timeout_at_the_deadline(script):
    outcome, seconds = failure_of(script)
    assert outcome is Outcome.TIMEOUT
    assert 0.35 < seconds < 3


@pytest.mark.parametrize("stall", [lambda c: c.stall(), lambda c: c.drip(b"\x16\x03\x03\x40\x00" + b"\x02" * 9999)])
def test_a_stalled_tls_handshake_is_a_timeout(stall):
    outcome, seconds = failure_of(stall, tls=False)
    assert outcome is Outcome.TIMEOUT
    assert 0.35 < seconds < 3


def test_one_silent_operation_ends_before_the_request_does():
    http = replace(HTTP, read_timeout=timedelta(seconds=0.2), request_timeout=timedelta(seconds=5))
    with (
        Server(SLOW["stops in the body"]) as server,
        client_for(server.port, http) as world,
        world.client.session(timedelta(seconds=9)) as session,
    ):
        started = time.monotonic()
        with pytest.raises(CrawlFailed, match="timeout"):
            session.get(Request("https://a.example/"))
        assert time.monotonic() - started < 3


def test_the_whole_domain_has_a_deadline_that_requests_cannot_stretch():
    def script(conversation: Conversation) -> None:
        while conversation.head():
            conversation.ending.wait(0.15)
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with (
        Server(script) as server,
        client_for(server.port, HTTP) as world,
        world.client.session(timedelta(seconds=0.5)) as session,
    ):
        started = time.monotonic()
        with pytest.raises(CrawlFailed, match="timeout"):  # noqa: PT012 - any of them may be the one
            while True:
                session.get(Request("https://a.example/"))
        assert time.monotonic() - started < 3
    assert 2 <= session.requests <= 4


FLOODS = {
    "headers": after_head(lambda c: c.send(b"HTTP/1.1 200 OK\r\n").flood(b"a: b\r\n" * 100)),
    "one header": after_head(lambda c: c.send(b"HTTP/1.1 200 OK\r\na: ").flood(b"b" * 9999)),
    "status line": after_head(lambda c: c.send(b"HTTP/1.1 200 ").flood(b"b" * 9999)),
    "100 Continue": after_head(lambda c: c.flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)),
    "body until it closes": after_head(lambda c: c.send(b"HTTP/1.1 200 OK\r\n\r\n").flood(b"b" * 9999)),
    "body of announced length": after_head(
        lambda c: c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n").flood(b"b" * 9999)
    ),
    "chunks": after_head(
        lambda c: c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").flood(b"1\r\nx\r\n" * 99)
    ),
    "chunk extensions": after_head(
        lambda c: c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").flood(
            b"1;" + b"e" * 9999 + b"\r\nx\r\n"
        )
    ),
    "trailers": after_head(
        lambda c: c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n").flood(b"a: b\r\n" * 99)
    ),
}


@pytest.mark.parametrize("script", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_is_too_large(script):
    outcome, _ = failure_of(script, replace(HTTP, request_timeout=timedelta(seconds=8)))
    assert outcome is Outcome.TOO_LARGE


def bomb(megabytes: int) -> bytes:
    """Some megabytes of zeros as gzip."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()


@pytest.fixture(scope="module")
def big_bomb() -> bytes:
    return bomb(200)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_bomb_is_too_large_and_costs_little_memory(big_bomb, layers):
    packed, coding = (big_bomb, "gzip") if layers == 1 else (gzip.compress(big_bomb), "gzip, gzip")
    script = answering(f"HTTP/1.1 200 OK\nContent-Encoding: {coding}\nContent-Length: {len(packed)}", packed)
    http = replace(HTTP, max_wire_bytes=1 << 20, max_body_bytes=2 << 20)
    with (
        Server(script) as server,
        client_for(server.port, http) as world,
        world.client.session(timedelta(seconds=5)) as session,
    ):
        tracemalloc.start()
        try:
            with pytest.raises(CrawlFailed) as failure:
                session.get(Request("https://a.example/"))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert failure.value.outcome is Outcome.TOO_LARGE
    assert peak < 6 << 20


def test_a_document_of_exactly_the_limit_is_read_and_one_byte_more_is_not():
    http = replace(HTTP, max_wire_bytes=1 << 20, max_body_bytes=1000)
    for size, fits in ((1000, True), (1001, False)):
        with (
            Server(healthy(b"x" * size)) as server,
            client_for(server.port, http) as world,
            world.client.session(timedelta(seconds=5)) as session,
        ):
            try:
                assert len(session.get(Request("https://a.example/")).body) == size
                assert fits
            except CrawlFailed as failure:
                assert (failure.outcome, fits) == (Outcome.TOO_LARGE, False)  # noqa: PT017 - both ends of one limit


FRAGMENTS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 404 \xff\r\n",
        b"HTTP/1.1 -1 x\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: -3\r\n",
        b"Content-Length: " + b"9" * 5000 + b"\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Content-Type: \xff\x00; =\r\n",
        b"Location: \xff\xfe\r\n folded\r\n",
        b"\r\n",
        b"\n",
        b": \r\n",
        b"3\r\nabc\r\n",
        b"-3\r\n",
        b"0\r\n\r\n",
        b"fffffffffffffffffffff\r\n",
    ]
)


@pytest.fixture(scope="module")
def parrot():
    """A client whose server sends what is in the list, and closes; and the list."""
    line: list[bytes] = []
    with Server(lambda c: c.head() and c.send(line[0])) as server, client_for(server.port, HTTP) as world:
        yield world.client, line


@settings(deadline=None, max_examples=150)
@given(st.one_of(st.binary(), st.lists(FRAGMENTS | st.binary(max_size=9), max_size=8).map(b"".join)))
def test_no_bytes_in_place_of_an_answer_do_anything_but_succeed_or_fail_by_name(parrot, data):
    client, line = parrot
    line[:] = [data]
    with client.session(timedelta(seconds=5)) as session:
        try:
            response = session.get(Request("https://127.0.0.1/"))
        except CrawlFailed as failure:
            assert failure.detail.isprintable()  # noqa: PT017 - it may fail or not
            return
        assert 100 <= response.status <= 999
        assert f"{response.content_type}{response.location}{response.retry_after}".isprintable()
