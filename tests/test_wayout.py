"""Where to go from a version: its own branch first, if that still gets fixes; else the next that does."""

from dataclasses import dataclass
from datetime import date

import pytest

from vmcrawl.wayout import way_out


@dataclass(frozen=True)
class Standing:
    branch: str
    support: str
    supported_until: date | None
    latest_release: str | None


BRANCHES = [
    Standing("4.8", "main", None, None),
    Standing("4.7", "latest", None, "4.7.1"),
    Standing("4.6", "previous", date(2027, 2, 20), "4.6.7"),
    Standing("4.3", "eol", date(2026, 5, 1), "4.3.22"),
]


@pytest.mark.parametrize(
    ("branch", "patched", "way"),
    [
        ("4.7", True, ""),
        ("4.7", None, ""),
        ("4.6", False, "4.6.7, of its own branch"),
        ("4.3", True, "4.6.7, of the next branch that is supported until 2027-02-20; 4.7.1, the newest"),
        (
            "4.3",
            False,
            "4.3.22, of its own branch; 4.6.7, of the next branch that is supported until 2027-02-20;"
            " 4.7.1, the newest",
        ),
        ("4.8", False, "a newer build of main"),
        ("4.8", True, ""),
        ("9.9", False, ""),
        (None, None, ""),
    ],
)
def test_the_way_out_leads_to_a_release_that_has_all_fixes(branch, patched, way):
    assert way_out(branch, patched, BRANCHES) == way
