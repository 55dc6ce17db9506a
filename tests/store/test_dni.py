"""What a DNI list, and the operator, say of whom to list nowhere and whom never to ask; and what follows at once."""

from datetime import timedelta

import psycopg
import pytest

from tests.store.builders import NOW, claim, column, crawl, ok, start
from vmcrawl.dnilist import DniList, Listed, Severity
from vmcrawl.domain import Domain
from vmcrawl.plausible import Implausible
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store import claims, dni, dni_imports, exclusions, results
from vmcrawl.store.connection import connect
from vmcrawl.store.dni import Effect, Removal
from vmcrawl.store.dni_imports import KEPT, Origin, changes_page, drop_list, past_imports, replace_list, stamp_of_last
from vmcrawl.store.migrations import migrate, released

A, B, C, D = (Domain(f"{name}.example") for name in "abcd")
HARD, SOFT = Severity.HARD, Severity.SOFT
TABLES = ("dni", "dni_listed", "dni_waivers", "dni_imports", "dni_changes")


def a_list(*names: str, severity: Severity = SOFT, comment: str = "", header: bool = True) -> DniList:
    return DniList({Domain(name): Listed(severity, comment) for name in names}, header, 0, 0, 0, ())


def many(number: int, **changes: object) -> DniList:
    return a_list(*(f"s{n:03}.example" for n in range(number)), **changes)  # type: ignore[arg-type]  # by name


def take(connection: psycopg.Connection, listed: DniList, **more: object) -> dni_imports.Imported:
    return replace_list(connection, listed, Origin("test"), NOW, **more)  # type: ignore[arg-type]  # by name


def entries(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT domain, severity, source FROM dni ORDER BY domain").fetchall()


def everything(connection: psycopg.Connection) -> dict[str, list[str]]:
    return {table: sorted(map(str, connection.execute(f"SELECT * FROM {table}".encode()))) for table in TABLES}


def test_an_import_takes_the_place_of_the_one_before_and_says_what_has_changed(connection: psycopg.Connection):
    first = take(connection, many(10, comment="old"))
    assert (first.entries, first.added, first.removed, first.changed) == (10, 10, 0, 0)
    names = [f"s{n:03}.example" for n in range(1, 9)]
    entries_now = {**{Domain(name): Listed(SOFT, "old") for name in names}, A: Listed(HARD, "")}
    entries_now[Domain("s001.example")] = Listed(HARD, "worse")
    second = take(connection, DniList(entries_now, True, 0, 0, 0, ()))
    assert (second.entries, second.added, second.removed, second.changed) == (9, 1, 2, 1)
    assert [(c.change, c.domain, c.old_severity, c.severity) for c in second.changes] == [
        ("added", A, None, "hard"),
        ("changed", "s001.example", "soft", "hard"),
        ("removed", "s000.example", "soft", None),
        ("removed", "s009.example", "soft", None),
    ]
    assert column(connection, "SELECT domain FROM dni ORDER BY domain") == sorted(entries_now)
    newest = past_imports(connection)[0]
    assert (newest.added, newest.removed, newest.changed) == (1, 2, 1)
    assert changes_page(connection, newest.id) == sorted(second.changes, key=lambda change: change.domain)


def test_the_same_list_again_changes_nothing_and_leaves_no_trace(connection: psycopg.Connection):
    take(connection, many(10))
    before = everything(connection)
    again = take(connection, many(10))
    assert again.counts == {"added": 0, "removed": 0, "changed": 0}
    assert everything(connection) == before


def test_of_the_first_import_no_changes_are_kept_since_all_is_new(connection: psycopg.Connection):
    take(connection, many(10))
    assert column(connection, "SELECT count(*) FROM dni_changes") == [0]
    assert [one.added for one in past_imports(connection)] == [10]


def test_a_dry_run_says_the_same_and_changes_nothing(connection: psycopg.Connection):
    crawl(connection, ok(A))
    take(connection, many(10))
    before = everything(connection)
    names = ("a.example", *(f"s{n:03}.example" for n in range(9)))
    imported = take(connection, a_list(*names, severity=HARD), dry_run=True)
    assert (imported.added, imported.removed, imported.changed, imported.effect) == (1, 1, 9, Effect(taken_down=1))
    assert everything(connection) == before
    assert column(connection, "SELECT domain FROM instances") == [A]
    assert drop_list(connection, NOW, dry_run=True)[0] == 10
    assert everything(connection) == before


@pytest.mark.parametrize(("left", "refused"), [(8, False), (7, True), (0, True)])
def test_a_list_that_lacks_more_than_a_fifth_is_refused_unless_it_is_forced(
    connection: psycopg.Connection, left: int, refused: bool
):
    take(connection, many(10))
    if refused:
        before = everything(connection)
        with pytest.raises(Implausible, match=f"{10 - left} of 10 entries of the list are missing"):
            take(connection, many(left))
        assert everything(connection) == before
        take(connection, many(left), force=True)
    else:
        take(connection, many(left))
    assert column(connection, "SELECT count(*) FROM dni") == [left]


def test_a_list_that_has_lost_its_header_is_refused_unless_it_is_forced(connection: psycopg.Connection):
    take(connection, many(10))
    with pytest.raises(Implausible, match="no header"):
        take(connection, many(11, header=False))
    assert column(connection, "SELECT count(*) FROM dni") == [10]
    take(connection, many(11, header=False), force=True)
    take(connection, many(12, header=False))
    assert column(connection, "SELECT count(*) FROM dni") == [12]


def test_what_was_entered_by_hand_outranks_the_list_and_no_import_touches_it(connection: psycopg.Connection):
    dni.add(connection, A, HARD, "mine", NOW)
    dni.add(connection, B, SOFT, None, NOW)
    imported = take(connection, a_list("a.example", "c.example", comment="theirs"))
    assert imported.manual == 1
    mine = (A, "hard", "manual"), (B, "soft", "manual")
    assert entries(connection) == [*mine, (C, "soft", "import")]
    take(connection, a_list("c.example", "d.example"), force=True)
    assert entries(connection) == [*mine, (C, "soft", "import"), (D, "soft", "import")]
    assert column(connection, "SELECT comment FROM dni WHERE domain = 'a.example'") == ["mine"]


def test_an_entry_by_hand_that_is_removed_leaves_what_the_list_says(connection: psycopg.Connection):
    take(connection, a_list("a.example", comment="theirs"))
    dni.add(connection, A, HARD, None, NOW)
    assert entries(connection) == [(A, "hard", "manual")]
    assert dni.remove(connection, A, NOW) == (Removal.LISTED, Effect())
    assert connection.execute("SELECT severity, source, comment FROM dni").fetchall() == [("soft", "import", "theirs")]
    dni.add(connection, B, HARD, None, NOW)
    assert dni.remove(connection, B, NOW)[0] is Removal.GONE
    assert dni.remove(connection, B, NOW)[0] is Removal.UNKNOWN


def test_an_entry_of_the_list_that_is_removed_stays_out_until_it_is_restored(connection: psycopg.Connection):
    take(connection, a_list("a.example", "b.example"))
    assert dni.remove(connection, A, NOW, "friends")[0] is Removal.WAIVED
    assert entries(connection) == [(B, "soft", "import")]
    assert take(connection, a_list("a.example", "b.example", "c.example")).waived == 1
    assert entries(connection) == [(B, "soft", "import"), (C, "soft", "import")]
    (waiver,) = dni.list_waivers(connection)
    assert (waiver.domain, waiver.listed, waiver.comment) == (A, True, "friends")
    # By hand it can be entered all the same, and be taken out again.
    dni.add(connection, A, SOFT, None, NOW)
    assert dni.remove(connection, A, NOW)[0] is Removal.GONE
    assert dni.restore(connection, A, NOW)[0] is True
    assert entries(connection)[0] == (A, "soft", "import")
    assert dni.restore(connection, A, NOW)[0] is False


def test_entering_a_domain_again_changes_severity_and_keeps_the_comment(connection: psycopg.Connection):
    dni.add(connection, A, SOFT, "why", NOW)
    dni.add(connection, A, HARD, None, NOW + timedelta(days=1))
    (entry,) = dni.list_page(connection)
    assert (entry.severity, entry.comment, entry.added_at) == ("hard", "why", NOW)


def test_a_soft_entry_is_counted_and_listed_nowhere_at_once(connection: psycopg.Connection):
    below = Domain("x.a.example")
    crawl(connection, ok(A), ok(below), ok(B))
    take(connection, a_list("a.example"))
    assert column(connection, "SELECT domain FROM public_instances") == [B]
    assert column(connection, "SELECT count(*) FROM instances") == [3]
    dni.remove(connection, A, NOW)
    assert column(connection, "SELECT count(*) FROM public_instances") == [3]


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_hard_entry_takes_rows_down_at_once_and_its_removal_makes_them_due(
    connection: psycopg.Connection, by_hand: bool
):
    below = Domain("x.a.example")
    crawl(connection, ok(A), ok(below), ok(B))
    if by_hand:
        effect = dni.add(connection, A, HARD, None, NOW)
    else:
        effect = take(connection, a_list("a.example", severity=HARD)).effect
    assert effect == Effect(taken_down=2)
    assert column(connection, "SELECT domain FROM instances") == [B]
    assert claims.load_exclusions(connection).covers(below)
    connection.execute("UPDATE domains SET outcome = 'excluded' WHERE domain IN ('a.example', 'x.a.example')")
    exclusions.exclude(connection, [below], NOW)
    later = NOW + timedelta(minutes=1)
    if by_hand:
        assert dni.remove(connection, A, later) == (Removal.GONE, Effect(freed=1))
    else:
        softened = replace_list(connection, a_list("a.example"), Origin("test"), later)
        assert softened.effect == Effect(freed=1), "soft is not never"
    assert column(connection, "SELECT domain FROM domains WHERE due_at = %s", later) == [A]
    assert not claims.load_exclusions(connection).covers(A)


def test_a_crawl_in_flight_when_a_hard_entry_comes_is_not_published(connection: psycopg.Connection):
    run_id = start(connection, [A])
    claim(connection, run_id)
    take(connection, a_list("example", severity=HARD))
    assert results.record(connection, [ok(A)], "me").outcomes == {"ok": 1}
    assert column(connection, "SELECT domain FROM instances") == []


def test_a_dropped_list_leaves_what_was_entered_by_hand(connection: psycopg.Connection):
    dni.add(connection, A, HARD, None, NOW)
    take(connection, a_list("b.example", "c.example"))
    assert drop_list(connection, NOW) == (2, Effect())
    assert entries(connection) == [(A, "hard", "manual")]
    assert stamp_of_last(connection) == "", "what is at the address is to be heard as a whole"
    take(connection, a_list("d.example", header=False))
    assert (D, "soft", "import") in entries(connection)


def test_the_stamp_is_that_of_the_list_that_is_there(connection: psycopg.Connection):
    assert stamp_of_last(connection) == ""
    replace_list(connection, many(10), Origin("https://a.example/list", "one"), NOW)
    assert stamp_of_last(connection) == "one"
    replace_list(connection, many(10), Origin("file.csv"), NOW)
    assert stamp_of_last(connection) == ""


def test_so_many_imports_are_remembered_and_no_more(connection: psycopg.Connection):
    for number in range(KEPT + 3):
        take(connection, many(10, comment=str(number)))
    assert len(past_imports(connection)) == KEPT
    assert column(connection, "SELECT count(DISTINCT import_id) FROM dni_changes") == [KEPT]


def test_entries_are_listed_page_by_page_and_by_what_they_are(connection: psycopg.Connection):
    take(connection, many(25))
    dni.add(connection, A, HARD, None, NOW)
    pages, after = [], ""
    while page := dni.list_page(connection, after=after, size=10):
        pages.append(len(page))
        after = page[-1].domain
    assert pages == [10, 10, 6]
    assert [entry.domain for entry in dni.list_page(connection, severity="hard")] == [A]
    assert len(dni.list_page(connection, source="import")) == 25
    assert dni.list_page(connection, source="import", severity="hard") == []


def test_whoever_may_only_read_learns_nothing_of_a_list(connection: psycopg.Connection):
    take(connection, many(10))
    take(connection, many(11))
    dni.remove(connection, Domain("s000.example"), NOW)
    connection.execute("SET ROLE vmcrawl_reader")
    for table in TABLES:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"SELECT * FROM {table}".encode())


def test_what_was_imported_before_there_were_lists_is_a_list(empty_database_url: str):
    with connect(DatabaseSettings(url=empty_database_url)) as connection:
        migrate(connection, [migration for migration in released() if migration.number < 9])
        connection.execute("INSERT INTO dni VALUES ('a.example', 'hard', 'why', 'import', now())")
        connection.execute("INSERT INTO dni (domain) VALUES ('b.example')")
        migrate(connection)
        assert take(connection, a_list("a.example", severity=HARD, comment="why")).counts == {
            "added": 0,
            "removed": 0,
            "changed": 0,
        }
        assert entries(connection) == [(A, "hard", "import"), (B, "soft", "manual")]
