"""A DNI list from its bytes: every shape it comes in, and every shape in which it must not be believed."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.dnilist import LARGEST, InvalidList, Listed, Severity, Treatment, parse_dni_list
from vmcrawl.domain import parse_domain

REAL = Path(os.environ.get("VMCRAWL_TEST_DNI_LIST", "dni.csv"))
HEADER = "#domain,#severity,#reject_media,#reject_reports,#public_comment,#obfuscate\n"
HARD, SOFT = Severity.HARD, Severity.SOFT


def parsed(text, treatment=Treatment.SOFT):
    return parse_dni_list(text if isinstance(text, bytes) else text.encode(), treatment)


def entries(text, treatment=Treatment.SOFT):
    """Severity and comment by domain."""
    return {domain: (each.severity, each.comment) for domain, each in parsed(text, treatment).entries.items()}


def test_iftas_list_is_read_with_its_comments():
    text = HEADER + "one.social,suspend,false,false,iftas:spam;cib,true\ntwo.social,suspend,false,false,,true"
    assert entries(text) == {"one.social": (SOFT, "iftas:spam;cib"), "two.social": (SOFT, "")}
    assert parsed(text).header


def test_the_real_list_is_read_whole():
    if not REAL.is_file():
        pytest.skip("the real list is not part of the project (VMCRAWL_TEST_DNI_LIST names one)")
    content = REAL.read_bytes()
    listed = parse_dni_list(content)
    assert (len(listed.entries), listed.noop, listed.bad, listed.duplicates) == (len(content.splitlines()) - 2, 1, 0, 0)
    assert {each.severity for each in parse_dni_list(content, Treatment.LISTED).entries.values()} == {HARD}


@pytest.mark.parametrize(
    ("word", "soft", "hard", "listed"),
    [
        ("suspend", SOFT, HARD, HARD),
        ("Silence", SOFT, HARD, SOFT),
        ("limit", SOFT, HARD, SOFT),
        ("", SOFT, HARD, SOFT),
        ("hard", HARD, HARD, HARD),
        ("soft", SOFT, SOFT, SOFT),
    ],
)
def test_a_severity_is_what_the_operator_makes_of_it_unless_the_line_says_it_itself(word, soft, hard, listed):
    text = f"domain,severity\na.example.com,{word}\n"
    assert [entries(text, Treatment(each))["a.example.com"][0] for each in ("soft", "hard", "listed")] == [
        soft,
        hard,
        listed,
    ]


def test_what_blocks_nothing_is_no_entry():
    listed = parsed("domain,severity\na.social,noop\nb.social,none\ndni.invalid,suspend\nc.social,suspend\n")
    assert (list(listed.entries), listed.noop, listed.bad) == (["c.social"], 3, 0)


@pytest.mark.parametrize(
    "text",
    [
        "a.social\nb.social\n",
        "a.social\r\nb.social\r\n",
        "a.social\rb.social\r",
        "\ufeffa.social\nb.social",
        "# servers\n\n  a.social  \nB.Social.\n",
        "domain\na.social\nb.social\n",
        "\ufeff#domain\na.social\nb.social\n",
        "# made on Monday\n#domain,#severity\na.social,suspend\n\n#x.social,suspend\nb.social,suspend\n",
        "severity,domain\nsuspend,a.social\nsuspend,b.social\n",
        "*.a.social\n.b.social\n",
        "https://a.social/\nb.social:8443\n",
        "a.social\na.social\nb.social\n",
    ],
)
def test_a_list_comes_in_many_shapes(text):
    assert list(parsed(text).entries) == ["a.social", "b.social"]


def test_a_comment_behind_a_name_is_kept_and_made_fit_for_a_terminal():
    assert entries("a.social # asked\x1b[2Jby mail\n")["a.social"][1] == "asked [2Jby mail"
    long = entries(f'domain,comment\na.social,"{"x" * 900}\n, more"\n')["a.social"][1]
    assert len(long) == 500


def test_of_two_lines_for_one_domain_the_stricter_counts():
    listed = parsed("domain,severity,comment\na.social,soft,one\nA.SOCIAL,hard,two\na.social,soft,three\n")
    assert dict(listed.entries) == {"a.social": Listed(HARD, "two")}
    assert listed.duplicates == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("com", "single label"),
        ("co.uk", "public suffix"),
        ("*.com", "single label"),
        ("*", "empty label"),
        ("exa***.com", "obfuscated"),
        ("exa*ple.*", "obfuscated"),
        ("10.0.0.1", "IP address"),
        ("[::1]:80", "character"),
        ("https://a.social/users/me", "character"),
        ("me@a.social", "character"),
        ("hidden.onion", ".onion"),
        ("x" * 2000 + ".social", "too long"),
        ("a..social", "empty label"),
        ("\ufffd.social", "character"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_is_read(line, reason):
    listed = parsed(f"a.social\nb.social\nc.social\nd.social\n{line}\n")
    assert len(listed.entries) == 4
    (bad,) = listed.bad_lines
    assert (bad.number, listed.bad) == (5, 1)
    assert reason in bad.reason
    assert len(bad.text) <= 80


def test_the_number_of_a_bad_line_counts_lines_within_comments():
    listed = parsed(HEADER + 'a.social,suspend,,,"two\nlines",\n' + "b.social,suspend,,,,\n" * 4 + "com,suspend,,,,\n")
    assert [bad.number for bad in listed.bad_lines] == [8]


GOOD = HEADER + "".join(f"{name}.social,suspend,false,false,iftas:spam,true\n" for name in "abcdefgh")

UNBELIEVABLE = {
    "empty": (b"", "empty"),
    "blank": (b" \n\n\t", "empty"),
    "only a mark": (b"\xef\xbb\xbf", "empty"),
    "only a header": (HEADER.encode(), "no entries"),
    "only comments": (b"# nothing\n# here\n", "no entries"),
    "nothing but noop": (b"domain,severity\na.social,noop\n", "no entries"),
    "a web page": (b"<!DOCTYPE html><title>Sorry</title>", "web page"),
    "a web page behind a mark": (b"\xef\xbb\xbf \n<html>", "web page"),
    "JSON": (b'[{"domain": "a.social"}]', "JSON"),
    "a JSON object": (b'{"domains": []}', "JSON"),
    "UTF-16": ("a.social\n".encode("utf-16"), "UTF-8"),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "UTF-8"),
    "too large": (b"a" * (LARGEST + 1), "MiB"),
    "too many lines": (b"a.social\n" * 500_001, "lines"),
    "cut in a name": (GOOD.encode() + b"i.soc", "cut off"),
    "cut in a severity": (GOOD.encode() + b"i.social,susp", "cut off"),
    "cut in a flag": (GOOD.encode() + b"i.social,suspend,fal", "cut off"),
    "cut in a comment": (GOOD.encode() + b"i.social,suspend,false,false,ift", "cut off"),
    "cut in the last column": (GOOD.encode() + b"i.social,suspend,false,false,iftas:spam,tru", "cut off"),
    "cut in a quoted comment": (GOOD.encode() + b'i.social,suspend,false,false,"spam, and', "cut off"),
    "cut in a plain name": (b"a.social\nb.social\nc.social\nd.social\ne.social\nf", "cut off"),
    "a stray quote": (HEADER.encode() + b'a.social,suspend,,,"x"y,\nb.social,suspend,,,,\n', "line 2"),
    "CSV without its header": (GOOD.encode().partition(b"\n")[2], "needs a header"),
    "prose": (b"This list has moved.\nSee the other page.\n", "no entries, the first is line 1"),
    "mostly obfuscated": (b"a.social\nb.social\nc***.social\n", "obfuscated"),
    "columns in another order": (b"#domain,#severity\n" + b"suspend,a.social\n" * 9, "no entries"),
    "an unknown severity": (b"#domain,#severity\n" + b"a.social,maybe\n" * 9, "severity other than"),
    "a field without end": (b"domain\n" + b"a" * 200_000, "no CSV"),
}


@pytest.mark.parametrize("kind", UNBELIEVABLE)
def test_what_is_no_list_or_not_the_whole_of_one_is_refused_in_one_line(kind):
    content, reason = UNBELIEVABLE[kind]
    with pytest.raises(InvalidList) as refused:
        parse_dni_list(content)
    assert reason in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


def test_short_lines_are_no_cut_where_they_are_the_habit_of_a_list():
    assert len(parsed("domain,severity,comment\na.social,suspend\nb.social,suspend").entries) == 2


NAMES = st.sampled_from(
    ["a.social", "B.example.com", "*.c.social", "com", "exa***.com", "ü.example.org", "x y", "", "#"]
)
WORDS = st.sampled_from(["suspend", "silence", "noop", "hard", "soft", "", "?"])


@given(st.binary(max_size=300))
def test_any_bytes_are_a_list_or_refused(content):
    try:
        listed = parse_dni_list(content)
    except InvalidList:
        return
    assert all(parse_domain(domain) == domain for domain in listed.entries)


@given(st.lists(st.tuples(NAMES, WORDS, st.text(max_size=20)), max_size=12), st.sampled_from(list(Treatment)))
def test_whatever_a_list_says_its_entries_are_domains_and_its_lines_add_up(rows, treatment):
    quoted = "".join('{},{},"{}"\n'.format(*row[:2], row[2].replace('"', '""').replace("\0", "")) for row in rows)
    try:
        listed = parsed(f"domain,severity,public_comment\n{quoted}".encode("utf-8", "replace"), treatment)
    except InvalidList:
        return
    assert all(parse_domain(domain) == domain for domain in listed.entries)
    assert all(each.comment.isprintable() and len(each.comment) <= 500 for each in listed.entries.values())
    assert len(listed.entries) + listed.duplicates + listed.noop + listed.bad <= len(rows)
    assert listed.bad * 5 <= len(rows)
