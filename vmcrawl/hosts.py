"""The operator's hosts file (hosts(5)): names that are answered without DNS."""

import os
from ipaddress import ip_address
from pathlib import Path

from vmcrawl.address import Address


class HostsFile:
    """One hosts file, read again when it has changed; safe to share between threads.

    A missing file is an empty one, as for the C library; raises ``RuntimeError`` for one that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: tuple[object, dict[str, tuple[Address, ...]]] = (None, {})

    def look_up(self, name: str) -> tuple[Address, ...]:
        """The addresses listed for ``name`` (lower case), in the order of the file; empty if it isn't listed."""
        try:
            self._refresh()
        except FileNotFoundError:
            return ()
        except OSError as error:
            # No ``OSError``: that would look like one of the connection's.
            raise RuntimeError(f"{self._path} cannot be read") from error
        return self._state[1].get(name, ())

    def _refresh(self) -> None:
        status = os.stat(self._path)
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
