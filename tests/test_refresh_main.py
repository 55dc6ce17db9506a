"""Main's version through ``releases refresh``: when it got it, what came between two looks, what is not believed."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.store.builders import NOW, column
from tests.test_refresh import COMMITS, MAIN, RELEASES, answers, body, facts, healthy, said, serving, told
from tests.test_sources import ok as answer
from tests.test_sources import refusal
from vmcrawl.catalogue import is_patched
from vmcrawl.cli import main
from vmcrawl.store.catalogue import load_catalogue
from vmcrawl.store.migrations import prepare
from vmcrawl.version import parse_tag

#: Without a security release after the packaged facts.
QUIET = body("releases-1.json").replace(b"Security", b"Fixed")


def version_rb(number: int, minor: int = 8) -> tuple[str, bytes]:
    text: bytes = body("version.rb").replace(b"alpha.1'", b"alpha.%d'" % number)
    text = text.replace(b"      8\n", b"      %d\n" % minor)
    return f'HTTP/1.1 200 OK\nContent-Length: {len(text)}\nETag: "{number}"', text


def sha(number: int) -> str:
    return f"{number:040x}"


def commits(*bumps: tuple[int, str]) -> dict[str, tuple[str, bytes]]:
    """Of each bump its number and date, newest first."""
    listed = [f'{{"sha": "{sha(number)}", "commit": {{"committer": {{"date": "{at}"}}}}}}' for number, at in bumps]
    files = {MAIN.replace("/main/", f"/{sha(number)}/"): version_rb(number) for number, _ in bumps}
    return {COMMITS: answer(f"[{', '.join(listed)}]".encode()), **files}


@pytest.fixture
def server(monkeypatch, database_url, connection):
    prepare(connection, timedelta(days=3))
    table = healthy() | {RELEASES: answer(QUIET)}
    with serving(table, monkeypatch, database_url) as server:
        yield server, table


@pytest.fixture
def upstream(server):
    return server[1]


@pytest.fixture
def asked(server):
    """The paths that are asked for."""
    return lambda: [head.split()[1].decode() for head in server[0].heads]


def ranges(connection) -> list[tuple[str, str]]:
    """What main has carried since the packaged facts, and since when."""
    rows = connection.execute("SELECT release, since FROM main_ranges WHERE since > '2026-08-22' ORDER BY since")
    return [(release, f"{since.astimezone(UTC):%m-%d %H:%M}") for release, since in rows]


def look(capsys, code: int = 0) -> str:
    return str(answers(said(capsys, "releases", "refresh", code=code))["main"])


def test_bumps_that_came_and_went_between_two_looks_are_told_by_the_commits(upstream, asked, connection, capsys):
    upstream |= {MAIN: version_rb(4)} | commits(
        (4, "2026-09-20T10:00:00Z"),
        (3, "2026-09-10T10:00:00Z"),
        (2, "2026-09-03T10:00:00Z"),
        (1, "2026-08-14T09:45:29Z"),
        (9, "2026-08-01T10:00:00Z"),
    )
    assert look(capsys) == "changed"
    assert ranges(connection) == [
        ("4.8.0-alpha.2", "09-03 10:00"),
        ("4.8.0-alpha.3", "09-10 10:00"),
        ("4.8.0-alpha.4", "09-20 10:00"),
    ]
    assert not [path for path in asked() if sha(1) in path or sha(9) in path], "what was known is not asked for"
    number = asked().count(COMMITS)
    assert look(capsys) == "unchanged"
    assert asked().count(COMMITS) == number == 1


def test_a_single_commit_needs_no_second_question(upstream, asked, connection, capsys):
    upstream |= {MAIN: version_rb(2), COMMITS: commits((2, "2026-09-03T10:00:00Z"))[COMMITS]}
    assert look(capsys) == "changed"
    assert ranges(connection) == [("4.8.0-alpha.2", "09-03 10:00")]
    assert not [path for path in asked() if sha(2) in path]


@pytest.mark.parametrize(
    "table",
    [
        {},
        {COMMITS: refusal("403 Forbidden")},
        commits((2, "2999-01-01T00:00:00Z")),
        commits((1, "2020-01-01T00:00:00Z")),
        commits((3, "2026-09-10T10:00:00Z"), (2, "2026-09-03T10:00:00Z"))
        | {MAIN.replace("/main/", f"/{sha(2)}/"): refusal("404 Not Found")},
        commits((3, "2026-09-10T10:00:00Z"), (2, "2026-09-03T10:00:00Z"))
        | {MAIN.replace("/main/", f"/{sha(2)}/"): version_rb(2, minor=42)},
    ],
)
def test_where_commits_cannot_be_had_it_is_the_moment_of_the_look_and_no_older_build_is_called_patched(
    upstream, connection, capsys, table
):
    upstream |= {MAIN: version_rb(3)} | table
    before = datetime.now(UTC) - timedelta(minutes=1)
    assert look(capsys) == "changed"
    ((since, not_before),) = connection.execute("SELECT since, not_before FROM main_ranges ORDER BY since DESC LIMIT 1")
    assert before < since < before + timedelta(minutes=5)
    assert not_before.date() == date(2026, 8, 21), "the packaged facts know main until the 22nd"
    connection.execute("UPDATE releases SET security = true WHERE release IN ('4.7.1', '4.6.5')")
    assert is_patched(parse_tag("4.8.0-alpha.3"), load_catalogue(connection)) is None


def test_a_version_that_was_only_seen_is_dated_when_the_commits_can_be_had_again(upstream, connection, capsys):
    upstream[MAIN] = version_rb(3)
    assert look(capsys) == "changed"
    assert column(connection, "SELECT etag FROM sources WHERE name = 'main'") == [""]
    upstream |= commits((3, "2026-09-10T10:00:00Z"), (2, "2026-09-03T10:00:00Z"))
    assert look(capsys) == "changed"
    assert ranges(connection) == [("4.8.0-alpha.2", "09-03 10:00"), ("4.8.0-alpha.3", "09-10 10:00")]
    assert column(connection, "SELECT etag FROM sources WHERE name = 'main'") == ['"3"']


def test_the_one_security_release_between_two_looks_dates_the_bump(upstream, connection, capsys):
    upstream |= {RELEASES: healthy()[RELEASES], MAIN: version_rb(2)}
    assert look(capsys) == "changed"
    assert ranges(connection) == [("4.8.0-alpha.2", "09-01 23:59")]
    known = load_catalogue(connection)
    assert [is_patched(parse_tag(f"4.8.0-alpha.{number}"), known) for number in (1, 2)] == [False, True]


def test_the_fix_that_came_after_a_bump_is_not_in_it(upstream, connection, capsys):
    """Alpha 2 is older than it is known; alpha 3 is the fix; both looks are within a day of it."""
    upstream[MAIN] = version_rb(2)
    look(capsys)
    today = NOW.date()
    connection.execute(
        "INSERT INTO releases (release, branch, released_on, prerelease, security, source, changed_at)"
        " VALUES ('4.7.2', '4.7', %s, false, true, 'test', now())",
        [today],
    )
    upstream[MAIN] = version_rb(3)
    look(capsys)
    known = load_catalogue(connection)
    assert is_patched(parse_tag("4.8.0-alpha.2"), known) is not True
    assert is_patched(parse_tag("4.8.0-alpha.3"), known) is True


@pytest.mark.parametrize("minor", [10, 42])
def test_a_main_far_above_all_that_is_known_is_refused(upstream, connection, capsys, minor):
    before = facts(connection)["main_ranges"]
    upstream[MAIN] = version_rb(1, minor)
    assert look(capsys, code=1) == "failed"
    assert facts(connection)["main_ranges"] == before
    upstream[MAIN] = version_rb(1, 9)
    assert look(capsys) == "changed"


@pytest.mark.parametrize(
    ("releases", "code", "judged"),
    [
        (refusal("500 Oops"), 75, "unavailable"),
        (refusal("429 Too Many Requests", "Retry-After: 60"), 75, "unavailable"),
        (answer(b"<html>"), 1, "failed"),
    ],
)
def test_a_main_far_above_what_is_known_may_follow_on_releases_that_are_not_to_be_had_now(
    upstream, connection, capsys, releases, code, judged
):
    before = facts(connection)["main_ranges"]
    upstream |= {MAIN: version_rb(1, 10), RELEASES: releases}
    for _ in range(2):
        assert look(capsys, code=code) == judged
    assert facts(connection)["main_ranges"] == before


def test_edges_that_disagree_are_not_booked(upstream, connection, capsys):
    one = upstream[MAIN]
    upstream[MAIN] = version_rb(2)
    assert look(capsys) == "changed"
    before = facts(connection)["main_ranges"]
    for edge in (one, version_rb(2), one):
        upstream[MAIN] = edge
        assert look(capsys) == "unchanged"
        assert facts(connection)["main_ranges"] == before
    assert column(connection, "SELECT etag FROM sources WHERE name = 'main'") == [""], "it is to be heard again"
    connection.execute("UPDATE main_ranges SET since = since - interval '1 hour' WHERE not_before IS NOT NULL")
    assert look(capsys) == "changed"
    assert column(connection, "SELECT release FROM main_ranges ORDER BY since DESC LIMIT 2") == [
        "4.8.0-alpha.1",
        "4.8.0-alpha.2",
    ]


def test_who_is_limited_does_not_ask_for_commits(upstream, asked, connection, capsys):
    upstream |= {MAIN: version_rb(2), RELEASES: refusal("429 Too Many Requests", "Retry-After: 60")}
    assert look(capsys, code=75) == "changed"
    assert COMMITS not in asked()


def test_of_main_without_a_release_it_is_shown_what_it_carried_and_since_when(upstream, connection, capsys):
    assert main(["releases", "show", "4.8"]) == 0
    shown = capsys.readouterr().out
    assert "2026-08-14 09:45" in shown.split("4.8.0-alpha.1")[1]
    connection.execute(
        "INSERT INTO main_ranges (since, release, not_before)"
        " VALUES ('2026-11-20 12:00Z', '4.8.0-alpha.2', '2026-11-19 12:00Z')"
    )
    assert main(["releases", "show", "4.8"]) == 0
    assert "between 2026-11-19 12:00 and 2026-11-20 12:00" in capsys.readouterr().out
    known = said(capsys, "releases", "show", "4.8")
    assert [start["version"] for start in known["main"]] == ["4.8.0-alpha.1", "4.8.0-alpha.2"]
    # A branch is shown by its releases as soon as it has one.
    assert main(["releases", "show", "4.7"]) == 0
    assert "fixes security" in capsys.readouterr().out


def test_a_limit_on_commits_is_obeyed_shown_and_forgotten_when_they_can_be_had(upstream, asked, connection, capsys):
    upstream |= {MAIN: version_rb(3), COMMITS: refusal("429 Too Many Requests", "Retry-After: 3600")}
    for _ in range(3):
        refreshed = said(capsys, "releases", "refresh", code=75)
        assert answers(refreshed)["commits"] == "unavailable"
        (one,) = [one for one in refreshed["sources"] if one["source"] == "commits"]
        assert datetime.fromisoformat(one["retry_at"]) > datetime.now(UTC) + timedelta(minutes=50)
    assert asked().count(COMMITS) == 1
    (shown,) = [line for line in told(capsys, "releases", "show").splitlines() if line.startswith("commits: ")]
    assert "rate limit" in shown
    assert "not asked before" in shown
    connection.execute("UPDATE sources SET retry_at = now() WHERE name = 'commits'")
    upstream |= commits((3, "2026-09-10T10:00:00Z"), (2, "2026-09-03T10:00:00Z"))
    assert answers(said(capsys, "releases", "refresh"))["main"] == "changed"
    assert ranges(connection) == [("4.8.0-alpha.2", "09-03 10:00"), ("4.8.0-alpha.3", "09-10 10:00")]
    assert connection.execute("SELECT error, retry_at FROM sources WHERE name = 'commits'").fetchall() == [("", None)]
