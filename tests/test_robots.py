"""robots.txt by RFC 9309: groups, lines and encodings; patterns; and the same answers as Protego, faster."""

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from protego import Protego

from tests.documents import document
from vmcrawl.robots import MAX_BYTES, find_line, parse_rules, reduce_robots

HOST = "https://a.example"
WELL_KNOWN = "/.well-known/nodeinfo"
FORBIDDEN = "User-agent: *\nDisallow: /\n"


def allows(robots: str | bytes, path: str, agent: str = "vmcrawl") -> bool:
    body = robots if isinstance(robots, bytes) else robots.encode()
    return parse_rules(reduce_robots(body, agent)).allows(HOST + path)


@pytest.mark.parametrize(
    ("robots", "reduced"),
    [
        ("User-agent: *\nDisallow: /a\n", "Disallow: /a\n"),
        ("User-agent: vmcrawl\nDisallow: /a\n\nUser-agent: *\nDisallow: /b\n", "Disallow: /a\n"),
        ("User-agent: *\nDisallow: /b\n\nUser-agent: VMCrawl/1.0 (x)\nAllow: /a\n", "Allow: /a\n"),
        ("User-agent: vmcrawl\nDisallow:\n\nUser-agent: *\nDisallow: /\n", ""),
        ("User-agent: vmcrawl\n\nUser-agent: *\nDisallow: /\n", "Disallow: /\n"),
        ("User-agent: vmcrawl\nSitemap: /s\n", ""),
        ("User-agent: x\nUser-agent: vmcrawl\nUser-agent: y\nDisallow: /a\n", "Disallow: /a\n"),
        ("User-agent: x\nSitemap: /s\n# c\nHost: h\nUser-agent: vmcrawl\nDisallow: /a\n", "Disallow: /a\n"),
        ("User-agent: x\nDisallow:\nUser-agent: vmcrawl\nDisallow: /a\n", "Disallow: /a\n"),
        ("User-agent: vmcrawl\nDisallow: /a\nUser-agent: x\nDisallow: /b\n", "Disallow: /a\n"),
        ("User-agent: vmcrawl\nDisallow: /a\nUser-agent:\nDisallow: /b\n", "Disallow: /a\n"),
        ("User-agent: vmcrawl\nDisallow: /a\n\nDisallow: /b\n", "Disallow: /a\nDisallow: /b\n"),
        ("User-agent:vmcrawl\nAllow:/a\nUser-agent:x\nAllow:/\nUser-agent:VMCRAWL\nAllow:/b", "Allow: /a\nAllow: /b\n"),
        ("User-agent: *\nAllow: /a\nUser-agent: x\nAllow: /\nUser-agent: * \nAllow: /b\n", "Allow: /a\nAllow: /b\n"),
        ("User-agent: crawl\nDisallow: /\nUser-agent: vm\nDisallow: /\nUser-agent: vmcrawler\nDisallow: /\n", ""),
        ("User-agent: xvmcrawl\nDisallow: /\nUser-agent: vmcrawl-dev\nDisallow: /\n", ""),
        ("User-agent: Mozilla/5.0 (compatible; vmcrawl)\nDisallow: /\n", ""),
        ("Disallow: /\nUser-agent: x\nAllow: /\n", ""),
        ("Disallow: /\nUser-agent: *\nAllow: /a\n", "Allow: /a\n"),
        ("user-AGENT : * # all\n  DISALLOW:/a#b\n\tallow\t: /c # d\n", "Disallow: /a\nAllow: /c\n"),
        ("useragent *\nuser agent: x\ndisalow /a\ndiasllow: /c\n", "Disallow: /a\nDisallow: /c\n"),
        ("User-agent: *\nDisallowed: /a\nDisallow=/b\nallow-all: /\nNoindex: /\n", ""),
        ("User-agent: *\nDisallow: a\nDisallow: https://a.example/\nDisallow: *b\nDisallow: $\n", "Disallow: *b\n"),
        ("User-agent: *\nDisallow: /a\nDisallow: /a\nAllow: /a\n", "Allow: /a\n"),
        ("User-agent: *\nCrawl-delay: 3\nCrawl-delay: 7.5\nCrawl-delay: 5\n", "Crawl-delay: 7.5\n"),
        ("User-agent: *\nCrawl-delay: 3\n\nUser-agent: x\nDisallow: /\n", "Crawl-delay: 3.0\n"),
        ("User-agent: *\nCrawl-delay: 3\nUser-agent: x\nDisallow: /\n", "Crawl-delay: 3.0\nDisallow: /\n"),
        ("User-agent: x\nCrawl-delay: 3\nUser-agent: vmcrawl\nDisallow: /\n", "Disallow: /\n"),
        ("User-agent:*\nDisallow: /a\nCrawl-delay: 3\nUser-agent:x\nCrawl-delay:9", "Crawl-delay: 3.0\nDisallow: /a\n"),
        ("User-agent: *\nCrawl-delay: -1\nCrawl-delay: nan\nCrawl-delay: inf\nCrawl-delay: soon\nCrawl-delay:\n", ""),
        ("User-agent: *\nCrawl-delay: 0\n", "Crawl-delay: 0.0\n"),
        ("User-agent: *\nDisallow: /\x85a\n", "Disallow: /%C2%85a\n"),
        ("", ""),
        ("\n\n\n", ""),
        ("<!DOCTYPE html>\n<html><body>User-agent: *<br>Disallow: /</body></html>", ""),
    ],
)  # fmt: skip
def test_only_the_rules_for_us_remain(robots, reduced):
    remaining = reduce_robots(robots.encode(), "vmcrawl")
    agent, _, rules = remaining.partition("\n")
    assert rules == reduced
    assert agent in (("User-agent: *", "User-agent: vmcrawl") if reduced else ("",))
    assert reduce_robots(remaining.encode(), "vmcrawl") == remaining


@pytest.mark.parametrize(
    ("robots", "path", "agent", "line"),
    [
        ("User-agent: *\nDisallow: /\n", "/nodeinfo/2.0", "*", "Disallow: /"),
        ("User-agent: *\nDisallow: /x\n\nUser-agent: VMCrawl\nDisallow: /\n", "/a", "vmcrawl", "Disallow: /"),
        (
            "User-agent: *\nAllow: /\nDisallow: /.well-known/\nDisallow: /.w\n",
            WELL_KNOWN,
            "*",
            "Disallow: /.well-known/",
        ),
        ("User-agent: *\nDisallow: /*info$\nAllow: /.well-known/\n", WELL_KNOWN, "*", None),
        ("User-agent: *\nDisallow: /*/nodeinfo$\nAllow: /.w\n", WELL_KNOWN, "*", "Disallow: /*/nodeinfo$"),
        ("User-agent: *\nDisallow: /\n", "/robots.txt", "*", None),
        ("", "/", "*", None),
    ],
)
def test_the_line_that_forbids_is_named_and_whom_it_is_for(robots, path, agent, line):
    rules = parse_rules(reduce_robots(robots.encode(), "vmcrawl"))
    assert (rules.agent, rules.forbidding(HOST + path)) == (agent, line)


@pytest.mark.parametrize(
    "body",
    [
        FORBIDDEN.encode(),
        FORBIDDEN.replace("\n", "\r\n").encode(),
        FORBIDDEN.replace("\n", "\r").encode(),
        FORBIDDEN.encode("utf-8-sig"),
        FORBIDDEN.encode("utf-16"),
        FORBIDDEN.encode("utf-16-le"),
        b"\xfe\xff" + FORBIDDEN.encode("utf-16-be"),
        b"# caf\xe9 \xff\xfe\n" + FORBIDDEN.encode(),
        FORBIDDEN.replace("*", "\0*").encode(),
        b"<html>\n" + FORBIDDEN.encode(),
        FORBIDDEN.encode() + b"#" * MAX_BYTES,
        b"# filler\n" * 50_000 + FORBIDDEN.encode(),
        FORBIDDEN.strip().encode(),
    ],
)
def test_a_refusal_is_found_in_any_encoding(body):
    assert not allows(body, WELL_KNOWN)


def test_what_follows_500_kib_does_not_count_nor_does_half_a_line():
    head = b"User-agent: *\nDisallow: /media/\n"
    filler = b"#" * (MAX_BYTES - len(head) - len(b"\nDisallow: /")) + b"\nDisallow: /"
    assert len(head + filler) == MAX_BYTES
    assert allows(head + filler + b"only-this\n", WELL_KNOWN)
    assert not allows(head + filler + b"only-this\n", "/media/x")
    assert not allows(head + filler[1:] + b"\nAllow: /\n", WELL_KNOWN)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/", "/", True),
        ("/nodeinfo", "/nodeinfo/2.0", True),
        ("/nodeinfo/", "/nodeinfo", False),
        ("/nodeinfo$", "/nodeinfo", True),
        ("/nodeinfo$", "/nodeinfo/2.0", False),
        ("/a$", "/a$b", False),
        ("/a$b", "/a$bc", True),
        ("/*.json", "/a/host-meta.json?x", True),
        ("/*.json$", "/a/host-meta.json?x", False),
        ("*/nodeinfo", WELL_KNOWN, True),
        ("*", "/", True),
        ("/**a**$", "/bab", True),
        ("/a*a$", "/a", False),
        ("/Nodeinfo", "/nodeinfo", False),
        ("/.well-known/webfinger?resource=acct:", "/.well-known/webfinger?resource=acct%3Ax", True),
        ("/.well-known/webfinger?resource=acct%3a", "/.well-known/webfinger?resource=acct:x", True),
        # The table of RFC 9309, 2.2.2.
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz", True),
        ("/foo/bar?baz=http://foo.bar", "/foo/bar?baz=http%3A%2F%2Ffoo.bar", True),
        ("/foo/bar/\U000e3384", "/foo/bar/%F3%A3%8E%84", True),
        ("/foo/bar/ツ", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%e3%83%84", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz", True),
        # 2.2.3: escaped special characters stand for themselves.
        ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html", True),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-x.html", False),
        ("/path/foo-%24", "/path/foo-$", True),
        ("/path/foo-%24", "/path/foo-", False),
        ("/a%2Fb", "/a/b", False),
        ("/100%", "/100%", True),
        ("/100%", "/100%25", True),
        ("/a b", "/a%20b", True),
        ("/?x", "/?x=1", True),
        ("/a?", "/a", False),
    ],
)
def test_a_pattern_matches(pattern, path, matches):
    assert allows(f"User-agent: *\nDisallow: {pattern}\n", path) is not matches


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        ("Disallow: /\nAllow: /.well-known/\n", WELL_KNOWN, True),
        ("Allow: /.well-known/\nDisallow: /\n", "/nodeinfo/2.0", False),
        ("Allow: /\nDisallow: /.well-known/nodeinfo\n", WELL_KNOWN, False),
        ("Disallow: /a\nAllow: /a\n", "/a", True),
        ("Disallow: /a*\nAllow: /ab\n", "/ab", True),
        ("Disallow: /*b*\nAllow: /ab\n", "/ab", False),
        ("Allow: /a$\nDisallow: /a\n", "/a", True),
        ("Allow: /a$\nDisallow: /a\n", "/ab", False),
        ("Disallow:\nDisallow: /a\n", "/a", False),
        ("Disallow: /\nAllow:\n", "/a", False),
        ("Disallow: /\nAllow: /index.html\n", "/", False),
        ("Disallow: /\n", "/robots.txt", True),
        ("Disallow: /\n", "/robots.txt?x", True),
        ("Disallow: /\n", "/a/robots.txt", False),
        ("", "/", True),
    ],
)
def test_the_longest_match_decides_and_allow_wins_a_tie(rules, path, expected):
    assert allows(f"User-agent: *\n{rules}", path) is expected


@pytest.mark.parametrize("name", ["robots-2.8.1-to-4.1.txt", "robots-4.2-4.3.txt", "robots-4.4plus.txt"])
@pytest.mark.parametrize(
    "path", [WELL_KNOWN, "/nodeinfo/2.0", "/api/v2/instance", "/api/v1/instance", "/api/v1/instance/peers"]
)
def test_mastodons_own_file_permits_a_crawl(name, path):
    body = document("samples", name)
    assert allows(body, path)
    assert not allows(body, "/media_proxy/1")
    assert allows(body, path, "GPTBot") is (name == "robots-2.8.1-to-4.1.txt")


def test_gotosocials_default_forbids_nodeinfo_and_asks_for_a_long_delay():
    rules = parse_rules(reduce_robots(document("robots-gotosocial-default.txt"), "vmcrawl"))
    assert rules.crawl_delay == 500
    assert not rules.allows(HOST + WELL_KNOWN)


@pytest.mark.parametrize(
    "body",
    [
        b"Disallow: /" + b"*a" * 250_000 + b"b\n",
        b"".join(b"Disallow: /%sb%d\n" % (b"*a" * 900, number) for number in range(250)),
        b"Disallow: /" + b"*a" * 900 + b"*b$\n",
        b"Disallow: /" + b"*" * 500_000 + b"b\n",
        b"".join(b"Disallow: /*w*%d\n" % number for number in range(30_000)),
        b"Disallow: /" + b"%" * 500_000,
        b"Crawl-delay: " + b"9" * 500_000 + b"\n",
        b"Allow" + b" " * 500_000 + b"x\n",
    ],
)
def test_a_hostile_file_gets_an_answer(body):
    assert allows(b"User-agent: *\n" + body, "/" + "a" * 2000)


@pytest.mark.parametrize("reduced", ["", "nonsense", "Disallow /", "Crawl-delay: x\nDisallow:\n", "\0", "Disallow: /ü"])
def test_rules_of_another_make_are_left_out(reduced):
    rules = parse_rules(reduced)
    assert rules.crawl_delay is None
    assert rules.allows(f"{HOST}/")


_PATTERNS = st.lists(st.sampled_from([*"ab/*$=?", "%41", "%2a", "%24", "%2F", "%3F", "ü", "%C3%BC", "%ff"]), max_size=6)
_LINES = st.tuples(st.sampled_from(["Allow: ", "Disallow: "]), st.just("/"), _PATTERNS.map("".join)).map("".join)
_PATHS = st.lists(st.sampled_from([*"ab/=?*", "%41", "%2f", "%C3%BC", "%FF"]), max_size=8).map("".join)


@settings(max_examples=500)
@given(st.lists(_LINES, max_size=6), _PATHS)
@example(["Disallow: /*a*b$"], "aab")
@example(["Disallow: /b*", "Allow: /**"], "b")
def test_the_answer_is_that_of_protego_over_the_whole_file(lines, path):
    """But where Protego differs from the RFC: dollars in a path, index pages, escaped slashes in a query."""
    assume(not ("?" in path + "".join(lines) and "%2F" in (path + "".join(lines)).upper()))
    robots = "\n".join(["User-agent: *", *lines])
    assert allows(robots, f"/{path}") == Protego.parse(robots).can_fetch(f"{HOST}/{path}", "vmcrawl")


@given(st.binary(max_size=300) | st.lists(_LINES).map("\n".join).map(str.encode), st.text("ab/%?*$", max_size=10))
def test_no_bytes_make_it_raise_and_reducing_twice_changes_nothing(body, path):
    for prefix in (b"", b"User-agent: vmcrawl\n"):
        reduced = reduce_robots(prefix + body, "vmcrawl")
        assert reduced.isascii()
        assert reduce_robots(reduced.encode(), "vmcrawl") == reduced
        assert parse_rules(reduced).allows(f"{HOST}/{path}") in (True, False)


_WRITTEN = b"""# for all
User-agent: *
Disallow: /
User-agent: other
User-agent: vmcrawl
Disallow: /%61pi # ours
Allow:   /api/v2*

User-agent: VMcrawl
Disallow: /media
Disallow: /api
"""


@pytest.mark.parametrize(
    ("path", "rule", "line"),
    [
        ("/api/v1/instance", ("/api", False), (6, "Disallow: /%61pi # ours")),
        ("/api/v2/instance", ("/api/v2*", True), (7, "Allow:   /api/v2*")),
        ("/media/x", ("/media", False), (10, "Disallow: /media")),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_rule_that_decides_is_found_as_it_was_written(path, rule, line, end):
    body = _WRITTEN.replace(b"\n", end)
    found = parse_rules(reduce_robots(body, "vmcrawl")).rule_for(f"https://a.example{path}")
    assert found == rule
    assert find_line(body, "vmcrawl", rule[0], allows=rule[1]) == line


def test_where_no_rule_speaks_of_a_path_there_is_none_to_be_found():
    assert parse_rules(reduce_robots(_WRITTEN, "vmcrawl")).rule_for("https://a.example/nodeinfo/2.0") is None
    assert find_line(_WRITTEN, "vmcrawl", "/", allows=False) is None
    assert find_line(_WRITTEN, "somebody", "/", allows=False) == (3, "Disallow: /")
