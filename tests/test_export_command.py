"""``vmcrawl export``: what is published and nobody else, whole or not at all, the same in every format."""

import csv
import hashlib
import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pyarrow.parquet
import pytest

from tests.exporter.published import publish
from tests.program import environment, start, vmcrawl
from tests.servers import eventually
from tests.store.builders import NOW, crawl, leave_page, ok
from vmcrawl.domain import Domain
from vmcrawl.store.history import invalidate
from vmcrawl.store.migrations import prepare

HOSTILE = '=HYPERLINK("https://evil.example")'


@pytest.fixture
def env(database_url: str, connection: psycopg.Connection) -> dict[str, str]:
    prepare(connection, timedelta(days=3))
    publish(connection, "a.example", version="4.5.16", users=100)
    publish(connection, "b.example", version=HOSTILE, release=None, branch=None, patched=None, fork=None)
    publish(connection, "c.example", version="4.5.16+🐘", software="和歌")
    publish(connection, "soft.example")
    publish(connection, "below.hard.example")
    publish(connection, "gone.example", seen_at=datetime.now(UTC) - timedelta(days=4))
    connection.execute("INSERT INTO dni (domain, severity) VALUES ('soft.example', 'soft'), ('hard.example', 'hard')")
    return environment(database_url, VMCRAWL_HTTP_CONTACT="who@example.org")


def rows_of(path: Path) -> list[dict[str, object]]:
    """What a reader of each format has, as one type; text of CSV as docs/dataset.md says."""
    if path.suffix == ".parquet":
        return [dict(row) for row in pyarrow.parquet.read_table(path).to_pylist()]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        return [{name: cell.removeprefix("'") for name, cell in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_listed_instances_and_nobody_else(env, tmp_path, form):
    path = tmp_path / f"instances.{form}"
    written = vmcrawl("export", "--format", form, "--output", str(path), "--json", env=env)
    assert written.returncode == 0, written.stderr
    rows = rows_of(path)
    assert [row["domain"] for row in rows] == ["a.example", "b.example", "c.example"]
    assert [row["version"] for row in rows] == ["4.5.16", HOSTILE, "4.5.16+🐘"]
    assert rows[1]["release"] in ("", None)
    assert str(rows[0]["patched"]).lower() == "true"
    assert str(rows[0]["active_users"]) == "100"
    content = path.read_bytes()
    said = json.loads(written.stdout)
    assert (said["rows"], said["size"], said["sha256"]) == (3, len(content), hashlib.sha256(content).hexdigest())
    for hidden in (b"soft.example", b"hard.example", b"gone.example"):
        assert hidden not in content


def test_the_licence_and_what_it_means_stand_beside_it(env, tmp_path):
    path = tmp_path / "instances.csv"
    env = {**env, "VMCRAWL_PUBLISH_LICENSE": "ODbL-1.0"}
    assert vmcrawl("export", "--output", str(path), env=env).stdout == "instances.csv: 3 rows\n"
    note = json.loads((tmp_path / "instances.csv.datapackage.json").read_text())
    assert note["licenses"][0]["name"] == "ODbL-1.0"
    (resource,) = note["resources"]
    assert resource["path"] == "instances.csv"
    assert resource["hash"] == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert {file.name for file in tmp_path.iterdir()} == {path.name, f"{path.name}.datapackage.json"}


def test_parquet_bears_its_licence_itself(env, tmp_path):
    path = tmp_path / "instances.parquet"
    assert vmcrawl("export", "--format", "parquet", "--output", str(path), env=env).returncode == 0
    schema = pyarrow.parquet.read_schema(path)
    assert schema.metadata[b"license"] == b"CC0-1.0"
    assert schema.metadata[b"publisher"] == b"who@example.org"
    assert str(schema.field("last_seen_at").type) == "timestamp[us, tz=UTC]"
    assert not schema.field("domain").nullable


def test_standard_output_is_utf8_whatever_the_locale(env, tmp_path):
    note = tmp_path / "note.json"
    command = [sys.executable, "-m", "vmcrawl", "export", "--manifest", str(note)]
    plain = {**env, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    written = subprocess.run(command, env=plain, capture_output=True, timeout=60, check=True)
    assert "4.5.16+🐘" in written.stdout.decode()
    (resource,) = json.loads(note.read_text())["resources"]
    assert resource["hash"] == f"sha256:{hashlib.sha256(written.stdout).hexdigest()}"


def test_history_is_what_is_believed(env, connection, tmp_path):
    for run_id, days in ((1, 3), (2, 2), (3, 1)):
        leave_page(connection, run_id, NOW - timedelta(days=days), ("4.5", "4.5.6", True, run_id, 10))
    invalidate(connection, (NOW - timedelta(days=2)).date(), "why")
    path = tmp_path / "history.jsonl"
    assert vmcrawl("export", "--what", "history", "--format", "jsonl", "--output", str(path), env=env).returncode == 0
    assert [(row["run_id"], row["release"], row["instances"]) for row in rows_of(path)] == [
        (1, "4.5.6", 1),
        (3, "4.5.6", 3),
    ]


def test_changes_are_those_of_servers_that_are_listed(env, connection, tmp_path):
    for name in ("moved.example", "moved.soft.example"):
        crawl(connection, ok(Domain(name), NOW - timedelta(hours=2), version="4.5.5"))
        crawl(connection, ok(Domain(name), NOW - timedelta(hours=1), version="4.5.6"))
    path = tmp_path / "changes.csv"
    assert vmcrawl("export", "--what", "changes", "--output", str(path), env=env).returncode == 0
    (row,) = rows_of(path)
    assert (row["domain"], row["from_version"], row["to_version"]) == ("moved.example", "4.5.5", "4.5.6")


def test_what_was_there_stays_until_the_new_file_is_whole(env, connection, tmp_path, database_url):
    path = tmp_path / "instances.csv"
    path.write_text("old")
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE sightings")
        with start(["export", "--output", str(path)], env) as export:
            waits = "SELECT 1 FROM pg_locks WHERE NOT granted"
            assert eventually(lambda: other.execute(waits).fetchone() is not None, 30)
            assert path.read_text() == "old"
            export.terminate()
            export.communicate(timeout=30)
    assert export.returncode == 143
    assert [file.name for file in tmp_path.iterdir()] == [path.name], "nothing is left behind"
    assert path.read_text() == "old"


def test_a_file_has_the_rights_of_any_other_and_a_link_stays_one(env, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.csv").write_text("old")
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "there" / "real.csv")
    assert vmcrawl("export", "--output", str(link), env=env).returncode == 0
    assert link.is_symlink()
    real = tmp_path / "there" / "real.csv"
    assert real.read_text().startswith("domain,")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(real.stat().st_mode) == 0o666 & ~umask


def test_what_is_no_file_is_written_to_and_not_replaced(env):
    assert vmcrawl("export", "--output", "/dev/null", env=env).returncode == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("arguments", [["--format", "parquet"], ["--json"], ["--what", "ledger"]])
def test_a_wrong_word_is_wrong_usage(env, arguments):
    finished = vmcrawl("export", *arguments, env=env)
    assert finished.returncode == 2
    assert "Traceback" not in finished.stderr


def test_a_place_that_cannot_be_written_to_is_named(env, tmp_path):
    finished = vmcrawl("export", "--output", str(tmp_path / "nowhere" / "x.csv"), env=env)
    assert finished.returncode == 1
    assert f"{tmp_path / 'nowhere' / 'x.csv'} cannot be written" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_without_pyarrow_it_is_said_what_to_do(env, tmp_path):
    (tmp_path / "pyarrow.py").write_text("raise ImportError('not here')")
    finished = vmcrawl(
        *("export", "--format", "parquet", "--output", str(tmp_path / "x.parquet")),
        env={**env, "PYTHONPATH": str(tmp_path)},
    )
    assert finished.returncode == 1
    assert "pip install 'vmcrawl[parquet]'" in finished.stderr
    assert not (tmp_path / "x.parquet").exists()


def test_nothing_published_is_an_empty_table_and_no_error(database_url, tmp_path):
    for form in ("csv", "jsonl", "parquet"):
        path = tmp_path / f"instances.{form}"
        written = vmcrawl("export", "--format", form, "--output", str(path), env=environment(database_url))
        assert written.returncode == 0, written.stderr
        assert rows_of(path) == []
