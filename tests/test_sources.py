from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.servers import Server, answering
from vmcrawl.asker import Source, SourceFailed
from vmcrawl.settings import HttpSettings, Settings, SourcesSettings
from vmcrawl.sources import (
    Fetched,
    fetch_advisories,
    fetch_commits,
    fetch_endoflife,
    fetch_main,
    fetch_releases,
    fetch_support,
    fetch_version_at,
)
from vmcrawl.upstream import Commit

DATA = Path(__file__).parent / "data" / "upstream"
ALL = [fetch_releases, fetch_main, fetch_support, fetch_endoflife, fetch_advisories]
JSON = "Content-Type: application/json; charset=utf-8"
RELEASES = (DATA / "releases-1.json").read_bytes()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def settings_for(server, token="", seconds=5.0, tls=False):
    base = f"{'https' if tls else 'http'}://127.0.0.1:{server.port}"
    sources = SourcesSettings(f"{base}/api", f"{base}/raw", f"{base}/eol", token, timedelta(seconds=seconds))
    return Settings(http=HttpSettings(contact="https://me.example"), sources=sources)


def ok(body, *headers):
    return "\n".join(["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]), body


def refusal(status, *headers):
    return "\n".join([f"HTTP/1.1 {status}", "Content-Length: 2", *headers]), b"{}"


def routes(table):
    """A script that answers by path; a path that is not in the table is a 404."""

    def script(conversation):
        while request := conversation.head():
            head, body = table.get(request.split()[1].decode(), refusal("404 Not Found"))
            conversation.send(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)

    return script


def failure(script, fetch=fetch_releases, **options):
    """What a source that behaves like this is said to have done; always one line."""
    with Server(script, tls=False) as server, pytest.raises(SourceFailed) as error:
        fetch(settings_for(server, **options))
    assert len(str(error.value).splitlines()) == 1
    return error.value


FIRST = "/api/repos/mastodon/mastodon/releases?per_page=100"
ADVISORIES = "/api/repos/mastodon/mastodon/security-advisories?per_page=100&sort=updated&direction=desc"


def test_releases_come_from_all_pages_and_each_only_once():
    second, third = "/api/repositories/1/releases?page=2", "/api/repositories/1/releases?page=3"
    with Server(routes({}), tls=False) as server:
        base = f"http://127.0.0.1:{server.port}"
        table = {
            FIRST: ok(RELEASES, 'ETag: W/"one"', f'Link: <{base}{second}>; rel="next", <{base}{third}>; rel="last"'),
            second: ok((DATA / "releases-2.json").read_bytes(), 'ETag: "two"', f'Link: <{third}>; rel="next"'),
            third: ok(b"[]", f'Link: <{base}{second}>; rel="prev"'),
        }
        server._script = routes(table)
        fetched = fetch_releases(settings_for(server))
    assert [release.version.release for release in fetched.items] == [
        "4.7.1",
        "4.6.5",
        "4.7.0",
        "4.7.0-rc.1",
        "1.4.0-rc.1",
    ]
    assert fetched.etag == 'W/"one"'
    assert not fetched.not_modified


def test_each_source_is_read_from_its_own_place():
    table = {
        "/raw/mastodon/mastodon/main/lib/mastodon/version.rb": ok((DATA / "version.rb").read_bytes()),
        "/raw/mastodon/mastodon/main/SECURITY.md": ok((DATA / "SECURITY.md").read_bytes()),
        "/eol/mastodon.json": ok((DATA / "endoflife.json").read_bytes()),
        ADVISORIES: ok((DATA / "advisories.json").read_bytes()),
    }
    with Server(routes(table), tls=False) as server:
        settings = settings_for(server)
        assert [version.release for version in fetch_main(settings).items] == ["4.8.0-alpha.1"]
        assert fetch_support(settings).items[2].until == date(2027, 2, 20)
        assert fetch_endoflife(settings).items[1].until == date(2027, 2, 20)
        assert [advisory.ghsa_id for advisory in fetch_advisories(settings).items] == [
            "GHSA-xfrj-c749-jxxq",
            "GHSA-ccm4-vgcc-73hp",
            "GHSA-5fq7-3p3j-9vrf",
            "GHSA-aaaa-bbbb-cccc",
        ]


@pytest.mark.parametrize("fetch", ALL)
def test_a_source_that_has_not_changed_says_so_in_one_request(fetch):
    with Server(answering('HTTP/1.1 304 Not Modified\nETag: "same"'), tls=False) as server:
        assert fetch(settings_for(server), '"same"') == Fetched((), '"same"', not_modified=True)
    assert len(server.heads) == 1
    assert b'\r\nIf-None-Match: "same"\r\n' in server.heads[0]


def test_a_304_that_nobody_asked_for_is_a_failure():
    assert "answered 304" in str(failure(answering("HTTP/1.1 304 Not Modified")))


@pytest.mark.parametrize("etag", ["unquoted", '"' + "x" * 300 + '"', '"ä"'])
def test_an_entity_tag_that_cannot_be_sent_back_is_not_kept(etag):
    with Server(answering(*ok(RELEASES, f"ETag: {etag}")), tls=False) as server:
        assert fetch_releases(settings_for(server)).etag == ""


def test_github_learns_who_asks_and_nobody_else_gets_the_token(tmp_path, monkeypatch):
    password = tmp_path / "netrc"
    password.write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(password))
    with Server(answering(*ok(RELEASES)), tls=False) as server:
        settings = settings_for(server, token="github_pat_1")
        fetch_releases(settings)
        for fetch in (fetch_main, fetch_support, fetch_endoflife):
            with pytest.raises(SourceFailed):
                fetch(settings)
        fetch_releases(settings_for(server))
    api, *others = server.heads
    assert b"\r\nAuthorization: Bearer github_pat_1\r\n" in api
    assert b"\r\nX-GitHub-Api-Version: 2022-11-28\r\n" in api
    assert len(others) == 4
    assert not any(b"Authorization" in head for head in others)
    assert all(b"\r\nUser-Agent: vmcrawl/" in head and b"(+https://me.example)" in head for head in server.heads)


def test_a_token_is_in_no_message_and_in_no_repr():
    said = failure(answering(*refusal("401 Unauthorized")), token="github_pat_1")
    assert str(said).endswith("answered 401: sources.token is not accepted")
    assert "github_pat_1" not in repr(said) + repr(SourcesSettings(token="github_pat_1"))


RESET = "X-RateLimit-Limit: 60\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1787400000"


@pytest.mark.parametrize("status", ["403 rate limit exceeded", "429 Too Many Requests"])
def test_a_rate_limit_says_until_when_and_what_helps(status):
    said = failure(answering(*refusal(status, RESET)))
    assert said.retry_at == datetime(2026, 8, 22, 12, 0, tzinfo=UTC)
    assert said.source is Source.RELEASES
    assert f"answered {status[:3]}: not before 2026-08-22 12:00:00 UTC" in str(said)
    assert "sources.token" in str(said)
    assert "sources.token" not in str(failure(answering(*refusal(status, RESET)), token="x"))


def test_retry_after_counts_in_seconds_from_now():
    said = failure(answering(*refusal("429 Too Many Requests", "Retry-After: 60")))
    assert said.retry_at is not None
    assert timedelta(seconds=50) < said.retry_at - datetime.now(UTC) <= timedelta(seconds=60)


@pytest.mark.parametrize(
    "answer",
    [
        refusal("429 Too Many Requests"),
        ("HTTP/1.1 403 Forbidden\nContent-Length: 37", b'{"message": "a secondary rate limit"}'),
        ("HTTP/1.1 403 Forbidden\nTransfer-Encoding: chunked", b"17\r\nSecondary Rate Limit...\r\n0\r\n\r\n"),
    ],
)
def test_a_secondary_limit_without_a_time_is_one_of_a_minute(answer):
    said = failure(answering(*answer))
    assert said.temporary
    assert said.retry_at is not None
    assert timedelta(seconds=50) < said.retry_at - datetime.now(UTC) <= timedelta(seconds=60)


def test_nobody_is_asked_for_a_compressed_answer():
    with Server(answering(*ok(RELEASES)), tls=False) as server:
        fetch_releases(settings_for(server))
    assert b"\r\nAccept-Encoding: identity\r\n" in server.heads[0]


@pytest.mark.parametrize(
    "headers",
    ["X-RateLimit-Remaining: 7\nX-RateLimit-Reset: 1787400000", "Retry-After: soon", "Retry-After: " + "9" * 99],
)
def test_a_refusal_without_a_usable_time_is_only_a_refusal(headers):
    said = failure(answering(*refusal("403 Forbidden", headers)))
    assert said.retry_at is None
    assert str(said).endswith("answered 403")


@pytest.mark.parametrize("fetch", ALL)
@pytest.mark.parametrize("status", ["500 Internal Server Error", "503 Unicorn", "404 Not Found", "204 No Content"])
def test_any_other_status_is_a_failure(fetch, status):
    assert str(failure(answering(*refusal(status)), fetch)).endswith(f"answered {status[:3]}")


@pytest.mark.parametrize("fetch", ALL)
@pytest.mark.parametrize("body", [b"", b"<html>Unicorn!</html>", b'{"message":"moved"}', b"[{}]", b"[]", b"\xff\xfe"])
def test_garbage_and_changed_shapes_and_empty_lists_are_failures(fetch, body):
    said = str(failure(answering(*ok(body, JSON)), fetch))
    assert "has changed its shape" in said or "empty list" in said


@pytest.mark.parametrize(
    ("answer", "temporary"),
    [
        (refusal("500 Oops"), True),
        (refusal("429 Too Many Requests"), True),
        (refusal("403 Forbidden", RESET), True),
        (refusal("403 Forbidden"), False),
        (refusal("404 Not Found"), False),
        (ok(b"<html>"), False),
    ],
)
def test_what_may_help_is_asking_later_or_looking_into_it(answer, temporary):
    assert failure(answering(*answer)).temporary is temporary


def test_one_bad_page_spoils_all():
    table = {FIRST: ok(RELEASES, "Link: </api/2>; rel=next"), "/api/2": refusal("500 Oops")}
    assert str(failure(routes(table))).endswith("answered 500")


COMMITS = "/api/repos/mastodon/mastodon/commits?path=lib/mastodon/version.rb&sha=main&per_page=20"
SHA = "467c9334" * 5


def test_what_changed_the_version_of_main_is_one_page_of_commits():
    body = (
        b'[{"sha": "%s", "commit": {"committer": {"name": "GitHub", "date": "2026-08-20T15:02:07Z"}}}]' % SHA.encode()
    )
    table = {
        COMMITS: ok(body, JSON, f'Link: <{COMMITS}&page=2>; rel="next"'),
        f"/raw/mastodon/mastodon/{SHA}/lib/mastodon/version.rb": ok((DATA / "version.rb").read_bytes()),
    }
    with Server(routes(table), tls=False) as server:
        (commit,) = fetch_commits(settings_for(server)).items
        assert commit == Commit(SHA, datetime(2026, 8, 20, 15, 2, 7, tzinfo=UTC))
        assert fetch_version_at(settings_for(server), commit).release == "4.8.0-alpha.1"
        with pytest.raises(SourceFailed, match="answered 404"):
            fetch_version_at(settings_for(server), Commit("", commit.at))
    assert len(server.heads) == 3


@pytest.mark.parametrize("body", [b"{}", b"[{}]", b'[{"commit": {"committer": {"date": "yesterday"}}}]', b"[]"])
def test_commits_of_another_shape_are_named(body):
    answers = routes({COMMITS: ok(body, JSON)})
    with Server(answers, tls=False) as server, pytest.raises(SourceFailed, match="commits: "):
        fetch_commits(settings_for(server))
