"""One connection: what comes unasked is no answer, and what takes too long can be ended from outside."""

import threading
from dataclasses import replace
from datetime import timedelta

from tests.servers import IMPATIENT, Conversation, Server, client_for, eventually
from vmcrawl.observation import CrawlFailed
from vmcrawl.outcome import Outcome
from vmcrawl.wire import Request

SECONDS = timedelta(seconds=5)


def test_a_record_that_comes_after_an_answer_is_never_taken_for_the_next_one():
    def doubled(conversation: Conversation) -> None:
        while head := conversation.head():
            path = head.split()[1]
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path)
            conversation.send(answer)
            conversation.send(answer)

    with Server(doubled) as server, client_for(server.port) as world, world.client.session(SECONDS) as session:
        paths = [f"/{number}" for number in range(4)]
        assert [session.get(Request(f"https://a.example{path}")).body.decode() for path in paths] == paths


def test_only_what_is_overdue_is_ended_from_outside():
    def stalls(conversation: Conversation) -> None:
        while conversation.head():
            conversation.stall()

    http = replace(IMPATIENT, read_timeout=timedelta(seconds=30), request_timeout=timedelta(seconds=30))
    with Server(stalls) as server, client_for(server.port, http) as world:
        ended: list[Outcome] = []

        def ask() -> None:
            with world.client.session(timedelta(seconds=60)) as session:
                try:
                    session.get(Request("https://a.example/"))
                except CrawlFailed as failure:
                    ended.append(failure.outcome)

        thread = threading.Thread(target=ask)
        thread.start()
        assert eventually(lambda: len(world.client.sockets._sockets) == 1)
        world.client.end_overdue()
        (socket_in_use,) = world.client.sockets._sockets
        assert not ended
        # As if its time had been up for a while, in the middle of an operation that does not look at the clock.
        socket_in_use.budget.shorten_request(-1.0, 1_000)
        world.client.end_overdue()
        thread.join(5)
        assert ended == [Outcome.TIMEOUT]
