"""The gate, across threads and across processes, one of which is killed."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import pytest

from tests.servers import IMPATIENT, Conversation, Server, client_for
from vmcrawl.deadline import Stopped
from vmcrawl.gate import Gate, Hold, default_lock_file
from vmcrawl.wire import Request

HERE = ip_address("127.0.0.1")
#: Another process: says when it holds "a.example" and one of two slots of an address, and keeps them.
HOLDER = """
import sys, time
from ipaddress import ip_address
from pathlib import Path
from vmcrawl.gate import Gate
gate = Gate(Path(sys.argv[1]), 2)
gate.hold_host("a.example")
gate.hold_address(ip_address("127.0.0.1"))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def lock_file(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@contextlib.contextmanager
def gate(lock_file: Path | None, per_address: int = 2) -> Iterator[Gate]:
    made = Gate(lock_file, per_address)
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def another_process(lock_file: Path) -> Iterator[subprocess.Popen[str]]:
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock_file)], stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


class Waiter:
    """A thread that waits for a host or an address."""

    def __init__(self, *, at: Gate, host: str | None = None) -> None:
        self.hold: Hold | None = None
        self.stopped = False
        self._gate, self._host = at, host
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.hold = self._gate.hold_host(self._host) if self._host else self._gate.hold_address(HERE)
        except Stopped:
            self.stopped = True

    def got_it(self, within: float = 5) -> bool:
        self.thread.join(within)
        return self.hold is not None


@pytest.mark.parametrize("shared", [False, True])
def test_a_host_is_held_by_one_thread_at_a_time(lock_file, shared):
    with gate(lock_file if shared else None) as hosts:
        first = hosts.hold_host("a.example")
        waiter = Waiter(at=hosts, host="a.example")
        assert not waiter.got_it(within=0.1)
        hosts.release(hosts.hold_host("b.example"))
        hosts.release(first)
        assert waiter.got_it()


@pytest.mark.parametrize("shared", [False, True])
def test_an_address_is_held_as_often_as_the_bound_allows(lock_file, shared):
    with gate(lock_file if shared else None, per_address=2) as addresses:
        holds = [addresses.hold_address(HERE) for _ in range(2)]
        waiter = Waiter(at=addresses)
        assert not waiter.got_it(within=0.1)
        addresses.release(holds[0])
        assert waiter.got_it()


def test_many_threads_never_exceed_the_bound_and_all_get_their_turn(lock_file):
    inside: list[int] = []
    most: list[int] = []

    def visit() -> None:
        for _ in range(5):
            hold = addresses.hold_address(HERE)
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            addresses.release(hold)

    with gate(lock_file, per_address=3) as addresses:
        threads = [threading.Thread(target=visit) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(most) == 100
    assert max(most) <= 3


def test_a_released_slot_leaves_nothing_behind(lock_file):
    with gate(lock_file) as both:
        for number in range(100):
            both.release(both.hold_host(f"{number}.example"))
        assert both._queues == {}


def test_a_process_keeps_others_out_until_it_is_killed(lock_file):
    with gate(lock_file) as ours, another_process(lock_file) as process:
        host = Waiter(at=ours, host="a.example")
        first = Waiter(at=ours)
        assert first.got_it()
        second = Waiter(at=ours)
        assert not host.got_it(within=0.3)
        assert not second.got_it(within=0.1)
        os.kill(process.pid, signal.SIGKILL)
        assert host.got_it()
        assert second.got_it()


def test_stopping_ends_all_waiting(lock_file):
    with another_process(lock_file), gate(lock_file) as ours:
        held = ours.hold_host("b.example")
        waiters = [Waiter(at=ours, host="a.example"), Waiter(at=ours, host="b.example")]
        assert not waiters[1].got_it(within=0.1)
        ours.stop()
        for waiter in waiters:
            assert not waiter.got_it()
            assert waiter.stopped
        with pytest.raises(Stopped):
            ours.hold_host("c.example")
        ours.release(held)


def test_the_lock_file_is_ours_alone(tmp_path):
    private = tmp_path / "private"
    with gate(private):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    link = tmp_path / "link"
    link.symlink_to(private)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "directory").mkdir()
    private.chmod(0o666)
    for each in (link, pipe, tmp_path / "directory", private):
        with pytest.raises(PermissionError, match=f"remove it, or let XDG_RUNTIME_DIR .*{each.name}"):
            Gate(each, 1)
    with pytest.raises(FileNotFoundError):
        Gate(tmp_path / "nowhere" / "lock", 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_lock_file_that_somebody_else_made_first_is_not_used(tmp_path):
    taken = tmp_path / "taken"
    taken.touch(0o600)
    os.chown(taken, 65534, 65534)
    with pytest.raises(PermissionError, match=r"remove it.*taken"):
        Gate(taken, 1)


def test_the_default_lock_file_is_in_the_runtime_directory_if_that_is_ours(tmp_path, monkeypatch):
    name = f"vmcrawl-{os.geteuid()}.lock"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert default_lock_file() == tmp_path / name
    (tmp_path / "file").touch()
    somebody = "/proc/1" if os.geteuid() else "relative"
    for unusable in ("", ".", str(tmp_path / "file"), str(tmp_path / "nowhere"), somebody):
        monkeypatch.setenv("XDG_RUNTIME_DIR", unusable)
        assert default_lock_file() == Path(tempfile.gettempdir()) / name


@pytest.mark.parametrize("number", [0, -1, 5000])
def test_a_bound_that_makes_no_sense_is_refused(number):
    with pytest.raises(ValueError, match="requests per address"):
        Gate(None, number)


def test_crawls_of_one_host_take_turns_and_waiting_costs_them_nothing():
    running: list[int] = []
    overlaps: list[int] = []

    def script(conversation: Conversation) -> None:
        while conversation.head():
            running.append(1)
            overlaps.append(len(running))
            conversation.ending.wait(0.2)
            running.pop()
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with Server(script) as server, client_for(server.port, IMPATIENT) as world:
        statuses: list[int] = []

        def crawl() -> None:
            # Seven turns of 0.2 s are longer than this crawl or its requests may take.
            with world.client.session(IMPATIENT.request_timeout) as session:
                statuses.append(session.get(Request("https://a.example/")).status)

        threads = [threading.Thread(target=crawl) for _ in range(7)]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - started > 1.3
    assert statuses == [200] * 7
    assert max(overlaps) == 1


def test_whoever_gives_way_comes_after_those_who_have_waited():
    gate, order = Gate(None, 8), list[str]()

    def ask(name: str) -> None:
        for _ in range(4):
            hold = gate.try_host("shared.example") or gate.hold_host("shared.example")
            order.append(name)
            time.sleep(0.02)
            gate.release(hold)

    threads = [threading.Thread(target=ask, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "".join(order) not in ("aaaabbbb", "bbbbaaaa")
    assert sum(earlier != later for earlier, later in pairwise(order)) >= 4
