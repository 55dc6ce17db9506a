"""What strangers wrote is shown to people, and does nothing else to their terminals."""

import io
import json
from dataclasses import replace

import psycopg
import pytest

from tests.fediverse import Reply, fediverse_in_thread, mastodon
from tests.program import environment, vmcrawl
from tests.store.builders import crawl, ok
from vmcrawl.commands.display import shown, write_facts, write_table
from vmcrawl.domain import Domain

#: A window title, a cleared screen, a right-to-left override, colours of both kinds, markup and emoji of rich, a line.
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m[red]:heart:\\\r\nsecond line"


def assert_harmless(output: str) -> None:
    assert not [line for line in output.splitlines() if not line.isprintable()]
    assert not [line for line in output.splitlines() if line.startswith("second line")]
    assert "[red]:heart:\\ second line" in output


@pytest.fixture
def env(connection: psycopg.Connection, database_url: str) -> dict[str, str]:
    domain = Domain("vmst.io")
    crawl(connection, ok(domain, software=HOSTILE, version=HOSTILE, detail=HOSTILE, nodeinfo_url=HOSTILE))
    connection.execute("INSERT INTO dni VALUES (%s, 'soft', %s, 'import', now())", [domain, HOSTILE])
    connection.execute("UPDATE versions SET release = %(text)s, branch = %(text)s, fork = %(text)s", {"text": HOSTILE})
    return environment(database_url)


@pytest.mark.parametrize(
    "command",
    [["show", "vmst.io"], ["domains", "list", "--with-dni"], ["domains", "list", "--with-dni", "--csv"]],
)
def test_what_is_stored_is_shown_without_effect(env, command):
    finished = vmcrawl(*command, env=env)
    assert finished.returncode == 0, finished.stderr
    assert_harmless(finished.stdout)


@pytest.mark.parametrize("command", [["show", "vmst.io", "--json"], ["domains", "list", "--with-dni", "--json"]])
def test_json_has_it_whole_and_escaped(env, command):
    finished = vmcrawl(*command, env=env)
    (line,) = finished.stdout.splitlines()
    assert line.isascii()
    assert line.isprintable()
    assert HOSTILE in (json.loads(line).get("row") or json.loads(line))["detail"]


def test_what_a_server_answers_is_shown_without_effect(database_url, tmp_path):
    site = mastodon("hostile.social")
    # A media type ends at the semicolon, and a header at the end of the line.
    content_type = HOSTILE.replace(";", "").replace("\r\n", " ").encode().decode("latin-1")
    answer = Reply(200, (("Content-Type", content_type),), b"{}")
    site = replace(site, routes={**site.routes, "/.well-known/nodeinfo": answer})
    with fediverse_in_thread([site], tmp_path) as running:
        finished = vmcrawl(
            "check", "hostile.social", env=environment(database_url, VMCRAWL_CONFIG=str(running.config_file))
        )
    assert finished.returncode == 0, finished.stderr
    assert "bad_content_type" in finished.stdout
    assert_harmless(finished.stdout)


def test_facts_and_tables_are_one_line_each():
    stream = io.StringIO()
    write_facts(stream, [("detail", HOSTILE), ("number", 7)])
    assert stream.getvalue().splitlines()[1] == f"{'number':>18}: 7"
    assert_harmless(stream.getvalue())
    stream = io.StringIO()
    write_table(stream, ["name", "number"], [[HOSTILE, "7"], ["[bold]x[/bold]", "1,000"]])
    assert "[bold]x[/bold]" in stream.getvalue()
    assert_harmless(stream.getvalue())


def test_a_long_address_is_shown_whole():
    url = "https://example.com/" + "a" * 2028
    assert shown(url) == url
