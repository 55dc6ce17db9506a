from datetime import date
from pathlib import Path

import pytest

from vmcrawl.catalogue import Branch, Catalogue, Release, packaged_catalogue
from vmcrawl.support import SupportRow, ends_of_support, parse_endoflife, parse_security_md
from vmcrawl.upstream import InvalidUpstream
from vmcrawl.version import parse_tag

DATA = Path(__file__).parent / "data" / "upstream"


def security_md(*rows):
    return "## Supported Versions\n\n| Version | Supported |\n| - | - |\n" + "\n".join(rows)


def test_security_md_is_read_by_branch():
    assert parse_security_md((DATA / "SECURITY.md").read_text()) == (
        SupportRow("4.7", True, None, "SECURITY.md"),
        SupportRow("4.6", True, None, "SECURITY.md"),
        SupportRow("4.5", True, date(2027, 2, 20), "SECURITY.md"),
        SupportRow("4.4", True, date(2026, 12, 17), "SECURITY.md"),
        SupportRow("4.4", False, None, "SECURITY.md", below=True),
    )


@pytest.mark.parametrize(
    ("row", "branch", "supported", "until", "below"),
    [
        ("| 4.10.x | Yes |", "4.10", True, None, False),
        ("| 4.5 | ✅ |", "4.5", True, None, False),
        ("|`v4.5.0`|**yes**|extra|", "4.5", True, None, False),
        ("4.5.x | until 2026-12-17", "4.5", True, date(2026, 12, 17), False),
        ("| 4.5.x | Yes, until 2026-12-17 |", "4.5", True, date(2026, 12, 17), False),
        ("| 4.0.x | No |", "4.0", False, None, False),
        ("| <4.4.0 | :x: |", "4.4", False, None, True),
        ("| <= 4.3 | No |", "4.4", False, None, True),
    ],
)
def test_rows_of_security_md_came_in_many_forms(row, branch, supported, until, below):
    rows = parse_security_md(security_md("| 9.0.x | Yes |", row))
    assert rows[1] == SupportRow(branch, supported, until, "SECURITY.md", below)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "404: Not Found",
        "| 4.5.x | Yes |",
        security_md(),
        security_md("| 4.5.x | No |"),
        security_md("| 4.5.x | Maybe |"),
        security_md("| 4.5.x | Until 2026-02-30 |"),
        security_md("| 4.5.x |"),
        security_md("| 4.5.x and 4.4.x | Yes |"),
        security_md("| 4 | Yes |"),
        security_md("| 4.5.x | Yes |", "| 4.5.0 | No |"),
        security_md("") + "\n## Else\n| 4.5.x | Yes |",
    ],
)
def test_a_security_md_without_a_readable_table_is_refused(text):
    with pytest.raises(InvalidUpstream):
        parse_security_md(text)


def test_endoflife_is_read_by_cycle():
    assert parse_endoflife((DATA / "endoflife.json").read_bytes()) == (
        SupportRow("4.6", True, None, "endoflife.date"),
        SupportRow("4.5", True, date(2027, 2, 20), "endoflife.date"),
        SupportRow("4.0", False, None, "endoflife.date"),
    )


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"result": []}',
        b'[{"cycle": "4.5"}]',
        b'[{"cycle": "4.5", "eol": null}]',
        b'[{"cycle": "4.5", "eol": "soon"}]',
        b'[{"cycle": "four", "eol": false}]',
        b'[{"cycle": 4.5, "eol": false}]',
        b'[{"cycle": "< 4.5", "eol": false}]',
    ],
)
def test_an_endoflife_in_another_shape_is_refused(body):
    with pytest.raises(InvalidUpstream):
        parse_endoflife(body)


def test_days_and_yeses_go_into_the_catalogue_as_they_stand_and_an_old_no_is_no_news():
    rows = parse_security_md((DATA / "SECURITY.md").read_text())
    assert ends_of_support(rows, packaged_catalogue(), date(2026, 8, 23)) == (
        Branch("4.4", date(2026, 12, 17), "SECURITY.md"),
        Branch("4.5", date(2027, 2, 20), "SECURITY.md"),
        Branch("4.6", None, "SECURITY.md"),
        Branch("4.7", None, "SECURITY.md"),
    )


def test_a_no_ends_the_support_of_a_branch_that_was_thought_to_have_some_left():
    rows = parse_security_md(security_md("| 4.7.0 | Yes |", "| 4.5.x | until 2026-09-30 |", "| < 4.6 | No |"))
    assert ends_of_support(rows, packaged_catalogue(), date(2026, 8, 23)) == (
        Branch("4.4", date(2026, 8, 22), "SECURITY.md"),
        Branch("4.5", date(2026, 9, 30), "SECURITY.md"),
        Branch("4.7", None, "SECURITY.md"),
    )


def test_endoflife_changes_nothing_that_security_md_has_said():
    releases = packaged_catalogue().releases
    rows = (
        SupportRow("4.5", True, date(2027, 3, 1), "endoflife.date"),
        SupportRow("4.4", False, None, "endoflife.date"),
    )
    for source, expected in {
        "SECURITY.md": (),
        "endoflife.date": (
            Branch("4.4", date(2026, 8, 22), "endoflife.date"),
            Branch("4.5", date(2027, 3, 1), "endoflife.date"),
        ),
    }.items():
        known = tuple(Branch(name, date(2026, 12, 17), source) for name in ("4.4", "4.5"))
        assert ends_of_support(rows, Catalogue(releases, known), date(2026, 8, 23)) == expected


def test_a_branch_that_only_the_table_knows_is_kept_if_it_is_supported():
    rows = parse_security_md(security_md("| 4.9.0 | Yes |", "| 4.10.0 | No |"))
    catalogue = Catalogue((Release(parse_tag("4.7.0"), date(2026, 8, 20)),))
    assert ends_of_support(rows, catalogue, date(2026, 8, 23)) == (Branch("4.9", None, "SECURITY.md"),)
