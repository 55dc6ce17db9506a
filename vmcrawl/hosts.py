"""The operator's hosts file (hosts(5)): names that are answered without DNS."""

import os
import time
from ipaddress import ip_address
from pathlib import Path

from vmcrawl.address import Address

#: Looking whether the file has changed would cost each look-up a system call, and a change of threads with it.
_LOOK_SECONDS = 1.0


class HostsFile:
    """One hosts file, read again within a second when it has changed; safe to share between threads.

    A missing file is an empty one, as for the C library; raises ``RuntimeError`` for one that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: tuple[object, dict[str, tuple[Address, ...]]] = (None, {})
        self._look_at = 0.0

    def look_up(self, name: str) -> tuple[Address, ...]:
        """The addresses listed for ``name`` (lower case), in the order of the file; empty if it isn't listed."""
        if (moment := time.monotonic()) >= self._look_at:
            try:
                self._refresh()
            except OSError as error:
                # No ``OSError``: that would look like one of the connection's.
                raise RuntimeError(f"{self._path} cannot be read") from error
            self._look_at = moment + _LOOK_SECONDS
        return self._state[1].get(name, ())

    def _refresh(self) -> None:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            self._state = (None, {})
            return
        mark = (status.st_mtime_ns, status.st_size, status.st_ino)
        if self._state[0] != mark:
            # One assignment, so that no thread sees the mark of one file and the names of another.
            self._state = (mark, parse_hosts(self._path.read_bytes().decode("utf-8", "replace")))


def parse_hosts(text: str) -> dict[str, tuple[Address, ...]]:
    """Read the text of a hosts file into lower-case names and their addresses; lines that make no sense are skipped."""
    found: dict[str, tuple[Address, ...]] = {}
    for line in text.splitlines():
        fields = line.partition("#")[0].split()
        if len(fields) < 2:
            continue
        try:
            address = ip_address(fields[0])
        except ValueError:
            continue
        for field in fields[1:]:
            name = field.lower().rstrip(".")
            listed = found.get(name, ())
            if address not in listed:
                found[name] = (*listed, address)
    return found
