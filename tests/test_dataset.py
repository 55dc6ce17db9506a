"""How the published data set is written, and that its documentation says the same."""

import csv
import io
import json
import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.dataset import (
    CHANGES,
    HISTORY,
    INSTANCES,
    TABLES,
    Column,
    Kind,
    Table,
    Written,
    csv_rows,
    json_rows,
    package,
)

AT = datetime(2026, 11, 26, 1, 35, tzinfo=UTC)
TEXTS = Table("texts", "", (Column("one", Kind.STRING, ""), Column("two", Kind.STRING, "")))


def read_back(text: str) -> list[list[str]]:
    """As the documentation says that it is done."""
    return [[cell.removeprefix("'") for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]


@given(st.lists(st.tuples(*(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),) * 2)))
def test_whatever_servers_say_comes_back_from_csv(rows):
    assert read_back(csv_rows(TEXTS, rows)) == [list(row) for row in rows]


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])  # noqa: RUF001
def test_no_cell_of_csv_is_a_formula(sign):
    (cell, _) = next(csv.reader(io.StringIO(csv_rows(TEXTS, [(f"{sign}1+1", "4.5.6")]), newline="")))
    assert cell == f"'{sign}1+1"


def test_values_are_written_so_that_every_language_reads_them():
    row = ("a.example", "mastodon", None, "4.5.6, odd", None, "4.5", "latest", True, 7, AT, AT, date(2026, 1, 2), False)
    assert csv_rows(INSTANCES, [row]) == (
        'a.example,mastodon,,"4.5.6, odd",,4.5,latest,true,7,'
        "2026-11-26T01:35:00Z,2026-11-26T01:35:00Z,2026-01-02,false\n"
    )
    (line,) = json_rows(INSTANCES, [row]).splitlines()
    document = json.loads(line)
    assert [*document] == [column.name for column in INSTANCES.columns]
    assert (document["fork"], document["patched"], document["active_users"]) == (None, True, 7)
    assert (document["last_seen_at"], document["fix_available_on"]) == ("2026-11-26T01:35:00Z", "2026-01-02")


def test_json_lines_are_lines_to_whoever_splits_them():
    assert len(json_rows(TEXTS, [("\u2028\x85", "🐘")]).splitlines()) == 1


def test_what_stands_beside_a_file_says_licence_origin_and_columns():
    written = Written("instances.csv", "csv", 3, 120, "abc")
    said = json.loads(json.dumps(package(INSTANCES, written, "CC0-1.0", AT, "vmcrawl 1", "who@example.org")))
    assert said["licenses"] == [{"name": "CC0-1.0", "path": "https://spdx.org/licenses/CC0-1.0.html"}]
    assert said["created"] == "2026-11-26T01:35:00Z"
    assert said["contributors"] == [{"title": "who@example.org", "role": "publisher"}]
    (resource,) = said["resources"]
    assert (resource["path"], resource["bytes"], resource["hash"]) == ("instances.csv", 120, "sha256:abc")
    assert [field["name"] for field in resource["schema"]["fields"]] == [column.name for column in INSTANCES.columns]


def test_without_a_licence_none_is_given():
    assert "licenses" not in package(HISTORY, Written("", "csv", 0, 0, ""), "", AT, "vmcrawl 1", "nobody")


_COLUMNS = {
    INSTANCES: "domain software fork version release branch support patched active_users first_seen_at last_seen_at"
    " fix_available_on failing",
    HISTORY: "at run_id branch release instances active_users patched",
    CHANGES: "domain observed_at from_version to_version from_release to_release",
}


@pytest.mark.parametrize("table", _COLUMNS, ids=lambda table: table.name)
def test_columns_stay_where_they_are(table):
    """Others rely on it: a new one comes last."""
    assert " ".join(column.name for column in table.columns) == _COLUMNS[table]


@pytest.mark.parametrize("table", TABLES.values(), ids=[*TABLES])
def test_the_documentation_says_the_same(table):
    text = (Path(__file__).parents[1] / "docs" / "dataset.md").read_text()
    (section,) = re.findall(rf"^## {table.name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| `(\w+)` \| (\w+)(, may be empty)? \| (.*) \|$", section, re.MULTILINE)
    assert rows == [
        (column.name, str(column.kind), "" if column.required else ", may be empty", column.description)
        for column in table.columns
    ]
