"""The notations of version ranges, read into spans."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.ranges import Ranges, Span, branch_start, read_ranges, read_versions
from vmcrawl.version import parse_tag


def span(low: str, high: str, closed: bool = False, after: bool = False) -> Span:
    return Span(parse_tag(low) if low else None, parse_tag(high) if high else None, closed, after)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("", []),
        ("< 4.4.18", [span("", "4.4.18")]),
        ("< v4.4.18", [span("", "4.4.18")]),
        ("<4.4.18", [span("", "4.4.18")]),
        ("<= 4.4.17", [span("", "4.4.17", closed=True)]),
        ("> 4.4.1, <= 4.4.2", [span("4.4.1", "4.4.2", closed=True, after=True)]),
        (">= 4.4.0", [span("4.4.0", "")]),
        (">= 1.3, < 3.5.9", [span("1.3", "3.5.9")]),
        (">= 4.2.0-beta1, < 4.2.0-rc2", [span("4.2.0-beta.1", "4.2.0-rc.2")]),
        ("= 4.5.0-beta.1", [span("4.5.0-beta.1", "4.5.0-beta.1", closed=True)]),
        ("4.5.1", [span("4.5.1", "4.5.1", closed=True)]),
        ("4.4.0-4.4.13", [span("4.4.0", "4.4.13", closed=True)]),
        ("3.1.5 - 4.4.2", [span("3.1.5", "4.4.2", closed=True)]),
        ("4.4.0-beta.1-4.4.2", [span("4.4.0-beta.1", "4.4.2", closed=True)]),
        ("4.2.x", [Span(branch_start(4, 2), branch_start(4, 3))]),
        ("4.x", [Span(branch_start(4, 0), branch_start(5, 0))]),
        ("4.1.x before 4.1.17", [Span(branch_start(4, 1), parse_tag("4.1.17"))]),
        ("before 4.1.17", [span("", "4.1.17")]),
        ("all", [Span(None, None)]),
        ("ALL versions", [Span(None, None)]),
        # A comma between a lower and an upper bound means and, any other means or.
        ("< 4.2.29, < 4.3.17, < 4.4.11", [span("", "4.2.29"), span("", "4.3.17"), span("", "4.4.11")]),
        (
            ">= 4.5.0, < 4.5.8, >= 4.4.0, < 4.4.15, < 4.3.21",
            [span("4.5.0", "4.5.8"), span("4.4.0", "4.4.15"), span("", "4.3.21")],
        ),
        ("< 3.5.9, >= 4.0.0, < 4.0.5", [span("", "3.5.9"), span("4.0.0", "4.0.5")]),
        ("< 4.4.2, >= 4.4.0", [span("4.4.0", "4.4.2")]),
        ("< 4.3.2, >= 4.4.0", [span("", "4.3.2"), span("4.4.0", "")]),
        ("4.2.x, < 4.1.9", [Span(branch_start(4, 2), branch_start(4, 3)), span("", "4.1.9")]),
        (">= 4.4.0, < 4.4.2 || >= 4.5.0", [span("4.4.0", "4.4.2"), span("4.5.0", "")]),
        (">= 4.4.0 ; < 4.3.2", [span("4.4.0", ""), span("", "4.3.2")]),
        # Nothing between two bounds is and, as a comma is.
        (">= 4.4.0 < 4.4.14", [span("4.4.0", "4.4.14")]),
        (">4.4.0<=4.4.14", [span("4.4.0", "4.4.14", closed=True, after=True)]),
        ("< 4.4.14 >= 4.4.0", [span("4.4.0", "4.4.14")]),
        ("< 4.3.2, >= 4.4.0 < 4.4.14", [span("", "4.3.2"), span("4.4.0", "4.4.14")]),
        ("=> 4.4.0, =< 4.4.13", [span("4.4.0", "4.4.13", closed=True)]),
        ("\u2265 4.4.0, \u2264 4.4.13", [span("4.4.0", "4.4.13", closed=True)]),
        ("4.4.13 and earlier", [span("", "4.4.13", closed=True)]),
        ("v4.4.13 or below", [span("", "4.4.13", closed=True)]),
        ("up to 4.4.13", [span("", "4.4.13", closed=True)]),
        ("Up to and including 4.4.13", [span("", "4.4.13", closed=True)]),
        (">= 4.4.0, up to 4.4.13", [span("4.4.0", "4.4.13", closed=True)]),
        ("4.4.0 and later, < 4.4.14", [span("4.4.0", "4.4.14")]),
    ],
)
def test_a_notation_is_read_into_spans(text, spans):
    assert read_ranges(text) == Ranges(spans=tuple(spans))


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("all main", Ranges(main=True)),
        ("all supported versions", Ranges(supported=True)),
        (">= 4.2.6, < 4.2.6", Ranges(empty=(span("4.2.6", "4.2.6"),))),
        (
            ">= nightly.2026-03-10, < 4.6.0-beta.1",
            Ranges(dated=((date(2026, 3, 10), parse_tag("4.6.0-beta.1")),)),
        ),
        (">= nightly.2026-03-10", Ranges(dated=((date(2026, 3, 10), None),))),
        (">= nightly.2026-02-30", Ranges(unread=(">= nightly.2026-02-30",))),
        # What cannot be read may be the bound that is missing.
        ("some versions, < 4.2.6", Ranges(unsure=(span("", "4.2.6"),), unread=("some versions",))),
        (">= 4.4.0, < soon", Ranges(unsure=(span("4.4.0", ""),), unread=("< soon",))),
        (">= 4.4.0, < soon || < 4.3.2", Ranges((span("", "4.3.2"),), (span("4.4.0", ""),), unread=("< soon",))),
        (">= nightly.2026-03-10, < soon", Ranges(unread=("< soon", ">= nightly.2026-03-10"))),
        (">= 4.4.0 > 4.3.0", Ranges(unread=(">= 4.4.0 > 4.3.0",))),
        ("4.4.0 < 4.4.14", Ranges(unread=("4.4.0 < 4.4.14",))),
        ("< 0.9.1", Ranges(unread=("< 0.9.1",))),
        ("< 4.2.6" * 1000, Ranges(unread=("7000 characters",))),
    ],
)
def test_what_is_not_plain_is_kept_apart(text, ranges):
    assert read_ranges(text) == ranges


def test_fixed_versions_are_a_list_in_order():
    fixed, unread = read_versions("v4.4.18, 4.3.17 and 4.2.0-rc2, soon, 4.4.18")
    assert ([version.release for version in fixed], unread) == (["4.2.0-rc.2", "4.3.17", "4.4.18"], ("soon",))
    assert read_versions("") == ((), ())


def test_a_span_holds_by_number_and_not_by_text():
    whole = Span(branch_start(4, 3), parse_tag("4.3.10"))
    assert [whole.holds(parse_tag(text)) for text in ("4.2.29", "4.3.0-beta.1", "4.3.9", "4.3.10", "4.10.0")] == [
        *(False, True, True),
        *(False, False),
    ]


TERMS = st.sampled_from(
    [
        *("all", "*", "main", "all main", "nightly", ",", ">", "4.2.x", "9.x", "99999.99999.x", "0.1.2", "\u0664.2.1"),
        *("< 4.4.18", "<= v4.2", ">= 4.3.0-beta.1", "= 4.5.0rc1", "4.4.0-4.4.13", "4.2.1 through 4.1.1"),
        *("4.1.x before", ">= nightly.2026-03-10", ">= nightly.9999-12-31", ">= 4.4.0 < 4.4.14", "=> 4.9", "up to"),
    ]
)


@given(st.lists(st.one_of(TERMS, st.text(max_size=12))).map(",".join) | st.lists(TERMS).map("||".join))
def test_reading_never_raises_and_spans_are_never_empty(text):
    read = read_ranges(text)
    assert not any(found.empty for found in (*read.spans, *read.unsure))
    read_versions(text)
