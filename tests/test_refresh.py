"""``releases`` and ``advisories`` from the command line to the database; a local server is all of upstream."""

import json
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.servers import Server
from tests.store.builders import NOW, column, crawl, names, ok
from tests.test_sources import ok as answer
from tests.test_sources import refusal, routes
from vmcrawl.catalogue import Release
from vmcrawl.cli import main
from vmcrawl.domain import Domain
from vmcrawl.knowledge import load_reader
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.catalogue import save_releases
from vmcrawl.store.database import Database
from vmcrawl.store.migrations import prepare
from vmcrawl.version import parse_tag

DATA = Path(__file__).parent / "data" / "upstream"
RELEASES = "/api/repos/mastodon/mastodon/releases?per_page=100"
SECOND = "/api/repositories/1/releases?page=2"
ADVISORIES = "/api/repos/mastodon/mastodon/security-advisories?per_page=100&sort=updated&direction=desc"
MAIN = "/raw/mastodon/mastodon/main/lib/mastodon/version.rb"
SUPPORT = "/raw/mastodon/mastodon/main/SECURITY.md"
COMMITS = "/api/repos/mastodon/mastodon/commits?path=lib/mastodon/version.rb&sha=main&per_page=20"
ENDOFLIFE = "/eol/mastodon.json"
#: What a source that fails must leave as it is.
FACTS = ("releases", "main_ranges", "branches", "advisories", "versions", "version_advisories")


def body(name):
    return (DATA / name).read_bytes()


def healthy():
    return {
        RELEASES: answer(body("releases-1.json"), 'ETag: "one"', f'Link: <{SECOND}>; rel="next"'),
        SECOND: answer(body("releases-2.json")),
        MAIN: answer(body("version.rb"), 'ETag: "main"'),
        SUPPORT: answer(body("SECURITY.md"), 'ETag: "support"'),
        ENDOFLIFE: answer(body("endoflife.json")),
        ADVISORIES: answer(body("advisories.json"), 'ETag: "advisories"'),
    }


@contextmanager
def serving(table, monkeypatch, database_url):
    """All of upstream behind one port, and a database; of both the settings know. Gives the server."""
    with Server(routes(table), tls=False) as server:
        base = f"http://127.0.0.1:{server.port}"
        for name, value in {
            "NO_PROXY": "127.0.0.1",
            "VMCRAWL_DATABASE_URL": database_url,
            "VMCRAWL_SOURCES_GITHUB_API": f"{base}/api",
            "VMCRAWL_SOURCES_GITHUB_RAW": f"{base}/raw",
            "VMCRAWL_SOURCES_ENDOFLIFE": f"{base}/eol",
            "VMCRAWL_SOURCES_TIMEOUT": "2s",
        }.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def upstream(monkeypatch, database_url, connection):
    """Upstream's table of answers, which may be changed. The database has the packaged facts."""
    prepare(connection, timedelta(days=3))
    table = healthy()
    with serving(table, monkeypatch, database_url):
        yield table


def said(capsys, *arguments, code=0):
    """What a command says as JSON."""
    assert main([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def told(capsys, *arguments, code=0):
    """What a command says to people."""
    assert main([*arguments]) == code
    return capsys.readouterr().out


def answers(refreshed):
    return {asked["source"]: asked["answer"] for asked in refreshed["sources"]}


def facts(connection):
    return {name: sorted(map(str, connection.execute(f"SELECT * FROM {name}".encode()))) for name in FACTS}


def test_a_refresh_takes_in_all_pages_and_says_what_is_new(upstream, connection, capsys):
    refreshed = said(capsys, "releases", "refresh")
    assert answers(refreshed)["releases"] == "changed"
    (releases,) = (asked["changes"] for asked in refreshed["sources"] if asked["source"] == "releases")
    assert "4.7.1" in releases
    assert column(connection, "SELECT source FROM releases WHERE release = '4.7.1'") == ["github"]
    assert column(connection, "SELECT latest_release FROM branches WHERE branch = '4.7'") == ["4.7.1"]
    assert column(connection, "SELECT count(*) FROM sources WHERE error = '' AND fetched_at IS NOT NULL") == [3]


def test_a_second_refresh_changes_nothing(upstream, connection, capsys):
    said(capsys, "releases", "refresh")
    before = facts(connection)
    assert set(answers(said(capsys, "releases", "refresh")).values()) == {"unchanged"}
    assert facts(connection) == before


def test_what_upstream_has_not_changed_is_unchanged(upstream, connection, capsys):
    said(capsys, "releases", "refresh")
    said(capsys, "releases", "refresh")
    before = facts(connection)
    not_modified = "HTTP/1.1 304 Not Modified", b""
    upstream |= {RELEASES: not_modified, MAIN: not_modified, SUPPORT: not_modified}
    assert set(answers(said(capsys, "releases", "refresh")).values()) == {"unchanged"}
    assert facts(connection) == before
    assert column(connection, "SELECT etag FROM sources WHERE name = 'releases'") == ['"one"']


def test_a_new_release_corrects_what_instances_mean(upstream, connection, database_url, capsys):
    database = Database(DatabaseSettings(url=database_url))
    reader = load_reader(database, NOW.date())
    database.close()
    (domain,) = names(1)
    seen = ok(domain, version="4.7.0")
    crawl(connection, type(seen)(seen.observation, seen.appointment, reader.reading(seen.observation)))
    assert column(connection, "SELECT patched FROM instances") == [True]
    assert said(capsys, "releases", "refresh")["versions"] == 1
    assert connection.execute("SELECT patched, fix_available_on::text FROM instances").fetchall() == [
        (False, "2026-09-01")
    ]


BROKEN = {
    "rate limit": (refusal("403 Forbidden", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 4102444800"), 75),
    "too many": (refusal("429 Too Many Requests", "Retry-After: 60"), 75),
    "down": (refusal("500 Internal Server Error"), 75),
    "truncated": (("HTTP/1.1 200 OK\nContent-Length: 100000", body("releases-1.json")), 75),
    "forbidden": (refusal("403 Forbidden"), 1),
    "gone": (refusal("404 Not Found"), 1),
    "garbage": (answer(b"<html>Sorry</html>"), 1),
    "another shape": (answer(b'{"releases": []}'), 1),
    "empty": (answer(b"[]"), 1),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_source_that_fails_changes_nothing_and_is_named(upstream, connection, capsys, kind):
    broken, code = BROKEN[kind]
    upstream |= dict.fromkeys((RELEASES, MAIN, SUPPORT, ENDOFLIFE, ADVISORIES), broken)
    before = facts(connection)
    wrong = "unavailable" if code == 75 else "failed"
    refreshed = said(capsys, "releases", "refresh", code=code)
    assert answers(refreshed) == dict.fromkeys(("releases", "main", "support", "endoflife"), wrong)
    assert all(asked["detail"] for asked in refreshed["sources"])
    assert answers(said(capsys, "advisories", "refresh", code=code)) == {"advisories": wrong}
    assert facts(connection) == before
    assert column(connection, "SELECT count(*) FROM sources WHERE error <> '' AND fetched_at IS NULL") == [5]


def test_one_page_that_fails_fails_the_list_but_not_the_other_sources(upstream, connection, capsys):
    upstream[SECOND] = answer(b"<html>")
    refreshed = said(capsys, "releases", "refresh", code=1)
    assert answers(refreshed)["releases"] == "failed"
    assert answers(refreshed)["main"] in ("changed", "unchanged")
    assert column(connection, "SELECT count(*) FROM releases WHERE source <> 'snapshot'") == [0]


def test_endoflife_stands_in_for_a_security_md_that_cannot_be_had(upstream, connection, capsys):
    upstream[SUPPORT] = refusal("500 Internal Server Error")
    refreshed = said(capsys, "releases", "refresh", code=75)
    assert answers(refreshed)["support"] == "unavailable"
    assert answers(refreshed)["endoflife"] in ("changed", "unchanged")


def test_a_failure_is_shown_to_people(upstream, capsys):
    upstream[RELEASES] = answer(b"garbage")
    assert "changed its shape" in told(capsys, "releases", "refresh", code=1)
    assert "changed its shape" in told(capsys, "releases", "show")


def test_advisories_are_taken_in_and_shown(upstream, connection, capsys):
    refreshed = said(capsys, "advisories", "refresh")
    (asked,) = refreshed["sources"]
    assert asked["changes"]
    assert asked["changes"][0] in told(capsys, "advisories", "show")
    shown = told(capsys, "advisories", "show", asked["changes"][0].lower())
    assert asked["changes"][0] in shown
    assert told(capsys, "advisories", "show", "GHSA-none", code=1) == ""


def test_an_advisory_that_upstream_withdraws_is_gone(upstream, connection, capsys):
    upstream[ADVISORIES] = answer(body("advisories.json").replace(b"GHSA-aaaa-bbbb-cccc", b"GHSA-gwhw-gcjx-72v8"))
    told(capsys, "advisories", "show", "GHSA-gwhw-gcjx-72v8")
    (asked,) = said(capsys, "advisories", "refresh")["sources"]
    assert "GHSA-gwhw-gcjx-72v8 (taken back)" in asked["changes"]
    told(capsys, "advisories", "show", "GHSA-gwhw-gcjx-72v8", code=1)


def test_what_is_unclear_about_an_advisory_follows_the_releases(upstream, connection, capsys):
    assert said(capsys, "advisories", "show", "GHSA-qrgq-9fx2-vf2r")["ambiguous"] == "4.3.24 is no known release"
    save_releases(connection, [Release(parse_tag("4.3.24"), date(2026, 6, 3), True)], "github", NOW)
    assert said(capsys, "advisories", "show", "GHSA-qrgq-9fx2-vf2r")["ambiguous"] == ""


def test_an_advisory_is_overridden_and_shown_as_such(upstream, connection, capsys):
    (ghsa_id,) = column(connection, "SELECT ghsa_id FROM advisories ORDER BY published DESC NULLS LAST LIMIT 1")
    told(capsys, "advisories", "override", ghsa_id, "--ranges", ">= 4.4.0, < 4.4.9", "--reason", "tried it")
    shown = said(capsys, "advisories", "show", ghsa_id)
    assert (shown["override_ranges"], shown["override_reason"]) == (">= 4.4.0, < 4.4.9", "tried it")
    assert "override" in told(capsys, "advisories", "show")
    told(capsys, "advisories", "override", ghsa_id, "--ranges", "whatever", code=2)
    told(capsys, "advisories", "override", ghsa_id, code=2)
    told(capsys, "advisories", "override", "GHSA-none", "--ranges", "none", code=1)
    told(capsys, "advisories", "override", ghsa_id, "--clear")
    assert said(capsys, "advisories", "show", ghsa_id)["override_ranges"] is None
    told(capsys, "advisories", "override", ghsa_id, "--clear", code=1)


def test_a_branch_is_overridden_shown_as_such_and_set_free_again(upstream, connection, capsys):
    until = (NOW + timedelta(days=89)).date().isoformat()
    change = ("releases", "set-branch", "4.3", "--support", "deprecated", "--until", until, "--reason", "a friend said")
    assert f"4.3: deprecated, until {until} (override: a friend said)" in told(capsys, *change)
    (row,) = said(capsys, "releases", "show", "4.3")["branches"]
    assert (row["support"], row["support_source"], row["supported_until"]) == ("deprecated", "override", until)
    assert "override: a friend said" in told(capsys, "releases", "show")
    told(capsys, "releases", "refresh")
    assert column(connection, "SELECT support_source FROM branches WHERE branch = '4.3'") == ["override"]
    told(capsys, "releases", "set-branch", "4.3", "--clear")
    assert said(capsys, "releases", "show", "4.3")["branches"][0]["support"] == "eol"
    told(capsys, "releases", "set-branch", "4.3", "--clear", code=1)


def test_an_override_that_contradicts_itself_changes_nothing(upstream, connection, capsys):
    before = column(connection, "SELECT supported_until FROM branches ORDER BY branch")
    for arguments in (
        ["4.3", "--support", "deprecated", "--until", "2020-01-01"],
        ["4.3", "--support", "eol", "--until", "2099-01-01"],
        ["4.3"],
        ["4.3", "--clear", "--support", "eol"],
    ):
        told(capsys, "releases", "set-branch", *arguments, code=2)
    told(capsys, "releases", "set-branch", "9.9", "--until", "2099-01-01", code=1)
    told(capsys, "releases", "show", "9.9", code=1)
    assert column(connection, "SELECT supported_until FROM branches ORDER BY branch") == before


def test_eol_needs_no_date(upstream, capsys):
    assert "4.7: eol" in told(capsys, "releases", "set-branch", "4.7", "--support", "eol")


def test_a_branch_stands_where_an_operator_says_with_a_warning_if_another_does(upstream, capsys):
    assert main(["releases", "set-branch", "4.6", "--support", "latest", "--reason", "4.7 is bad"]) == 0
    written = capsys.readouterr()
    assert "4.6: latest" in written.out
    assert "4.7 is called latest, too" in written.err
    (row,) = said(capsys, "releases", "show", "4.6")["branches"]
    assert (row["support"], row["support_source"], row["support_note"]) == (
        "latest",
        "override",
        "override: 4.7 is bad",
    )


def test_show_names_what_a_server_is_exposed_to_and_how_it_moved(upstream, connection, database_url, capsys):
    database = Database(DatabaseSettings(url=database_url))
    reader = load_reader(database, NOW.date())
    database.close()
    domain = Domain("vmst.io")
    for hours, version in ((-2, "4.4.0"), (-1, "4.4.1")):
        seen = ok(domain, NOW + timedelta(hours=hours), version=version)
        crawl(connection, type(seen)(seen.observation, seen.appointment, reader.reading(seen.observation)))
    shown = told(capsys, "show", domain)
    assert "patched: no, a newer release since 2025-07-" in shown
    assert "exposed to: GHSA-ccpr-m53r-mfwr (" in shown
    assert "fixed in 4.4.13 on 2026-02-" in shown
    assert "moved: from 4.4.0 to 4.4.1, seen " in shown


def test_a_derived_end_of_support_is_marked(upstream, connection, capsys):
    connection.execute("UPDATE branches SET stated_until = NULL WHERE branch = '4.5'")
    assert "derived: 4.7.0 + 6 months" in told(capsys, "releases", "show")
