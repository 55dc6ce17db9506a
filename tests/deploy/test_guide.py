"""What ``deploy/README.md`` tells an operator to type: the program understands it, and Postgres does what is said."""

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sysconfig
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.deploy.manifests import name_of, rendered
from tests.deploy.roles import PASSWORDS, can_log_in, postgres_of_its_own
from tests.deploy.tools import DEPLOY
from tests.store.builders import NOW, leave_page
from vmcrawl.cli import _parser
from vmcrawl.embedded import _binaries
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store import runs
from vmcrawl.store.connection import connect
from vmcrawl.store.migrations import migrate
from vmcrawl.store.reader import let_read

GUIDES = sorted(DEPLOY.rglob("*.md"))
#: In the place of Docker: what it would run in the container of Postgres is run here.
_DOCKER = """#!/bin/sh
while [ "$1" != postgres ] && [ "$1" != stop ]; do shift; done
[ "$1" = stop ] && exit
shift
[ "$1 $2" = "sh /docker-entrypoint-initdb.d/roles.sh" ] && exec sh "$ROLES"
exec "$@"
"""


def _commands() -> Iterator[tuple[str, list[str]]]:
    """Every command of vmcrawl in the guides, and its words."""
    for guide in GUIDES:
        text = guide.read_text()
        blocks = "\n".join(_blocks(guide)).replace("\\\n", " ")
        for line in [*re.findall(r"`([^`\n]+)`", text), *blocks.splitlines()]:
            found = re.search(r"^(?:/opt/vmcrawl/bin/)?vmcrawl (.*)|\brun --rm .*?(?:crawler|discover) (.*)", line)
            if found:
                words = shlex.split(found[1] or found[2], comments=True)
                yield f"{guide.name}: {line}", [word for word in words if not re.match(r"[|<>]", word)]


def test_every_command_in_the_guides_is_one():
    commands = dict(_commands())
    assert len(commands) > 15
    for written, words in commands.items():
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                _parser().parse_args(words)
        except SystemExit:
            # What is only named may lack what it goes on with.
            assert "arguments are required" in said.getvalue() or "--help" in words, written


def test_a_command_by_hand_in_a_cluster_is_the_refresh_with_other_arguments(tmp_path):
    (block,) = [each for each in _blocks(DEPLOY / "kubernetes" / "README.md") if "by-hand" in each]
    (cron,) = [each for each in rendered("base") if name_of(each) == "CronJob/vmcrawl-refresh"]
    # What the API server would have: the CronJob's template as a Job.
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "by-hand"}, **cron["spec"]["jobTemplate"]}
    (tmp_path / "job.json").write_text(json.dumps(job))
    pipe = re.sub(
        r"^kubectl -n vmcrawl create job [^|]*", "cat job.json ", block.partition("kubectl -n vmcrawl wait")[0]
    )
    pipe = re.sub(r"kubectl -n vmcrawl create -f -", "cat", pipe)
    path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-euc", pipe],
        env={"PATH": path, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    made = json.loads(done.stdout)
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert _parser().parse_args(container["args"]).reason == "asked by mail"
    container["args"] = ["refresh"]
    assert made["spec"] == job["spec"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where an operator stands: a composition that runs, and the secrets of it."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(_DOCKER)
    docker.chmod(0o755)
    for name, password in PASSWORDS.values():
        (tmp_path / name).write_text(password)
    with postgres_of_its_own(tmp_path) as url:
        _do(tmp_path, url, "docker compose exec postgres sh /docker-entrypoint-initdb.d/roles.sh")
        (tmp_path / "url").write_text(url)
        with _owner(tmp_path) as connection:
            migrate(connection)
            assert let_read(connection, "vmcrawl_reader") == ""
        yield tmp_path


def test_a_backup_is_restored_with_everything_and_nobody_else_gets_in(place):
    url = (place / "url").read_text()
    with _owner(place) as connection:
        _run_with_a_page(connection, 0)
    (dump,) = _block("pg_dump")
    (restore,) = _block("pg_restore")
    before = _everything(place)
    _do(place, url, dump)
    with _owner(place) as connection:
        _run_with_a_page(connection, 1)
    # Grafana and others hold connections, and are not asked.
    with psycopg.connect(make_conninfo(url, dbname="vmcrawl")):
        _do(place, url, restore.replace("deploy/up\n", ""))
    assert _everything(place) == before
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'x'")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(make_conninfo(url, user="stranger", password="x", dbname="vmcrawl"))
    reader = make_conninfo(url, user="vmcrawl_grafana", password=PASSWORDS["vmcrawl_grafana"][1], dbname="vmcrawl")
    with psycopg.connect(reader) as connection:
        assert connection.execute("SELECT count(*) FROM public_instances").fetchone() == (0,)


def test_history_and_exclusions_outlive_a_backup_that_is_restored(place):
    url = (place / "url").read_text()
    with _owner(place) as connection:
        _run_with_a_page(connection, 0)
    _do(place, url, *_block("pg_dump"))
    with _owner(place) as connection:
        for day in (1, 2):
            _run_with_a_page(connection, day)
        connection.execute(
            "INSERT INTO exclusions (domain, subdomains, reason) VALUES ('a.test', true, 'asked, \"twice\"')"
        )
        exclusions = connection.execute("SELECT * FROM exclusions").fetchall()
        history = connection.execute(_HISTORY).fetchall()
    (keep,) = _block("history.csv")
    keep = re.sub(r"at > '[^']*'", f"at > '{NOW.isoformat()}'", keep)
    first, then = keep.split("# After")
    _do(place, url, first)
    _do(place, url, *(block.replace("deploy/up\n", "") for block in _block("pg_restore")))
    functions = next(line for line in first.splitlines() if line.startswith("db()"))
    _do(place, url, f"{functions}\n# After{then}")
    with _owner(place) as connection:
        assert connection.execute("SELECT * FROM exclusions").fetchall() == exclusions
        assert connection.execute(_HISTORY).fetchall() == history
        assert runs.start_run(connection, NOW, "here") > max(row[1] for row in history)


def test_new_passwords_hold_after_the_command_of_the_guide(place):
    url, guide = (place / "url").read_text(), (DEPLOY / "README.md").read_text()
    (command,) = re.findall(r"`(docker compose [^`]* exec postgres sh \S*roles.sh)`", guide)
    for name, _ in PASSWORDS.values():
        (place / name).write_text(f"new {name}\n")
    with _owner(place) as at_work:
        _do(place, url, command)
        # Whoever is connected stays so.
        assert at_work.execute("SELECT 1").fetchone() == (1,)
    for role, (name, old) in PASSWORDS.items():
        assert can_log_in(make_conninfo(url, user=role, password=f"new {name}", dbname="vmcrawl"))
        assert not can_log_in(make_conninfo(url, user=role, password=old, dbname="vmcrawl"))


_HISTORY = "SELECT at, run_id, branch, version, instances FROM adoption_history ORDER BY run_id"


def _run_with_a_page(connection: psycopg.Connection, day: int) -> None:
    at = NOW + timedelta(seconds=day)
    run_id = runs.start_run(connection, at, "here")
    leave_page(connection, run_id, at, ("4.5", "4.5.6", True, 10 + day, 20))


def _everything(place: Path) -> dict[str, list[tuple[object, ...]]]:
    """Each table and what is in it, and who may do what with it."""
    with _owner(place) as connection:
        names = [
            row[0]
            for row in connection.execute(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
            )
        ]
        found = {
            name: connection.execute(f"SELECT t::text FROM {name} AS t ORDER BY 1".encode()).fetchall()
            for name in names
        }
        rights = "relowner::regrole::text, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        return {**found, "rights": connection.execute(f"SELECT relname, {rights} ORDER BY 1".encode()).fetchall()}


def _block(said: str) -> list[str]:
    """The blocks of commands in the guide that say it."""
    return [block for block in _blocks(DEPLOY / "README.md") if said in block]


def _blocks(guide: Path) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", guide.read_text(), re.DOTALL)


def _owner(place: Path, password: str = PASSWORDS["vmcrawl"][1]) -> psycopg.Connection:
    url = make_conninfo((place / "url").read_text(), user="vmcrawl", dbname="vmcrawl")
    return connect(DatabaseSettings(url=url, password=password))


def _do(place: Path, url: str, *commands: str) -> None:
    given = conninfo_to_dict(url)
    env = {
        "PATH": f"{place / 'bin'}:{_binaries()}:{os.environ['PATH']}",
        "VMCRAWL_SECRETS": str(place),
        "ROLES": str(DEPLOY / "compose" / "postgres" / "roles.sh"),
        "PGHOST": str(given["host"]),
        "PGPORT": str(given["port"]),
    }
    for command in commands:
        done = subprocess.run(
            ["sh", "-euc", command], env=env, cwd=place, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
