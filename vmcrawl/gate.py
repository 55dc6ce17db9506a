"""Courtesy in numbers: one request at a time to a host and a few to an address, across threads and processes."""

import errno
import fcntl
import hashlib
import os
import random
import stat
import tempfile
import threading
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from vmcrawl.address import Address
from vmcrawl.deadline import Stopped

#: How long to wait before a slot that another process holds is tried again: there is nobody to wake us.
_POLL_SECONDS = (0.01, 0.05)
#: Hosts and addresses lock bytes of different halves of a file's 63-bit range, so that they never meet.
_ADDRESSES_FROM = 1 << 62
#: An address has this many bytes in a row, more than anybody would set as ``requests_per_address``.
_BYTES_PER_ADDRESS = 1 << 10
#: What the kernel says of a lock file that is somebody else's, a link or a directory.
_IN_THE_WAY = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR})


def default_lock_file() -> Path:
    """Where all crawlers of one user on one machine meet: a file named for the user.

    It is in ``$XDG_RUNTIME_DIR``, where nobody else can make it first, if that is a directory of ours (XDG Base
    Directory Specification 0.8), else in the temporary directory.
    """
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    directory = runtime if runtime.is_absolute() and _is_our_directory(runtime) else Path(tempfile.gettempdir())
    return directory / f"vmcrawl-{os.geteuid()}.lock"


@dataclass(slots=True)
class _Queue:
    """Who of this process holds slots of one host or address, and how many wait for one."""

    held: set[int] = field(default_factory=set)
    waiting: int = 0
    #: Made when somebody has to wait, which is rare.
    freed: threading.Condition | None = None


class Hold(NamedTuple):
    """The right to make one request; give it back with :meth:`Gate.release`."""

    key: int
    slot: int


class Gate:
    """Hands out the right to ask a host or an address; shared by all threads of a process.

    ``lock_file`` is shared by the processes of a machine; ``None`` bounds only this process. A slot is a byte of that
    file under a POSIX record lock, which the kernel frees with the process, however it ends. Such locks don't tell
    threads apart (nor two gates of one process), so a table guards those. The holder of a host may wait for an
    address, never the other way round: nobody waits in a circle.

    Raises ``OSError`` if the file can't be made, ``PermissionError``, which says what to do, if it isn't ours alone.
    """

    def __init__(self, lock_file: Path | None, requests_per_address: int) -> None:
        if not 0 < requests_per_address <= _BYTES_PER_ADDRESS:
            raise ValueError(f"requests per address must be 1 to {_BYTES_PER_ADDRESS}")
        self._per_address = requests_per_address
        self._lock = threading.Lock()
        self._queues: dict[int, _Queue] = {}
        self._stopped = False
        self._first = os.getpid()
        self._file = None if lock_file is None else _open_private(lock_file)

    def try_host(self, host: str) -> Hold | None:
        """Take the only slot of ``host``; None: one has to wait for it. Raises :class:`Stopped`."""
        return self._try(_host_key(host), 1)

    def hold_host(self, host: str) -> Hold:
        """Wait for the only slot of ``host``; raises :class:`Stopped`."""
        return self._hold(_host_key(host), 1)

    def try_address(self, address: Address) -> Hold | None:
        """Take one of the slots of ``address``; None: one has to wait for it. Raises :class:`Stopped`."""
        return self._try(_address_key(address), self._per_address)

    def hold_address(self, address: Address) -> Hold:
        """Wait for one of the slots of ``address``; raises :class:`Stopped`."""
        return self._hold(_address_key(address), self._per_address)

    def is_wanted(self, hold: Hold) -> bool:
        """Whether another thread of this process waits for a slot of the same host or address."""
        queue = self._queues.get(hold.key)
        return queue is not None and queue.waiting > 0

    def release(self, hold: Hold) -> None:
        """Give a slot back and wake one who waits for it."""
        with self._lock:
            queue = self._queues[hold.key]
            queue.held.discard(hold.slot)
            if self._file is not None:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, hold.key + hold.slot)
            if queue.waiting and queue.freed is not None:
                queue.freed.notify()
            elif not queue.held:
                del self._queues[hold.key]

    def stop(self) -> None:
        """End all waiting, now and later, with :class:`Stopped`."""
        with self._lock:
            self._stopped = True
            for queue in self._queues.values():
                if queue.freed is not None:
                    queue.freed.notify_all()

    def close(self) -> None:
        """Close the lock file, and with it all that this process holds."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _try(self, key: int, slots: int) -> Hold | None:
        with self._lock:
            if self._stopped:
                raise Stopped
            queue = self._queues.get(key)
            if queue is None:
                queue = self._queues[key] = _Queue()
            elif queue.waiting:
                return None
            slot = self._try_slots(key, slots, queue.held)
            if slot is not None:
                queue.held.add(slot)
                return Hold(key, slot)
            if not queue.held:
                del self._queues[key]
            return None

    def _hold(self, key: int, slots: int) -> Hold:
        with self._lock:
            queue = self._queues.get(key)
            if queue is None:
                queue = self._queues[key] = _Queue()
            if queue.freed is None:
                queue.freed = threading.Condition(self._lock)
            # Whoever has waited longer goes first, also if a slot has just been given back by us.
            yields = queue.waiting > 0
            queue.waiting += 1
            try:
                if yields:
                    queue.freed.wait(random.uniform(*_POLL_SECONDS))
                while True:
                    if self._stopped:
                        raise Stopped
                    slot = self._try_slots(key, slots, queue.held)
                    if slot is not None:
                        queue.held.add(slot)
                        return Hold(key, slot)
                    full = len(queue.held) >= slots
                    # With every slot in this process, its release wakes us; else others must be asked again.
                    queue.freed.wait(None if full else random.uniform(*_POLL_SECONDS))
            finally:
                queue.waiting -= 1
                if not queue.waiting and not queue.held:
                    del self._queues[key]

    def _try_slots(self, key: int, slots: int, held: set[int]) -> int | None:
        # Processes that begin at different slots get in each other's way less.
        for each in range(self._first, self._first + slots):
            slot = each % slots
            if slot not in held and (self._file is None or _try_lock(self._file, key + slot)):
                return slot
        return None


@lru_cache(maxsize=4096)
def _host_key(host: str) -> int:
    return _hash(host) % _ADDRESSES_FROM


@lru_cache(maxsize=4096)
def _address_key(address: Address) -> int:
    places = _ADDRESSES_FROM // _BYTES_PER_ADDRESS - 1
    return _ADDRESSES_FROM + _hash(str(address)) % places * _BYTES_PER_ADDRESS


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())


def _try_lock(file: int, offset: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True


def _open_private(path: Path) -> int:
    """Open the lock file, or make it; in a directory that others may write to, it must be nobody else's."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        # With something there it isn't the directory that keeps us out.
        if error.errno in _IN_THE_WAY and os.path.lexists(path):
            raise _not_ours(path) from error
        raise
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        os.close(file)
        raise _not_ours(path)
    return file


def _not_ours(path: Path) -> PermissionError:
    must = f"the lock file must be a regular file of user {os.geteuid()} with mode 0600"
    remedy = "remove it, or let XDG_RUNTIME_DIR or TMPDIR name a directory of your own"
    return PermissionError(errno.EPERM, f"{must}; {remedy}", str(path))


def _is_our_directory(path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
