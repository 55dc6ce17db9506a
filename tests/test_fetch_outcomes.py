"""Every way in which a connection can fail has its outcome, reached over real sockets."""

import os
import resource
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import dns.rcode
import pytest

from tests.servers import (
    Authority,
    Conversation,
    Script,
    Server,
    answering,
    authority,
    client_for,
    healthy,
)
from vmcrawl.observation import CrawlFailed
from vmcrawl.outcome import Outcome
from vmcrawl.settings import HttpSettings
from vmcrawl.wire import Request

SECONDS = timedelta(seconds=5)


def outcome_at(port: int, url: str = "https://a.example/", **options) -> Outcome:
    with client_for(port, **options) as world, world.client.session(SECONDS) as session:
        with pytest.raises(CrawlFailed) as failure:
            session.get(Request(url))
        assert failure.value.detail
        assert failure.value.detail.isprintable()
        return failure.value.outcome


def outcome_of(script: Script, url: str = "https://a.example/", **server) -> Outcome:
    with Server(script, **server) as running:
        return outcome_at(running.port, url)


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that nobody can listen at, since it is bound, and that nobody does."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.socket.close(sock)


def test_a_port_where_nobody_listens_is_connection_refused():
    with closed_port() as port:
        assert outcome_at(port) is Outcome.CONNECTION_REFUSED


def test_a_network_without_a_route_is_connection_unreachable():
    # Linux has no route for TCP to a broadcast address, loopback's included.
    answer = {"A": ["127.255.255.255"], "AAAA": []}
    assert outcome_at(1, answer=lambda _, kind: answer[kind]) is Outcome.CONNECTION_UNREACHABLE


def test_the_failure_that_says_most_is_reported_when_no_address_answers():
    answer = {"A": ["127.255.255.255", "127.0.0.1", "127.255.255.255"], "AAAA": []}
    with closed_port() as port:
        assert outcome_at(port, answer=lambda _, kind: answer[kind]) is Outcome.CONNECTION_REFUSED


def test_a_host_that_drops_packets_is_a_timeout():
    # A full backlog of connections drops further ones.
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        started = time.monotonic()
        assert outcome_at(full.getsockname()[1]) is Outcome.TIMEOUT
        assert time.monotonic() - started < 4


def test_a_server_that_closes_without_a_tls_answer_has_hung_up():
    assert outcome_of(lambda c: None, tls=False) is Outcome.CONNECTION_RESET


def test_a_reset_in_the_tls_handshake_is_connection_reset():
    def script(conversation: Conversation) -> None:
        conversation.sock.recv(1)
        _reset(conversation.sock)

    assert outcome_of(script, tls=False) is Outcome.CONNECTION_RESET


def test_a_server_that_closes_without_an_http_answer_has_hung_up():
    assert outcome_of(lambda c: None) is Outcome.CONNECTION_RESET
    assert outcome_of(lambda c: c.head()) is Outcome.CONNECTION_RESET


def test_a_reset_in_place_of_an_answer_is_connection_reset():
    def script(conversation: Conversation) -> None:
        conversation.head()
        _reset(conversation.sock)

    assert outcome_of(script) is Outcome.CONNECTION_RESET


@pytest.mark.parametrize(
    "answer",
    [
        b"\r\n",
        b"hello, this is no HTTP\r\n\r\n",
        b"<html>HTTP/0.9</html>",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"\x1b]0;pwned\x07\x1b[2J\xc2\x9bhello\r\n\r\n",
        b"\x00\xff\xfe" * 100 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_an_answer_that_is_not_http_or_ends_early_counts_as_none(answer):
    def script(conversation: Conversation) -> None:
        conversation.head()
        conversation.send(answer)

    # The one with the chunk of -1 bytes is read to its end; that is the worst that it can do.
    with Server(script) as server, client_for(server.port) as world, world.client.session(SECONDS) as session:
        try:
            assert session.get(Request("https://a.example/")).status == 200
        except CrawlFailed as failure:
            assert failure.outcome is Outcome.CONNECTION_RESET  # noqa: PT017 - either is fine for one of the cases
            assert failure.detail.isprintable()  # noqa: PT017
        else:
            assert b"\r\n-1\r\n" in answer


def test_an_expired_certificate_is_tls_certificate():
    assert outcome_of(healthy(), context=authority().issue("a.example", days=-1)) is Outcome.TLS_CERTIFICATE


def test_a_certificate_for_another_name_is_tls_certificate():
    assert outcome_of(healthy(), context=authority().issue("b.example")) is Outcome.TLS_CERTIFICATE
    assert (
        outcome_of(healthy(), "https://127.0.0.1/", context=authority().issue("a.example")) is Outcome.TLS_CERTIFICATE
    )


def test_a_certificate_of_an_unknown_issuer_is_tls_certificate():
    assert outcome_of(healthy(), context=Authority("Stranger").issue("a.example")) is Outcome.TLS_CERTIFICATE


def test_plain_http_on_the_port_is_tls_handshake():
    def script(conversation: Conversation) -> None:
        conversation.sock.recv(1)
        conversation.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        conversation.sock.recv(100_000)

    assert outcome_of(script, tls=False) is Outcome.TLS_HANDSHAKE


def test_a_server_with_no_common_cipher_is_tls_handshake():
    context = authority().issue("a.example")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    assert outcome_of(healthy(), context=context) is Outcome.TLS_HANDSHAKE


@pytest.mark.parametrize("alert", [40, 70, 112, 120])
def test_an_alert_in_place_of_a_handshake_is_tls_handshake(alert):
    # handshake_failure, protocol_version (what a server with only TLS 1.0 says), unrecognized_name,
    # no_application_protocol
    def script(conversation: Conversation) -> None:
        conversation.sock.recv(10_000)
        conversation.send(bytes([21, 3, 3, 0, 2, 2, alert]))
        conversation.sock.recv(1)

    assert outcome_of(script, tls=False) is Outcome.TLS_HANDSHAKE


def test_a_server_that_wants_a_certificate_of_us_is_tls_handshake():
    context = authority().issue("a.example")
    context.load_verify_locations(authority().file)
    context.verify_mode = ssl.CERT_REQUIRED
    # With TLS 1.3 the refusal comes after our request, and a reset may overtake it.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert outcome_of(healthy(), context=context) is Outcome.TLS_HANDSHAKE


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, br", "gzip, gzip, gzip", "x y"])
def test_a_coding_we_did_not_ask_for_is_bad_content_type(coding):
    script = answering(f"HTTP/1.1 200 OK\nContent-Encoding: {coding}\nContent-Length: 2", b"{}")
    assert outcome_of(script) is Outcome.BAD_CONTENT_TYPE


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_is_not_in_its_coding_is_bad_json(coding):
    script = answering(f"HTTP/1.1 200 OK\nContent-Encoding: {coding}\nContent-Length: 9", b"{'no': 1}")
    assert outcome_of(script) is Outcome.BAD_JSON


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (dns.rcode.NXDOMAIN, Outcome.DNS_NOT_FOUND),
        ([], Outcome.DNS_NOT_FOUND),
        (dns.rcode.SERVFAIL, Outcome.DNS_FAILURE),
        (dns.rcode.REFUSED, Outcome.DNS_FAILURE),
        (None, Outcome.DNS_FAILURE),
    ],
)
def test_names_without_an_address_are_told_apart(answer, expected):
    assert outcome_at(1, answer=lambda *_: answer) is expected


@pytest.mark.parametrize(
    "host",
    ["10.0.0.1", "169.254.169.254", "[::ffff:192.168.0.1]", "[64:ff9b::a00:1]", "0.0.0.0", "2130706433", "0x7f.1"],
)
def test_an_ip_literal_is_judged_as_a_name_is(host):
    assert outcome_at(1, f"https://{host}/") is Outcome.BLOCKED_ADDRESS


def test_one_closed_address_among_open_ones_refuses_the_name():
    with Server(healthy()) as server:
        answer = {"A": ["127.0.0.1", "10.0.0.1"], "AAAA": []}
        assert outcome_at(server.port, answer=lambda _, kind: answer[kind]) is Outcome.BLOCKED_ADDRESS
        answer = {"A": ["127.0.0.1"], "AAAA": ["fd00::1"]}
        assert outcome_at(server.port, answer=lambda _, kind: answer[kind]) is Outcome.BLOCKED_ADDRESS
    assert server.connections == 0


def test_a_name_is_looked_up_once_and_connected_to_where_it_was_found():
    answers = iter([["127.0.0.1"]])
    with (
        Server(healthy()) as server,
        client_for(
            server.port, answer=lambda _, kind: next(answers, ["10.0.0.1"]) if kind == "A" else [], ttl=0
        ) as world,
        world.client.session(SECONDS) as session,
    ):
        assert [session.get(Request("https://a.example/")).status for _ in range(3)] == [200] * 3
    assert [kind for _, kind in world.names.asked] == ["A", "AAAA"]


def test_a_name_that_moves_to_a_closed_address_is_refused_at_the_next_connection():
    answers = iter([["127.0.0.1"]])
    with (
        Server(answering("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2", b"{}")) as server,
        client_for(
            server.port, answer=lambda _, kind: next(answers, ["10.0.0.1"]) if kind == "A" else [], ttl=0
        ) as world,
        world.client.session(SECONDS) as session,
    ):
        session.get(Request("https://a.example/"))
        with pytest.raises(CrawlFailed) as failure:
            session.get(Request("https://a.example/"))
    assert failure.value.outcome is Outcome.BLOCKED_ADDRESS


def test_running_out_of_files_is_no_fault_of_the_server():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Server(healthy()) as server, client_for(server.port) as world, world.client.session(SECONDS) as session:
        session.get(Request("https://b.example/"))
        spare = os.dup(0)
        os.close(spare)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
            with pytest.raises(OSError, match="Too many open files"):
                session.get(Request("https://127.0.0.1/"))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_stopping_ends_what_waits_for_a_server_and_books_nothing_on_it():
    reached = threading.Event()

    def script(conversation: Conversation) -> None:
        conversation.head()
        reached.set()
        conversation.sock.recv(1)

    with Server(script) as server, client_for(server.port, HttpSettings()) as world:

        def stop() -> None:
            reached.wait()
            world.client.stop()

        stopper = threading.Thread(target=stop)
        stopper.start()
        with world.client.session(SECONDS) as session:
            started = time.monotonic()
            with pytest.raises(CrawlFailed) as failure:
                session.get(Request("https://a.example/"))
            assert time.monotonic() - started < 3
            with pytest.raises(CrawlFailed, match="stopping"):
                session.pause(5)
            with pytest.raises(CrawlFailed, match="stopping"):
                session.get(Request("https://b.example/"))
        stopper.join()
    assert (failure.value.outcome, failure.value.detail) == (Outcome.TIMEOUT, "the crawler is stopping")
