"""``vmcrawl classify``: every labelled string through the command line, and what happens with lines that are none."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from tests.program import environment
from vmcrawl.cli import main
from vmcrawl.embedded import EmbeddedUnavailable, running
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.connection import connect
from vmcrawl.store.migrations import prepare

LABELLED = list(csv.DictReader((Path(__file__).parent / "data/versions.csv").read_text(encoding="utf-8").splitlines()))


@pytest.fixture
def no_database(monkeypatch, tmp_path):
    """No database is named, and the embedded one has its place where nothing is."""
    for name in [name for name in os.environ if name.startswith(("PG", "VMCRAWL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VMCRAWL_DATABASE_DIRECTORY", str(tmp_path / "postgres"))
    return tmp_path / "postgres"


def asked(*lines: bytes, options: Sequence[str] = (), **more: str) -> "subprocess.CompletedProcess[bytes]":
    """Let the program answer these lines."""
    command = [sys.executable, "-m", "vmcrawl", "classify", "--json", "-", *options]
    env = environment("", **more)
    return subprocess.run(command, input=b"\n".join(lines), env=env, capture_output=True, timeout=60, check=False)


def answers(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert main(["classify", "--json", *arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_all_labelled_strings_are_read_as_labelled_through_the_command_line(tmp_path):
    lines = [f'{{"software": {json.dumps(row["software"])}, "version": {row["raw_json"]}}}' for row in LABELLED]
    directory = tmp_path / "postgres"
    finished = asked(*(line.encode() for line in lines), VMCRAWL_DATABASE_DIRECTORY=str(directory))
    assert (finished.returncode, finished.stderr) == (0, b"")
    read = [json.loads(line) for line in finished.stdout.splitlines()]
    assert len(read) == len(LABELLED) == 427
    wrong = []
    for answer, row in zip(read, LABELLED, strict=True):
        said = answer["valid"], answer["release"], answer["prerelease"], answer["branch"], answer["fork"]
        labels = row["valid"] == "valid", row["expected_release"], row["prerelease"], row["branch"], row["fork"]
        if said != labels:
            wrong.append(f"{row['raw_json'][:60]}: {said}, labelled {labels}")
        assert answer["valid"] == (answer["reason"] == "")
    assert not wrong, "\n".join(wrong)
    assert not directory.exists(), "nothing is started, nothing is made"


def test_software_is_mastodon_where_it_is_missing_and_upstream_counts(no_database, tmp_path):
    finished = asked(b'{"version": "4.5.6"}', b'{"software": "fedibird", "version": "0.1", "upstream": "3.4.1"}')
    first, second = (json.loads(line) for line in finished.stdout.splitlines())
    assert (first["release"], first["fork"]) == ("4.5.6", "vanilla")
    assert (second["release"], second["fork"], second["valid"]) == ("3.4.1", "fedibird", True)


@pytest.mark.parametrize(
    "line",
    [
        b"4.5.6",
        b'"4.5.6"',
        b"[]",
        b"{",
        b'{"version": "\xff"}',
        b"[" * 100_000,
        b"null",
        b'{"version": ' + b"9" * 5000 + b"}",
        # Read by one library and too deep for another, or for the answer.
        b'{"version": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"version": ' + b'{"a":' * 600 + b"1" + b"}" * 600 + b"}",
        b'{"software": ' + b"[" * 900 + b"]" * 900 + b', "version": "4.5.6"}',
        # No JSON, and nothing that JSON could answer.
        b'{"version": NaN}',
        b'{"version": "4.5.6", "software": [-Infinity]}',
        b'{"version": 1e999}',
        b'{"version": "4.5.6", "software": {"a": -1e999}}',
    ],
)
def test_a_line_that_is_no_object_is_answered_in_its_place_and_the_others_are_read(line):
    finished = asked(b'{"version": "4.5.6"}', b"", line, b'\xef\xbb\xbf{"version": "4.5.7"}')
    assert finished.returncode == 1
    assert b"line 3" in finished.stderr
    assert b"Traceback" not in finished.stderr
    read = [json.loads(one, parse_constant=pytest.fail) for one in finished.stdout.splitlines()]
    assert [one["release"] for one in read] == ["4.5.6", "", "4.5.7"]
    assert (read[1]["valid"], read[1]["reason"]) == (False, "bad_line")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"version": 4.5}, "not_a_string"),
        ({}, "not_a_string"),
        ({"version": "4.5.6", "software": None}, "other_software"),
        ({"version": "4.5.6", "software": ["mastodon"]}, "other_software"),
        ({"version": "\ud83d4.5.6"}, "control_character"),
        ({"version": "4.5.6", "upstream": {"version": "4.5.6"}}, ""),
    ],
)
def test_any_json_value_is_read_or_refused(said, reason):
    finished = asked(json.dumps(said).encode())
    assert finished.returncode == 0
    assert json.loads(finished.stdout)["reason"] == reason


def test_a_refusal_says_why_and_what_is_known_all_the_same(no_database, capsys):
    short, above, old = answers(capsys, "4.1", "42.0.0+glitch", "4.1.3")
    assert (short["valid"], short["reason"], short["branch"]) == (False, "no_patch", "4.1")
    assert (above["valid"], above["reason"], above["fork"]) == (False, "above_main", "glitch")
    assert (old["valid"], old["support"], old["patched"]) == (True, "eol", False)


def test_a_table_is_for_people(no_database, capsys):
    assert main(["classify", "--software", "hometown", "1.0.7+3.5.5", "latest"]) == 0
    shown = capsys.readouterr().out
    assert "3.5.5" in shown
    assert "hometown" in shown
    assert "no_number" in shown


def test_options_stand_for_what_a_line_does_not_name():
    lines = b'{"version": "0.1"}', b'{"version": "0.1", "upstream": null}', b'{"software": "ecko", "version": "0.1"}'
    finished = asked(*lines, options=["--software", "fedibird", "--upstream", "3.4.1"])
    assert finished.returncode == 0
    read = [json.loads(line) for line in finished.stdout.splitlines()]
    assert [(one["software"], one["release"], one["reason"]) for one in read] == [
        ("fedibird", "3.4.1", ""),
        ("fedibird", "", "own_number"),
        ("ecko", "3.4.1", ""),
    ]


def test_without_json_a_dash_is_wrong_usage(no_database, capsys):
    assert main(["classify", "-"]) == 2


@pytest.mark.parametrize("versions", [["-", "4.5.6"], ["4.5.6", "-"], ["-", "-"]])
def test_a_dash_beside_versions_is_wrong_usage(no_database, capsys, versions):
    assert main(["classify", "--json", *versions]) == 2
    assert main(["classify", *versions]) == 2
    assert capsys.readouterr().out == ""


def test_a_database_that_is_away_is_said_and_the_packaged_releases_have_to_do(no_database, monkeypatch, capsys):
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")
    assert answers(capsys, "4.5.6")[0]["release"] == "4.5.6"


def test_the_releases_of_a_configured_database_count(no_database, monkeypatch, database_url, connection, capsys):
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", database_url)
    # Migrated, and nothing in it yet.
    assert answers(capsys, "4.12.0")[0]["reason"] == "above_main"
    prepare(connection, timedelta(days=3))
    connection.execute(
        "INSERT INTO releases (release, branch, released_on, prerelease, source, changed_at)"
        " VALUES ('4.11.0', '4.11', '2026-11-01', false, 'test', now())"
    )
    assert answers(capsys, "4.12.0")[0]["support"] == "main"


def test_a_database_of_an_older_version_is_left_alone(no_database, monkeypatch, empty_database_url, capsys):
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", empty_database_url)
    assert answers(capsys, "4.5.6")[0]["release"] == "4.5.6"
    with connect(DatabaseSettings(url=empty_database_url)) as connection:
        assert connection.execute("SELECT count(*) FROM pg_class WHERE relname = 'releases'").fetchone() == (0,)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DELETE FROM schema_migrations WHERE number = (SELECT max(number) FROM schema_migrations)", "vmcrawl migrate"),
        ("INSERT INTO schema_migrations (number, name) VALUES (9999, '9999_future')", "update the program"),
    ],
)
def test_a_database_of_another_version_is_said_and_the_packaged_releases_have_to_do(
    no_database, monkeypatch, database_url, connection, capsys, change, said
):
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", database_url)
    prepare(connection, timedelta(days=3))
    connection.execute(change)
    assert main(["classify", "--json", "4.5.6"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["release"] == "4.5.6"
    assert "packaged releases" in shown.err
    assert said in shown.err


def test_the_releases_of_an_embedded_database_count_if_there_is_one(no_database, capsys):
    assert answers(capsys, "4.12.0")[0]["reason"] == "above_main"
    assert not no_database.exists(), "nothing is made to find out"
    try:
        with running(no_database) as url, connect(DatabaseSettings(url=url)) as connection:
            prepare(connection, timedelta(days=3))
            connection.execute(
                "INSERT INTO releases (release, branch, released_on, prerelease, source, changed_at)"
                " VALUES ('4.11.0', '4.11', '2026-11-01', false, 'test', now())"
            )
    except EmbeddedUnavailable as error:
        pytest.skip(f"no Postgres: {error}")
    assert answers(capsys, "4.12.0")[0]["support"] == "main"
    # What is in its place is none that can be started.
    (no_database / "data" / "PG_VERSION").write_text("9")
    assert answers(capsys, "4.12.0")[0]["reason"] == "above_main"
