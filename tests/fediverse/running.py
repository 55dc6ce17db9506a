"""Starting and stopping the simulation: as a process of its own, or in a thread."""

import asyncio
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.fediverse.fediverse import serve
from tests.fediverse.site import Site

_PROJECT = Path(__file__).parents[2]
_STOP_SECONDS = 10


@dataclass(frozen=True)
class Running:
    """A simulation that is up, or was: all there is to know lies in ``directory``."""

    directory: Path

    @property
    def config_file(self) -> Path:
        return self.directory / "config.yaml"

    @property
    def domains_file(self) -> Path:
        return self.directory / "domains.txt"

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.pem"

    @cached_property
    def port(self) -> int:
        """The TCP port of all web servers."""
        return int(self._about["port"])

    @cached_property
    def nameserver(self) -> tuple[str, int]:
        """Address and port of the name server."""
        address, _, port = self._about["nameserver"].rpartition(":")
        return address, int(port)

    def address(self, domain: str) -> str:
        """Where the site of that name is, whatever the DNS says."""
        return str(self._about["addresses"][domain])

    def truth(self) -> dict[str, dict[str, Any]]:
        """What a right crawl makes of each listed domain, as ``truth.json`` has it."""
        truth: dict[str, dict[str, Any]] = json.loads((self.directory / "truth.json").read_text())
        return truth

    def log(self) -> list[dict[str, Any]]:
        """Every connection (event ``connection``), failure (``broken``) and request (``request``) so far, in order."""
        return _json_lines(self.directory / "requests.jsonl")

    def requests(self, domain: str | None = None) -> list[dict[str, Any]]:
        """Every request so far, or every one at one site."""
        entries = (entry for entry in self.log() if entry["event"] == "request")
        return [entry for entry in entries if domain is None or entry["site"] == domain]

    def questions(self) -> list[dict[str, Any]]:
        """Every DNS query so far."""
        return _json_lines(self.directory / "dns.jsonl")

    @cached_property
    def _about(self) -> dict[str, Any]:
        about: dict[str, Any] = json.loads((self.directory / "fediverse.json").read_text())
        return about


@contextmanager
def start_fediverse(sites: Sequence[Site], directory: Path) -> Iterator[Running]:
    """Serve ``sites`` from a process of its own; ``directory`` gets the files that :func:`serve` writes.

    Raises :class:`RuntimeError` if it does not start.
    """
    directory.mkdir(parents=True, exist_ok=True)
    pickled = directory / "sites.pickle"
    pickled.write_bytes(pickle.dumps(list(sites)))
    command = [sys.executable, "-m", "tests.fediverse", "--write", str(directory), "--sites", str(pickled)]
    with subprocess.Popen(command, cwd=_PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("the simulated Fediverse did not start")
            yield Running(directory)
        finally:
            process.stdin.close()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def fediverse_in_thread(sites: Sequence[Site], directory: Path) -> Iterator[Running]:
    """Serve ``sites`` from a thread: starts faster, and shares the interpreter's lock with whoever asks."""
    ready, failure = threading.Event(), []
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve_until_stopped() -> None:
        event = asyncio.Event()
        stop.append((asyncio.get_running_loop(), event))
        await serve(sites, directory, event.wait, ready.set)

    def run() -> None:
        try:
            asyncio.run(serve_until_stopped())
        except (OSError, ValueError) as error:
            failure.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="fediverse")
    thread.start()
    ready.wait()
    try:
        if failure:
            raise RuntimeError("the simulated Fediverse did not start") from failure[0]
        yield Running(directory)
    finally:
        if not failure:
            loop, event = stop[0]
            loop.call_soon_threadsafe(event.set)
        thread.join(_STOP_SECONDS)


def _json_lines(path: Path) -> list[dict[str, Any]]:
    # The last line may still be being written.
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
