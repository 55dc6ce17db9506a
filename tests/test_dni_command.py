"""``dni`` and ``refresh`` from the command line to the database; what is fetched comes from a server on loopback."""

import io
import json
import os
import signal
import sys

import pytest

from tests.program import environment, start
from tests.servers import Server, eventually
from tests.store.builders import column, crawl, ok
from tests.test_refresh import answers, healthy, said, serving, told, upstream
from tests.test_sources import ok as answer
from tests.test_sources import refusal, routes
from vmcrawl.cli import main
from vmcrawl.domain import Domain

__all__ = ["upstream"]  # a fixture

HEADER = "#domain,#severity,#reject_media,#reject_reports,#public_comment,#obfuscate\n"
LIST = "/lists/dni.csv"
TABLES = ("dni", "dni_listed", "dni_waivers", "dni_imports", "dni_changes")


def csv_of(*names, severity="suspend"):
    return (HEADER + "".join(f"{name}.social,{severity},false,false,iftas:spam,true\n" for name in names)).encode()


@pytest.fixture
def env(database_url, monkeypatch):
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", database_url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def file(tmp_path, env):
    """Writes a list to a file; gives its path."""
    path = tmp_path / "list.csv"

    def write(content):
        path.write_bytes(content)
        return str(path)

    return write


@pytest.fixture
def listed(upstream, monkeypatch):
    """Upstream with a list at ``dni.url``."""
    upstream[LIST] = answer(csv_of(*"abcdefghij"), 'ETag: "list"')
    base = os.environ["VMCRAWL_SOURCES_GITHUB_API"].removesuffix("/api")
    monkeypatch.setenv("VMCRAWL_DNI_URL", f"{base}{LIST}?key=secret")
    upstream[f"{LIST}?key=secret"] = upstream[LIST]
    return upstream


def put(table, response):
    table[f"{LIST}?key=secret"] = response


def everything(connection):
    return {table: sorted(map(str, connection.execute(f"SELECT * FROM {table}".encode()))) for table in TABLES}


def test_a_file_is_imported_and_what_it_changes_is_named(file, connection, capsys):
    assert told(capsys, "dni", "import", file(csv_of("a", "b"))).splitlines() == [
        "2 entries: 2 added, 0 removed, 0 changed",
        "  added: a.social iftas:spam",
        "  added: b.social iftas:spam",
    ]
    assert "a.social  soft      import  iftas:spam" in told(capsys, "dni", "list")
    document = said(capsys, "dni", "import", file(csv_of("a", "b", "c", severity="hard")))
    assert (document["added"], document["changed"], document["answer"]) == (1, 2, "changed")
    assert [change["domain"] for change in document["changes"]] == ["c.social", "a.social", "b.social"]
    shown = told(capsys, "dni", "changes")
    assert "1 added, 0 removed, 2 changed" in shown
    assert "c.social" in shown
    lines = map(json.loads, told(capsys, "dni", "changes", "--since", "2020-01-01", "--json").splitlines())
    assert [line.get("domain", line.get("added")) for line in lines] == [1, "a.social", "b.social", "c.social", 2]


def test_many_changes_are_only_counted_but_for_machines(file, connection, capsys):
    names = [f"s{number}" for number in range(50)]
    assert told(capsys, "dni", "import", file(csv_of(*names))) == "50 entries: 50 added, 0 removed, 0 changed\n"
    document = said(capsys, "dni", "import", file(csv_of(*names, severity="hard")))
    assert len(document["changes"]) == 50


def test_a_list_comes_from_stdin(env, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a.social # asked\n")))
    assert "1 entries: 1 added" in told(capsys, "dni", "import", "-")


def test_bad_lines_are_shown_by_number_and_stop_nothing(file, capsys):
    assert main(["dni", "import", file(b"a.social\nb.social\nc.social\nd.social\nexa***.com\n")]) == 0
    written = capsys.readouterr()
    assert "1 bad lines" in written.out
    assert "line 5: 'exa***.com': obfuscated" in written.err


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        csv_of(),
        csv_of(*"abcdefghij")[:-20],
        csv_of(*"abc"),
        b"a.social\n" * 9,
        b"[]",
        b"\0",
        b"prose in a line",
    ],
)
def test_a_file_that_cannot_be_the_list_changes_nothing(file, connection, capsys, content):
    told(capsys, "dni", "import", file(csv_of(*"abcdefghij")))
    before = everything(connection)
    assert main(["dni", "import", file(content)]) == 1
    written = capsys.readouterr()
    assert written.out == ""
    assert "nothing is changed" in written.err
    assert "Traceback" not in written.err
    assert everything(connection) == before


def test_a_list_that_is_right_as_it_is_can_be_forced(file, connection, capsys):
    told(capsys, "dni", "import", file(csv_of(*"abcdefghij")))
    assert main(["dni", "import", file(csv_of("a"))]) == 1
    assert (
        "9 of 10 entries of the list are missing; nothing is changed. If the list is right" in capsys.readouterr().err
    )
    assert "1 entries: 0 added, 9 removed" in told(capsys, "dni", "import", file(csv_of("a")), "--force")


def test_a_dry_run_changes_nothing(file, connection, capsys):
    shown = told(capsys, "dni", "import", file(csv_of("a")), "--dry-run")
    assert shown.splitlines()[-1] == "dry run: nothing is changed"
    assert column(connection, "SELECT count(*) FROM dni_imports") == [0]


def test_the_severity_of_a_list_is_chosen_by_the_operator(file, connection, capsys, monkeypatch):
    told(capsys, "dni", "import", file(csv_of("a")), "--severity", "listed")
    assert column(connection, "SELECT severity FROM dni") == ["hard"]
    told(capsys, "dni", "import", file(csv_of("a")))
    assert column(connection, "SELECT severity FROM dni") == ["soft"]
    monkeypatch.setenv("VMCRAWL_DNI_SEVERITY", "hard")
    told(capsys, "dni", "import", file(csv_of("a")))
    assert column(connection, "SELECT severity FROM dni") == ["hard"]


def test_what_is_written_as_csv_is_read_back_as_it_was(file, connection, capsys):
    told(capsys, "dni", "add", "b.social", "--hard", "--comment", 'said "no", twice')
    told(capsys, "dni", "import", file(csv_of("a")))
    entries = "SELECT domain, severity, comment FROM dni ORDER BY domain"
    before = connection.execute(entries.encode()).fetchall()
    written = told(capsys, "dni", "list", "--csv")
    told(capsys, "dni", "remove", "--imported")
    told(capsys, "dni", "remove", "b.social")
    assert connection.execute(entries.encode()).fetchall() == []
    told(capsys, "dni", "import", file(written.encode()))
    assert connection.execute(entries.encode()).fetchall() == before


def test_entries_are_made_removed_and_restored_by_hand(file, connection, capsys):
    told(capsys, "dni", "import", file(csv_of("a", "b")))
    assert "never asked" in told(capsys, "dni", "add", "c.social", "--hard")
    assert "stays so when the list is imported again" in told(
        capsys, "dni", "remove", "a.social", "--comment", "friends"
    )
    assert "friends" in told(capsys, "dni", "list", "--removed")
    assert "1 taken out by hand, and still out" in told(capsys, "dni", "import", file(csv_of("a", "b")))
    assert "counts again as the list has it; soft" in told(capsys, "dni", "restore", "a.social")
    assert "remove it again" in (told(capsys, "dni", "add", "b.social") and told(capsys, "dni", "remove", "b.social"))
    assert column(connection, "SELECT domain FROM dni ORDER BY 1") == ["a.social", "b.social", "c.social"]
    (line,) = told(capsys, "dni", "list", "--source", "manual", "--json").splitlines()
    assert json.loads(line)["severity"] == "hard"
    assert "of 2 entries: would be dropped" in told(capsys, "dni", "remove", "--imported", "--dry-run")
    assert "of 2 entries: dropped" in told(capsys, "dni", "remove", "--imported")
    assert column(connection, "SELECT domain FROM dni") == ["c.social"]


def test_what_has_no_entry_is_told_what_covers_it(env, capsys):
    told(capsys, "dni", "add", "a.social")
    assert main(["dni", "remove", "x.a.social"]) == 1
    assert "it is covered by the one of a.social" in capsys.readouterr().err
    assert main(["dni", "remove", "b.social"]) == 1
    assert "vmcrawl dni list shows all" in capsys.readouterr().err
    assert main(["dni", "restore", "a.social"]) == 1
    assert "was not taken out" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["import"],
        ["import", "http://lists.example/dni.csv"],
        ["import", "ftp://lists.example/dni.csv"],
        ["import", "https://user:password@lists.example/dni.csv"],
        ["add", "com"],
        ["add", "co.uk"],
        ["add", "10.0.0.1"],
        ["remove"],
        ["remove", "a.social", "--imported"],
        ["remove", "a.social", "--dry-run"],
    ],
)
def test_a_wrong_word_is_wrong_usage(env, connection, capsys, arguments):
    assert main(["dni", *arguments]) == 2
    written = capsys.readouterr()
    assert written.err
    assert "password" not in written.err
    assert column(connection, "SELECT count(*) FROM dni") == [0]


@pytest.mark.parametrize("action", [["import"], ["add"], ["remove"], ["restore"], ["list"], ["changes"]])
def test_the_help_has_an_example(action, capsys):
    with pytest.raises(SystemExit):
        main(["dni", *action, "--help"])
    assert "for example:\n  vmcrawl dni" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_no_traceback(env, capsys):
    assert main(["dni", "import", "/nowhere/list.csv"]) == 1
    assert "/nowhere/list.csv cannot be read" in capsys.readouterr().err


def test_a_list_at_any_address_is_fetched_and_is_no_source(env, connection, capsys):
    with Server(routes({LIST: answer(csv_of("a"), 'ETag: "x"')}), tls=False) as server:
        assert "1 added" in told(capsys, "dni", "import", f"http://127.0.0.1:{server.port}{LIST}")
        assert main(["dni", "import", f"http://127.0.0.1:{server.port}/gone"]) == 1
        assert "answered 404; nothing is changed" in capsys.readouterr().err
    assert main(["dni", "import", f"http://127.0.0.1:{server.port}{LIST}"]) == 75
    assert column(connection, "SELECT count(*) FROM sources") == [0]


def test_the_list_of_the_settings_is_asked_under_condition_and_remembered(listed, connection, capsys):
    assert "10 added" in told(capsys, "dni", "import")
    assert column(connection, "SELECT etag FROM sources WHERE name = 'dni'") == ['"list"']
    put(listed, ("HTTP/1.1 304 Not Modified", b""))
    assert told(capsys, "dni", "import") == "nothing has changed since the last import\n"
    assert said(capsys, "dni", "import")["answer"] == "unchanged"
    assert "secret" not in told(capsys, "dni", "changes")
    assert "secret" not in str(everything(connection))


def test_another_treatment_or_another_list_meanwhile_has_the_list_heard_as_a_whole(
    listed, connection, capsys, tmp_path
):
    told(capsys, "dni", "import")
    # Whoever answers "not modified" to a question without condition is not understood.
    put(listed, ("HTTP/1.1 304 Not Modified", b""))
    told(capsys, "dni", "import", "--severity", "hard", code=1)
    put(listed, listed[LIST])
    assert "10 changed" in told(capsys, "dni", "import", "--severity", "hard")
    other = tmp_path / "other.csv"
    other.write_bytes(csv_of("x"))
    assert main(["dni", "import", str(other), "--force"]) == 0
    assert "the next refresh puts the list from there" in capsys.readouterr().err
    assert "10 added, 1 removed" in told(capsys, "dni", "import", "--force")


BROKEN = {
    "down": (refusal("500 Internal Server Error"), 75),
    "too many": (refusal("429 Too Many Requests", "Retry-After: 60"), 75),
    "truncated": (("HTTP/1.1 200 OK\nContent-Length: 100000", csv_of(*"abcdefghij")), 75),
    "gone": (refusal("404 Not Found"), 1),
    "moved to another host": (refusal("301 Moved Permanently", "Location: https://elsewhere.example/"), 1),
    "a web page": (answer(b"<html>Sorry</html>"), 1),
    "empty": (answer(b""), 1),
    "shrunk": (answer(csv_of(*"abc")), 1),
    "cut off": (answer(csv_of(*"abcdefghij")[:-9]), 1),
    "without a header": (answer(b"a.social\n" * 12), 1),
    "compressed": (answer(csv_of("a"), "Content-Encoding: gzip"), 1),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_list_that_fails_changes_nothing_and_is_named_while_the_others_are_asked(listed, connection, capsys, kind):
    said(capsys, "refresh")
    broken, code = BROKEN[kind]
    put(listed, broken)
    before = everything(connection)
    refreshed = said(capsys, "refresh", code=code)
    assert answers(refreshed)["dni"] == ("unavailable" if code == 75 else "failed")
    assert {answer for source, answer in answers(refreshed).items() if source != "dni"} == {"unchanged"}
    assert everything(connection) == before
    (error,) = column(connection, "SELECT error FROM sources WHERE name = 'dni'")
    assert error
    assert "sources.token" not in str(error)
    said(capsys, "dni", "import", code=code)
    assert everything(connection) == before


def test_a_refresh_asks_all_and_shows_counts_but_no_names_of_the_list(listed, connection, capsys):
    shown = told(capsys, "refresh")
    for source in ("releases", "main", "support", "advisories", "dni"):
        assert source in shown
    assert "10 added" in shown
    assert "a.social" not in shown
    put(listed, answer(csv_of(*"abcdefghijk")))
    refreshed = said(capsys, "refresh")
    assert answers(refreshed)["dni"] == "changed"
    assert refreshed["sources"][-1]["changes"] == ["1 added"]


def test_the_worst_answer_is_the_exit_code(listed, capsys):
    put(listed, refusal("500 Internal Server Error"))
    said(capsys, "refresh", code=75)
    listed |= {path: answer(b"garbage") for path in healthy() if path.startswith("/api")}
    said(capsys, "refresh", code=1)


def test_without_an_address_no_list_is_asked_for_nor_missed(listed, connection, capsys, monkeypatch):
    put(listed, refusal("500 Internal Server Error"))
    said(capsys, "refresh", code=75)
    assert column(connection, "SELECT count(*) FROM source_states WHERE name = 'dni'") == [1]
    monkeypatch.delenv("VMCRAWL_DNI_URL")
    assert "dni" not in answers(said(capsys, "refresh"))
    assert column(connection, "SELECT count(*) FROM source_states WHERE name = 'dni'") == [0]


def test_a_refresh_goes_on_until_sigterm(database_url, monkeypatch):
    table = healthy()
    with serving(table, monkeypatch, database_url) as server:
        env = environment(
            database_url,
            **{name: value for name, value in os.environ.items() if name.startswith("VMCRAWL_SOURCES_")},
            NO_PROXY="127.0.0.1",
        )
        with start(["refresh", "--every", "0.2s", "--json"], env) as refresh:
            assert eventually(lambda: sum(b"version.rb HTTP" in head for head in server.heads) >= 3, 60)
            refresh.send_signal(signal.SIGTERM)
            output, errors = refresh.communicate(timeout=30)
    assert refresh.returncode == 143, errors
    assert len([json.loads(line) for line in output.splitlines()]) >= 2
    assert "Traceback" not in errors


def test_a_database_that_is_away_is_worth_another_try(monkeypatch, capsys, env):
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")
    assert main(["refresh"]) == 75
    assert "the database cannot be reached" in capsys.readouterr().err


def test_published_rows_go_at_once(file, connection, capsys):
    crawl(connection, ok(Domain("a.social")), ok(Domain("b.social")))
    assert "1 published rows taken down" in told(capsys, "dni", "import", file(csv_of("a")), "--severity", "hard")
    assert column(connection, "SELECT domain FROM instances") == ["b.social"]
