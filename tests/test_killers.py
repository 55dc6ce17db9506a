"""A domain that kills the process that crawls it: real processes, killed by SIGKILL as soon as they talk to it."""

import json
import os
import signal
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

import psycopg

from tests.fediverse import healthy_crowd, mastodon, start_fediverse
from tests.fediverse.site import Truth
from tests.program import environment, start, vmcrawl
from tests.test_runs import crawler_processes
from vmcrawl.outcome import Outcome

_KILLER = "killer-of-processes.net"


def test_a_domain_that_kills_its_process_costs_no_other_domain_its_result(database_url, tmp_path):
    killer = replace(mastodon(_KILLER, truth=Truth(Outcome.INTERNAL_ERROR)), latency_seconds=0.5)
    with start_fediverse([killer, *healthy_crowd(24)], tmp_path / "fediverse") as fediverse:
        env = environment(
            database_url,
            VMCRAWL_CONFIG=str(fediverse.config_file),
            VMCRAWL_CRAWL_PROCESSES="2",
            VMCRAWL_CRAWL_THREADS="8",
            VMCRAWL_NETWORK_DNS_TIMEOUT="4s",
        )
        assert vmcrawl("domains", "import", str(fediverse.domains_file), env=env).returncode == 0
        with start(["crawl", "--json"], env) as run, Avenger(run.pid, fediverse.address(_KILLER)) as avenger:
            output, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    assert json.loads(output)["outcomes"] == {"internal_error": 1, "ok": 24}
    assert len(avenger.killed) == 2, "once among others, once alone"
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT outcome, failures, suspect, lease_holder, due_at > now() + interval '50 minutes' FROM domains"
            " WHERE domain = %s",
            [_KILLER],
        ).fetchone()
    assert row == ("internal_error", 1, False, None, True)


def test_many_killers_are_all_found_out(database_url, tmp_path):
    names = [f"killer-{number}.net" for number in range(5)]
    killers = [replace(mastodon(name, truth=Truth(Outcome.INTERNAL_ERROR)), latency_seconds=0.5) for name in names]
    with start_fediverse([*killers, *healthy_crowd(8)], tmp_path / "fediverse") as fediverse:
        env = environment(
            database_url,
            VMCRAWL_CONFIG=str(fediverse.config_file),
            VMCRAWL_CRAWL_PROCESSES="1",
            VMCRAWL_CRAWL_THREADS="4",
            VMCRAWL_NETWORK_DNS_TIMEOUT="4s",
        )
        assert vmcrawl("domains", "import", str(fediverse.domains_file), env=env).returncode == 0
        addresses = [fediverse.address(name) for name in names]
        with start(["crawl", "--json"], env) as run, Avenger(run.pid, *addresses):
            output, errors = run.communicate(timeout=90)
    assert run.returncode == 0, errors
    assert json.loads(output)["outcomes"] == {"internal_error": 5, "ok": 8}


class Watcher:
    """While entered, looks every moment for somebody to kill."""

    def __init__(self) -> None:
        self.killed: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            # Something may end while it is looked at.
            with suppress(FileNotFoundError, ProcessLookupError):
                self.look()

    def look(self) -> None:
        """Kill whoever is to be killed now."""
        raise NotImplementedError


class Avenger(Watcher):
    """Kills every crawler process of a run that has a connection to one of the addresses."""

    def __init__(self, run: int, *addresses: str) -> None:
        super().__init__()
        self._run = run
        self._addresses = addresses

    def look(self) -> None:
        inodes = set().union(*(connections_to(address) for address in self._addresses))
        for pid in crawler_processes(self._run):
            if pid not in self.killed and inodes & sockets_of(pid):
                os.kill(pid, signal.SIGKILL)
                self.killed.append(pid)


def connections_to(address: str) -> set[str]:
    """The inodes of established TCP connections to an IPv4 address, in the words of /proc/net/tcp."""
    (number,) = struct.unpack("=I", socket.inet_aton(address))
    remote = f"{number:08X}:"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {fields[9] for fields in lines if fields[2].startswith(remote) and fields[3] == "01"}


def sockets_of(pid: int) -> set[str]:
    """The inodes of the sockets that a process has open."""
    targets = [os.readlink(descriptor) for descriptor in Path(f"/proc/{pid}/fd").iterdir()]
    return {target[8:-1] for target in targets if target.startswith("socket:[")}
