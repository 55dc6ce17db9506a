"""One GET to upstream: what it bears with, what it follows, whom it trusts, and when it gives up."""

import socket
import time
from dataclasses import replace

import pytest

from tests.servers import Authority, Server, answering, authority
from tests.test_sources import DATA, FIRST, RELEASES, failure, ok, refusal, routes, settings_for
from vmcrawl.asker import SourceFailed
from vmcrawl.settings import NetworkSettings, Settings, SourcesSettings
from vmcrawl.sources import fetch_releases, fetch_support


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_body_that_is_cut_short_is_a_failure():
    def script(conversation):
        conversation.head()
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + (DATA / "SECURITY.md").read_bytes())

    assert "gave no whole answer" in str(failure(script, fetch_support))


def test_a_chunked_body_that_is_cut_short_is_a_failure():
    def script(conversation):
        body = (DATA / "SECURITY.md").read_bytes()
        conversation.head()
        conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(body), body))

    assert "gave no whole answer" in str(failure(script, fetch_support))


def test_a_body_in_chunks_is_put_together():
    def script(conversation):
        conversation.head()
        conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(RELEASES), 500):
            piece = RELEASES[start : start + 500]
            conversation.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        conversation.send(b"0\r\n\r\n")

    with Server(script, tls=False) as server:
        assert len(fetch_releases(settings_for(server)).items) == 3


@pytest.mark.parametrize(
    ("before", "dripping"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n[", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
)
def test_an_answer_that_drips_in_is_given_up_when_its_time_is_over(before, dripping):
    started = time.monotonic()

    def script(conversation):
        conversation.head()
        conversation.send(before).drip(dripping * 999)

    assert str(failure(script, seconds=0.4)).endswith("was not done within 0.4 s")
    assert time.monotonic() - started < 3


def test_a_silent_source_is_given_up_when_its_time_is_over():
    def script(conversation):
        conversation.stall()

    assert str(failure(script, seconds=0.2)).endswith("was not done within 0.2 s")


def test_an_answer_without_end_is_cut_off():
    def script(conversation):
        conversation.head()
        conversation.send(b"HTTP/1.1 200 OK\r\n\r\n[").flood(b" " * 65536)

    assert str(failure(script)).endswith("sent more than 16 MiB")


def test_an_encoding_that_nobody_asked_for_is_refused_unread():
    assert "sent gzip" in str(failure(answering(*ok(b"\x1f\x8b", "Content-Encoding: gzip"))))


def test_a_redirect_is_followed_on_the_same_host_as_when_a_repository_is_renamed():
    moved = refusal("301 Moved Permanently", "Location: /api/repositories/1/releases?per_page=100")
    table = {FIRST: moved, "/api/repositories/1/releases?per_page=100": ok(RELEASES)}
    with Server(routes(table), tls=False) as server:
        assert len(fetch_releases(settings_for(server, token="t")).items) == 3
    assert all(b"Authorization: Bearer t" in head for head in server.heads)


@pytest.mark.parametrize("target", ["http://127.0.0.2/", "https://a.example/x", "//a.example", "file:///"])
def test_a_redirect_or_a_page_elsewhere_is_not_followed(target):
    assert "a redirect of" in str(failure(answering(*refusal("302 Found", f"Location: {target}"))))
    assert "the next page of" in str(failure(answering(*ok(RELEASES, f"Link: <{target}>; rel=next"))))


@pytest.mark.parametrize("target", ["http://[bad", "http://127.0.0.1:x/", "\x80"])
def test_a_place_that_is_no_address_is_a_failure(target):
    for script in (
        answering(*refusal("302 Found", f"Location: {target}")),
        answering(*ok(RELEASES, f"Link: <{target}>; rel=next")),
    ):
        assert failure(script)


def test_redirects_and_pages_that_do_not_end_are_left():
    assert str(failure(answering(*refusal("307 Temporary Redirect", "Location: /here")))).endswith("answered 307")
    assert "do not end" in str(failure(answering(*ok(RELEASES, "Link: </api/again>; rel=next"))))


def test_a_source_that_is_down_is_a_failure():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = Settings(sources=SourcesSettings(github_api=f"http://127.0.0.1:{port}"))
    with pytest.raises(SourceFailed, match=r"releases: 127\.0\.0\.1:\d+ gave no whole answer: .*refused"):
        fetch_releases(settings)


def test_over_tls_our_own_authority_is_trusted_and_others_are_not():
    with Server(answering(*ok(RELEASES))) as server:
        settings = replace(settings_for(server, tls=True), network=NetworkSettings(ca_file=authority().file))
        assert len(fetch_releases(settings).items) == 3
        for file in (Authority("Another").file, None):
            with pytest.raises(SourceFailed, match="certificate"):
                fetch_releases(replace(settings, network=NetworkSettings(ca_file=file)))


def test_a_ca_file_without_certificates_is_named():
    settings = Settings(network=NetworkSettings(ca_file=DATA / "version.rb"))
    with pytest.raises(SourceFailed, match=r"network\.ca_file holds no certificates"):
        fetch_releases(settings)
