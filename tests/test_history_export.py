"""``vmcrawl history export``: what it writes, what it refuses, and that nobody takes half an export for a whole one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.program import environment, start
from tests.store.builders import NOW, leave_page
from vmcrawl.cli import main
from vmcrawl.store.migrations import prepare

#: Of a day that is over, a while ago.
NOON = NOW.replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=10)

Export = Callable[..., list[Sample]]


@pytest.fixture(autouse=True)
def _database(monkeypatch: pytest.MonkeyPatch, database_url: str, connection: psycopg.Connection):
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", database_url)
    prepare(connection, timedelta(days=3))


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str]) -> Export:
    def exported(*arguments: str) -> list[Sample]:
        assert main(["history", "export", "--openmetrics", *arguments]) == 0
        text = capsys.readouterr().out
        assert text.endswith("\n# EOF\n")
        return [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    return exported


@pytest.fixture
def _pages(connection: psycopg.Connection):
    leave_page(connection, 1, NOON, ("4.5", "4.5.6", True, 10, 100), ("4.5", "4.5.5", False, 30, 50))
    leave_page(connection, 2, NOON + timedelta(days=1), ("4.5", "4.5.6", True, 40, 400), ("4.9", "4.9.9", None, 1, 2))


def moment(sample: Sample) -> datetime:
    assert sample.timestamp is not None
    return datetime.fromtimestamp(float(sample.timestamp), UTC)


@pytest.mark.usefixtures("_pages")
def test_instances_and_users_are_exported_by_branch_and_patched(export: Export):
    samples = export()
    assert {sample.name for sample in samples} == {"vmcrawl_instances", "vmcrawl_monthly_active_users"}
    assert {tuple(sample.labels.items()) for sample in samples} == {
        (("branch", branch), ("patched", patched), ("job", "vmcrawl"), ("instance", "history"))
        for branch, patched in (("4.5", "true"), ("4.5", "false"), ("other", "unknown"))
    }
    at_noon = {(s.name, s.labels["patched"]): s.value for s in samples if moment(s) == NOON}
    assert at_noon == {
        ("vmcrawl_instances", "true"): 10,
        ("vmcrawl_instances", "false"): 30,
        ("vmcrawl_monthly_active_users", "true"): 100,
        ("vmcrawl_monthly_active_users", "false"): 50,
    }
    assert (min(map(moment, samples)), max(map(moment, samples))) == (NOON, NOON + timedelta(days=4, minutes=-5))


@pytest.mark.usefixtures("_pages")
def test_exact_releases_are_exported_if_wanted(export: Export):
    samples = [s for s in export("--versions", "1", "--step", "1h") if s.name.startswith("vmcrawl_version_")]
    first = {(s.name, s.labels["version"], s.labels["branch"]): s.value for s in samples if moment(s) == NOON}
    assert first == {
        ("vmcrawl_version_instances", "4.5.5", "4.5"): 30,
        ("vmcrawl_version_instances", "4.5.6", "4.5"): 10,
        ("vmcrawl_version_monthly_active_users", "4.5.5", "4.5"): 50,
        ("vmcrawl_version_monthly_active_users", "4.5.6", "4.5"): 100,
    }
    assert {s.labels["version"] for s in samples} == {"4.5.5", "4.5.6", "other"}


@pytest.mark.usefixtures("_pages")
def test_days_are_whole_days_in_utc_and_both_are_included(export: Export):
    day = NOON + timedelta(days=1)
    moments = {moment(sample) for sample in export("--since", f"{day:%Y-%m-%d}", "--until", f"{day:%Y-%m-%d}")}
    midnight = day.replace(hour=0)
    assert (min(moments), max(moments), len(moments)) == (midnight, midnight + timedelta(hours=23, minutes=55), 288)


def test_nothing_is_exported_of_the_hours_that_prometheus_still_writes_to(export: Export, connection):
    leave_page(connection, 1, NOW - timedelta(hours=9), ("4.5", "4.5.6", True, 10, 100))
    last = max(map(moment, export("--step", "1m")))
    assert timedelta(hours=2, minutes=50) < NOW - last <= timedelta(hours=3, minutes=1)


@pytest.mark.usefixtures("_pages")
def test_the_labels_of_the_scrape_can_be_given_and_left_out(export: Export):
    labels = export("--label", "instance=vmcrawl.example:9877", "--label", 'env=a "b\\" é', "--label", "job=")[0].labels
    assert labels["env"] == 'a "b\\" é'
    assert labels["instance"] == "vmcrawl.example:9877"
    assert labels["job"] == ""


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--openmetrics"),
        *((["--openmetrics", "--step", step], "--step") for step in ("0", "2h", "1.5s", "soon")),
        *((["--openmetrics", "--versions", number], "--versions") for number in ("-1", "all")),
        (["--openmetrics", "--since", "yesterday"], "yesterday"),
        *(
            (["--openmetrics", "--label", label], "--label")
            for label in ("job", "=x", "a-b=c", "__name__=x", "patched=1")
        ),
        *((["--openmetrics", "--label", f"a={value}"], "--label") for value in ("\n", "\x1b", "\udcff", "a" * 1_025)),
    ],
)
def test_wrong_usage_is_named(capsys: pytest.CaptureFixture[str], arguments: list[str], named: str):
    with pytest.raises(SystemExit) as ended:
        main(["history", "export", *arguments])
    assert ended.value.code == 2
    assert named in capsys.readouterr().err


def test_a_label_cannot_have_two_values(capsys: pytest.CaptureFixture[str]):
    assert main(["history", "export", "--openmetrics", "--label", "job=a", "--label", "job=b"]) == 2
    assert capsys.readouterr().out == ""


def test_without_history_there_is_no_output_but_a_message(capsys: pytest.CaptureFixture[str]):
    assert main(["history", "export", "--openmetrics"]) == 1
    out, err = capsys.readouterr()
    assert (out, "no history" in err) == ("", True)


@pytest.mark.usefixtures("_pages")
def test_days_without_history_and_days_that_are_not_believed_are_none(capsys: pytest.CaptureFixture[str], connection):
    assert main(["history", "export", "--openmetrics", "--until", "2016-11-23"]) == 1
    assert main(["history", "export", "--openmetrics", "--since", f"{NOW:%Y-%m-%d}", "--until", "2016-11-23"]) == 1
    connection.execute("UPDATE adoption_history SET invalid = true")
    assert main(["history", "export", "--openmetrics"]) == 1
    assert capsys.readouterr().out == ""


def test_an_export_whose_connection_is_lost_ends_without_its_last_line_and_is_no_success(connection, database_url):
    connection.execute(
        "INSERT INTO adoption_history (at, run_id, branch, version, instances, active_users, patched)"
        " SELECT now() - make_interval(hours => hour), hour, '4.5', '4.5.6', hour, 1, true"
        " FROM generate_series(1, 9000) AS hour"
    )
    with start(["history", "export", "--openmetrics"], environment(database_url)) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        first = program.stdout.readline()
        cut = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state = 'idle in transaction'"
        ).fetchone()
        text, complaint = first + program.stdout.read(), program.stderr.read()
    assert cut == (1,)
    assert (program.returncode, "connection was lost in the middle" in complaint) == (75, True), complaint
    assert text.count("# HELP") == 1
    assert "# EOF" not in text
