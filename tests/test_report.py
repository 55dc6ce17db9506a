"""``report`` sums up adoption for readers, names nobody unless asked, and draws what history has."""

import json
import struct
from datetime import timedelta
from xml.etree import ElementTree

import psycopg
import pytest

from tests.program import environment, vmcrawl
from tests.store.builders import NOW, crawl, failed, leave_page, ok
from vmcrawl.domain import Domain
from vmcrawl.knowledge import read_anew
from vmcrawl.outcome import Outcome
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store import runs
from vmcrawl.store.database import Database
from vmcrawl.store.migrations import prepare

#: How a day is written in the history: at noon.
NOON = NOW.replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)


@pytest.fixture
def env(connection: psycopg.Connection, database_url: str) -> dict[str, str]:
    prepare(connection, timedelta(days=3))
    return environment(database_url)


@pytest.fixture
def published(connection: psycopg.Connection, env: dict[str, str], database_url: str) -> dict[str, str]:
    """Four instances, one of them on the DNI list; one domain has opted out, another forbids it, one instance fails."""
    crawl(
        connection,
        ok(Domain("new.example"), version="4.7.0", active_users=100),
        ok(Domain("old.example"), version="4.3.1", active_users=300),
        ok(Domain("dni.example"), version="4.3.1", active_users=500),
        ok(Domain("odd.example"), version="4.6.0", active_users=100),
        failed(Domain("out.example"), Outcome.OPTED_OUT),
        failed(Domain("closed.example"), Outcome.ROBOTS_DISALLOWED),
    )
    runs.finish_run(connection, 1, NOW, runs.RunStatus.SUCCESS, {"ok": 4, "opted_out": 1, "robots_disallowed": 1})
    crawl(connection, failed(Domain("odd.example"), Outcome.TIMEOUT))
    connection.execute("INSERT INTO dni (domain) VALUES ('dni.example')")
    database = Database(DatabaseSettings(url=database_url))
    read_anew(database, database.now().date())
    database.close()
    return env


def report(*arguments: str, env: dict[str, str]) -> str:
    finished = vmcrawl("report", *arguments, env=env)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_an_empty_database_has_nothing_to_report_and_says_so(env, tmp_path):
    assert "Nothing is published" in report(env=env)
    assert json.loads(report("--json", env=env))["total"]["instances"] == 0
    finished = vmcrawl("report", "--chart", str(tmp_path / "a.png"), env=env)
    assert finished.returncode == 1
    assert "there is no history to draw" in finished.stderr
    assert not (tmp_path / "a.png").exists()


def test_sums_are_weighted_by_servers_and_by_users(published):
    document = json.loads(report("--format", "json", env=published))
    assert document["total"] == {
        "instances": 4,
        "active_users": 1000,
        "patched_instances": 1,
        "patched_users": 100,
    }
    assert (document["supported"]["instances"], document["supported"]["active_users"]) == (2, 200)
    by_branch = {one["branch"]: one["count"]["active_users"] for one in document["branches"]}
    assert by_branch == {"4.7": 100, "4.6": 100, "4.3": 800}
    assert (document["opted_out"], document["robots_disallowed"], document["failing"]) == (1, 1, 1)
    assert document["exposed_instances"] >= 2
    assert document["advisories"][0]["instances"] >= document["advisories"][-1]["instances"]
    output = report(env=published)
    assert "4 servers with 1,000 monthly active users. 50.0% of the servers (20.0% of the users)" in output
    assert "1 have opted out and 1 forbid it by robots.txt" in output


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_no_server_is_named_unless_asked_and_none_of_the_dni_list_ever(published, form):
    assert ".example" not in report("--format", form, env=published)
    listed = report("--format", form, "--top", "10", env=published)
    assert listed.index("old.example") < listed.index("new.example")
    assert "dni.example" not in listed
    (_, *others) = listed.split("old.example")
    assert "odd.example" in "".join(others)
    assert "odd.example" not in report("--format", form, "--top", "1", env=published)


def test_a_week_is_compared_by_its_pages_and_invalid_ones_do_not_count(published, connection):
    leave_page(connection, 90, NOON - timedelta(days=7), ("4.6", "4.6.0", False, 8, 800), ("4.7", "4.7.0", True, 2, 50))
    leave_page(connection, 91, NOON, ("4.6", "4.6.0", False, 3, 300), ("4.7", "4.7.0", True, 9, 700))
    leave_page(connection, 92, NOON + timedelta(hours=1), ("4.6", "4.6.0", False, 1, 1), invalid=True)
    document = json.loads(report("--json", env=published))
    changes = document["changes"]
    assert [(one["branch"], one["instances"], one["active_users"]) for one in changes["branches"]] == [
        ("4.7", 7, 650),
        ("4.6", -5, -500),
    ]
    assert (changes["before"]["patched_instances"], changes["after"]["patched_instances"]) == (2, 9)
    output = report(env=published)
    assert f"Since {NOON - timedelta(days=7):%Y-%m-%d}: +2 servers, +150 users" in output
    assert "went from 20.0% to 75.0%" in output


def test_without_a_page_from_a_week_ago_nothing_is_compared(published, connection):
    leave_page(connection, 90, NOON - timedelta(days=30), ("4.6", "4.6.0", False, 8, 800))
    leave_page(connection, 91, NOON, ("4.6", "4.6.0", False, 3, 300))
    assert "There is no count from a week ago" in report(env=published)


def test_markdown_is_ready_to_be_posted(published, connection):
    connection.execute("UPDATE advisories SET title = 'a | b <script> `x` [y](z)'")
    output = report("--format", "markdown", env=published)
    assert output.startswith("# Mastodon version adoption, ")
    assert "a \\| b \\<script\\> \\`x\\` \\[y\\](z)" in output
    tables = [line for line in output.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("weight", ["instances", "users"])
def test_a_picture_is_drawn_of_what_history_has(published, connection, tmp_path, theme, weight):
    for day in range(20):
        if day not in (7, 8):
            leave_page(
                connection,
                day + 100,
                NOON - timedelta(days=20 - day),
                ("4.6", "4.6.0", False, 900 - 40 * day, 50_000 - 2_000 * day),
                ("4.7", "4.7.0", True, 20 + 45 * day, 1_000 + 2_500 * day),
                invalid=day == 12,
            )
    for name in ("adoption.png", "adoption.svg"):
        path = tmp_path / name
        report("--chart", str(path), "--theme", theme, "--weight", weight, env=published)
    picture = (tmp_path / "adoption.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert struct.unpack(">II", picture[16:24]) == (1200, 675)
    root = ElementTree.parse(tmp_path / "adoption.svg").getroot()
    assert root.tag.endswith("svg")


def test_without_the_extra_it_says_how_to_get_it(published, connection, tmp_path):
    leave_page(connection, 91, NOON, ("4.6", "4.6.0", False, 3, 300))
    (tmp_path / "matplotlib").mkdir()
    (tmp_path / "matplotlib" / "__init__.py").write_text("raise ImportError('not here')")
    env = {**published, "PYTHONPATH": str(tmp_path)}
    finished = vmcrawl("report", "--chart", str(tmp_path / "a.svg"), env=env)
    assert finished.returncode == 1
    assert "pip install 'vmcrawl[charts]'" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert "4 servers" in finished.stdout


def test_a_picture_that_cannot_be_written_is_no_traceback(published, connection):
    leave_page(connection, 91, NOON, ("4.6", "4.6.0", False, 3, 300))
    finished = vmcrawl("report", "--chart", "/nowhere/a.png", env=published)
    assert finished.returncode == 1
    assert "/nowhere/a.png cannot be written" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    "arguments", [["--chart", "a.jpg"], ["--top", "-1"], ["--format", "html"], ["--since", "soon"]]
)
def test_a_wrong_word_is_wrong_usage(arguments, env):
    assert vmcrawl("report", *arguments, env=env).returncode == 2
