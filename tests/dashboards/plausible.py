"""A plausible Fediverse of nine thousand servers and four months of its history, to look at dashboards with.

Nothing here is measured: a server takes a release some days after it has come out, most soon, some late, some never.
"""

import csv
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from random import Random

import psycopg

from vmcrawl.chronicle import note_uptakes
from vmcrawl.knowledge import load_reader, read_anew
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.branches import stand
from vmcrawl.store.catalogue import changed
from vmcrawl.store.connection import connect
from vmcrawl.store.database import Database
from vmcrawl.store.meanings import write_versions
from vmcrawl.store.migrations import prepare

_SERVERS = 9_000
_DAYS = 120
#: On which branch servers are, in parts of a hundred; and how many days most of them take for a patch.
_BRANCHES = {
    "4.7": (14, 4.0),
    "4.6": (38, 5.0),
    "4.5": (20, 8.0),
    "4.4": (9, 12.0),
    "4.3": (7, 40.0),
    "4.2": (5, 60.0),
    "4.1": (3, 200.0),
    "4.0": (1, 300.0),
    "3.5": (3, 300.0),
}
#: One day of security releases two months ago, and one last week; upstream has never made them.
_MADE_UP = {48: ("4.7.1", "4.6.7", "4.5.17", "4.4.24"), 8: ("4.7.2", "4.6.8", "4.5.18", "4.4.25")}
#: Parts of a hundred that patch when somebody has time, if ever.
_LATE = 14
_SUFFIXES = ("",) * 84 + ("+glitch",) * 11 + ("+chuckya",) * 2 + ("+custom",) * 3
_FAILURES = (
    *("dns_not_found",) * 20,
    *("not_mastodon",) * 14,
    *("http_4xx",) * 9,
    *("tls_certificate",) * 6,
    *("timeout",) * 6,
    *("connection_refused",) * 3,
    *("http_5xx",) * 2,
    "robots_disallowed",
)


def fill(url: str) -> None:
    """Fill an empty database, as if it had been crawled every six hours for four months until now."""
    database = Database(DatabaseSettings(url=url))
    database.run(lambda connection: prepare(connection, timedelta(days=3)))
    database.close()
    chance = Random(7)
    servers = [_server(chance) for _ in range(_SERVERS)]
    now = datetime.now(UTC)
    releases = _releases(now.date())
    with connect(DatabaseSettings(url=url)) as connection, connection.transaction():
        for days_ago, names in _MADE_UP.items():
            connection.execute(
                "INSERT INTO releases"
                " SELECT name, regexp_replace(name, '[.][0-9]+$', ''), %s, false, true, 'made up', now()"
                " FROM unnest(%s::text[]) AS name",
                [now.date() - timedelta(days=days_ago), list(names)],
            )
        changed(connection)
        stand(connection, now.date())
    with connect(DatabaseSettings(url=url)) as connection, connection.transaction():
        _publish(connection, url, servers, releases, now)
        _leave_history(connection, servers, releases, now)
        _add_failures(connection)
        _add_runs(connection)
    database = Database(DatabaseSettings(url=url))
    read_anew(database, now.date())
    note_uptakes(database, now)
    database.close()


class _Server:
    def __init__(self, branch: str, delay: float, users: int, suffix: str) -> None:
        self.branch, self.delay, self.users, self.suffix = branch, delay, users, suffix

    def runs(self, releases: dict[str, list[tuple[date, str]]], on: date) -> str:
        """The newest release of its branch that it has taken by a day; or that of the branch before, or the first."""
        taken = self.taken(releases[self.branch], on)
        if taken:
            return taken[-1][1]
        major, minor = self.branch.split(".")
        before = self.taken(releases.get(f"{major}.{int(minor) - 1}", []), on)
        return before[-1][1] if before else releases[self.branch][0][1]

    def taken(self, releases: list[tuple[date, str]], on: date) -> list[tuple[date, str]]:
        """The releases of its branch that it has taken by a day, and when."""
        wait = timedelta(days=self.delay)
        return [(day + wait, name) for day, name in releases if day + wait <= on]


def _server(chance: Random) -> _Server:
    (branch,) = chance.choices(list(_BRANCHES), [part for part, _ in _BRANCHES.values()])
    slower = 20 if chance.random() * 100 < _LATE else 1
    delay = slower * chance.expovariate(1 / _BRANCHES[branch][1]) + chance.random()
    # Large servers are looked after better.
    users = min(int(chance.lognormvariate(2.2, 2.0)), 250_000)
    return _Server(branch, delay if users < 500 else delay / 3, users, chance.choice(_SUFFIXES))


def _releases(today: date) -> dict[str, list[tuple[date, str]]]:
    found: dict[str, list[tuple[date, str]]] = {}
    with (files("vmcrawl.snapshot") / "releases.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["version"].replace(".", "").isdigit() and row["version"].count(".") == 2:
                branch = row["version"].rpartition(".")[0]
                found.setdefault(branch, []).append((date.fromisoformat(row["date"]), row["version"]))
    for days_ago, names in _MADE_UP.items():
        for name in names:
            found[name.rpartition(".")[0]].append((today - timedelta(days=days_ago), name))
    return {branch: sorted(entries, key=lambda entry: _key(entry[1])) for branch, entries in found.items()}


def _key(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _publish(
    connection: psycopg.Connection,
    url: str,
    servers: list[_Server],
    releases: dict[str, list[tuple[date, str]]],
    now: datetime,
) -> None:
    database = Database(DatabaseSettings(url=url))
    reader = load_reader(database, now.date())
    database.close()
    said = [server.runs(releases, now.date()) + server.suffix for server in servers]
    moves = [server.taken(releases[server.branch], now.date())[-2:] for server in servers]
    before = [
        move[0][1] + server.suffix if len(move) == 2 else None for move, server in zip(moves, servers, strict=True)
    ]
    write_versions(
        connection,
        {
            ("mastodon", version, None): reader.read("mastodon", version, None)
            for version in {*said, *filter(None, before)}
        },
    )
    names = [f"{word}-{number:04}.example" for number, word in enumerate(_words(len(servers)))]
    connection.execute(
        "INSERT INTO domains (domain, outcome, due_at, last_crawled_at, crawled_in)"
        " SELECT domain, CASE WHEN n %% 70 = 0 THEN 'timeout' ELSE 'ok' END, now() + random() * interval '3 hours',"
        " now() - random() * interval '3 hours', 1 FROM unnest(%s::text[]) WITH ORDINALITY AS name (domain, n)",
        [names],
    )
    connection.execute(
        "INSERT INTO sightings"
        " SELECT domain, id, users, now() - interval '200 days', now() - random() * interval '4 hours'"
        " FROM unnest(%s::text[], %s::text[], %s::integer[]) AS seen (domain, said, users)"
        " JOIN versions ON version = said AND software = 'mastodon'",
        [names, said, [server.users for server in servers]],
    )
    connection.execute(
        "INSERT INTO moves SELECT domain, f.id, t.id, moved FROM"
        " unnest(%s::text[], %s::text[], %s::text[], %s::date[]) AS move (domain, from_said, to_said, moved)"
        " JOIN versions AS f ON f.version = from_said JOIN versions AS t ON t.version = to_said",
        [names, before, said, [move[-1][0] if len(move) == 2 else None for move in moves]],
    )


def _leave_history(
    connection: psycopg.Connection, servers: list[_Server], releases: dict[str, list[tuple[date, str]]], now: datetime
) -> None:
    with connection.cursor().copy(
        "COPY adoption_history (at, run_id, branch, version, instances, active_users, patched) FROM STDIN"
    ) as copy:
        for days_ago in range(_DAYS, 0, -1):
            at = now - timedelta(days=days_ago)
            instances: Counter[str] = Counter()
            users: Counter[str] = Counter()
            # There were a few fewer of them.
            for server in servers[: _SERVERS - 6 * days_ago]:
                version = server.runs(releases, at.date())
                instances[version] += 1
                users[version] += server.users
            for version, number in instances.items():
                branch = version.rpartition(".")[0]
                newest = max((name for day, name in releases[branch] if day <= at.date()), key=_key, default=version)
                for part in range(4):
                    moment = at + timedelta(hours=6 * part)
                    run = 1_000_000 - 4 * days_ago + part
                    copy.write_row(
                        (moment, run, branch, version, number, users[version], _key(version) >= _key(newest))
                    )


def _add_failures(connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO domains (domain, outcome, due_at, last_crawled_at)"
        " SELECT 'gone-' || n || '.example', (%(outcomes)s::text[])[1 + n %% %(number)s],"
        " now() + random() * interval '7 days', now() - interval '1 day' FROM generate_series(1, 14000) AS n",
        {"outcomes": list(_FAILURES), "number": len(_FAILURES)},
    )


def _add_runs(connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO runs (started_at, finished_at, heartbeat_at, status, host, planned, crawled, outcomes)"
        " SELECT at - interval '14 minutes', at, at, 'success', 'plausible', 4000, 4000, '{}'"
        " FROM (SELECT now() - n * interval '1 hour' - interval '20 minutes' AS at"
        " FROM generate_series(0, 168) AS n) AS run"
    )


def _words(number: int) -> list[str]:
    words = ("social", "masto", "toot", "fedi", "town", "cafe", "art", "science", "club", "garden", "city", "tech")
    return [words[position % len(words)] for position in range(number)]
