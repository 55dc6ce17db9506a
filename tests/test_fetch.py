"""The fetcher over real sockets: what is sent, what comes back, how connections are kept."""

import ipaddress
import socket
import zlib
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.servers import (
    IMPATIENT,
    LOOPBACK,
    Conversation,
    Script,
    Server,
    answering,
    client_for,
    healthy,
)
from vmcrawl.fetch import Client
from vmcrawl.observation import CrawlFailed
from vmcrawl.outcome import Outcome
from vmcrawl.settings import HttpSettings, NetworkSettings
from vmcrawl.wire import Request, Response

SECONDS = timedelta(seconds=5)


def fetch(script: Script, url: str = "https://a.example/x", request: Request | None = None) -> Response:
    with Server(script) as server, client_for(server.port) as world, world.client.session(SECONDS) as session:
        return session.get(request or Request(url))


def test_an_answer_comes_back_with_what_the_crawl_needs():
    response = fetch(healthy(b'{"a": 1}', "Application/JSON; charset=utf-8"))
    assert response == Response("https://a.example/x", 200, "application/json", b'{"a": 1}')


def test_a_request_says_who_and_where_and_for_what():
    with Server(healthy()) as server, client_for(server.port) as world, world.client.session(SECONDS) as session:
        session.get(Request("https://A.example/p?q=1#part", accept="text/plain"))
    assert server.heads == [
        b"GET /p?q=1 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: test/1 (+https://example)\r\n"
        b"Accept-Encoding: gzip, deflate\r\nAccept: text/plain\r\n\r\n"
    ]


def test_a_document_is_asked_for_only_if_it_has_changed():
    unchanged = 'HTTP/1.1 304 Not Modified\nETag: "b"\nCache-Control: max-age=60\nAge: 20'
    with (
        Server(answering(unchanged)) as server,
        client_for(server.port) as world,
        world.client.session(SECONDS) as session,
    ):
        response = session.get(Request("https://a.example/n", validator='W/"a"'))
        session.get(Request("https://a.example/n", validator="Tue, 24 Nov 2026 10:00:00 GMT"))
        session.get(Request("https://a.example/n"))
    assert (response.status, response.body, response.validator, response.fresh_seconds) == (304, b"", '"b"', 40)
    assert [b"If-" in head for head in server.heads] == [True, True, False]
    assert b'\r\nIf-None-Match: W/"a"\r\n\r\n' in server.heads[0]
    assert b"\r\nIf-Modified-Since: Tue, 24 Nov 2026 10:00:00 GMT\r\n\r\n" in server.heads[1]


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("https://a.example", b"GET / "),
        ("https://a.example:443/x", b"GET /x "),
        ("https://a.example/a b", b"GET /a%20b "),
        ("https://a.example/%7Ex?resource=acct:a@a.example", b"GET /%7Ex?resource=acct:a@a.example "),
        ("https://a.example/\u00fc", b"GET /%C3%BC "),
        ("https://a.example/\x01", b"GET /%01 "),
    ],
)
def test_nothing_but_one_path_gets_into_the_request_line(url, line):
    with Server(healthy()) as server, client_for(server.port) as world, world.client.session(SECONDS) as session:
        session.get(Request(url))
    assert server.heads[0].startswith(line)


@pytest.mark.parametrize("url", ["http://a.example/", "https://a.example:8443/", "https://u@a.example/", "https:///x"])
def test_a_url_that_is_not_plain_https_is_a_bug_of_the_caller(url):
    with client_for(1) as world, world.client.session(SECONDS) as session, pytest.raises(ValueError, match="https"):
        session.get(Request(url))


def test_a_redirect_is_returned_and_not_followed():
    script = answering("HTTP/1.1 302 Found\nLocation: https://b.example/\u00c3\u00bc\nContent-Length: 0")
    response = fetch(script)
    assert (response.status, response.location) == (302, "https://b.example/\u00fc")


@pytest.mark.parametrize("status", [301, 404, 429, 500, 503])
def test_retry_after_and_the_status_come_back_without_the_body(status):
    response = fetch(answering(f"HTTP/1.1 {status} Slow down\nRetry-After: 120\nContent-Length: 3", b"abc"))
    assert (response.status, response.retry_after, response.body) == (status, "120", b"")


@pytest.mark.parametrize(
    ("sent", "content_type"),
    [
        ("\x1b[8mtext/html", "[8mtext/html?"),
        ("\x1b]0;pwned\x07", "]0?"),
        ("\x1bapplication/json", "application/json?"),
        ("application/\x9bjson", "application/ json?"),
        ("\x1b", "?"),
        ("x" * 9999, "x" * 99 + "\u2026?"),
        ("; charset=utf-8", ""),
    ],
)
def test_a_content_type_can_be_shown_on_a_terminal_and_never_turns_into_another(sent, content_type):
    assert fetch(healthy(content_type=sent)).content_type == content_type


def test_headers_can_be_shown_on_a_terminal():
    response = fetch(
        answering(
            "HTTP/1.1 302 \x1b[2J\nLocation: https://b.example/\x1b[2Jx\nRetry-After: \x1b[8m1\nContent-Length: 0"
        )
    )
    assert (response.location, response.retry_after) == ("https://b.example/ [2Jx", "[8m1")


def test_one_connection_serves_four_requests():
    with Server(healthy()) as server, client_for(server.port) as world, world.client.session(SECONDS) as session:
        for path in "abcd":
            assert session.get(Request(f"https://a.example/{path}")).status == 200
        assert session.requests == 4
    assert server.connections == 1
    assert len(world.names.asked) == 2


def test_short_error_pages_keep_the_connection_and_long_ones_end_it():
    with (
        Server(answering("HTTP/1.1 404 No\nContent-Length: 3", b"abc")) as short,
        client_for(short.port) as world,
        world.client.session(SECONDS) as session,
    ):
        assert [session.get(Request("https://a.example/")).status for _ in range(3)] == [404] * 3
    assert short.connections == 1
    page = b"x" * 3_000_000
    with (
        Server(answering(f"HTTP/1.1 404 No\nContent-Length: {len(page)}", page)) as long,
        client_for(long.port) as world,
        world.client.session(SECONDS) as session,
    ):
        assert [session.get(Request("https://a.example/")).status for _ in range(2)] == [404] * 2
    assert long.connections == 2


def test_an_error_page_that_never_ends_does_not_hide_its_status():
    def script(conversation: Conversation) -> None:
        conversation.head()
        conversation.send(b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx")
        conversation.drip(b"\r\n")

    assert fetch(script).status == 503


def test_a_kept_connection_that_was_closed_meanwhile_is_opened_again_once():
    def script(conversation: Conversation) -> None:
        conversation.head()
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        # The second request is read, and the connection closed without a word.
        conversation.head()

    with Server(script) as server, client_for(server.port) as world, world.client.session(SECONDS) as session:
        for _ in range(3):
            assert session.get(Request("https://a.example/")).body == b"{}"
    assert server.connections == 3


def test_a_connection_that_hangs_up_after_half_an_answer_is_not_opened_again():
    def script(conversation: Conversation) -> None:
        conversation.head()
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        conversation.head()
        conversation.send(b"HTTP/1.1 2")

    with Server(script) as server, client_for(server.port) as world, world.client.session(SECONDS) as session:
        session.get(Request("https://a.example/"))
        with pytest.raises(CrawlFailed) as failure:
            session.get(Request("https://a.example/"))
    assert failure.value.outcome is Outcome.CONNECTION_RESET
    assert server.connections == 1


def test_bytes_beyond_the_announced_length_never_answer_the_next_request():
    def script(conversation: Conversation) -> None:
        while conversation.head():
            gone = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n" * 100
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" + gone)

    with Server(script) as server, client_for(server.port) as world, world.client.session(SECONDS) as session:
        assert [session.get(Request("https://a.example/")).status for _ in range(3)] == [200] * 3


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\n{\r\n1\r\n}\r\n0\r\nT: v\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{} and more",
        b"HTTP/1.1 200\r\nContent-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_the_framings_of_http_are_read(answer):
    def script(conversation: Conversation) -> None:
        conversation.head()
        conversation.send(answer)

    response = fetch(script)
    assert (response.status, response.body) == (200, b"{}")


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_by_its_status_is_not_waited_for(status):
    response = fetch(answering(f"HTTP/1.1 {status} X\nContent-Length: 10"))
    assert (response.status, response.body) == (status, b"")


def test_a_long_body_is_cut_where_the_request_says_so_compressed_or_not():
    text = b"User-agent: *\n" * 400_000
    cut = Request("https://a.example/robots.txt", truncate_at=500_000)
    plain = fetch(healthy(text, "text/plain"), request=cut)
    packed = zlib.compress(text)
    coded = fetch(
        answering(f"HTTP/1.1 200 OK\nContent-Encoding: deflate\nContent-Length: {len(packed)}", packed), request=cut
    )
    assert plain.body == coded.body == text[:500_000]


def test_the_name_in_sni_is_the_host_and_an_ip_literal_is_asked_without_dns():
    with (
        Server(healthy()) as server,
        client_for(server.port) as world,
        world.client.session(SECONDS) as session,
    ):
        assert session.get(Request("https://127.0.0.1/")).status == 200
        assert world.names.asked == []
        assert session.get(Request("https://a.example./")).status == 200
    assert [b"Host: 127.0.0.1\r\n" in server.heads[0], b"Host: a.example\r\n" in server.heads[1]] == [True, True]


def test_a_second_address_is_tried_when_the_first_is_dead():
    # Nothing listens at the first; the port is the same.
    addresses = {"A": ["127.0.0.77", "127.0.0.1"], "AAAA": []}
    with (
        Server(healthy()) as server,
        client_for(server.port, answer=lambda _, kind: addresses[kind]) as world,
        world.client.session(SECONDS) as session,
    ):
        assert session.get(Request("https://a.example/")).status == 200


def test_a_machine_without_a_route_for_ipv6_does_not_lose_hosts_with_both():
    # Linux has no route for TCP to a multicast address.
    network = NetworkSettings(allow_addresses=(LOOPBACK, ipaddress.ip_network("ff02::/16")))
    addresses = {"A": [], "AAAA": ["ff02::1", "::ffff:127.0.0.1"]}
    with (
        Server(healthy()) as server,
        client_for(server.port, network=network, answer=lambda _, kind: addresses[kind]) as world,
        world.client.session(SECONDS) as session,
    ):
        assert session.get(Request("https://a.example/")).status == 200


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="no IPv6 on this machine")
def test_a_host_that_only_has_ipv6_is_asked():
    network = NetworkSettings(allow_addresses=(ipaddress.ip_network("::1/128"),))
    with (
        Server(healthy(), at="::1") as server,
        client_for(server.port, network=network, answer=lambda _, kind: ["::1"] if kind == "AAAA" else []) as world,
        world.client.session(SECONDS) as session,
    ):
        assert session.get(Request("https://a.example/")).status == 200
        assert session.get(Request("https://[::1]/")).status == 200
    assert b"Host: [::1]\r\n" in server.heads[1]


def test_an_agent_that_would_break_the_header_is_refused():
    with pytest.raises(ValueError, match="user agent"):
        Client(HttpSettings(), NetworkSettings(), user_agent="a\r\nb", lock_file=None)


def test_a_slow_name_server_of_ours_takes_nothing_from_the_server():
    asked: list[str] = []

    def answer(_: str, kind: str) -> list[str] | None:
        # The third question comes three quarters of a second after the first, or later.
        asked.append(kind)
        return (["127.0.0.1"] if kind == "A" else []) if asked.count(kind) > 2 else None

    http = replace(IMPATIENT, request_timeout=timedelta(seconds=0.5))
    network = NetworkSettings(allow_addresses=(LOOPBACK,), dns_timeout=timedelta(seconds=4))
    with (
        Server(healthy()) as server,
        client_for(server.port, http, network, answer=answer) as world,
        world.client.session(timedelta(seconds=0.6)) as session,
    ):
        assert session.get(Request("https://a.example/")).status == 200


def test_a_pause_is_ours_and_takes_nothing_from_the_server():
    http = replace(IMPATIENT, request_timeout=timedelta(seconds=0.5))
    with (
        Server(healthy()) as server,
        client_for(server.port, http) as world,
        world.client.session(timedelta(seconds=0.6)) as session,
    ):
        session.get(Request("https://a.example/"))
        session.pause(0.7)
        assert session.get(Request("https://a.example/")).status == 200
