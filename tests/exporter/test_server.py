import logging
import select
import socket
import threading
import time
from contextlib import ExitStack
from datetime import timedelta

import pytest

from tests.exporter.clients import ask, say, served, some_metrics
from tests.servers import eventually
from vmcrawl.exporter.listening import BadListenAddress, CannotListen, listen
from vmcrawl.exporter.server import Limits

GET = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"


def has_ipv6():
    try:
        listen(["[::1]:0"])[0].close()
    except BadListenAddress:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def silent(stack, port, number, text=b""):
    """Connections that say no more than this."""
    socks = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(number)]
    for sock in socks:
        sock.sendall(text)
    return socks


def is_closed(sock):
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_scrape_over_a_socket_and_what_it_says_of_us():
    with served() as (port,):
        status, headers, body = ask(port)
        assert (status, headers["Content-Length"], headers["Server"]) == (200, str(len(body)), "vmcrawl")
        assert b"vmcrawl_a 1.0" in body
        status, head, body = ask(port, method="HEAD")
        assert (status, head["Content-Length"], body) == (200, headers["Content-Length"], b"")
        assert ask(port, "/nope")[0] == 404
        assert ask(port, "/metrics", method="POST")[0] == 405
        assert ask(port, "/metrics?name[]=nope")[2] == b""
        assert ask(port, "/-/healthy")[0] == 200


@needs_ipv6
def test_several_addresses_are_listened_at_and_ipv6_leaves_room_for_ipv4():
    port = free_port()
    with served(at=[f"0.0.0.0:{port}", f"[::]:{port}", "127.0.0.1:0"]) as ports:
        assert ask(port)[0] == 200
        assert ask(port, host="::1")[0] == 200
        assert ask(ports[2])[0] == 200


def test_without_a_host_it_is_everywhere_and_a_name_stands_for_all_its_addresses():
    port = free_port()
    with served(at=[f":{port}"]):
        assert ask(port)[0] == 200
        assert not has_ipv6() or ask(port, host="::1")[0] == 200
    with served(at=[f"localhost:{port}"]):
        for *_, (host, *_) in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM):
            assert ask(port, host=str(host))[0] == 200


def test_the_same_address_twice_is_listened_at_once():
    port = free_port()
    with served(at=[f"127.0.0.1:{port}", f"127.0.0.1:{port}"]) as ports:
        assert ports == [port]


def test_a_port_that_is_taken_is_named_and_the_others_are_given_back():
    free = free_port()
    with served() as (taken,):
        with pytest.raises(CannotListen, match=rf"^127\.0\.0\.1:{taken}: Address already in use$"):
            listen([f"127.0.0.1:{free}", f"127.0.0.1:{taken}"])
        listen([f"127.0.0.1:{free}"])[0].close()


@pytest.mark.parametrize("address", ["no-such-name.invalid:9877", "192.0.2.1:9877", "127.0.0.1", ":99999", "a..b:1"])
def test_an_address_that_cannot_be_listened_at_is_a_mistake(address):
    with pytest.raises((BadListenAddress, CannotListen), match=address.replace(".", r"\.")) as error:
        listen([address])
    # A machine without name servers does not know whether there is such a name.
    assert address.startswith("no-such") or error.type is BadListenAddress


def test_a_port_is_free_again_at_once_although_clients_were_connected():
    port = free_port()
    for _ in range(3):
        with served(at=[f"127.0.0.1:{port}"]), ExitStack() as stack:
            silent(stack, port, 3, b"GET /me")
            assert ask(port)[0] == 200


def test_a_hundred_silent_connections_do_not_stop_a_scrape():
    with served() as (port,), ExitStack() as stack:
        silent(stack, port, 50)
        silent(stack, port, 50, b"GET /metrics HTTP/1.1\r\nX: ")
        for _ in range(5):
            assert ask(port)[0] == 200


def test_whoever_has_been_asking_for_longest_makes_room_for_a_scrape():
    with served(limits=Limits(connections=5)) as (port,), ExitStack() as stack:
        first, *others = silent(stack, port, 5, b"GET /metrics HTTP/1.1\r\nX: ")
        assert ask(port)[0] == 200
        assert is_closed(first)
        for sock in others:
            sock.sendall(b"y\r\n\r\n")
            assert sock.recv(12) == b"HTTP/1.0 200"
        # However many come, and come again.
        for _ in range(10):
            silent(stack, port, 20)
            assert ask(port)[0] == 200


def test_where_all_are_being_answered_one_more_is_closed_at_once_and_there_is_room_again_afterwards(caplog):
    begun, done = threading.Semaphore(0), threading.Semaphore(0)

    def slowly(allowed):
        begun.release()
        done.acquire(timeout=20)
        return some_metrics(allowed)

    with served(registries=slowly, limits=Limits(connections=5)) as (port,), ExitStack() as stack:
        asking = silent(stack, port, 5, GET)
        assert all(begun.acquire(timeout=20) for _ in range(5))
        for _ in range(3):
            assert [say(port, GET) for _ in range(3)] == [b""] * 3
            done.release()
            (answered, *_), _, _ = select.select(asking, [], [], 20)
            while answered.recv(65536):
                pass
            asking.remove(answered)
            asking += silent(stack, port, 1, GET)
            assert begun.acquire(timeout=20)
        done.release(5)
    assert caplog.text.count("5 connections are being answered") == 1, "not again within a minute"


def test_silent_and_dripping_clients_are_shown_the_door():
    with served(limits=Limits(request=timedelta(seconds=0.3))) as (port,), ExitStack() as stack:
        mute, drips = silent(stack, port, 2, b"GET / HTTP/1.1\r\nX: ")

        def drip():
            try:
                drips.sendall(b"x")
            except OSError:
                return True
            return False

        assert eventually(drip, 10)
        assert is_closed(mute)
        assert ask(port)[0] == 200


@pytest.mark.parametrize(
    "text", [b"GET /metrics HTTP/1.1", b"GET /metrics HTTP/1.1\r\n", GET[:-2], GET[:-4] + b"\r\nX: "]
)
def test_half_a_request_costs_no_scrape(text):
    scrapes = []

    def counted(allowed):
        scrapes.append(allowed)
        return some_metrics(allowed)

    with served(registries=counted, limits=Limits(request=timedelta(seconds=0.3))) as (port,), ExitStack() as stack:
        leaves, stays = silent(stack, port, 2, text)
        leaves.shutdown(socket.SHUT_WR)
        assert [is_closed(sock) for sock in (leaves, stays)] == [True, True]
        assert scrapes == []
        assert ask(port)[0] == 200


def test_a_client_that_does_not_read_its_answer_is_shown_the_door():
    def much(allowed):
        registry = some_metrics(allowed)
        registry.register(Flood())
        return registry

    class Flood:
        def describe(self):
            return []

        def collect(self):
            from prometheus_client.core import GaugeMetricFamily

            family = GaugeMetricFamily("flood", "x" * 1000, labels=["a"])
            for number in range(40_000):
                family.add_metric([f"{number}" + "x" * 200], 1)
            yield family

    def connections():
        return [thread for thread in threading.enumerate() if thread.name.startswith("connection ")]

    # Those of the test before may be about to end.
    assert eventually(lambda: not connections())
    with served(registries=much, limits=Limits(answer=timedelta(seconds=2))) as (port,), ExitStack() as stack:
        silent(stack, port, 1, GET)
        assert eventually(connections)
        assert eventually(lambda: not connections(), 60)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n\r\n", b"431"),
        (b"GET /\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/3.0\r\n\r\n", b"505"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 50000\r\n\r\n" + b"x" * 50_000, b"405"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-\xff: \xfe\x00\r\n\r\n", b"200"),
        (b"GET /%00%ff%0d%0a?%zz HTTP/1.1\r\n\r\n", b"404"),
    ],
)
def test_odd_requests_get_a_named_answer(text, status, caplog):
    caplog.set_level(logging.WARNING)
    with served() as (port,):
        answer = say(port, text)
        assert answer.split(b" ")[:2] == [b"HTTP/1.0", status]
        assert ask(port)[0] == 200
    assert caplog.text == ""


def test_clients_that_hang_up_leave_no_traceback(caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with served() as (port,):
        for text in (b"", b"GET /met", GET, GET + GET):
            sock = socket.create_connection(("127.0.0.1", port))
            # Not a goodbye, but a reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.sendall(text)
            sock.close()
        assert ask(port)[0] == 200
    assert "Traceback" not in caplog.text + "".join(capfd.readouterr())
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


def test_requests_are_logged_for_debugging_only_and_as_one_clean_line(caplog):
    with served() as (port,):
        with caplog.at_level(logging.INFO):
            ask(port)
        assert caplog.records == []
        with caplog.at_level(logging.DEBUG):
            say(port, b"GET /\x1b[31m\xe2\x80\xae" + b"x" * 1000 + b" HTTP/1.1\r\n\r\n")
        (line,) = [record.getMessage() for record in caplog.records if "xxx" in record.getMessage()]
    assert line.isprintable()
    assert len(line) < 300


def test_scrapes_go_on_side_by_side():
    barrier = threading.Barrier(4)

    def together(allowed):
        barrier.wait(20)
        return some_metrics(allowed)

    statuses = []
    with served(registries=together) as (port,):
        threads = [threading.Thread(target=lambda: statuses.append(ask(port)[0])) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == [200] * 4


def test_the_end_comes_at_once_also_in_the_middle_of_a_scrape():
    begun, forever = threading.Event(), threading.Event()

    def endless(_allowed):
        begun.set()
        forever.wait()

    started = time.monotonic()
    with ExitStack() as stack:
        with served(registries=endless) as (port,):
            (asking,) = silent(stack, port, 1, GET)
            silent(stack, port, 10)
            assert begun.wait(20)
        assert is_closed(asking)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=20)
    assert time.monotonic() - started < 20
    forever.set()
