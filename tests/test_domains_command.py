"""``domains`` from the command line to the database: lists in, lists out, who is left alone."""

import csv
import gzip
import io
import json
import os
import sys

import pytest

from tests.servers import Server
from tests.store.builders import NOW, column, crawl, failed, names, ok
from tests.test_refresh import said, told
from tests.test_sources import ok as answer
from tests.test_sources import refusal, routes
from vmcrawl.cli import main
from vmcrawl.domain import Domain
from vmcrawl.outcome import Outcome
from vmcrawl.store import ledger
from vmcrawl.store.ledger import PAGE_SIZE

A, B, C = Domain("a.social"), Domain("b.social"), Domain("c.social")
JOIN = json.dumps([{"domain": "a.social", "version": "4.5.6"}, {"domain": "b.social"}]).encode()
ACTIONS = ("import", "list", "requeue", "exclude", "opt-out", "include", "exclusions", "opt-outs")


@pytest.fixture
def env(database_url, monkeypatch):
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", database_url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("VMCRAWL_SOURCES_TIMEOUT", "2s")


@pytest.fixture
def file(tmp_path, env):
    """Writes a list to a file; gives its path."""
    path = tmp_path / "list"

    def write(content):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def rows(text):
    return [json.loads(line) for line in text.splitlines()]


# Import.


def test_everything_in_a_list_is_counted_once(file, connection, capsys):
    connection.execute("INSERT INTO exclusions (domain) VALUES ('c.social')")
    connection.execute("INSERT INTO dni (domain, severity) VALUES ('hard.social', 'hard')")
    ledger.add_domains(connection, [B], "test", NOW)
    content = "a.social\nb.social\nc.social\nx.hard.social\na.social\nno name\n"
    counts = {"added": 1, "known": 1, "excluded": 1, "on_dni": 1, "duplicates": 1, "bad": 1}
    tried = said(capsys, "domains", "import", file(content), "--dry-run")
    assert tried.items() >= (counts | {"dry_run": True, "format": "text"}).items()
    assert tried["bad_lines"] == [
        {"number": 6, "text": "no name", "reason": "a character that no domain name can have"}
    ]
    assert tried["duplicate_lines"] == [{"number": 5, "domain": "a.social"}]
    assert column(connection, "SELECT count(*) FROM domains") == [1]
    assert told(capsys, "domains", "import", file(content), "--source", "mine").startswith(
        "1 added, 1 known, 1 duplicates, 1 bad, 1 excluded (in the ledger, never asked), 1 with a hard DNI entry"
    )
    assert column(connection, "SELECT domain FROM domains WHERE source = 'mine' ORDER BY 1") == [A, C, "x.hard.social"]


def test_bad_lines_and_repeats_are_shown_up_to_twenty_of_each(file, capsys):
    assert main(["domains", "import", file("a.social\n" + "a.social\n" * 30 + "no name\n" * 25)]) == 0
    output, errors = capsys.readouterr()
    assert output == "1 added, 0 known, 30 duplicates, 25 bad\n"
    assert errors.count("no name") == errors.count("a.social again") == 20
    assert "line 2: a.social again" in errors
    assert "line 32: 'no name'" in errors
    assert "5 more bad lines" in errors
    assert "10 more repeated lines" in errors


def test_nobodys_account_is_kept_or_shown(file, connection, capsys):
    follows = "Account address,Show boosts\nalice@a.social,true\nbob@no_name,true\n"
    assert main(["domains", "import", file(follows)]) == 0
    output, errors = capsys.readouterr()
    assert "alice" not in output + errors
    assert "bob" not in output + errors
    assert column(connection, "SELECT domain FROM domains") == [A]


def test_a_list_comes_from_stdin(env, monkeypatch, tmp_path, capsys):
    (tmp_path / "list").write_bytes(JOIN)
    with (tmp_path / "list").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert said(capsys, "domains", "import", "-")["added"] == 2


def test_a_list_comes_from_an_address_whole_or_not_at_all(env, connection, capsys):
    bomb = gzip.compress(b"a.social\n" * 1_000_000)
    table = {
        "/servers": answer(JOIN),
        "/bomb": answer(bomb),
        "/coded": answer(bomb, "Content-Encoding: gzip"),
        "/page": answer(b"<!DOCTYPE html>"),
        "/down": refusal("503 Service Unavailable"),
        "/away": refusal("404 Not Found"),
    }
    with Server(routes(table), tls=False) as server:
        base = f"http://127.0.0.1:{server.port}"
        for path, code, words in (
            ("/bomb", 1, "it is compressed; unpack it first"),
            ("/coded", 1, "which was not asked for"),
            ("/page", 1, "a web page"),
            ("/down", os.EX_TEMPFAIL, "503"),
            ("/away", 1, "404"),
        ):
            assert main(["domains", "import", base + path]) == code, path
            assert words in capsys.readouterr().err
        assert column(connection, "SELECT count(*) FROM domains") == [0]
        assert said(capsys, "domains", "import", f"{base}/servers", "--source", "joinmastodon")["added"] == 2
    for address in ("http://example.org/list", "ftp://example.org/list", "https://user:word@example.org/list"):
        assert main(["domains", "import", address]) == 2
        errors = capsys.readouterr().err
        assert "must be" in errors
        assert "word" not in errors.replace("password", "")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a.social\n".encode("utf-16"), "iconv"),
        (b"\x1f\x8b\x08", "unpack it first"),
        (b"\0" * 100, "no text in UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"error": "no"}', "JSON without a list"),
        (b"x" * 3_000_000, "there is no name of a server in it"),
        (b"what is this\nno idea\n", "say --format"),
    ],
)
def test_what_is_no_list_is_refused_with_what_to_do(file, connection, capsys, content, words):
    assert main(["domains", "import", file(content)]) == 1
    errors = capsys.readouterr().err
    assert words in errors
    assert "Traceback" not in errors
    assert column(connection, "SELECT count(*) FROM domains") == [0]


def test_a_list_that_breaks_off_is_said_and_what_came_before_is_there(file, connection, capsys):
    assert main(["domains", "import", file(b'["a.social", "b.social", "c.so')]) == 1
    output, errors = capsys.readouterr()
    assert output.startswith("2 added")
    assert "after element 2: not JSON in UTF-8, or cut off" in errors
    assert column(connection, "SELECT count(*) FROM domains") == [2]


def test_a_format_can_be_said(file, capsys):
    content = "Our own,a.social\nMine,b.social\n"
    assert said(capsys, "domains", "import", file(content), "--format", "csv")["added"] == 2
    assert said(capsys, "domains", "import", file(content), "--format", "text", code=1)["bad"] == 2


# List and requeue.


def test_what_is_listed_as_csv_can_be_imported_and_read(env, connection, file, capsys):
    crawl(connection, ok(A), failed(B, Outcome.TIMEOUT))
    text = told(capsys, "domains", "list", "--csv")
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["domain"], first["patched"], first["branch"], first["dni"]) == (A, "true", "4.5", "")
    assert (second["domain"], second["outcome"], second["version"]) == (B, "timeout", "")
    assert said(capsys, "domains", "import", file(text))["known"] == 2


def test_whom_the_dni_list_covers_is_left_out_unless_asked_for(env, connection, capsys):
    crawl(connection, ok(A), ok(B), failed(C, Outcome.OPTED_OUT))
    connection.execute("INSERT INTO dni (domain, severity) VALUES ('a.social', 'soft'), ('c.social', 'soft')")
    for command in (["list"], ["list", "--limit", "1"]):
        assert main(["domains", *command, "--json"]) == 0
        assert [row["domain"] for row in rows(capsys.readouterr().out)] == [B]
    assert main(["domains", "list"]) == 0
    assert "2 more that the DNI list covers; --with-dni shows them" in capsys.readouterr().err
    listed = rows(told(capsys, "domains", "list", "--json", "--with-dni"))
    assert [(row["domain"], row["dni"]) for row in listed] == [(A, "soft"), (B, None), (C, "soft")]
    assert rows(told(capsys, "domains", "opt-outs", "--json")) == []
    assert [row["domain"] for row in rows(told(capsys, "domains", "opt-outs", "--json", "--with-dni"))] == [C]
    # No list: it goes on being crawled and counted.
    assert said(capsys, "domains", "requeue", "--outcome", "ok", "--dry-run") == {"due": 2, "dry_run": True}


def test_filters_choose_what_is_listed_and_what_is_made_due(env, connection, capsys):
    crawl(connection, ok(A), failed(B, Outcome.TIMEOUT))
    ledger.add_domains(connection, [C], "peers", NOW)

    def listed(*filters):
        return [row["domain"] for row in rows(told(capsys, "domains", "list", "--json", *filters))]

    assert listed("--outcome", "timeout", "--outcome", "none") == [B, C]
    assert listed("--branch", "4.5", "--patched", "yes", "--software", "mastodon", "--support", "latest") == [A]
    assert listed("--name", "?.social", "--crawled-after", "1h") == [A, B]
    assert listed("--crawled-before", "1h") == listed("--seen-before", "2020-01-01") == []
    assert listed("--source", "peers", "--due", "--added-after", "1d") == [C]
    assert told(capsys, "domains", "requeue", "--outcome", "timeout", "--dry-run") == "1 domains would be due now\n"
    assert said(capsys, "domains", "requeue", "--name", "*") == {"due": 2, "dry_run": False}
    assert said(capsys, "domains", "requeue", "--name", "*") == {"due": 0, "dry_run": False}


def test_a_table_of_several_pages_is_whole(env, connection, capsys):
    many = names(PAGE_SIZE + 7)
    ledger.add_domains(connection, many, "test", NOW)
    text = told(capsys, "domains", "list")
    assert sum(line.lstrip().startswith("d0") for line in text.splitlines()) == len(many)


# Exclusions and opt-outs.


def test_several_are_excluded_by_name_and_by_list(file, connection, capsys):
    crawl(connection, ok(A), ok(B))
    listed = file("domain,reason\nb.social,x\nc.social,y\n")
    command = ["domains", "exclude", "a.social", "--file", listed, "--reason", "why"]
    assert said(capsys, *command, "--dry-run") == {"domains": 3, "changed": 3, "taken_down": 2, "dry_run": True}
    assert column(connection, "SELECT count(*) FROM instances") == [2]
    assert told(capsys, *command) == (
        "a.social: excluded\nb.social: excluded\nc.social: excluded\n2 published rows taken down\n"
    )
    found = rows(told(capsys, "domains", "exclusions", "--json"))
    assert [(row["domain"], row["reason"], row["requested"]) for row in found] == [
        (name, "why", False) for name in (A, B, C)
    ]
    assert ["a.social", "no", "operator", "why"] in [
        line.split()[:-1] for line in told(capsys, "domains", "exclusions").splitlines()
    ]
    text = told(capsys, "domains", "exclusions", "--csv")
    assert said(capsys, "domains", "include", "--file", file(text))["lifted"] == 3


def test_a_request_is_one_command_and_is_not_lifted_by_accident(env, connection, capsys):
    crawl(connection, ok(A), ok(B))
    by = ["--by", "its admin, by mail of 2026-11-20"]
    assert "1 published rows taken down" in told(capsys, "domains", "opt-out", "a.social", "--subdomains", *by)
    assert column(connection, "SELECT domain FROM public_instances") == [B]
    (row,) = rows(told(capsys, "domains", "opt-outs", "--json"))
    assert row.items() >= {"domain": A, "how": "request", "detail": by[1], "again_at": None, "subdomains": True}.items()
    assert "never" in told(capsys, "domains", "opt-outs")
    assert main(["domains", "include", "a.social"]) == 1
    assert "a.social has asked to be left alone, and stays excluded; --requested" in capsys.readouterr().err
    assert told(capsys, "domains", "include", "a.social", "--requested") == "a.social: no longer excluded\n"
    assert main(["domains", "include", "a.social"]) == 1
    assert "a.social: was not excluded" in capsys.readouterr().out


def test_an_exclusion_above_still_holds_and_is_said(env, capsys):
    told(capsys, "domains", "exclude", "a.social", "--subdomains")
    told(capsys, "domains", "exclude", "x.a.social")
    assert main(["domains", "include", "x.a.social"]) == 0
    assert "x.a.social is still not asked: exclusion of a.social" in capsys.readouterr().err


def test_opt_outs_name_the_rule_the_answer_and_when_we_look_again(env, connection, capsys):
    rule = 'robots.txt of a.social ("Disallow: /api" for vmcrawl) forbids https://a.social/api/v2/instance'
    slow = 'robots.txt of b.social ("Crawl-delay: 500" for *) asks for more time than a crawl has'
    crawl(connection, failed(A, Outcome.ROBOTS_DISALLOWED), failed(B, Outcome.ROBOTS_DISALLOWED))
    crawl(connection, failed(C, Outcome.OPTED_OUT))
    for domain, detail in ((A, rule), (B, slow), (C, "https://c.social/robots.txt answered 410")):
        connection.execute("UPDATE domains SET detail = %s WHERE domain = %s", [detail, domain])
    found = rows(told(capsys, "domains", "opt-outs", "--json"))
    assert [(row["how"], row["rule"], row["agent"], row["url"], row["status"]) for row in found] == [
        ("robots.txt", "Disallow: /api", "vmcrawl", "https://a.social/api/v2/instance", None),
        ("robots.txt", "Crawl-delay: 500", "*", None, None),
        ("status", None, None, "https://c.social/robots.txt", 410),
    ]
    assert all(row["again_at"] for row in found)
    shown = told(capsys, "domains", "opt-outs", "--how", "robots.txt")
    assert "Disallow: /api (for vmcrawl), at https://a.social/api/v2/instance" in shown
    assert "c.social" not in shown
    assert len(told(capsys, "domains", "opt-outs", "--csv").splitlines()) == 4


@pytest.mark.parametrize("action", ["list", "exclusions", "opt-outs"])
def test_an_empty_database_has_empty_lists(env, capsys, action):
    assert told(capsys, "domains", action, "--json") == ""
    assert len(told(capsys, "domains", action, "--csv").splitlines()) == 1
    assert "domain" in told(capsys, "domains", action)


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_has_an_example(action, capsys):
    with pytest.raises(SystemExit):
        main(["domains", action, "--help"])
    assert f"vmcrawl domains {action}" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["requeue"],
        ["exclude"],
        ["include"],
        ["opt-out"],
        ["exclude", "no name"],
        ["list", "--seen-before", "soon"],
        ["list", "--limit", "0"],
        ["list", "--outcome", "fine"],
        ["list", "--support", "good"],
        ["list", "--json", "--csv"],
        ["import", "list", "--source", "a\nb"],
        ["import", "list", "--format", "xml"],
        ["exclude", "a.social", "--reason", "two\nlines"],
        ["opt-outs", "--how", "loudly"],
    ],
)
def test_wrong_words_are_wrong_usage(env, capsys, arguments):
    code: object = None
    try:
        code = main(["domains", *arguments])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert capsys.readouterr().err
