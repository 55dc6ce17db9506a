"""The catalogue goes into the database and comes out again; what sources and people say of it changes it."""

import threading
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from tests.servers import eventually
from tests.store.builders import column
from vmcrawl.bumps import MainStart
from vmcrawl.catalogue import Branch, Catalogue, MainRange, Release, Support, packaged_catalogue
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store import branches
from vmcrawl.store import catalogue as store
from vmcrawl.store.connection import connect
from vmcrawl.store.migrations import prepare
from vmcrawl.store.snapshot import take_in
from vmcrawl.version import parse_tag

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
GATHERED = NOW.date()
BUMP = datetime(2026, 7, 1, 9, tzinfo=UTC)


def release(name: str, day: date, security: bool | None = False) -> Release:
    return Release(parse_tag(name), day, security)


SMALL = Catalogue(
    (
        release("4.4.0", date(2025, 7, 8)),
        release("4.5.0-rc.1", date(2025, 10, 30)),
        release("4.5.0", date(2025, 11, 6)),
        release("4.5.9", date(2026, 6, 1), True),
        release("4.6.0", date(2026, 6, 24), None),
    ),
    (Branch("4.4", None, ""), Branch("4.5", date(2027, 1, 8), "SECURITY.md")),
    (
        MainRange(parse_tag("4.6.0-alpha.1"), datetime(2025, 11, 6, 10, tzinfo=UTC), BUMP),
        MainRange(parse_tag("4.7.0-alpha.1"), BUMP, None),
    ),
)


@pytest.fixture
def seeded(connection: psycopg.Connection) -> psycopg.Connection:
    assert take_in(connection, GATHERED, SMALL, ())
    branches.stand(connection, NOW.date())
    return connection


def supports(connection: psycopg.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT branch, support FROM branches").fetchall())


def tell_main(connection: psycopg.Connection, name: str, since: datetime, not_before: datetime | None = None):
    known = store.load_main(connection)
    return store.save_main(connection, known, (*known, MainStart(parse_tag(name), since, not_before)))


def test_what_was_seeded_comes_back_as_it_was(seeded: psycopg.Connection):
    assert store.load_catalogue(seeded) == Catalogue(
        SMALL.releases, (*SMALL.branches, Branch("4.6", None), Branch("4.7", None)), SMALL.main_ranges
    )


def test_the_packaged_facts_say_the_same_from_the_database(connection: psycopg.Connection):
    prepare(connection, timedelta(days=3))
    packaged, loaded = packaged_catalogue(), store.load_catalogue(connection)
    assert loaded.main_ranges == packaged.main_ranges
    assert set(loaded.releases) == set(packaged.releases)
    today = date(2026, 8, 22)
    for key in {r.version.branch_key for r in packaged.releases}:
        assert loaded.support(key, today) == packaged.support(key, today)
        assert loaded.support_end(key, today) == packaged.support_end(key, today)


def test_a_catalogue_that_is_there_is_not_seeded_again(seeded: psycopg.Connection):
    before = store.revision(seeded)
    assert take_in(seeded, GATHERED, packaged_catalogue(), ()) is False
    assert (store.load_catalogue(seeded).newest((4, 3)), store.revision(seeded)) == (None, before)


def test_of_many_that_start_at_once_one_seeds(connection: psycopg.Connection, database_url: str):
    barrier, seeded = threading.Barrier(6), list[bool]()

    def start() -> None:
        with connect(DatabaseSettings(url=database_url)) as own:
            barrier.wait()
            seeded.append(take_in(own, GATHERED, SMALL, ()))

    starters = [threading.Thread(target=start) for _ in range(6)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join(30)
    assert sorted(seeded) == [False] * 5 + [True]


def test_newer_packaged_facts_come_in_and_leave_what_was_learned_since(seeded: psycopg.Connection):
    branches.save_support(seeded, [Branch("4.4", date(2027, 3, 3), "SECURITY.md")], NOW + timedelta(days=40))
    store.save_releases(seeded, [release("4.6.1", date(2026, 8, 31), True)], "github", NOW + timedelta(days=30))
    # Seen on the 4th of September, and bumped on the 25th of August, as the newer facts know.
    tell_main(seeded, "4.7.0-alpha.2", datetime(2026, 9, 4, tzinfo=UTC), datetime(2026, 8, 20, tzinfo=UTC))
    bumped = datetime(2026, 8, 25, 3, tzinfo=UTC)
    newer = Catalogue(
        (
            *SMALL.releases[:-1],
            release("4.6.0", date(2026, 6, 24), True),
            release("4.6.1", date(2026, 8, 30), True),
            release("4.6.2", date(2026, 8, 31)),
        ),
        (Branch("4.4", date(2026, 12, 24), "old"), Branch("4.5", date(2027, 2, 8), "newer")),
        (
            *SMALL.main_ranges[:1],
            MainRange(parse_tag("4.7.0-alpha.1"), BUMP, bumped),
            MainRange(parse_tag("4.7.0-alpha.2"), bumped, None),
        ),
    )
    before = store.revision(seeded)
    assert take_in(seeded, date(2026, 9, 1), newer, ()) is True
    assert take_in(seeded, date(2026, 9, 1), newer, ()) is False
    assert store.revision(seeded) == before + 1
    known = store.load_catalogue(seeded)
    assert {(r.version.release, r.released.day, r.security) for r in known.releases if r.version.branch == "4.6"} == {
        ("4.6.0", 24, True),
        ("4.6.1", 31, True),
        ("4.6.2", 31, False),
    }
    assert {branch.name: branch.source for branch in known.branches if branch.source} == {
        "4.4": "SECURITY.md",
        "4.5": "newer",
    }
    assert known.main_ranges == newer.main_ranges


def test_branches_show_where_they_stand_and_from_what_that_follows(seeded: psycopg.Connection):
    latest, previous, older = branches.list_branches(seeded, NOW.date())[1:]
    assert supports(seeded) == {"4.7": "main", "4.6": "latest", "4.5": "previous", "4.4": "deprecated"}
    assert (latest.supported_until, latest.support_source, latest.latest_release) == (None, None, "4.6.0")
    assert (previous.supported_until, previous.support_source) == (date(2027, 1, 8), "stated")
    assert (
        previous.support_note,
        previous.latest_release,
        previous.latest_released_on,
        previous.first_released_on,
    ) == (
        "SECURITY.md",
        "4.5.9",
        date(2026, 6, 1),
        date(2025, 11, 6),
    )
    assert (older.supported_until, older.support_source) == (date(2026, 12, 24), "derived")
    assert older.support_note == "4.6.0 + 6 months"


def test_support_ends_by_the_date_alone(seeded: psycopg.Connection):
    assert branches.stand(seeded, date(2026, 12, 24)) == []
    assert branches.stand(seeded, date(2026, 12, 25)) == ["4.4"]
    assert supports(seeded)["4.4"] == Support.EOL
    (row,) = [one for one in branches.list_branches(seeded, date(2026, 12, 24)) if one.branch == "4.4"]
    assert row.support == Support.DEPRECATED, "what is shown is of the day it is shown"


def test_new_releases_are_added_and_say_so(seeded: psycopg.Connection):
    before = store.revision(seeded)
    fresh = [release("4.6.1", date(2026, 7, 30), True), release("4.5.10", date(2026, 7, 30), True)]
    assert store.save_releases(seeded, fresh, "github", NOW) == ["4.5.10", "4.6.1"]
    assert store.revision(seeded) == before + 1
    assert store.save_releases(seeded, fresh, "github", NOW) == []
    assert store.revision(seeded) == before + 1
    assert [row.release for row in store.list_releases(seeded, "4.5")] == ["4.5.10", "4.5.9", "4.5.0", "4.5.0-rc.1"]
    assert branches.stand(seeded, NOW.date()) == []
    assert branches.list_branches(seeded, NOW.date())[1].latest_release == "4.6.1"


def test_a_new_branch_needs_nobody(seeded: psycopg.Connection):
    store.save_releases(seeded, [release("4.7.0", date(2026, 7, 31))], "github", NOW)
    assert branches.stand(seeded, NOW.date()) == ["4.5", "4.6", "4.7"]
    assert supports(seeded) == {"4.7": "latest", "4.6": "previous", "4.5": "deprecated", "4.4": "deprecated"}
    assert tell_main(seeded, "4.8.0-alpha.1", NOW)
    assert branches.stand(seeded, NOW.date()) == ["4.8"]
    assert supports(seeded)["4.8"] == Support.MAIN


def test_what_a_source_leaves_out_stays(seeded: psycopg.Connection):
    assert store.save_releases(seeded, [release("4.5.9", date(2026, 6, 1), None)], "github", NOW) == []
    assert store.save_releases(seeded, [release("4.6.0", date(2026, 6, 24), True)], "github", NOW) == ["4.6.0"]
    assert [r.security for r in store.load_catalogue(seeded).releases] == [False, False, False, True, True]
    assert store.save_releases(seeded, [], "github", NOW) == []


def test_main_moves_on_when_its_version_is_another_one(seeded: psycopg.Connection):
    known = store.load_main(seeded)
    assert store.save_main(seeded, known, known) == []
    assert tell_main(seeded, "4.7.0-alpha.2", NOW) == ["4.7.0-alpha.2"]
    old, new = store.load_catalogue(seeded).main_ranges[-2:]
    assert (old.since, old.until) == (BUMP, NOW)
    assert (new.version.release, new.since, new.until) == ("4.7.0-alpha.2", NOW, None)


def test_a_stated_end_of_support_wins_over_the_rule(seeded: psycopg.Connection):
    stated = [Branch("4.4", date(2026, 12, 31), "SECURITY.md"), Branch("4.5", None, "SECURITY.md")]
    assert branches.save_support(seeded, stated, NOW) == ["4.4", "4.5"]
    assert branches.save_support(seeded, stated, NOW) == []
    branches.stand(seeded, NOW.date())
    rows = {row.branch: row for row in branches.list_branches(seeded, NOW.date())}
    assert (rows["4.4"].supported_until, rows["4.4"].support_source) == (date(2026, 12, 31), "stated")
    assert rows["4.5"].supported_until is None, "what SECURITY.md had said before it has taken back"


def test_an_override_wins_over_all_and_is_shown_as_one_until_it_is_lifted(seeded: psycopg.Connection):
    branches.set_branch(seeded, "4.5", NOW, supported_until=date(2026, 7, 1), reason="says the blog")
    row = branches.list_branches(seeded, NOW.date())[2]
    assert (row.support, row.supported_until, row.support_source) == ("eol", date(2026, 7, 1), "override")
    assert row.support_note == "override: says the blog"
    branches.save_support(seeded, [Branch("4.5", date(2027, 2, 2), "SECURITY.md")], NOW)
    branches.stand(seeded, NOW.date())
    assert branches.list_branches(seeded, NOW.date())[2].supported_until == date(2026, 7, 1)
    assert branches.unset_branch(seeded, "4.5", NOW) is True
    assert branches.list_branches(seeded, NOW.date())[2].supported_until == date(2027, 2, 2)
    assert branches.unset_branch(seeded, "4.5", NOW) is False


def test_where_a_branch_stands_can_be_said_without_a_date(seeded: psycopg.Connection):
    branches.set_branch(seeded, "4.5", NOW, support=Support.EOL, reason="too risky")
    row = branches.list_branches(seeded, NOW.date())[2]
    assert (row.support, row.supported_until, row.support_source) == ("eol", date(2027, 1, 8), "override")
    assert row.support_note == "override: too risky; the date: SECURITY.md"
    assert store.load_catalogue(seeded).support((4, 5), NOW.date()) is Support.EOL
    branches.set_branch(seeded, "4.6", NOW, support=Support.PREVIOUS)
    assert branches.list_branches(seeded, NOW.date())[1].support_note == "override"
    assert branches.unset_branch(seeded, "4.5", NOW) is True
    assert supports(seeded) == {"4.7": "main", "4.6": "previous", "4.5": "previous", "4.4": "deprecated"}


def test_a_branch_that_nobody_knows_cannot_be_overridden(seeded: psycopg.Connection):
    with pytest.raises(branches.UnknownBranch):
        branches.set_branch(seeded, "9.9", NOW, supported_until=date(2026, 7, 1))
    assert column(seeded, "SELECT count(*) FROM branch_overrides") == [0]


def test_a_failure_in_the_middle_changes_nothing(seeded: psycopg.Connection):
    before = store.load_catalogue(seeded)
    bad = Release(parse_tag("4.6.2"), None)  # type: ignore[arg-type]  # what the database refuses
    with pytest.raises(psycopg.IntegrityError):
        store.save_releases(seeded, [release("4.6.1", date(2026, 7, 30)), bad], "github", NOW)
    assert store.load_catalogue(seeded) == before


def test_refreshes_at_once_come_one_by_one(seeded: psycopg.Connection, database_url: str):
    problems: list[Exception] = []
    said: list[list[str]] = []
    before = store.revision(seeded)

    def refresh(number: int) -> None:
        with connect(DatabaseSettings(url=database_url)) as own:
            try:
                for patch in range(5):
                    fresh = [release(f"4.6.{patch + 1}", date(2026, 7, number + 1))]
                    said.append(store.save_releases(own, fresh, "github", NOW))
                    said.append(branches.save_support(own, [Branch("4.4", date(2027, 1, number + 1), "x")], NOW))
                    branches.set_branch(own, "4.5", NOW, supported_until=date(2027, 3, number + 1))
                    said.append(["an override"])
            except psycopg.Error as error:
                problems.append(error)

    refreshers = [threading.Thread(target=refresh, args=(number,)) for number in range(4)]
    for refresher in refreshers:
        refresher.start()
    for refresher in refreshers:
        refresher.join(30)
    assert problems == []
    # Whatever anybody called new is a state of its own, and the last of them is what there is.
    assert store.revision(seeded) == before + sum(1 for changes in said if changes)
    known = store.load_catalogue(seeded)
    stored = branches.list_branches(seeded, NOW.date())
    assert column(seeded, "SELECT supported_until FROM branches WHERE branch = '4.5'") == [stored[2].supported_until]
    assert {r.version.release for r in known.releases if r.version.branch == "4.6"} == {f"4.6.{n}" for n in range(6)}
    assert stored[1].latest_release == "4.6.5"


def test_a_catalogue_is_of_one_moment_whoever_is_refreshing(seeded: psycopg.Connection, database_url: str):
    loaded: list[Catalogue] = []

    def load() -> None:
        with connect(DatabaseSettings(url=database_url)) as own:
            loaded.append(store.load_catalogue(own))

    before = store.load_catalogue(seeded)
    with connect(DatabaseSettings(url=database_url)) as refreshing, refreshing.transaction():
        # Who loads has read the releases, and waits for the branches.
        refreshing.execute("LOCK TABLE branches IN ACCESS EXCLUSIVE MODE")
        loader = threading.Thread(target=load)
        loader.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'branches'::regclass"
        assert eventually(lambda: column(seeded, waiting) == [1])
        store.save_releases(refreshing, [release("4.7.0", date(2026, 7, 31))], "github", NOW)
        tell_main(refreshing, "4.8.0-alpha.1", NOW)
        branches.save_support(refreshing, [Branch("4.6", date(2027, 1, 31), "SECURITY.md")], NOW)
    loader.join(30)
    assert loaded == [before]
    assert store.load_catalogue(seeded) != before


def test_where_branches_stand_follows_from_the_newest_catalogue(seeded: psycopg.Connection, database_url: str):
    """One that has read an older one in the middle of a refresh must not write over it."""
    stood: list[list[str]] = []

    def stand() -> None:
        with connect(DatabaseSettings(url=database_url)) as own:
            stood.append(branches.stand(own, NOW.date()))

    with connect(DatabaseSettings(url=database_url)) as refreshing, refreshing.transaction():
        store.save_releases(refreshing, [release("4.7.0", date(2026, 7, 31))], "github", NOW)
        branches.stand(refreshing, NOW.date())
        other = threading.Thread(target=stand)
        other.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        assert eventually(lambda: column(seeded, waiting) == [1])
    other.join(30)
    assert stood == [[]]
    assert column(seeded, "SELECT support FROM branches WHERE branch = '4.7'") == ["latest"]
