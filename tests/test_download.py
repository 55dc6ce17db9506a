"""A body that goes piece by piece: its own limits, and all of those of every request."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import NoReturn

import pytest

from tests.servers import IMPATIENT, Conversation, Script, Server, answering, client_for
from tests.test_fetch_limits import FLOODS, SLOW, bomb
from vmcrawl.fetch import FetchSession
from vmcrawl.observation import CrawlFailed
from vmcrawl.outcome import Outcome
from vmcrawl.wire import Download, Request, Response

#: Ordinary documents may hardly be anything here: nothing of that concerns a download.
HTTP = replace(IMPATIENT, request_timeout=timedelta(seconds=0.4), max_wire_bytes=2_000, max_body_bytes=2_000)


@dataclass
class Basket:
    """Takes what comes, up to ``room`` bytes."""

    room: int = 1 << 40
    types: list[str] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)

    def request(self, seconds: float = 0.4, wire: int = 100_000, body: int = 200_000) -> Request:
        return Request("https://a.example/", download=Download(self.types.append, self.take, seconds, wire, body))

    def take(self, piece: bytes) -> bool:
        self.pieces.append(piece)
        return sum(map(len, self.pieces)) < self.room


@contextmanager
def asking(script: Script) -> Iterator[FetchSession]:
    with (
        Server(script) as running,
        client_for(running.port, HTTP) as world,
        world.client.session(timedelta(seconds=9)) as session,
    ):
        yield session


def failure_of(script: Script, **limits) -> Outcome:
    with asking(script) as session, pytest.raises(CrawlFailed) as failure:
        session.get(Basket().request(**limits))
    return failure.value.outcome


@pytest.mark.parametrize("coding", ["", "Content-Encoding: gzip\n"])
def test_it_gets_all_of_a_body_that_is_larger_than_any_document_may_be(coding):
    body = bytes(range(256)) * 600
    sent = gzip.compress(body) if coding else body
    basket = Basket()
    with asking(
        answering(f"HTTP/1.1 200 OK\n{coding}Content-Type: text/x\nContent-Length: {len(sent)}", sent)
    ) as session:
        response = session.get(basket.request(wire=200_000))
    assert (response.status, response.body, basket.types) == (200, b"", ["text/x"])
    assert b"".join(basket.pieces) == body
    assert max(map(len, basket.pieces)) <= 1 << 16


@pytest.mark.parametrize("script", SLOW.values(), ids=SLOW.keys())
def test_a_slow_server_is_a_timeout(script):
    assert failure_of(script) is Outcome.TIMEOUT


@pytest.mark.parametrize("script", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_is_too_large(script):
    assert failure_of(script, seconds=8) is Outcome.TOO_LARGE


@pytest.mark.parametrize(("wire", "body"), [(1 << 12, 1 << 30), (1 << 20, 1 << 16)])
def test_a_bomb_is_too_large(wire, body):
    packed = bomb(8)
    script = answering(f"HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: {len(packed)}", packed)
    assert failure_of(script, wire=wire, body=body) is Outcome.TOO_LARGE


@pytest.mark.parametrize("status", [201, 204, 206, 302, 404, 410, 500])
def test_nothing_but_a_200_is_handed_over(status):
    basket = Basket()
    with asking(answering(f"HTTP/1.1 {status} Any\nContent-Length: 0")) as session:
        assert session.get(basket.request()).status == status
    assert (basket.types, basket.pieces) == ([], [])


def test_who_has_enough_gets_no_more_and_the_connection_is_not_used_again():
    def script(conversation: Conversation) -> None:
        conversation.head()
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n").flood(b"x" * 1000)

    basket = Basket(room=1000)
    with asking(script) as session:
        assert session.get(basket.request()) == Response("https://a.example/", 200)
        before = len(basket.pieces)
        session.get(basket.request())
    assert before <= 2


def test_who_refuses_the_type_or_a_piece_ends_the_request():
    def refuse(_: object) -> NoReturn:
        raise CrawlFailed(Outcome.BAD_JSON, "not this")

    for download in (Download(refuse, bool, 1, 999, 999), Download(lambda _: None, refuse, 1, 999, 999)):
        with (
            asking(answering("HTTP/1.1 200 OK\nContent-Length: 2", b"[]")) as session,
            pytest.raises(CrawlFailed, match="not this"),
        ):
            session.get(Request("https://a.example/", download=download))


def test_time_that_we_take_for_a_piece_is_not_the_servers():
    taken = []

    def take(piece: bytes) -> bool:
        taken.append(piece)
        # Longer than the whole request may take.
        session._client.stopping.wait(0.3)
        session._client.end_overdue()
        return True

    parts = b"".join(b"1\r\n%d\r\n" % number for number in range(3))

    def script(conversation: Conversation) -> None:
        conversation.head()
        conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(parts), 6):
            conversation.send(parts[start : start + 6])
            conversation.ending.wait(0.05)
        conversation.send(b"0\r\n\r\n")

    with asking(script) as session:
        session.get(Request("https://a.example/", download=Download(lambda _: None, take, 0.4, 999, 999)))
    assert b"".join(taken) == b"012"
