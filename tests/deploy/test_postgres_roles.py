"""What ``compose/postgres/roles.sh`` does, done to a real Postgres: who owns, who reads, and who reads what."""

import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.deploy.composed import composed
from tests.deploy.roles import PASSWORDS, can_log_in, postgres_of_its_own
from tests.deploy.tools import DEPLOY
from tests.program import start, vmcrawl
from tests.prometheus import free_port, wait_until
from vmcrawl.embedded import _binaries

_ROLES = "SELECT rolname, rolsuper, rolcanlogin, rolpassword FROM pg_authid ORDER BY rolname"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    for name, password in PASSWORDS.values():
        (tmp_path / name).write_text(password)
    (tmp_path / "github_token").touch()
    return tmp_path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with postgres_of_its_own(tmp_path) as url:
        yield url


@pytest.fixture
def made(server: str, secrets: Path) -> str:
    """The server after the script has run twice: the second time brings in a new password."""
    owners = secrets / "database_password"
    newest = owners.read_text()
    owners.write_text("an old one")
    _run(server, secrets)
    owners.write_text(newest)
    _run(server, secrets)
    return server


def test_the_owner_migrates_others_read_and_the_exporter_serves(made, secrets):
    migrated = vmcrawl("migrate", env=_environment("migrate", made, secrets))
    assert (migrated.returncode, migrated.stderr) == (0, "")
    assert "applied" in migrated.stdout
    with psycopg.connect(made) as server:
        powers = server.execute(
            "SELECT rolname, rolcanlogin, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
            " FROM pg_roles WHERE rolname LIKE 'vmcrawl%' ORDER BY rolname"
        ).fetchall()
    assert powers == [(role, role != "vmcrawl_reader", False) for role in sorted({*PASSWORDS, "vmcrawl_reader"})]
    for role in ("vmcrawl_exporter", "vmcrawl_grafana"):
        with psycopg.connect(_as(made, role), autocommit=True) as reader:
            assert reader.execute("SELECT count(*) FROM public_instances").fetchone() == (0,)
            for forbidden in (
                "SELECT FROM domains",
                "SELECT FROM dni",
                "CREATE TABLE mine ()",
                "CREATE TEMP TABLE t ()",
            ):
                with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
                    reader.execute(forbidden)
            reader.execute("SET default_transaction_read_only = off")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute("CREATE TABLE mine ()")
    with psycopg.connect(_as(made, "vmcrawl_grafana")) as grafana:
        assert grafana.execute("SHOW statement_timeout").fetchone() == ("30s",)
    _serves(made, secrets)


def test_passwords_are_those_of_the_files(made):
    for role, (_, password) in PASSWORDS.items():
        assert can_log_in(make_conninfo(made, user=role, password=password, dbname="vmcrawl"))
        for wrong in ("an old one", ""):
            assert not can_log_in(make_conninfo(made, user=role, password=wrong, dbname="vmcrawl"))


def test_nobody_else_gets_into_the_database(made):
    with psycopg.connect(made, autocommit=True) as server:
        server.execute("CREATE ROLE stranger LOGIN PASSWORD 'x'")
    assert can_log_in(make_conninfo(made, user="stranger", password="x", dbname="postgres"))
    assert not can_log_in(make_conninfo(made, user="stranger", password="x", dbname="vmcrawl"))


@pytest.mark.parametrize("name", sorted({*PASSWORDS, "vmcrawl_reader"}))
def test_whoever_is_a_superuser_already_stays_one_and_nothing_is_changed(server, secrets, name):
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} SUPERUSER").format(sql.Identifier(name)))
        before = connection.execute(_ROLES).fetchall()
        done = _done(server, secrets)
        assert done.returncode == 3
        assert f"nothing is changed: {name} is a superuser" in done.stderr
        assert connection.execute(_ROLES).fetchall() == before
        assert connection.execute("SELECT FROM pg_database WHERE datname = 'vmcrawl'").fetchone() is None


def test_an_empty_password_is_none(server, secrets):
    (secrets / "grafana_database_password").write_text("\n")
    done = _done(server, secrets)
    assert done.returncode != 0
    assert "VMCRAWL_GRAFANA_PASSWORD: is empty" in done.stderr
    with psycopg.connect(server) as connection:
        assert connection.execute("SELECT FROM pg_roles WHERE rolname = 'vmcrawl'").fetchone() is None


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_program_and_script_read_the_same_password_from_a_file(server, secrets, ending):
    (secrets / "database_password").write_text(f" two words, and a space behind {ending}", newline="")
    _run(server, secrets)
    migrated = vmcrawl("migrate", env=_environment("migrate", server, secrets))
    assert (migrated.returncode, migrated.stderr) == (0, "")


def test_an_older_psql_understands_the_script():
    # 14, which is still about, knows no \getenv.
    commands = set(
        re.findall(r"^\\\w+|\\gexec", (DEPLOY / "compose" / "postgres" / "roles.sh").read_text(), re.MULTILINE)
    )
    assert commands == {"\\set", "\\gexec"}


def _serves(made: str, secrets: Path) -> None:
    port = free_port()
    exporter = start(["exporter", "--listen", f"127.0.0.1:{port}"], _environment("exporter", made, secrets))
    try:
        wait_until(lambda: exporter.poll() is not None or _answers(port), "the exporter listens")
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).read().decode()
    finally:
        exporter.terminate()
        _, log = exporter.communicate(timeout=20)
    assert "vmcrawl_database_up 1.0" in metrics, log
    assert 'vmcrawl_scrape_collector_success{collector="adoption"} 1.0' in metrics
    assert "} 0.0" not in "".join(line for line in metrics.splitlines() if "collector_success" in line)
    assert exporter.returncode == 143
    assert "WARNING" not in log


def _answers(port: int) -> bool:
    try:
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/-/healthy", timeout=2).status == 200)
    except OSError:
        return False


def _run(server: str, secrets: Path) -> None:
    done = _done(server, secrets)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _done(server: str, secrets: Path) -> "subprocess.CompletedProcess[str]":
    given = conninfo_to_dict(server)
    path = f"{_binaries()}:{os.environ['PATH']}"
    env = {"PATH": path, "VMCRAWL_SECRETS": str(secrets), "PGHOST": str(given["host"]), "PGPORT": str(given["port"])}
    script = DEPLOY / "compose" / "postgres" / "roles.sh"
    return subprocess.run([script], env=env, capture_output=True, text=True, timeout=60, check=False)


def _environment(service: str, made: str, secrets: Path) -> dict[str, str]:
    """What ``compose.yaml`` gives a service, with other addresses."""
    project, _ = composed((DEPLOY / "compose.yaml").read_text())
    settings = project["configs"]["settings"]["file"]
    given = conninfo_to_dict(made)
    environment = {}
    for name, value in project["services"][service]["environment"].items():
        if name.endswith("DATABASE_URL"):
            user = value.partition("//")[2].partition("@")[0]
            environment[name] = make_conninfo(
                "", host=given["host"], port=given.get("port"), user=user, dbname="vmcrawl"
            )
        else:
            found = value.replace("/run/secrets", str(secrets))
            environment[name] = found.replace("/etc/vmcrawl/config.yaml", settings)
    return {"PATH": os.environ["PATH"], **environment}


def _as(made: str, role: str) -> str:
    return make_conninfo(made, user=role, password=PASSWORDS[role][1], dbname="vmcrawl")
