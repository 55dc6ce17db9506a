"""Any database, however old and however many start at once, comes to this version, or says why not."""

import hashlib
import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.store.builders import column, crawl, ok
from vmcrawl.advisory import packaged_advisories
from vmcrawl.domain import Domain
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.connection import connect
from vmcrawl.store.migrations import DatabaseTooNew, migrate, pending, prepare, released

#: Of every migration that was released. If this fails, add a migration; databases out there have the old one.
RELEASED = {
    "0001_ledger": "d1449e55e80759e81357d88fc40d08940cd52a7a39af73adf8ed7972c295256a",
    "0002_catalogue": "1b87c325c82287c2ce3dfb1789e60da098b5607a74cc12320e821d00a129ae76",
    "0003_overrides": "bc70db332f9214cbbe77070ae0496febdc4d22b85a5ad3d018123419a6f84907",
    "0004_again": "a513f4494ac551166ce793e7a5f5fb13b664437ee3653601d03070d673afd847",
    "0005_doubts": "e878a4bd9cc7ff54fc58077a85f6c96d6c2fe1ae0f77ea1799736220d0721e83",
    "0006_corrections": "a6d390b7cf454ff635028f42ee3beef6918d2a304243135e4527b15f6dc0ceaa",
    "0007_counting": "ca31e1a424a4cc4cbeb1911824a33fafc671e6f03dd04385034b6cc6378c49a0",
    "0008_shared_runs": "449a4ea0e5498abcb600434d7eb993adc07f60106f35c10c458a254951cd36c8",
    "0009_dni_lists": "336b739e4a863722fbc2b7104169405eb9b1eb5038e0a6c1e365e8609d1059af",
    "0010_discovery": "9839a57965a13d6ebd6a65ce89f01a2478ee7f116d11141bd31f3735fc0a2c54",
    "0011_opt_outs": "9e1a0baf9d3e18d257848116f139e87389ee97085afc703bf4c4472b4e1cfb91",
    "0012_steering": "f5010834fdc440058cdfe3aa5b6b0cd6122b37966f5d14ad37588e32e1e1a340",
}

#: What a database of each version holds before it is brought up to date, on top of what earlier ones held.
HELD = {
    1: """
INSERT INTO domains (domain, outcome, last_crawled_at) VALUES ('a.example', 'ok', now()), ('b.example', 'ok', now());
INSERT INTO domains (domain, outcome, failures) VALUES ('c.example', 'timeout', 3);
INSERT INTO versions (software, version, upstream_version, release, branch, fork, support, patched, parser) VALUES
    ('mastodon', '4.5.6', NULL, '4.5.6', '4.5', 'vanilla', 'latest', true, 1),
    ('kmyblue', '1.0', '4.4.1', '4.4.1', '4.4', 'kmyblue', NULL, NULL, 0);
INSERT INTO sightings SELECT 'a.example', id, 16, now() - interval '9 days', now() FROM versions WHERE parser = 1;
INSERT INTO sightings SELECT 'b.example', id, 0, now(), now() FROM versions WHERE parser = 0;
INSERT INTO runs (started_at, finished_at, heartbeat_at, status, host, planned, crawled)
    VALUES (now(), now(), now(), 'success', 'old', 3, 3);
INSERT INTO robots VALUES ('a.example', now(), '');
INSERT INTO exclusions (domain) VALUES ('x.example');
INSERT INTO dni (domain) VALUES ('b.example');
UPDATE publication SET retention = '5 days';
""",
    2: """
INSERT INTO moves SELECT 'a.example', min(id), max(id), now() - interval '1 day' FROM versions;
INSERT INTO adoption_history VALUES (now(), 1, '4.5', '4.5.6', 1, 16, true);
INSERT INTO branch_overrides VALUES ('4.4', '2027-01-01', 'why', now());
INSERT INTO main_ranges (since, release) VALUES
    ('2026-08-14 09:45:29Z', '4.8.0-alpha.1'), ('2026-10-05 06:30:00Z', '4.8.0-alpha.2'),
    ('2026-11-01 06:30:00Z', '4.8.0-alpha.3');
INSERT INTO releases VALUES
    ('4.5.14', '4.5', '2026-07-27', false, false, 'github', now()),
    ('4.5.17', '4.5', '2026-09-01', false, false, 'github', now());
INSERT INTO advisories (ghsa_id, severity, title, ranges, patched, source, changed_at) VALUES
    ('GHSA-gwhw-gcjx-72v8', 'high', 'Of GitHub', '', '', 'github', now()),
    ('GHSA-ccpr-m53r-mfwr', 'high', 'Of GitHub', '< 9', '', 'github', now());
INSERT INTO sources (name, etag, fetched_at) VALUES ('main', '"m"', now());
""",
    3: """
INSERT INTO branch_overrides (branch, support, set_at) VALUES ('4.3', 'deprecated', now());
UPDATE catalogue_state SET snapshot_on = '2026-08-22';
""",
    4: "UPDATE domains SET trusted_until = now(), nodeinfo_validator = '\"x\"' WHERE domain = 'a.example'",
    5: """
INSERT INTO sources (name, failed_at, error, retry_at) VALUES ('releases', now(), '429', now());
INSERT INTO main_ranges (since, release, not_before) VALUES (now(), '4.8.0-alpha.4', now() - interval '1 day');
""",
    6: "INSERT INTO main_ranges (since, release) VALUES (now() - interval '1 hour', '4.8.0-alpha.5')",
    7: """
INSERT INTO tallies VALUES (1, 'p#1', 'ok', 2, 5, 8000, 1.5, '{0,1,1,0,0,0,0,0,0,0}');
INSERT INTO uptakes VALUES ('4.5', '4.5.6', '2026-01-01', now(), 2, 16, 1, 16, '3 days', NULL, NULL, NULL);
""",
    8: """
INSERT INTO runs (name, started_at, heartbeat_at, host, closer) VALUES ('together', now(), now(), 'x', 'one');
INSERT INTO run_parts (run_id, part, machine, number, joined_at, heartbeat_at)
    SELECT id, 'one', 'machine', 3, now(), now() FROM runs WHERE name = 'together';
""",
    9: """
INSERT INTO dni_listed VALUES ('l.example', 'hard', 'why'), ('w.example', 'soft', '');
INSERT INTO dni_waivers VALUES ('w.example', 'friends', now());
INSERT INTO dni_imports (imported_at, origin, stamp, header, entries, added, removed, changed)
    VALUES (now(), 'list.csv', '', true, 2, 1, 0, 0);
INSERT INTO dni_changes SELECT id, 'l.example', 'added', NULL, 'hard', 'why' FROM dni_imports;
""",
    10: "INSERT INTO peers_asked VALUES ('a.example', current_date, 'answered')",
    11: "INSERT INTO exclusions VALUES ('y.example', true, 'by mail', now(), true)",
    12: """
INSERT INTO pause (paused_at, paused_by) VALUES (now(), 'somebody');
INSERT INTO bad_days (day, reason) VALUES ('2026-11-23', 'why');
""",
}


def test_a_released_migration_is_never_edited():
    assert {m.name: hashlib.sha256(m.sql.encode()).hexdigest() for m in released()} == RELEASED


def test_migrations_are_numbered_without_gaps_and_say_why():
    assert [migration.number for migration in released()] == list(range(1, len(released()) + 1))
    for migration in released():
        assert migration.sql.startswith("-- Why: ")


def test_an_empty_database_gets_all_and_then_nothing(empty_database_url: str):
    with connect(DatabaseSettings(url=empty_database_url)) as connection:
        assert [migration.name for migration in pending(connection)] == [m.name for m in released()]
        assert migrate(connection) == [migration.name for migration in released()]
        assert migrate(connection) == []


@pytest.mark.parametrize("number", range(len(released()) + 1))
def test_every_earlier_version_is_brought_up_to_date(empty_database_url: str, number: int):
    with connect(DatabaseSettings(url=empty_database_url)) as connection:
        migrate(connection, released()[:number])
        for version in range(1, number + 1):
            connection.execute(HELD[version].encode())
        before = _rows(connection)
        assert prepare(connection, timedelta(days=5)) == [migration.name for migration in released()[number:]]
        assert {table: rows for table, rows in _rows(connection).items() if table in before} == before


def test_what_an_old_database_holds_is_published_as_before_and_crawled_on(empty_database_url: str):
    with connect(DatabaseSettings(url=empty_database_url)) as connection:
        migrate(connection, released()[:1])
        connection.execute(HELD[1].encode())
        published = "SELECT domain, version, release, patched, active_users, first_seen_at FROM instances ORDER BY 1"
        before = connection.execute(published.encode()).fetchall()
        assert [row[0] for row in before] == ["a.example", "b.example"]
        prepare(connection, timedelta(days=5))
        assert connection.execute(published.encode()).fetchall() == before
        assert column(connection, "SELECT domain FROM public_instances") == ["a.example"]
        again = ok(Domain("a.example"), datetime.now(UTC) + timedelta(minutes=1), version="4.5.7")
        assert crawl(connection, again).outcomes == {"ok": 1}
        assert connection.execute("SELECT from_version, to_version FROM version_changes").fetchall() == [
            ("4.5.6", "4.5.7")
        ]


@pytest.mark.parametrize("number", range(2, 6))
def test_what_an_earlier_version_wrote_down_wrongly_is_corrected(empty_database_url: str, number: int):
    with connect(DatabaseSettings(url=empty_database_url)) as connection:
        migrate(connection, released()[:number])
        for version in range(1, number + 1):
            connection.execute(HELD[version].encode())
        prepare(connection, timedelta(days=5))
        doubts = "SELECT release, not_before FROM main_ranges WHERE since BETWEEN '2026-08-14' AND '2026-11-02'"
        # When they were first seen is not when they began; what the package knows is sure.
        assert connection.execute(f"{doubts} ORDER BY since".encode()).fetchall() == [
            ("4.8.0-alpha.1", None),
            ("4.8.0-alpha.2", datetime(2026, 8, 22, tzinfo=UTC)),
            ("4.8.0-alpha.3", datetime(2026, 10, 5, 6, 30, tzinfo=UTC)),
        ]
        fixes = "SELECT release, security FROM releases WHERE source = 'github' ORDER BY release"
        assert connection.execute(fixes.encode()).fetchall() == [("4.5.14", True), ("4.5.17", False)]
        packaged = {one.ghsa_id: one for one in packaged_advisories()}
        emptied, bare = packaged["GHSA-gwhw-gcjx-72v8"], packaged["GHSA-ccpr-m53r-mfwr"]
        words = "SELECT title, ranges, patched FROM advisories WHERE source = 'github' ORDER BY ghsa_id DESC"
        assert connection.execute(words.encode()).fetchall() == [
            ("Of GitHub", emptied.ranges, emptied.patched),
            ("Of GitHub", "< 9", bare.patched),
        ]
        assert column(connection, "SELECT etag FROM sources WHERE name = 'main'") == [""], "it is to be heard again"


def test_of_many_that_start_at_once_one_migrates_and_all_go_on(empty_database_url: str):
    applied: list[list[str]] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        with connect(DatabaseSettings(url=empty_database_url)) as connection:
            barrier.wait()
            applied.append(migrate(connection))

    starters = [threading.Thread(target=start) for _ in range(8)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join(30)
    assert sorted(applied) == [[]] * 7 + [[migration.name for migration in released()]]


def test_a_database_of_a_later_version_is_refused_and_left_alone(connection: psycopg.Connection):
    connection.execute("INSERT INTO schema_migrations (number, name) VALUES (9999, '9999_future')")
    with pytest.raises(DatabaseTooNew, match="update the program"):
        migrate(connection)


def test_a_migration_that_fails_leaves_no_trace(empty_database_url: str):
    good, bad = released()[0], type(released()[0])(2, "0002_bad", "CREATE TABLE half (x text); SELECT 1 / 0")
    with connect(DatabaseSettings(url=empty_database_url)) as connection:
        with pytest.raises(psycopg.DataError):
            migrate(connection, [good, bad])
        assert column(connection, "SELECT to_regclass('domains')::text") == [None]


def _rows(connection: psycopg.Connection) -> dict[str, list[object]]:
    """Of each table that people or crawls fill, how many rows there are."""
    filled = "domains versions sightings runs robots exclusions dni moves adoption_history branch_overrides"
    return {
        table: column(connection, f"SELECT count(*) FROM {table}")
        for table in filled.split()
        if column(connection, "SELECT to_regclass(%s)::text", table) != [None]
    }


def test_days_that_were_marked_stay_so(empty_database_url: str):
    with connect(DatabaseSettings(url=empty_database_url)) as connection:
        migrate(connection, [migration for migration in released() if migration.number < 12])
        connection.execute(
            "INSERT INTO adoption_history (at, run_id, branch, version, instances, active_users, invalid, reason)"
            " VALUES ('2026-11-23T01:00Z', 1, '4.5', '4.5.6', 1, 1, true, 'why'),"
            " ('2026-11-23T23:00Z', 2, '4.5', '4.5.6', 1, 1, true, 'why'),"
            " ('2026-11-24T01:00Z', 3, '4.5', '4.5.6', 1, 1, false, '')"
        )
        migrate(connection)
        assert connection.execute("SELECT day::text, bad, reason FROM bad_days").fetchall() == [
            ("2026-11-23", True, "why")
        ]
