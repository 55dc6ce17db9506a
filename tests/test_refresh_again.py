"""The second refresh: what upstream takes back, what it corrects, and whom it wants to be left alone."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.store.builders import column
from tests.test_refresh import (
    ADVISORIES,
    ENDOFLIFE,
    MAIN,
    RELEASES,
    SECOND,
    SUPPORT,
    answers,
    body,
    facts,
    healthy,
    said,
    serving,
    told,
)
from tests.test_sources import ok as answer
from tests.test_sources import refusal
from vmcrawl.store.migrations import prepare


@pytest.fixture
def server(monkeypatch, database_url, connection):
    prepare(connection, timedelta(days=3))
    table = healthy()
    with serving(table, monkeypatch, database_url) as server:
        yield server, table


@pytest.fixture
def upstream(server):
    return server[1]


@pytest.fixture
def heads(server):
    """The requests for a path."""
    return lambda path: [head for head in server[0].heads if head.split()[1].decode() == path]


def changes(refreshed, source):
    (asked,) = [one for one in refreshed["sources"] if one["source"] == source]
    return asked["changes"]


def test_a_release_that_upstream_deletes_goes_and_comes_back(upstream, connection, capsys):
    said(capsys, "releases", "refresh")
    without = [one for one in json.loads(body("releases-1.json")) if one["tag_name"] != "v4.7.1"]
    upstream[RELEASES] = answer(json.dumps(without).encode(), f'Link: <{SECOND}>; rel="next"')
    assert changes(said(capsys, "releases", "refresh"), "releases") == ["4.7.1 (taken back)"]
    assert column(connection, "SELECT latest_release FROM branches WHERE branch = '4.7'") == ["4.7.0"]
    upstream[RELEASES] = healthy()[RELEASES]
    assert changes(said(capsys, "releases", "refresh"), "releases") == ["4.7.1"]
    # A page that fails takes nothing back.
    upstream[SECOND] = refusal("500 Oops")
    before = facts(connection)["releases"]
    assert answers(said(capsys, "releases", "refresh", code=75))["releases"] == "unavailable"
    assert facts(connection)["releases"] == before


def test_a_list_that_takes_away_too_much_has_changed_its_shape(upstream, connection, capsys):
    connection.execute("UPDATE releases SET source = 'github'")
    before = facts(connection)
    refreshed = said(capsys, "releases", "refresh", code=1)
    assert answers(refreshed)["releases"] == "failed"
    assert "changed its shape" in refreshed["sources"][0]["detail"]
    assert facts(connection)["releases"] == before["releases"]
    connection.execute("UPDATE advisories SET source = 'github'")
    assert answers(said(capsys, "advisories", "refresh", code=1)) == {"advisories": "failed"}
    assert len(facts(connection)["advisories"]) == len(before["advisories"])


def test_a_release_far_above_all_that_is_known_is_refused(upstream, connection, capsys):
    before = facts(connection)["releases"]
    upstream[RELEASES] = answer(body("releases-1.json").replace(b"v4.7.1", b"v47.1.0"))
    refreshed = said(capsys, "releases", "refresh", code=1)
    assert answers(refreshed)["releases"] == "failed"
    assert "47.1.0 cannot follow on 4.8" in refreshed["sources"][0]["detail"]
    assert facts(connection)["releases"] == before


def test_an_advisory_that_is_not_listed_any_more_goes(upstream, connection, capsys):
    listed = json.loads(body("advisories.json"))
    new = listed[0] | {"ghsa_id": "GHSA-zzzz-zzzz-zzzz", "cve_id": None}
    upstream[ADVISORIES] = answer(json.dumps([*listed, new]).encode())
    assert "GHSA-zzzz-zzzz-zzzz" in changes(said(capsys, "advisories", "refresh"), "advisories")
    upstream[ADVISORIES] = answer(json.dumps(listed).encode())
    assert changes(said(capsys, "advisories", "refresh"), "advisories") == ["GHSA-zzzz-zzzz-zzzz (taken back)"]
    assert column(connection, "SELECT count(*) FROM advisories WHERE ghsa_id = 'GHSA-zzzz-zzzz-zzzz'") == [0]


def branch(capsys, name="4.6"):
    (row,) = said(capsys, "releases", "show", name)["branches"]
    return row["support"], row["supported_until"]


@pytest.mark.parametrize("mistake", [b"| 4.6.0   | No ", b"| 4.6.0   | Until 2026-08-30 "])
def test_an_end_of_support_that_security_md_takes_back_is_forgotten(upstream, capsys, mistake):
    right = body("SECURITY.md")
    upstream[SUPPORT] = answer(right.replace(b"| 4.6.0   | Yes ", mistake))
    said(capsys, "releases", "refresh")
    assert branch(capsys)[0] == "eol"
    upstream[SUPPORT] = answer(right)
    assert changes(said(capsys, "releases", "refresh"), "support") == ["4.6"]
    assert branch(capsys) == ("previous", None)


def stated(connection, name):
    return connection.execute("SELECT stated_until::text, support FROM branches WHERE branch = %s", [name]).fetchone()


def test_an_override_does_not_become_what_a_source_states(upstream, connection, capsys):
    """A No is no news of a branch that is over, whoever prolongs its support."""
    told(capsys, "releases", "set-branch", "4.2", "--until", "2099-12-31")
    said(capsys, "releases", "refresh")
    told(capsys, "releases", "set-branch", "4.2", "--clear")
    assert stated(connection, "4.2") == ("2026-01-08", "eol")


def test_an_override_does_not_hide_what_a_source_states(upstream, connection, capsys):
    told(capsys, "releases", "set-branch", "4.6", "--support", "eol")
    upstream[SUPPORT] = answer(body("SECURITY.md").replace(b"| 4.6.0   | Yes ", b"| 4.6.0   | No "), 'ETag: "no"')
    assert changes(said(capsys, "releases", "refresh"), "support") == ["4.6"]
    told(capsys, "releases", "set-branch", "4.6", "--clear")
    upstream[SUPPORT] = "HTTP/1.1 304 Not Modified", b""
    said(capsys, "releases", "refresh")
    until, support = stated(connection, "4.6")
    assert (until is not None, support) == (True, "eol")


def test_security_md_corrects_endoflife_when_it_is_back_and_unchanged(upstream, heads, capsys):
    said(capsys, "releases", "refresh")
    upstream |= {
        SUPPORT: refusal("500 Oops"),
        ENDOFLIFE: answer(b'[{"cycle": "4.6", "eol": "2026-09-01"}, {"cycle": "4.7", "eol": false}]'),
    }
    said(capsys, "releases", "refresh", code=75)
    assert branch(capsys) == ("eol", "2026-09-01")
    upstream[SUPPORT] = healthy()[SUPPORT]
    said(capsys, "releases", "refresh")
    assert branch(capsys) == ("previous", None)
    assert b"If-None-Match" not in heads(SUPPORT)[-1]
    # It was wrong about this branch once.
    upstream[SUPPORT] = refusal("500 Oops")
    said(capsys, "releases", "refresh", code=75)
    assert branch(capsys) == ("previous", None)


def test_security_md_is_heard_again_when_releases_or_main_have_changed(upstream, heads, capsys):
    """What it says of all older branches is about new ones, too."""
    said(capsys, "releases", "refresh")
    said(capsys, "releases", "refresh")
    assert b'\r\nIf-None-Match: "support"' in heads(SUPPORT)[-1]
    upstream[RELEASES] = answer(body("releases-1.json").replace(b"v4.7.1", b"v4.7.2"), f'Link: <{SECOND}>; rel="next"')
    said(capsys, "releases", "refresh")
    assert b"If-None-Match" not in heads(SUPPORT)[-1]
    upstream[MAIN] = answer(body("version.rb").replace(b"alpha.1", b"alpha.2"))
    said(capsys, "releases", "refresh")
    assert b"If-None-Match" not in heads(SUPPORT)[-1]


def test_a_source_is_left_alone_as_long_as_it_wants_to_be(upstream, heads, connection, capsys):
    upstream[RELEASES] = refusal("429 Too Many Requests", "Retry-After: 600")
    said(capsys, "releases", "refresh", code=75)
    upstream[RELEASES] = healthy()[RELEASES]
    refreshed = said(capsys, "releases", "refresh", code=75)
    (asked,) = [one for one in refreshed["sources"] if one["source"] == "releases"]
    assert asked["answer"] == "unavailable"
    assert len(heads(RELEASES)) == 1
    until = datetime.fromisoformat(asked["retry_at"])
    assert timedelta(seconds=500) < until - datetime.now(UTC) <= timedelta(seconds=600)
    assert f"{until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" in asked["detail"]
    assert f"not asked before {until:%Y-%m-%d %H:%M}" in told(capsys, "releases", "show")
    connection.execute("UPDATE sources SET retry_at = now() WHERE name = 'releases'")
    assert answers(said(capsys, "releases", "refresh"))["releases"] == "changed"
    assert column(connection, "SELECT retry_at FROM sources WHERE name = 'releases'") == [None]


def test_nobody_is_left_alone_for_years_whatever_a_header_says(upstream, connection, capsys):
    upstream[ADVISORIES] = refusal("403 Forbidden", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 4102444800")
    said(capsys, "advisories", "refresh", code=75)
    assert column(connection, "SELECT retry_at < now() + interval '25 hours' FROM sources") == [True]
