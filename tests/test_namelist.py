"""Lists of servers as people and sites keep them: recognised, read in pieces, never stopped by a bad line."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.domain import InvalidDomain
from vmcrawl.namejson import read_json
from vmcrawl.namelist import Format, InvalidList, read_lines, read_name, recognise
from vmcrawl.seen import Seen

_REAL = Path(__file__).parents[2] / "shared" / "data" / "domains.txt"


def read(content, form=None, size=None):
    body = content if isinstance(content, bytes) else content.encode()
    form = form or recognise(body[:65536])
    size = size or max(1, len(body))
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return list(read_json(pieces) if form is Format.JSON else read_lines(pieces, form))


def domains(content, **more):
    return [item.domain for item in read(content, **more)]


@pytest.mark.parametrize(
    ("content", "form", "expected"),
    [
        # Plain text.
        ("a.social\nb.social\n", Format.TEXT, ["a.social", "b.social"]),
        ("# ours\n\n  A.Social. # why\r\nb.social", Format.TEXT, ["a.social", "b.social"]),
        ("a.social\rb.social\r", Format.TEXT, ["a.social", "b.social"]),
        ("\ufeffbücher.social\n", Format.TEXT, ["xn--bcher-kva.social"]),
        ("@alice@a.social\nbob@b.social\n", Format.TEXT, ["a.social", "b.social"]),
        ("https://a.social/@alice/123\nhttp://b.social:443\nc.social:8443\n*.d.social\n", Format.TEXT,
         ["a.social", "b.social", "c.social", "d.social"]),
        ("", Format.TEXT, []),
        ("\n \n#\n", Format.TEXT, []),
        # Mastodon's exports: domain blocks of an admin and of a person, follows, lists, blocks, bookmarks.
        ("#domain,#severity,#reject_media,#reject_reports,#public_comment,#obfuscate\n"
         'a.social,suspend,false,false,"spam, and\nworse",true\nb.social,noop,true,true,,false\n', Format.CSV,
         ["a.social", "b.social"]),
        ("#domain\na.social\n", Format.CSV, ["a.social"]),
        ("Account address,Show boosts,Notify on new posts,Languages\nalice@a.social,true,false,\n", Format.CSV,
         ["a.social"]),
        ("Friends,alice@a.social\nFriends,bob@b.social\n", Format.CSV, ["a.social", "b.social"]),
        ("https://a.social/users/alice/statuses/1\n", Format.TEXT, ["a.social"]),
        # Spreadsheets, and lists of others.
        ("domain\na.social\n\nb.social\n", Format.CSV, ["a.social", "b.social"]),
        ("users;Domain\n7;a.social\n", Format.CSV, ["a.social"]),
        ("a.social\t4.5.6\nb.social\t4.4.0\n", Format.CSV, ["a.social", "b.social"]),
        ('"a.social",1\n"b.social",2\n', Format.CSV, ["a.social", "b.social"]),
        ("# of today\nname,domain\nMy server,a.social\n# not this\n", Format.CSV, ["a.social"]),
        # joinmastodon, instances.social, peers, GraphQL, one server, JSON lines.
        ('[{"domain": "a.social", "version": "4.5.6", "languages": ["en"]}, {"domain": "b.social"}]', Format.JSON,
         ["a.social", "b.social"]),
        ('{"instances": [{"id": "1", "name": "a.social", "info": {"languages": ["en"], "name": "x.social"}}],'
         ' "pagination": {"total": 1, "next_id": null}}', Format.JSON, ["a.social"]),
        ('\ufeff ["a.social", "b.social"]', Format.JSON, ["a.social", "b.social"]),
        ('{"data": {"nodes": [{"domain": "a.social", "name": "My server"}]}}', Format.JSON, ["a.social"]),
        ('{"name": "My server", "domain": "a.social", "languages": ["b.social"]}', Format.JSON, ["a.social"]),
        ('{"domain": "a.social"}\n{"name": "b.social"}\n"c.social"\n', Format.LINES,
         ["a.social", "b.social", "c.social"]),
        ("[]", Format.JSON, []),
    ],
)  # fmt: skip
def test_every_kind_of_list_is_recognised_and_read(content, form, expected):
    body = content.encode()
    assert recognise(body) is form
    for size in (3, 5, 64, None):
        assert domains(body, size=size) == expected


@pytest.mark.parametrize(
    ("content", "number", "text", "reason"),
    [
        ("a.social\n\nno name\n", 3, "no name", "a character that no domain name can have"),
        ("a.social\n127.0.0.1\n", 2, "127.0.0.1", "an IP address, not a name"),
        ("a.social\nnul\0.social\n", 2, "nul .social", "a character that no domain name can have"),
        ("a.social\nbare**.social\n", 2, "bare**.social", "obfuscated: letters are hidden by asterisks"),
        ("domain,users\na.social,1\n,2\n", 3, "", "no name in it"),
        ("users,domain\n1,a.social\n2\n", 3, "", "no name in it"),
        ('["a.social", 7]', 2, "", "no name in it"),
        ('["a.social", ["b.social"]]', 2, "", "no name in it"),
        ('["a.social", {"x": {"domain": "b.social"}}]', 2, "", "no name in it"),
        ('{"domain":"a.social"}\n{"domain":\n', 2, "", "not JSON: Expecting value at character 10"),
        ('{"domain":"a.social"}\n[1]\n', 2, "", "no name in it"),
        # Nobody's account is shown, nor what it has written.
        ("a.social\nalice@no_name\n", 2, "…@no_name", "a character that no domain name can have"),
        ("a.social\n@alice\n", 2, "@…", "a single label"),
        ("a.social\nhttps://no_name/@alice/1\n", 2, "https://no_name/…", "a character that no domain name can have"),
        ("a.social\nhttps://alice:secret@no_name/\n", 2, "…@no_name/…", "a character that no domain name can have"),
    ],
)
def test_what_is_no_name_is_numbered_and_stops_nothing(content, number, text, reason):
    body = content.encode()
    form = Format.TEXT if "\0" in content else None
    for size in (1, None):
        first, bad, *rest = read(body, form, size)
        assert first.domain == "a.social"
        assert (bad.number, bad.domain, bad.text, bad.reason) == (number, None, text, reason)
        assert rest == []


def test_a_quotation_mark_that_is_never_closed_costs_one_line():
    first, *rest = read('domain,comment\na.social,"oops\n' + "".join(f"s{n}.social,\n" for n in range(200)))
    assert first.domain == "a.social"
    assert [item.domain for item in rest] == [f"s{n}.social" for n in range(200)]
    assert [item.number for item in rest] == list(range(3, 203))


def test_a_line_without_end_is_one_bad_line_and_is_never_held():
    pieces = iter([b"a.social\n", *[b"x" * 65536] * 400, b"\nb.social\n"])
    first, long, last = read_lines(pieces, Format.TEXT)
    assert (first.domain, last.domain, last.number) == ("a.social", "b.social", 3)
    assert long.reason == "longer than 1 MiB: no line of a list"
    assert len(long.text) <= 80


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x1f\x8b\x08\0", "gzip -d"),
        (b"PK\x03\x04", "unzip -p"),
        ("a.social\n".encode("utf-16"), "iconv"),
        ("a.social\n".encode("utf-16-le"), "iconv"),
        (b"a.social\0", "no text in UTF-8"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"[" * 200, "nested too deeply"),
        (b'[{"a":' * 200, "nested too deeply"),
        (b'["a.social", "b.exa', "after element 1: not JSON in UTF-8, or cut off"),
        (b'["a.social", oops]', "after element 1: not JSON"),
        (b'["\xff\xfe.social"]', "at its beginning: not JSON"),
        (b'{"error": "The access token is invalid"}', "JSON without a list"),
        (b'{"languages": ["en"]}', "JSON without a list"),
        (b'["' + b"x" * (3 << 20), "does not end"),
        (b"[" + b" " * (3 << 20), "does not end"),
    ],
)
def test_what_is_no_list_is_said_with_what_to_do(content, told):
    with pytest.raises(InvalidList, match=told):
        read(content, size=65536)


def test_an_account_gives_its_domain_and_nothing_else():
    assert read_name("acct@a.social") == "a.social"
    for hopeless in ("", "@", "alice@", "https://", "a b@c d", "x" * 5000, "user@127.0.0.1"):
        with pytest.raises(InvalidDomain):
            read_name(hopeless)


@given(st.binary(max_size=400))
def test_any_bytes_give_items_or_say_why_not(body):
    for form in (None, *Format):
        try:
            items = read(body, form, 7)
        except InvalidList:
            continue
        assert all(item.domain or item.reason for item in items)
        assert all(item.text.isprintable() for item in items)


@given(st.lists(st.text(max_size=20)), st.integers(1, 50))
def test_pieces_make_no_difference(texts, size):
    for body in ("\n".join(texts).encode("utf-8", "replace"), json.dumps(texts).encode()):
        form = Format.JSON if body.startswith(b"[") and body.endswith(b"]") else Format.TEXT
        try:
            whole = read(body, form)
        except InvalidList:
            continue
        assert read(body, form, size) == whole


def test_a_name_is_seen_once_in_any_number():
    seen = Seen()
    names = [f"s{number}.social" for number in range(30_000)]
    assert all(seen.add(name) for name in names)
    random.Random(1).shuffle(names)
    assert not any(seen.add(name) for name in names)
    assert len(seen) == 30_000


@pytest.mark.skipif(not _REAL.exists(), reason="the real names are not part of the project")
def test_every_real_name_is_read_in_every_format():
    names = _REAL.read_text("utf-8").split()
    expected = domains("\n".join(names))
    assert None not in expected
    assert domains("#domain,#severity\n" + "".join(f"{name},suspend\n" for name in names)) == expected
    assert domains(json.dumps([{"domain": name} for name in names])) == expected
    assert domains("".join(json.dumps({"name": name}) + "\n" for name in names)) == expected
