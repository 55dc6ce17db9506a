"""The past in a real Prometheus: promtool makes blocks of the export, and queries answer what the history holds."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import psycopg
import pytest

from tests.program import environment, vmcrawl
from tests.prometheus import Prometheus, needed, prometheus, promtool
from tests.store.builders import NOW, leave_page
from vmcrawl.store.migrations import prepare

CONFIG = "global: {}\n"
KEEP = "--storage.tsdb.retention.time=400d"
STEP = timedelta(minutes=5)
HOUR = timedelta(hours=1)
RETENTION = timedelta(days=3)
#: An instant that samples may have.
BEGIN = NOW.replace(hour=6, minute=0, second=0, microsecond=0) - timedelta(days=20)
#: Branch, release, patched, instances, users.
Row = tuple[str, str, bool | None, int, int]
OLD: Row = ("4.5", "4.5.6", True, 300, 5_000)
#: The same, when there is a newer release.
OUTDATED: Row = ("4.5", "4.5.6", False, 300, 5_000)
NEW: Row = ("4.5", "4.5.7", True, 12, 70)
PREVIOUS: Row = ("4.4", "4.4.9", False, 99, 123_456_789_012)
HOSTILE: Row = ('4.5"} 9 1\n', 'x{a="b"}\\\n# EOF\n' * 100, None, 2, 3)
#: When, what, and whether it is believed.
PAGES: list[tuple[datetime, list[Row], bool]] = [
    (BEGIN + timedelta(seconds=7), [OLD, PREVIOUS], True),
    (BEGIN + HOUR, [OLD, PREVIOUS, HOSTILE], True),
    (BEGIN + 2 * HOUR, [("4.5", "4.5.6", True, 1, 1)], False),
    # From here on there are two series where there was one, and one that is gone.
    (BEGIN + 3 * HOUR, [OUTDATED, NEW], True),
    (BEGIN + 3 * HOUR + timedelta(seconds=90), [OUTDATED, NEW, HOSTILE], True),
    (BEGIN + 4 * HOUR + timedelta(minutes=2), [OUTDATED], True),
    # Nothing ran for longer than anything is believed.
    (BEGIN + 5 * timedelta(days=1), [OLD, NEW], True),
]
END = PAGES[-1][0] + 6 * HOUR

Labels = frozenset[tuple[str, str]]
Answers = dict[Labels, dict[int, int]]
Query = Callable[[str, datetime], Answers]


@pytest.fixture
def query(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> Iterator[Query]:
    """Ask a Prometheus over the blocks of all pages for a value every five minutes, from a moment on."""
    leave_pages(connection)
    arguments = ("--versions", "2", "--label", "job=vmcrawl", "--label", 'instance=a "quoted" \\ one')
    exported = vmcrawl("history", "export", "--openmetrics", *arguments, env=environment(database_url))
    assert exported.returncode == 0, exported.stderr
    (tmp_path / "past.om").write_text(exported.stdout)
    promtool(tmp_path, "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics", "past.om", "data")
    with prometheus(tmp_path, CONFIG, KEEP) as server:
        yield lambda promql, since: query_range(server, promql, since)


def test_each_series_is_at_each_moment_what_the_last_run_found_and_gaps_stay_gaps(query: Query):
    # Between the instants of samples, where nothing depends on how far exactly Prometheus looks back.
    since = BEGIN - HOUR + timedelta(seconds=137)
    columns: tuple[tuple[str, Literal[3, 4]], ...] = (("instances", 3), ("monthly_active_users", 4))
    for name, column in columns:
        answers = query(f"vmcrawl_{name}", since)
        assert answers == expected(since, column, lambda row: {"branch": branch_of(row), "patched": patched_of(row)})
        assert len(answers) == 4
        answers = query(f"vmcrawl_version_{name}", since)
        assert answers == expected(since, column, version_of)
        assert {dict(labels)["version"] for labels in answers} == {"4.5.6", "4.4.9", "4.5.7", "other"}


@pytest.mark.parametrize("family", ["vmcrawl_instances", "vmcrawl_version_instances"])
def test_sums_count_nobody_twice_when_instances_move_between_series(query: Query, family: str):
    # At the very instants, too, where Prometheus 2 still sees the sample of five minutes ago.
    for since in BEGIN, BEGIN + timedelta(seconds=1), BEGIN + timedelta(seconds=299):
        (sums,) = query(f"sum({family})", since).values()
        for moment, value in sums.items():
            instant = moment // 300 * 300
            rows = rows_at(instant) or rows_at(instant - 300)
            assert rows is not None
            assert value == sum(row[3] for row in rows), datetime.fromtimestamp(moment, NOW.tzinfo)
        assert len(sums) > 900


def test_two_exports_of_parts_fit_together(database_url: str, connection: psycopg.Connection, tmp_path: Path):
    leave_pages(connection)
    seam = BEGIN.date() + timedelta(days=1)
    for number, days in enumerate((("--until", str(BEGIN.date())), ("--since", str(seam)))):
        exported = vmcrawl("history", "export", "--openmetrics", *days, env=environment(database_url))
        (tmp_path / f"{number}.om").write_text(exported.stdout)
        promtool(
            tmp_path, "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics", f"{number}.om", "data"
        )
    with prometheus(tmp_path, CONFIG, KEEP) as server:
        counted = query_range(server, "sum by (branch) (vmcrawl_instances)", BEGIN + timedelta(seconds=137))
        midnight = int(datetime(seam.year, seam.month, seam.day, tzinfo=NOW.tzinfo).timestamp())
        values = counted[frozenset({("branch", "4.5")})]
        assert {moment: values[moment] for moment in values if abs(moment - midnight) < 900} == {
            midnight - 463 + offset: 300 for offset in range(-300, 1_300, 300)
        }


def leave_pages(connection: psycopg.Connection) -> None:
    needed("promtool")
    prepare(connection, RETENTION)
    for run_id, (at, rows, believed) in enumerate(PAGES, 1):
        leave_page(connection, run_id, at, *rows, invalid=not believed)


def expected(since: datetime, column: Literal[3, 4], labels_of: Callable[[Row], dict[str, str]]) -> Answers:
    """What should be answered: the values of the page that held at the last instant before each moment."""

    def counted(instant: int) -> dict[Labels, int] | None:
        rows = rows_at(instant)
        if rows is None:
            return None
        values: dict[Labels, int] = {}
        for row in rows:
            labels = frozenset({**labels_of(row), "job": "vmcrawl", "instance": 'a "quoted" \\ one'}.items())
            values[labels] = values.get(labels, 0) + row[column]
        return values

    answers: Answers = {}
    for moment in range(int(since.timestamp()), int(END.timestamp()) + 1, 300):
        instant = moment // 300 * 300
        now, before = counted(instant), counted(instant - 300) or {}
        for labels, value in {} if now is None else {**dict.fromkeys(before, 0), **now}.items():
            answers.setdefault(labels, {})[moment] = value
    return answers


def rows_at(moment: int) -> list[Row] | None:
    """The page that is believed at an instant."""
    before = [(at, rows) for at, rows, believed in PAGES if believed and at.timestamp() <= moment]
    return before[-1][1] if before and moment < (before[-1][0] + RETENTION).timestamp() else None


def branch_of(row: Row) -> str:
    return row[0] if row is not HOSTILE else "other"


def patched_of(row: Row) -> str:
    return {True: "true", False: "false", None: "unknown"}[row[2]]


def version_of(row: Row) -> dict[str, str]:
    return {"version": row[1] if row is not HOSTILE else "other", "branch": branch_of(row)}


def query_range(server: Prometheus, promql: str, since: datetime) -> Answers:
    found = server.range(promql, since.timestamp(), END.timestamp(), STEP.total_seconds())
    return {
        frozenset((name, value) for name, value in series["metric"].items() if name != "__name__"): {
            int(moment): int(value) for moment, value in series["values"]
        }
        for series in found
    }
