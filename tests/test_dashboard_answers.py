"""What the dashboards ask is answered by the truth, by a real Prometheus and a real Postgres."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.dashboards.answers import Asking, annotations, frames, sql_of, variables
from tests.dashboards.shipped import DASHBOARDS, PANELS
from tests.measured import APART, PAGES, Server, newest_releases, past

#: What may have nothing to say on a good day.
#: What a run of the past found: branch, release, patched, instances, active users.
Page = list[tuple[str, str, bool | None, int, int]]
MAY_BE_EMPTY = {
    "Running now",
    "Alerts that fire",
    "Published, but failing now",
}
each_panel = pytest.mark.parametrize(
    ("name", "panel"), PANELS, ids=[f"{name}: {panel['title']}" for name, panel in PANELS]
)


@pytest.fixture(scope="module")
def reader(measured):
    """A connection with the rights of whoever reads for Grafana."""
    with psycopg.connect(measured.database_url, autocommit=True) as connection:
        connection.execute("SET ROLE vmcrawl_reader")
        yield connection


@pytest.fixture(scope="module")
def asking(measured, reader):
    """Everything of the last weeks, and of now."""
    end = time.time()
    return Asking(measured.prometheus, reader, end - 21 * 86_400, end, rate_interval="20s")


@pytest.fixture(scope="module")
def of_now(measured, reader):
    """The last minute: for what there has to be two scrapes of."""
    time.sleep(5)
    return Asking(measured.prometheus, reader, time.time() - 60, time.time(), rate_interval="20s")


@each_panel
def test_every_panel_has_an_answer(name, panel, asking, of_now):
    asking = of_now if name == "health" else asking
    found = frames(panel, asking, variables(DASHBOARDS[name], asking))
    rows = sum(len(frame["fields"][0]["values"]) for frame in found)
    assert rows > 0 or panel["title"] in MAY_BE_EMPTY


def value_of(name: str, title: str, asking: Asking) -> float:
    """The one number of a panel."""
    (panel,) = [panel for of, panel in PANELS if of == name and panel["title"] == title]
    (frame,) = frames(panel, asking, variables(DASHBOARDS[name], asking))
    (number,) = frame["fields"][-1]["values"]
    return float(number)


def rows_of(name: str, title: str, asking: Asking) -> list[dict[str, Any]]:
    """The frames of a panel that asks for tables, by the labels that all have in common."""
    (panel,) = [panel for of, panel in PANELS if of == name and panel["title"] == title]
    merged: dict[tuple[str, ...], dict[str, Any]] = {}
    for frame in frames(panel, asking, variables(DASHBOARDS[name], asking)):
        columns = {column["name"]: column["values"] for column in frame["fields"]}
        for row in range(len(columns["Time"])):
            record = {key: values[row] for key, values in columns.items() if key != "Time"}
            key = record.get("branch"), record.get("advisory"), record.get("version")
            merged.setdefault(tuple(map(str, key)), {}).update(record)
    return list(merged.values())


def series_of(name: str, title: str, asking: Asking) -> dict[str, dict[int, float]]:
    """The curves of a panel: value by second, by legend."""
    (panel,) = [panel for of, panel in PANELS if of == name and panel["title"] == title]
    return {
        frame["fields"][1]["config"]["displayNameFromDS"]: dict(
            zip((ms // 1000 for ms in frame["fields"][0]["values"]), frame["fields"][1]["values"], strict=True)
        )
        for frame in frames(panel, asking, {})
    }


def test_the_numbers_of_now_are_the_truth(measured, asking):
    servers = measured.servers
    assert value_of("adoption", "Servers", asking) == len(servers)
    assert value_of("adoption", "Active users", asking) == sum(server.users for server in servers)
    assert value_of("health", "Database", asking) == 1
    assert value_of("health", "Since the last success", asking) < 600


def test_the_totals_of_both_sources_agree(measured, asking):
    for one, other in (("Servers", "Published servers"), ("Active users", "Their active users")):
        assert value_of("adoption", one, asking) == value_of("instances", other, asking)


def bars_of(name: str, title: str, asking: Asking) -> dict[str, float]:
    """The bars of a panel that are not 0, by legend."""
    (panel,) = [panel for of, panel in PANELS if of == name and panel["title"] == title]
    found = {}
    for frame in frames(panel, asking, {}):
        (found[frame["fields"][1]["config"]["displayNameFromDS"]],) = frame["fields"][1]["values"]
    return {legend: number for legend, number in found.items() if number}


#: Of the snapshot of upstream that the simulation crawls with, as of the days of its releases.
SUPPORTED = {"4.8", "4.7", "4.6", "4.5", "4.4"}
WEIGHTS = [("Servers", "servers", lambda server: 1), ("Active users", "active users", lambda server: server.users)]
each_weight = pytest.mark.parametrize(("title", "what", "weight"), WEIGHTS, ids=[title for title, *_ in WEIGHTS])


def weighed(servers: list[Server], key: Any, weight: Any) -> dict[Any, float]:
    """How many instances, or users, are of each key."""
    found: Counter[Any] = Counter()
    for server in servers:
        found[key(server)] += weight(server)
    return {name: float(number) for name, number in found.items() if number}


def is_patched(server: Server) -> bool:
    """Whether it runs the newest release of a branch that has releases."""
    return not server.label.prerelease and server.numbers >= newest_releases()[server.label.branch]


@each_weight
def test_the_branches_are_the_truth(title, what, weight, measured, asking):
    rows = {row["branch"]: row for row in rows_of("adoption", f"Patched {what}, against all", asking)}
    assert rows.keys() == SUPPORTED
    every = weighed(measured.servers, lambda server: server.label.branch, weight)
    assert {branch: row["Value #B"] for branch, row in rows.items() if row["Value #B"]} == {
        branch: number for branch, number in every.items() if branch in SUPPORTED
    }
    released = [server for server in measured.servers if server.label.branch in SUPPORTED & newest_releases().keys()]
    patched = weighed([server for server in released if is_patched(server)], lambda server: server.label.branch, weight)
    assert patched
    for branch in SUPPORTED & newest_releases().keys():
        assert rows[branch]["latest_version"] == ".".join(map(str, newest_releases()[branch]))
        assert rows[branch]["Value #C"] == patched.get(branch, 0)
        assert rows[branch]["Value #D"] == pytest.approx(patched.get(branch, 0) / every[branch])


@each_weight
def test_who_runs_what_is_the_truth(title, what, weight, measured, asking):
    every = weighed(measured.servers, lambda server: server.label.branch, weight)
    total = sum(every.values())
    supported = {branch: number for branch, number in every.items() if branch in SUPPORTED}
    assert bars_of("adoption", f"{title} on supported branches", asking) == supported
    past_end = bars_of("adoption", f"{title} past the end of support", asking)
    assert past_end.items() <= every.items()
    assert not past_end.keys() & SUPPORTED
    by_support = bars_of("adoption", f"{title} by support", asking)
    assert sum(by_support.values()) == total
    assert by_support["latest"] == every["4.7"]
    assert by_support["previous"] == every["4.6"]
    share = {"Servers": "Supported servers", "Active users": "Supported, by users"}[title]
    assert value_of("adoption", share, asking) == pytest.approx(sum(supported.values()) / total)


@each_weight
def test_patch_states_are_the_truth(title, what, weight, measured, asking):
    """Of branches with a stable release; where main stands is told in tests/test_judgement.py."""
    states = bars_of("adoption", f"{title} by patch state", asking)
    total = sum(map(weight, measured.servers))
    assert sum(states.values()) == total
    known = [server for server in measured.servers if server.label.branch in newest_releases()]
    left = total - sum(map(weight, known))
    patched = sum(weight(server) for server in known if is_patched(server))
    assert patched <= states["patched"] <= patched + left
    share = {"Servers": "Patched servers", "Active users": "Patched, by users"}[title]
    assert value_of("adoption", share, asking) == pytest.approx(states["patched"] / total)


def test_forks_channels_and_versions_are_the_truth(measured, asking):
    def once(server: Server) -> int:
        return 1

    forks = weighed(measured.servers, lambda server: server.label.fork, once)
    assert bars_of("adoption", "Servers by fork", asking).items() <= forks.items()
    channels = weighed(measured.servers, lambda server: server.label.prerelease.partition(".")[0] or "stable", once)
    assert bars_of("adoption", "Servers by channel", asking) == channels
    releases = weighed(measured.servers, lambda server: server.label.release, once)
    users = weighed(measured.servers, lambda server: server.label.release, lambda server: server.users)
    rows = [row for row in rows_of("adoption", "Exact versions", asking) if row["version"] != "other"]
    assert len(rows) > 20
    for row in rows:
        assert row["Value #A"] == releases[row["version"]]
        assert row.get("Value #B", 0) == users.get(row["version"], 0)


def test_exposure_is_the_truth(measured, asking):
    """What the exporter says is held against the hand-made table in tests/test_exporter_truth.py."""
    servers = measured.prometheus.query("max by (advisory) (vmcrawl_exposed_instances)")
    users = measured.prometheus.query("max by (advisory) (vmcrawl_exposed_monthly_active_users)")
    rows = {row["advisory"]: row for row in rows_of("adoption", "Exposure to published advisories", asking)}
    assert {advisory: row["Value #A"] for advisory, row in rows.items()} == servers
    assert {advisory: row["Value #C"] for advisory, row in rows.items()} == users
    for row in rows.values():
        assert row["Value #B"] == pytest.approx(row["Value #A"] / len(measured.servers))


def test_patch_delays_are_the_truth(asking):
    rows = {row["branch"]: row for row in rows_of("adoption", "Patch delay of the newest fixes", asking)}
    day = 86_400
    assert {name: value for name, value in rows["4.6"].items() if name.startswith("Value")} == {
        **{"Value #A": 120 / 200, "Value #B": 3600 / 4000},
        **{"Value #C": 2 * day, "Value #E": 1 * day, "Value #F": 5 * day},
    }


def test_the_outcomes_are_the_truth(measured, asking):
    assert bars_of("health", "Outcomes of the last run", asking) == dict(measured.outcomes)
    total = sum(measured.outcomes.values())
    network = ("dns_failure", "dns_not_found", "timeout", "tls_handshake")
    failed = sum(n for word, n in measured.outcomes.items() if word in network or word.startswith("connection_"))
    newest = {}
    for title in ("Failures of the network, of the last run", "What runs crawl", "All domains by outcome"):
        newest.update({legend: curve[max(curve)] for legend, curve in series_of("health", title, asking).items()})
    assert newest["share"] == pytest.approx(failed / total)
    assert newest["planned"] == newest["crawled"] == total
    assert newest["ok"] == measured.outcomes["ok"]


def shares(numbers: dict[str, float]) -> dict[str, float]:
    """The same as parts of the whole."""
    return {name: number / sum(numbers.values()) for name, number in numbers.items()}


def patched_share(page: Page, weight: int) -> float:
    """How much of a page is patched."""
    patched = by_branch([row for row in page if row[2]], weight)
    return sum(patched.values()) / sum(by_branch(page, weight).values())


def by_branch(page: Page, weight: int) -> dict[str, float]:
    """What a page counts on each branch."""
    return {branch: (instances, users)[weight - 3] for branch, _, _, instances, users in page}


SUPPORT_OF = {"4.6": "previous", "4.5": "deprecated", "4.2": "eol"}
#: What the curves of the past are to show, given what the run of that time had found.
HISTORY: dict[str, Callable[[Page], dict[str, float]]] = {
    "Servers by branch": lambda page: by_branch(page, 3),
    "Active users by branch": lambda page: by_branch(page, 4),
    "Servers by branch, in percent": lambda page: shares(by_branch(page, 3)),
    "Active users by branch, in percent": lambda page: shares(by_branch(page, 4)),
    "Patched": lambda page: {"servers": patched_share(page, 3), "active users": patched_share(page, 4)},
    "Patched servers by branch": lambda page: {"4.6": 1, "4.5": 0},
    "Users on patched servers by branch": lambda page: {"4.6": 1, "4.5": 0},
    "Servers by support, in percent": lambda page: shares(
        {SUPPORT_OF[branch]: number for branch, number in by_branch(page, 3).items()}
    ),
}


@pytest.mark.parametrize("title", HISTORY)
def test_the_past_is_what_the_history_says(title, measured, asking):
    curves = series_of("adoption", title, asking)
    compared = 0
    for second in sorted({second for curve in curves.values() for second in curve}):
        pages_ago = (asking.end - second) / APART.total_seconds()
        # Not near the moment of a run, nor within the hours that are not exported, nor before the first page.
        if not 1 < pages_ago < PAGES - 1 or min(pages_ago % 1, 1 - pages_ago % 1) < 0.2:
            continue
        found = {name: curve[second] for name, curve in curves.items() if curve.get(second) is not None}
        assert found == pytest.approx(HISTORY[title](past(int(pages_ago) + 1)))
        compared += 1
    assert compared > 50


def listed(asking: Asking, reader: psycopg.Connection, **chosen: Any) -> list[str]:
    """The domains in the table of instances, with something chosen in the pickers."""
    (panel,) = [panel for of, panel in PANELS if of == "instances" and panel["type"] == "table"]
    choice = Asking(asking.prometheus, reader, asking.start, asking.end, chosen=chosen)
    (frame,) = frames(panel, choice, variables(DASHBOARDS["instances"], choice))
    columns = {column["name"]: column["values"] for column in frame["fields"]}
    return list(columns["domain"])


def test_the_table_is_of_those_who_are_listed(measured, asking, reader):
    with psycopg.connect(measured.database_url, autocommit=True) as owner:
        name = owner.execute("SELECT domain FROM instances ORDER BY active_users DESC LIMIT 1").fetchone()
        assert name is not None

        def domains(**chosen: list[str]) -> list[str]:
            return listed(asking, reader, **chosen)

        assert len(domains()) == len(measured.servers)
        assert domains()[0] == name[0]
        owner.execute("INSERT INTO dni (domain) VALUES (%s)", name)
        try:
            assert name[0] not in domains()
            assert len(domains()) == len(measured.servers) - 1
        finally:
            owner.execute("DELETE FROM dni WHERE domain = %s", name)
        assert domains(search=[name[0]]) == [name[0]]
        assert domains(search=["' OR true --"]) == []
        branch = [server for server in measured.servers if server.label.branch == "4.6"]
        assert len(domains(branch=["4.6"])) == len(branch)
        assert len(domains(patched=["yes"])) + len(domains(patched=["no", "unknown"])) == len(measured.servers)
        assert domains(health=["failing"]) == []


def test_releases_are_marked_where_they_came_out(asking):
    (source,) = DASHBOARDS["adoption"]["annotations"]["list"]
    long = Asking(asking.prometheus, asking.postgres, asking.end - 400 * 86_400, asking.end)
    marked = {event["title"]: event["time"] for event in annotations(source, long)}
    assert marked["Mastodon 4.6.6"] == 1_786_579_200_000, "2026-08-13"


def test_the_role_cannot_read_more_than_the_dashboards_need(reader):
    for table in ("domains", "sightings", "dni", "instances", "runs"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(f"SELECT * FROM {table}".encode())


def test_a_hostile_choice_is_a_value_and_nothing_more(asking, reader):
    hostile = "x' OR 'a'='a"
    assert sql_of({"rawSql": "SELECT ${branch:sqlstring}"}, {"branch": ["4.6", hostile]}) == (
        "SELECT '4.6','x'' OR ''a''=''a'"
    )
    for variable in DASHBOARDS["instances"]["templating"]["list"]:
        assert listed(asking, reader, **{variable["name"]: [hostile]}) == []


def test_a_search_takes_every_sign_for_itself(asking, reader):
    assert listed(asking, reader, search=["%"]) == []
    assert listed(asking, reader, search=["_"]) == []


def test_an_empty_choice_is_an_empty_table_and_no_error(asking, reader):
    assert listed(asking, reader, branch=[], support=[], software=[]) == []


def test_what_nobody_knows_can_be_chosen(measured, asking, reader):
    with psycopg.connect(measured.database_url) as owner:
        unknown = {row[0] for row in owner.execute("SELECT domain FROM instances WHERE support = 'unknown'")}
    assert set(listed(asking, reader, support=["unknown"])) == unknown
    every = variables(DASHBOARDS["instances"], asking)
    assert len(listed(asking, reader, **every)) == len(measured.servers), "all that can be chosen is all there is"
