"""DNS against a name server of our own: what is an answer, what is none, and how long it may take."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.servers import NameServer, eventually
from vmcrawl.deadline import Stopped
from vmcrawl.hosts import HostsFile, parse_hosts
from vmcrawl.observation import CrawlFailed
from vmcrawl.outcome import Outcome
from vmcrawl.resolver import Resolver, Turns

NOBODY = Path("/nonexistent/hosts")


@contextlib.contextmanager
def resolver(*servers: str, timeout: float = 0.5, hosts: Path = NOBODY) -> Iterator[Resolver]:
    made = Resolver(servers, timedelta(seconds=timeout), hosts=hosts)
    try:
        yield made
    finally:
        made.close()


def look_up(answers: dict[str, object], name: str = "a.example", **options) -> list[str] | Outcome:
    """What the resolver makes of ``answers`` by type: addresses, or how it fails."""
    with NameServer(lambda _, kind: answers[kind]) as server, resolver(server.address, **options) as names:  # type: ignore[arg-type, return-value]
        try:
            return [str(address) for address in names.resolve(name)]
        except CrawlFailed as failure:
            return failure.outcome


@pytest.mark.parametrize(
    ("a", "aaaa", "expected"),
    [
        (["192.0.2.1"], ["2001:db8::1"], ["192.0.2.1", "2001:db8::1"]),
        (["192.0.2.1", "192.0.2.2"], ["2001:db8::1"], ["192.0.2.1", "2001:db8::1", "192.0.2.2"]),
        (["192.0.2.1"], [], ["192.0.2.1"]),
        ([], ["2001:db8::1"], ["2001:db8::1"]),
        (["b.example.", "c.example.", "192.0.2.3"], ["b.example."], ["192.0.2.3"]),
        (["192.0.2.1"], dns.rcode.SERVFAIL, ["192.0.2.1"]),
        (dns.rcode.SERVFAIL, ["2001:db8::1"], ["2001:db8::1"]),
        (["192.0.2.1"], dns.rcode.NOTIMP, ["192.0.2.1"]),
        (None, ["2001:db8::1"], ["2001:db8::1"]),
        ([], [], Outcome.DNS_NOT_FOUND),
        (["b.example."], ["b.example."], Outcome.DNS_NOT_FOUND),
        (dns.rcode.NXDOMAIN, dns.rcode.NXDOMAIN, Outcome.DNS_NOT_FOUND),
        (dns.rcode.NXDOMAIN, None, Outcome.DNS_NOT_FOUND),
        (dns.rcode.SERVFAIL, dns.rcode.SERVFAIL, Outcome.DNS_FAILURE),
        (dns.rcode.REFUSED, dns.rcode.REFUSED, Outcome.DNS_FAILURE),
        (dns.rcode.FORMERR, dns.rcode.FORMERR, Outcome.DNS_FAILURE),
        ([], dns.rcode.SERVFAIL, Outcome.DNS_FAILURE),
        (None, None, Outcome.DNS_FAILURE),
        ([], None, Outcome.DNS_FAILURE),
        (b"garbage", b"garbage", Outcome.DNS_FAILURE),
        (["b.example.", "a.example.", "b.example."], [], Outcome.DNS_FAILURE),
    ],
)
def test_answers_become_addresses_or_one_of_two_failures(a, aaaa, expected):
    assert look_up({"A": a, "AAAA": aaaa}) == expected


def test_an_answer_of_one_type_does_not_wait_for_the_other_for_long():
    started = time.monotonic()
    assert look_up({"A": ["192.0.2.1"], "AAAA": None}, timeout=5) == ["192.0.2.1"]
    assert time.monotonic() - started < 2


def test_servfail_from_the_only_server_is_asked_for_once():
    with NameServer(lambda *_: dns.rcode.SERVFAIL) as server, resolver(server.address) as names:
        with pytest.raises(CrawlFailed):
            names.resolve("a.example")
        assert len(server.asked) == 2


def test_another_server_is_asked_after_servfail():
    with (
        NameServer(lambda *_: dns.rcode.SERVFAIL) as broken,
        NameServer(lambda _, kind: ["192.0.2.1"] if kind == "A" else []) as sound,
        resolver(broken.address, sound.address) as names,
    ):
        assert names.resolve("a.example") == (ip_address("192.0.2.1"),)


def test_the_limit_holds_against_a_silent_server():
    with NameServer(lambda *_: None) as server, resolver(server.address, timeout=0.4) as names:
        started = time.monotonic()
        with pytest.raises(CrawlFailed):
            names.resolve("a.example")
        assert 0.35 < time.monotonic() - started < 1.4


def test_one_slow_name_is_not_lost_on_a_server_that_is_fast_otherwise():
    # c-ares learns how fast a server is, and would give up on this name after 0.75 s with the usual two tries.
    def answer(name: str, kind: str) -> list[str] | None:
        if name == "slow.example":
            asked.append(kind)
            if asked.count(kind) < 3:
                return None
        return ["192.0.2.1"] if kind == "A" else []

    asked: list[str] = []
    with NameServer(answer) as server, resolver(server.address, timeout=4) as names:
        for number in range(20):
            names.resolve(f"{number}.example")
        assert names.resolve("slow.example") == (ip_address("192.0.2.1"),)


def test_dead_name_servers_are_not_waited_for_at_full_length_again_and_again():
    with NameServer(lambda *_: None) as server, resolver(server.address, timeout=3) as names:
        for _ in range(32):
            names._turns.missed()
        started = time.monotonic()
        with pytest.raises(CrawlFailed):
            names.resolve("a.example")
        assert time.monotonic() - started < 2.5


def test_an_answer_that_comes_too_late_shows_that_the_server_lives():
    late = threading.Event()

    def answer(name: str, kind: str) -> list[str] | None:
        return ["192.0.2.1" if kind == "A" else "2001:db8::1"] if late.is_set() else None

    with NameServer(answer) as server, resolver(server.address, timeout=0.2) as names:
        for _ in range(32):
            names._turns.missed()
        with pytest.raises(CrawlFailed):
            names.resolve("a.example")
        assert names._turns.dead
        late.set()
        assert eventually(lambda: not names._turns.dead)


def test_waiting_for_a_turn_takes_nothing_from_the_time_of_a_look_up():
    asked: dict[str, None] = {}
    found: list[int] = []

    def answer(name: str, kind: str) -> list[str] | None:
        # Two rounds of eight get no answer; the third has waited for twice as long as it may take itself.
        asked[name] = None
        if list(asked).index(name) < 16:
            return None
        return ["192.0.2.1"] if kind == "A" else []

    def work(number: int) -> None:
        with contextlib.suppress(CrawlFailed):
            found.append(len(names.resolve(f"{number}.example")))

    with NameServer(answer) as server, resolver(server.address, timeout=0.4) as names:
        threads = [threading.Thread(target=work, args=(each,)) for each in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [1] * 8


def test_stopping_ends_the_waiting_for_a_turn():
    ended: list[str] = []

    def work(number: int) -> None:
        try:
            names.resolve(f"{number}.example")
        except Stopped:
            ended.append(f"{number}.example")

    with NameServer(lambda *_: None) as server, resolver(server.address, timeout=60) as names:
        threads = [threading.Thread(target=work, args=(each,)) for each in range(20)]
        for thread in threads:
            thread.start()
        assert eventually(lambda: len({name for name, _ in server.asked}) >= 8)
        names.stop()
        for thread in threads:
            thread.join(5)
        assert len(ended) == 20
        assert len({name for name, _ in server.asked}) == 8


def test_quick_answers_let_more_ask_at_a_time_and_slow_ones_or_none_fewer():
    turns = Turns()
    assert turns.bound == 8
    for _ in range(1000):
        turns.answered(0.01)
    assert turns.bound == 32
    for each in range(1000):
        turns.answered(0.01 if each % 5 else 4)
    assert turns.bound > 30
    for _ in range(100):
        turns.answered(1.5)
    assert turns.bound == 8
    for _ in range(1000):
        turns.answered(0.01)
    for _ in range(31):
        turns.missed()
    assert turns.bound == 20


def test_dead_servers_are_asked_by_as_many_as_ever_until_one_answers():
    turns = Turns()
    for _ in range(32):
        assert (turns.dead, turns.bound) == (False, 8)
        turns.missed()
    assert (turns.dead, turns.bound) == (True, 32)
    turns.answered(9)
    assert (turns.dead, turns.bound) == (False, 8)


def test_no_server_at_the_address_is_a_failure_at_once():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with resolver(f"127.0.0.1:{port}", timeout=3) as names, pytest.raises(CrawlFailed) as failure:
        names.resolve("a.example")
    assert failure.value.outcome is Outcome.DNS_FAILURE


def test_answers_are_kept_for_their_ttl_and_names_are_asked_as_they_are():
    with NameServer(lambda _, kind: ["192.0.2.1"] if kind == "A" else []) as server, resolver(server.address) as names:
        for _ in range(3):
            names.resolve("a.example")
        assert server.asked.count(("a.example", "A")) == 1
        assert {name for name, _ in server.asked} == {"a.example"}


def test_the_cache_is_emptied_now_and_then_while_questions_are_under_way():
    with NameServer(lambda _, kind: ["192.0.2.1"] if kind == "A" else []) as server, resolver(server.address) as names:
        found: list[int] = []

        def work(first: int) -> None:
            for number in range(first, first + 50):
                found.append(len(names.resolve(f"{number}.example")))
                names._channel.reinit()

        threads = [threading.Thread(target=work, args=(100 * each,)) for each in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [1] * 200


@pytest.mark.parametrize(
    "name", ["a..example", ".example", "a b.example", "a\\b.example", "x" * 64 + ".example", "a." * 130, ""]
)
def test_what_cannot_be_a_name_is_not_asked_for(name):
    with NameServer(lambda *_: ["192.0.2.1"]) as server, resolver(server.address) as names:
        with pytest.raises(CrawlFailed) as failure:
            names.resolve(name)
        assert server.asked == []
    assert failure.value.outcome is Outcome.DNS_NOT_FOUND


def test_a_name_whose_answers_are_garbage_takes_no_other_with_it():
    def answer(name: str, kind: str) -> list[str] | bytes:
        if name.startswith("bad"):
            return b"\x00\x01garbage"
        return ["192.0.2.1"] if kind == "A" else ["2001:db8::1"]

    found: dict[str, int | Outcome] = {}

    def work(each: int) -> None:
        for name in (f"{kind}-{each}-{number}.example" for number in range(6) for kind in ("bad", "good")):
            try:
                found[name] = len(names.resolve(name))
            except CrawlFailed as failure:
                found[name] = failure.outcome

    with NameServer(answer) as server, resolver(server.address, timeout=9) as names:
        threads = [threading.Thread(target=work, args=(each,)) for each in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {name: found[name] for name in found if name.startswith("good") and found[name] != 2} == {}
    assert {found[name] for name in found if name.startswith("bad")} == {Outcome.DNS_FAILURE}


def test_stopping_ends_look_ups():
    with NameServer(lambda *_: None) as server, resolver(server.address, timeout=9) as names:
        threading.Timer(0.2, names.stop).start()
        started = time.monotonic()
        with pytest.raises(Stopped):
            names.resolve("a.example")
        assert time.monotonic() - started < 4
        with pytest.raises(Stopped):
            names.resolve("b.example")


def test_the_hosts_file_outranks_dns_and_is_read_again_when_it_changes(tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.7 other A.Example # not.this\n2001:db8::7 a.example\n")
    with NameServer(lambda *_: dns.rcode.NXDOMAIN) as server, resolver(server.address, hosts=hosts) as names:
        assert [str(each) for each in names.resolve("a.example")] == ["192.0.2.7", "2001:db8::7"]
        assert server.asked == []
        hosts.write_text("")
        assert eventually(lambda: HostsFile(hosts).look_up("a.example") == ())
        assert eventually(lambda: not names._hosts.look_up("a.example"))
        with pytest.raises(CrawlFailed):
            names.resolve("a.example")


def test_a_hosts_file_that_is_missing_lists_nobody():
    assert HostsFile(NOBODY).look_up("localhost") == ()


@given(st.text())
def test_any_text_can_be_read_as_a_hosts_file(text):
    parse_hosts(text)


@pytest.mark.parametrize("server", ["dns.example", "127.0.0.1:0", "[::1"])
def test_a_name_server_that_is_no_address_is_a_bad_setting(server):
    with pytest.raises(ValueError):  # noqa: PT011 - ipaddress' own message in some cases
        Resolver([server])
