"""A real Prometheus on loopback, for tests that ask it."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_PATIENCE_SECONDS = 60.0


def needed(program: str) -> str:
    """Where ``prometheus`` or ``promtool`` is; without it the test is skipped, but fails in CI."""
    found = shutil.which(program)
    if found is None:
        why = f"no {program} here (Debian: apt-get install prometheus)"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return found


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens at just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def wait_until(happens: Callable[[], bool], what: str, seconds: float = _PATIENCE_SECONDS) -> None:
    """Wait for something that has to happen soon."""
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.05)


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str

    def query(self, promql: str) -> dict[object, float]:
        """An instant query: values by labels, by the bare value of the only label, or under () if there is none."""
        found: dict[object, float] = {}
        for sample in self.samples(promql):
            labels = {name: value for name, value in sample["metric"].items() if name != "__name__"}
            values = tuple(labels[name] for name in sorted(labels))
            found[values[0] if len(values) == 1 else values] = float(sample["value"][1])
        return found

    def samples(self, promql: str, at: float | None = None) -> list[dict[str, Any]]:
        """An instant query, of now or of a time in seconds since 1970, as the API answers it."""
        when = {} if at is None else {"time": at}
        found: list[dict[str, Any]] = self._get("query", query=promql, **when)["result"]
        return found

    def number(self, promql: str) -> float | None:
        """The one number that a query answers; None for no answer."""
        found = self.query(promql)
        assert len(found) <= 1, found
        return next(iter(found.values()), None)

    def range(self, promql: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """A range query, as the API answers it."""
        series: list[dict[str, Any]] = self._get("query_range", query=promql, start=start, end=end, step=step)["result"]
        return series

    def get(self, path: str) -> Any:
        """The data of some other endpoint, such as ``targets``."""
        return self._get(path)

    def _get(self, path: str, **parameters: object) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=10) as answer:
            document = json.load(answer)
        assert document["status"] == "success", document
        return document["data"]


def promtool(directory: Path, *arguments: str) -> None:
    """Run promtool in a directory; it must find nothing wrong."""
    done = subprocess.run([needed("promtool"), *arguments], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def prometheus(directory: Path, config: str, *arguments: str) -> Iterator[Prometheus]:
    """Run a Prometheus with that configuration, and its data under ``directory``."""
    program = needed("prometheus")
    file = directory / "prometheus.yml"
    file.write_text(config)
    with _started(program, file, directory / "data", arguments) as running:
        yield running


@contextmanager
def _started(program: str, file: Path, data: Path, arguments: Sequence[str]) -> Iterator[Prometheus]:
    port = free_port()
    command = [
        *(program, f"--config.file={file}", f"--storage.tsdb.path={data}", "--log.level=warn"),
        *(f"--web.listen-address=127.0.0.1:{port}", *arguments),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or _is_ready(port), "Prometheus is ready")
        assert process.poll() is None, "Prometheus has ended"
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(timeout=20)


def _is_ready(port: int) -> bool:
    with contextlib.suppress(OSError, urllib.error.URLError):
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2).status == 200)
    return False
