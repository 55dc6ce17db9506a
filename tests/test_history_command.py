"""Adoption history: what runs leave of it, what a run leaves that saw far too little, and days that do not count."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fediverse import healthy_crowd, start_fediverse
from tests.program import environment, vmcrawl
from tests.store.builders import NOW, column, crawl, names, ok
from vmcrawl.catalogue import Support
from vmcrawl.cli import main
from vmcrawl.domain import Domain
from vmcrawl.exposure import Reading
from vmcrawl.meaning import Meaning
from vmcrawl.settings import RetentionSettings
from vmcrawl.store.migrations import prepare
from vmcrawl.store.results import Result
from vmcrawl.store.upkeep import sweep

_SERVERS = 12


@pytest.fixture
def env(database_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A small Fediverse that has been crawled once, and is gone since."""
    with start_fediverse(healthy_crowd(_SERVERS), tmp_path / "fediverse") as fediverse:
        env = environment(
            database_url,
            VMCRAWL_CONFIG=str(fediverse.config_file),
            VMCRAWL_CRAWL_PROCESSES="1",
            VMCRAWL_NETWORK_DNS_TIMEOUT="4s",
            VMCRAWL_HTTP_READ_TIMEOUT="3s",
        )
        crawled = vmcrawl("crawl", "--json", "--file", str(fediverse.domains_file), env=env)
        assert json.loads(crawled.stdout)["outcomes"] == {"ok": _SERVERS}, crawled.stderr
        yield env


@pytest.fixture
def with_history(monkeypatch, database_url, connection):
    """Two days of history, written by hand."""
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", database_url)
    for run_id, day in ((1, "2026-11-22"), (2, "2026-11-23")):
        connection.execute(
            "INSERT INTO adoption_history (at, run_id, branch, version, instances, active_users, patched)"
            " VALUES (%(at)s, %(id)s, '4.5', '4.5.6', 10, 100, true), (%(at)s, %(id)s, '4.5', '4.5.5', 30, 50, false)",
            {"at": f"{day} 12:00+00", "id": run_id},
        )


def shown(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["history", *arguments]) == code
    return capsys.readouterr().out


def test_every_finished_run_leaves_history_and_one_that_lost_its_sight_leaves_none(env, connection):
    count = "SELECT coalesce(sum(instances), 0)::int FROM adoption_history WHERE run_id = %s"
    assert column(connection, count, 1) == [_SERVERS]
    # Another run with nothing to do finds the same published.
    assert json.loads(vmcrawl("crawl", "--json", env=env).stdout)["status"] == "success"
    assert column(connection, count, 2) == [_SERVERS]
    blind = {**env, "VMCRAWL_NETWORK_NAMESERVERS": "127.0.0.1:9", "VMCRAWL_NETWORK_DNS_TIMEOUT": "1s"}
    finished = vmcrawl("crawl", "--json", "--all", env=blind)
    assert (json.loads(finished.stdout)["status"], finished.returncode) == ("partial", 0), finished.stderr
    assert f"{_SERVERS} of the {_SERVERS} instances" in finished.stderr
    assert column(connection, count, 3) == [0]
    assert "history goes on by itself within 4d" in finished.stderr
    # All of them are published still, but nobody has seen one of them since.
    assert json.loads(vmcrawl("crawl", "--json", env=env).stdout)["status"] == "partial"
    assert column(connection, "SELECT status FROM runs ORDER BY id") == ["success", "success", "partial", "partial"]
    assert json.loads(vmcrawl("crawl", "--json", "--all", env=env).stdout)["status"] == "success"
    # What is missing among the published is missing, too.
    connection.execute("DELETE FROM sightings WHERE domain IN (SELECT domain FROM sightings LIMIT 3)")
    assert json.loads(vmcrawl("crawl", "--json", env=env).stdout)["status"] == "partial"
    tolerant = {**env, "VMCRAWL_PUBLISH_HISTORY_DROP": "0.25"}
    assert json.loads(vmcrawl("crawl", "--json", env=tolerant).stdout)["status"] == "success"
    assert column(connection, count, 7) == [_SERVERS - 3]
    entries = [json.loads(line) for line in vmcrawl("history", "list", "--json", env=env).stdout.splitlines()]
    pages = [(one["run_id"], one["instances"]) for one in entries]
    assert pages == [(7, _SERVERS - 3), (5, _SERVERS), (2, _SERVERS), (1, _SERVERS)]
    spread = vmcrawl("history", "list", "--delays", "--json", env=env)
    assert spread.returncode == 0, spread.stderr
    for line in spread.stdout.splitlines():
        one = json.loads(line)
        assert {delay["share"] for delay in one["delays"]} == {0.5, 0.9}
        assert one["unknown_since"] == one["have_it"] <= one["instances"]
        # Found today, months after it came out: nobody knows how long they took.
        assert {delay[of] for delay in one["delays"] for of in ("instances", "users")} == {None}
    assert "unknown" in vmcrawl("history", "list", "--delays", env=env).stdout


def test_delays_are_shown_for_instances_and_for_users(with_history, connection, capsys):
    prepare(connection, timedelta(days=3))
    released = NOW.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=9)
    connection.execute("UPDATE releases SET released_on = %s WHERE release = '4.5.14'", [released.date()])
    # Three small ones take it after two days, a large one after five, and a fifth was found with it.
    for domain, users, delay in zip(names(4), (1, 1, 1, 100), (2, 2, 2, 5), strict=True):
        for at, version in ((released - timedelta(days=9), "4.5.13"), (released + timedelta(days=delay), "4.5.14")):
            crawl(connection, look_at(domain, at, version, users))
        crawl(connection, look_at(domain, NOW, "4.5.14", users))
    crawl(connection, look_at(Domain("new.example"), NOW, "4.5.14", 1))
    (one,) = [json.loads(line) for line in shown(capsys, "list", "--delays", "--json").splitlines()]
    day = 86_400
    assert one["delays"] == [
        {"share": 0.5, "instances": 2 * day, "users": 5 * day},
        {"share": 0.9, "instances": 5 * day, "users": 5 * day},
    ]
    del one["delays"], one["released_on"]
    assert one == {
        **{"branch": "4.5", "release": "4.5.14", "instances": 5, "have_it": 5, "unknown_since": 1, "watched": 4},
        **{"instances_known": True, "users_known": True},
    }
    table = shown(capsys, "list", "--delays")
    assert table.split("4.5.14")[1].split()[1:4] == ["5", "5", "1"]
    assert table.count("5.0 days") == 3
    assert table.count("2.0 days") == 1


def test_no_delay_is_left_of_moves_that_have_been_thrown_away(with_history, connection, capsys):
    prepare(connection, timedelta(days=3))
    released = NOW.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=900)
    connection.execute("UPDATE releases SET released_on = %s WHERE release = '4.5.14'", [released.date()])
    for domain in names(4):
        for at, version in ((released - timedelta(days=9), "4.5.13"), (released + timedelta(days=40), "4.5.14")):
            crawl(connection, look_at(domain, at, version, 5))
        crawl(connection, look_at(domain, NOW, "4.5.14", 5))
    assert shown(capsys, "list", "--delays").count("40.0 days") == 4
    sweep(connection, NOW, RetentionSettings())
    table = shown(capsys, "list", "--delays")
    assert (table.count("unknown"), table.count(" days")) == (5, 0)


def look_at(domain: Domain, at: datetime, version: str, users: int) -> Result:
    good = ok(domain, at, version=version, active_users=users)
    return Result(good.observation, good.appointment, Reading(Meaning(version, "4.5", "vanilla", Support.LATEST, True)))


def test_history_is_listed_by_run_newest_first(with_history, capsys):
    lines = [json.loads(line) for line in shown(capsys, "list", "--json").splitlines()]
    assert [(one["run_id"], one["instances"], one["patched"], one["invalid"]) for one in lines] == [
        (2, 40, 10, False),
        (1, 40, 10, False),
    ]
    assert len(shown(capsys, "list", "--json", "--limit", "1").splitlines()) == 1
    assert "25%" in shown(capsys, "list")


@pytest.mark.parametrize("limit", ["-1", "0", "all"])
def test_a_limit_that_lets_nothing_through_is_wrong_usage(capsys, limit):
    with pytest.raises(SystemExit) as ended:
        main(["history", "list", "--limit", limit])
    assert ended.value.code == 2
    assert "--limit" in capsys.readouterr().err


def test_one_run_is_listed_by_release(with_history, capsys):
    lines = [json.loads(line) for line in shown(capsys, "list", "--run", "2", "--json").splitlines()]
    assert [(one["version"], one["instances"]) for one in lines] == [("4.5.5", 30), ("4.5.6", 10)]
    shown(capsys, "list", "--run", "7", code=1)


def test_a_bad_day_is_marked_with_its_reason_and_can_be_believed_again(with_history, connection, capsys):
    assert "2026-11-23: marked; 2 rows" in shown(
        capsys, "invalidate", "2026-11-23", "--reason", "our resolver was broken"
    )
    marked = "SELECT DISTINCT at::date::text FROM adoption_history WHERE invalid"
    assert column(connection, marked) == ["2026-11-23"]
    assert "our resolver was broken" in shown(capsys, "list")
    undone = json.loads(shown(capsys, "invalidate", "2026-11-23", "--undo", "--json"))
    assert undone == {"day": "2026-11-23", "invalid": False, "rows": 2}
    assert column(connection, marked) == []


def test_what_cannot_be_marked_or_believed_again_is_said(with_history, capsys):
    shown(capsys, "invalidate", "2026-11-23", "--undo", code=1)
    shown(capsys, "invalidate", str(datetime.now(UTC).date() + timedelta(days=2)), code=2)


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "23.11.2026"])
def test_what_is_no_date_is_wrong_usage(with_history, capsys, day):
    with pytest.raises(SystemExit) as ended:
        main(["history", "invalidate", day])
    assert ended.value.code == 2
    assert day in capsys.readouterr().err


def test_without_any_run_there_is_nothing_to_list(monkeypatch, database_url, capsys):
    monkeypatch.setenv("VMCRAWL_DATABASE_URL", database_url)
    assert shown(capsys, "list", "--json") == ""
    assert shown(capsys, "list", "--delays", "--json") == ""
    assert "at" in shown(capsys, "list")
