"""The stage: Postgres, nginx, a name server and silent servers on loopback, and the program run against them."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from tests.bench.crowd import Crowd
from tests.bench.webserver import requests_so_far, running_nginx
from tests.conftest import temporary_database
from vmcrawl.embedded import running

_PROJECT = Path(__file__).parents[2]
#: No benchmark takes longer; whatever does has hung.
_LONGEST_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run of the program used, and what it said."""

    wall_seconds: float
    cpu_seconds: float
    system_seconds: float
    peak_bytes: int
    #: Memory of all processes together, twice a second.
    samples: Sequence[int]
    #: Requests that nginx answered meanwhile.
    requests: int
    #: The summary of ``crawl --json``.
    summary: Mapping[str, Any]

    @property
    def crawled(self) -> int:
        return int(self.summary["crawled"])

    @property
    def cpu_per_domain(self) -> float:
        """Seconds, all processes of the program together, starting and ending included."""
        return self.cpu_seconds / max(1, self.crawled)


@dataclass(frozen=True)
class Stage:
    """Everything a crawl needs, up and running."""

    directory: Path
    server_url: str
    ca_file: Path
    port: int
    status_port: int
    nameserver: str

    @contextmanager
    def ledger(self, crowd: Crowd) -> Iterator[str]:
        """A database of its own with the crowd in it, all due."""
        with temporary_database(self.server_url) as url:
            listed = self.directory / "domains.txt"
            listed.write_text("\n".join(crowd.domains()) + "\n")
            self.vmcrawl(url, "domains", "import", str(listed))
            yield url

    def crawl(self, url: str, **settings: str) -> Usage:
        """Crawl what is due; ``settings`` are environment variables without ``VMCRAWL_``."""
        before = requests_so_far(self.status_port)
        account = self.directory / f"account-{threading.get_ident()}.json"
        command = [sys.executable, "-m", "tests.bench.account", str(account), sys.executable, "-m", "vmcrawl"]
        finished = self._run([*command, "crawl", "--json"], url, settings)
        # The question itself is one, too.
        requests = requests_so_far(self.status_port) - before - 1
        used = json.loads(account.read_text())
        summary = json.loads(finished.stdout)
        return Usage(**used, requests=requests, summary=summary)

    def parts(self, url: str) -> dict[str, Any]:
        """Milliseconds of CPU per domain, in all and by part (:mod:`tests.bench.parts`)."""
        parts: dict[str, Any] = json.loads(self._run([sys.executable, "-m", "tests.bench.parts"], url, {}).stdout)
        return parts

    def vmcrawl(self, url: str, *arguments: str, **settings: str) -> str:
        """Run any command; gives its output."""
        return self._run([sys.executable, "-m", "vmcrawl", *arguments], url, settings).stdout

    def environment(self, url: str, **settings: str) -> dict[str, str]:
        """What the program sees; no name, address or authority of the world outside."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "VMCRAWL_"))}
        defaults = {
            "DATABASE_URL": url,
            "HTTP_CONTACT": "https://example.org/bench",
            "NETWORK_ALLOW_ADDRESSES": "127.0.0.0/8",
            "NETWORK_CA_FILE": str(self.ca_file),
            "NETWORK_NAMESERVERS": self.nameserver,
            "NETWORK_PORT": str(self.port),
        }
        return {**ours, **{f"VMCRAWL_{name}": value for name, value in {**defaults, **settings}.items()}}

    def _run(self, command: list[str], url: str, settings: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=_PROJECT,
            env=self.environment(url, **settings),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=_LONGEST_SECONDS,
        )


@contextmanager
def set_stage() -> Iterator[Stage]:
    """Start everything, stop it again. Raises :class:`tests.bench.webserver.NoWebServer`."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="vmcrawl-bench-")))
        directory.chmod(0o755)
        port, status_port = _free_ports(2)
        ca_file = stack.enter_context(running_nginx(directory / "nginx", port, status_port))
        server_url = stack.enter_context(running(directory / "postgres"))
        nameserver = stack.enter_context(_helper("tests.bench.nameserver"))
        stack.enter_context(_helper("tests.bench.silence", str(port)))
        yield Stage(directory, server_url, ca_file, port, status_port, f"127.0.0.1:{nameserver}")


def make_due(url: str) -> None:
    """Let everything in the ledger be due now, as if its time had come."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE domains SET due_at = now()")
        connection.execute("VACUUM ANALYZE domains")


@contextmanager
def _helper(module: str, *arguments: str) -> Iterator[str]:
    """A server of the benchmark in a process of its own; gives the first line it writes."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, cwd=_PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline().strip()
            if not line:
                raise RuntimeError(f"{module} did not start")
            yield line
        finally:
            process.kill()


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("0.0.0.0", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
