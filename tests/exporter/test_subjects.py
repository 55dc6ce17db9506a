"""What each subject reads from a real database, odd rows included."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.exporter.numbers import scrape
from tests.exporter.published import prepared, publish
from tests.store.builders import NOW, claim, crawl, failed, ok, start
from vmcrawl.domain import Domain
from vmcrawl.exporter.subjects.adoption import channel_of, software_label
from vmcrawl.labels import known_branches, known_releases
from vmcrawl.outcome import REMOVES_PUBLISHED, Outcome
from vmcrawl.settings import RetentionSettings
from vmcrawl.store import runs
from vmcrawl.store.catalogue import load_catalogue
from vmcrawl.store.runs import RunStatus
from vmcrawl.store.upkeep import sweep

DAY = timedelta(days=1)


@pytest.fixture
def stocked(connection: psycopg.Connection) -> psycopg.Connection:
    """A database that knows what the package knows of upstream."""
    prepared(connection)
    return connection


def test_adoption_by_branch_and_whether_it_is_patched(stocked, database_url):
    publish(stocked, "a.example", users=100)
    publish(stocked, "b.example", release="4.5.3", patched=False, users=7)
    publish(stocked, "c.example", release="4.5.3", patched=False, users=5)
    publish(stocked, "d.example", release="4.2.1", branch="4.2", patched=False, users=0)
    publish(stocked, "gone.example", seen_at=datetime.now(UTC) - 4 * DAY)
    numbers = scrape(database_url)
    assert numbers.by("vmcrawl_instances", "branch", "patched") == {
        ("4.5", "true"): 1,
        ("4.5", "false"): 2,
        ("4.2", "false"): 1,
    }
    assert numbers.by("vmcrawl_monthly_active_users", "branch", "patched") == {
        ("4.5", "true"): 100,
        ("4.5", "false"): 12,
    }
    assert numbers.of("vmcrawl_instances", branch="4.6", patched="true") == 0, "somebody is expected to run it"
    assert numbers.of("vmcrawl_instances", branch="1.5", patched="false") is None, "nobody is"


def test_instances_of_a_dni_list_count(stocked, database_url):
    publish(stocked, "a.example")
    stocked.execute("INSERT INTO dni (domain) VALUES ('a.example')")
    assert scrape(database_url).total("vmcrawl_instances") == 1


def test_what_cannot_be_read_is_counted_as_other_and_unknown(stocked, database_url):
    publish(stocked, "a.example", release=None, branch=None, patched=None, fork=None, users=3)
    publish(stocked, "b.example", release="9.9.9", branch="9.9", patched=None, fork="made up", software="made up")
    numbers = scrape(database_url)
    assert numbers.by("vmcrawl_instances", "branch", "patched") == {("other", "unknown"): 2}
    assert numbers.by("vmcrawl_software_instances", "software", "fork") == {
        ("mastodon", "other"): 1,
        ("other", "other"): 1,
    }
    assert numbers.by("vmcrawl_prerelease_instances", "channel") == {"other": 1, "stable": 1}
    assert numbers.by("vmcrawl_version_instances", "version", "branch") == {("other", "other"): 2}
    assert numbers.of("vmcrawl_branch_info", branch="other", support="unknown", latest_version="") == 1


def test_what_may_be_named_is_the_same_for_the_present_and_for_the_past(stocked):
    """The view says it in SQL, for scrapes; ``vmcrawl.labels`` in Python, for the export of the history."""
    said = [("4.5.16", "4.5"), ("4.5.999", "4.5"), ("4.8.0-alpha.1", "4.8"), ("4.8.0-nightly.2026-01-01", "4.8")]
    for number, (release, branch) in enumerate([*said, ("9.9.9", "9.9"), ("1.0.0", "1.0")]):
        publish(stocked, f"d{number}.example", release=release, branch=branch)
    known = load_catalogue(stocked)
    branches, releases = known_branches(known), known_releases(known)
    rows = stocked.execute("SELECT branch, release, known_branch, known_release FROM adoption").fetchall()
    assert {row[:2]: row[2:] for row in rows} == {row[:2]: (row[0] in branches, row[1] in releases) for row in rows}
    assert len({row[2:] for row in rows}) == 3, "known, only the branch, and neither"


def test_exact_releases_are_those_of_upstream_with_most_instances(stocked, database_url):
    for position, release in enumerate(["4.5.16", "4.5.16", "4.5.16", "4.5.15", "4.5.15", "4.5.14", "4.5.999"]):
        publish(stocked, f"d{position}.example", release=release, users=10)
    assert scrape(database_url).by("vmcrawl_version_instances", "version") == {
        "4.5.16": 3,
        "4.5.15": 2,
        "4.5.14": 1,
        "other": 1,
    }
    numbers = scrape(database_url, versions=2)
    assert numbers.by("vmcrawl_version_instances", "version") == {"4.5.16": 3, "4.5.15": 2, "other": 2}
    assert numbers.by("vmcrawl_version_monthly_active_users", "version") == {"4.5.16": 30, "4.5.15": 20, "other": 20}
    assert scrape(database_url, versions=0).by("vmcrawl_version_instances", "version") == {"other": 7}


def test_software_forks_and_channels(stocked, database_url):
    publish(stocked, "a.example", fork="glitch", release="4.6.0-rc.1", branch="4.6", users=1)
    publish(stocked, "b.example", fork="hometown", software="Hometown ", users=2)
    publish(
        stocked, "c.example", fork="waka", software="和歌", release="4.7.0-nightly.2026-07-09", branch="4.7", users=4
    )
    numbers = scrape(database_url)
    assert numbers.by("vmcrawl_software_monthly_active_users", "software", "fork") == {
        ("mastodon", "glitch"): 1,
        ("hometown", "hometown"): 2,
        ("waka", "waka"): 4,
    }
    assert numbers.by("vmcrawl_prerelease_monthly_active_users", "channel") == {"rc": 1, "stable": 2, "nightly": 4}
    assert numbers.of("vmcrawl_prerelease_instances", channel="beta") == 0


def test_labels_of_software_and_channel():
    assert [software_label(name) for name in ("mastodon", " KMYBLUE", "和歌", "x" * 1_000_000, "", None)] == [
        *("mastodon", "kmyblue", "waka", "other", "other", "other")
    ]
    assert [channel_of(release) for release in ("4.5.6", "4.6.0-rc.1", "4.6.0-alpha", "4.6.0-odd.1", "", None)] == [
        *("stable", "rc", "alpha", "other", "other", "other")
    ]


def test_the_catalogue(stocked, database_url):
    stocked.execute(
        "UPDATE branches SET support = 'deprecated', supported_until = '2026-12-17', latest_release = '4.4.23',"
        " latest_released_on = '2026-08-13' WHERE branch = '4.4'"
    )
    stocked.execute("UPDATE branches SET support = 'eol', supported_until = '2001-01-01' WHERE branch = '4.1'")
    stocked.execute("INSERT INTO sources (name, fetched_at) VALUES ('releases', '2026-11-01Z'), ('commits', NULL)")
    numbers = scrape(database_url)
    assert numbers.of("vmcrawl_branch_info", branch="4.4", support="deprecated", latest_version="4.4.23") == 1
    end = datetime(2026, 12, 18, tzinfo=UTC).timestamp()
    assert numbers.of("vmcrawl_branch_support_end_timestamp_seconds", branch="4.4") == end, "of that day"
    assert numbers.of("vmcrawl_branch_support_end_timestamp_seconds", branch="4.1") is None, "long ago"
    came_out = datetime(2026, 8, 13, tzinfo=UTC).timestamp()
    assert numbers.of("vmcrawl_release_published_timestamp_seconds", branch="4.4", version="4.4.23") == came_out
    assert "4.1" not in numbers.by("vmcrawl_release_published_timestamp_seconds", "branch")
    stocked.execute(
        "INSERT INTO releases SELECT '4.4.' || n, '4.4', current_date - n, false, true, 'test', now()"
        " FROM generate_series(100, 130) AS n"
    )
    recent = scrape(database_url).by("vmcrawl_release_published_timestamp_seconds", "version")
    assert len(recent) == 16
    assert {"4.4.23", "4.4.100"} <= recent.keys()
    asked = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    assert numbers.of("vmcrawl_catalogue_last_update_timestamp_seconds", source="releases") == asked
    for never in ("commits", "advisories"):
        assert numbers.of("vmcrawl_catalogue_last_update_timestamp_seconds", source=never) == 0


def test_exposure_of_the_newest_advisories(stocked, database_url):
    stocked.execute("DELETE FROM advisories")
    stocked.execute(
        "INSERT INTO advisories (ghsa_id, severity, title, published, ranges, patched, source, changed_at) VALUES"
        " ('GHSA-1', 'high', '', '2026-01-01', '', '', '', now()), ('GHSA-2', 'moderate', '', NULL, '', '', '', now()),"
        " ('GHSA-3', 'dreadful', '', '2026-02-01', '', '', '', now()),"
        " ('GHSA-' || repeat('x', 200), 'high', '', '2026-03-01', '', '', '', now())"
    )
    one = publish(stocked, "a.example", users=100)
    publish(stocked, "b.example", users=7)
    other = publish(stocked, "c.example", release="4.4.1", branch="4.4", users=1)
    stocked.execute(
        "INSERT INTO version_advisories VALUES (%(one)s, 'GHSA-1'), (%(other)s, 'GHSA-1'), (%(other)s, 'GHSA-2')",
        {"one": one, "other": other},
    )
    numbers = scrape(database_url)
    assert numbers.by("vmcrawl_exposed_instances", "advisory", "severity") == {
        ("GHSA-1", "high"): 3,
        ("GHSA-2", "medium"): 1,
    }
    assert numbers.of("vmcrawl_exposed_instances", advisory="GHSA-3", severity="unknown") == 0
    assert numbers.of("vmcrawl_exposed_monthly_active_users", advisory="GHSA-1", severity="high") == 108
    newest = scrape(database_url, advisories=2)
    assert newest.of("vmcrawl_exposed_instances", advisory="GHSA-3", severity="unknown") == 0
    assert newest.of("vmcrawl_exposed_instances", advisory="GHSA-1", severity="high") is None


def test_patch_delays_as_the_last_run_found_them(stocked, database_url):
    stocked.execute(
        "INSERT INTO uptakes VALUES"
        " ('4.5', '4.5.16', '2026-08-13', now(), 10, 1000, 6, 900, '2 days', '1 day', NULL, '3 days 01:00'),"
        " ('4.1', '4.1.25', '2026-08-13', now(), 10, 1000, 6, 900, '2 days', '1 day', NULL, NULL)"
    )
    stocked.execute("UPDATE branches SET support = 'previous' WHERE branch = '4.5'")
    stocked.execute("UPDATE branches SET support = 'eol' WHERE branch = '4.1'")
    numbers = scrape(database_url)
    assert numbers.by("vmcrawl_patch_delay_seconds", "branch", "version", "share", "weight") == {
        ("4.5", "4.5.16", "0.5", "instances"): 2 * 86_400,
        ("4.5", "4.5.16", "0.5", "users"): 86_400,
        ("4.5", "4.5.16", "0.9", "users"): 3 * 86_400 + 3_600,
    }
    assert numbers.by("vmcrawl_patch_instances", "adopted") == {"true": 6, "false": 4}
    assert numbers.by("vmcrawl_patch_monthly_active_users", "adopted") == {"true": 900, "false": 100}


def test_the_ledger(stocked, database_url):
    crawl(stocked, ok(Domain("a.example")), failed(Domain("b.example"), Outcome.TIMEOUT))
    stocked.execute("INSERT INTO domains (domain) VALUES ('new.example'), ('old.example')")
    stocked.execute("UPDATE domains SET due_at = now() - interval '7 hours' WHERE domain = 'old.example'")
    stocked.execute("UPDATE domains SET outcome = 'of the future' WHERE domain = 'b.example'")
    publish(stocked, "c.example", outcome="http_5xx", seen_at=datetime.now(UTC) - 2 * DAY)
    publish(stocked, "d.example", outcome="later")
    publish(stocked, "e.example", outcome="even later")
    numbers = scrape(database_url)
    assert numbers.by("vmcrawl_domains", "outcome") == {"ok": 1, "never_crawled": 2, "other": 3, "http_5xx": 1}
    assert numbers.of("vmcrawl_domains", outcome="timeout") == 0
    assert numbers.by("vmcrawl_failing_instances", "outcome") == {"http_5xx": 1, "other": 2}
    assert numbers.by("vmcrawl_due_domains", "overdue") == {"true": 1, "false": 1}
    waits_since = numbers.of("vmcrawl_oldest_due_timestamp_seconds")
    assert waits_since == pytest.approx((NOW - timedelta(hours=7)).timestamp(), abs=600)
    assert numbers.of("vmcrawl_stale_domains") == 1
    seen_at = numbers.of("vmcrawl_oldest_check_timestamp_seconds")
    assert seen_at == pytest.approx((NOW - 2 * DAY).timestamp(), abs=600)
    outcomes = {label for (name, pairs) in numbers.samples if name == "vmcrawl_failing_instances" for _, label in pairs}
    assert outcomes == set(map(str, Outcome)) - set(map(str, REMOVES_PUBLISHED)) - {"ok"} | {"other"}


def test_leases_and_who_holds_them(stocked, database_url):
    run = start(stocked, [Domain(f"{name}.example") for name in "abcd"])
    claim(stocked, run, "one", limit=2)
    claim(stocked, run, "two", limit=1)
    claim(stocked, run, "dead", limit=1)
    stocked.execute("UPDATE domains SET leased_until = now() - interval '1 hour' WHERE lease_holder = 'dead'")
    numbers = scrape(database_url)
    assert numbers.by("vmcrawl_leases", "state") == {"held": 3, "expired": 1}
    assert numbers.by("vmcrawl_run_shards", "state") == {"running": 2, "lost": 1}


def test_the_last_run_and_the_one_that_goes_on(stocked, database_url):
    good = runs.start_run(stocked, NOW - 3 * DAY)
    runs.finish_run(stocked, good, NOW - 3 * DAY, RunStatus.SUCCESS, {"ok": 1})
    last = runs.start_run(stocked, NOW - DAY)
    runs.plan(stocked, last, 9)
    runs.finish_run(stocked, last, NOW - DAY + timedelta(seconds=90), RunStatus.PARTIAL, {"ok": 5, "of the future": 2})
    stocked.execute("UPDATE runs SET requests = 12, received_bytes = 3456 WHERE id = %s", [last])
    current = runs.start_run(stocked, NOW)
    runs.plan(stocked, current, 7)
    runs.heartbeat(stocked, current, NOW, {"ok": 3})
    numbers = scrape(database_url)
    assert numbers.of("vmcrawl_run_last_start_timestamp_seconds") == pytest.approx((NOW - DAY).timestamp())
    assert numbers.of("vmcrawl_run_last_duration_seconds") == 90
    assert numbers.of("vmcrawl_run_last_completion_timestamp_seconds") == pytest.approx((NOW - DAY).timestamp() + 90)
    assert numbers.of("vmcrawl_run_last_success_timestamp_seconds") == pytest.approx((NOW - 3 * DAY).timestamp())
    assert numbers.by("vmcrawl_run_last_status", "status") == {"partial": 1}
    assert numbers.of("vmcrawl_run_last_status", status="success") == 0
    assert numbers.of("vmcrawl_run_last_planned_domains") == 9
    assert numbers.by("vmcrawl_run_last_domains", "outcome") == {"ok": 5, "other": 2}
    assert numbers.of("vmcrawl_run_last_requests") == 12
    assert numbers.of("vmcrawl_run_last_received_bytes") == 3456
    assert numbers.of("vmcrawl_run_in_progress") == 1
    assert numbers.of("vmcrawl_run_current_start_timestamp_seconds") == pytest.approx(NOW.timestamp())
    assert numbers.of("vmcrawl_run_current_planned_domains") == 7
    assert numbers.of("vmcrawl_run_current_processed_domains") == 3
    assert numbers.by("vmcrawl_runs_total", "status") == {"success": 1, "partial": 1}


def test_what_the_last_run_cost_is_known_as_soon_as_it_has_ended(stocked, database_url):
    """Not only once somebody has swept up behind it, or when a run came to its end by being given up."""
    crawl(stocked, ok(Domain("a.example"), requests=4, received_bytes=9_000))
    (run,) = stocked.execute("SELECT id FROM runs").fetchone() or (0,)
    runs.finish_run(stocked, run, NOW, RunStatus.SUCCESS, {"ok": 1})
    for _ in range(2):
        numbers = scrape(database_url)
        assert numbers.of("vmcrawl_run_last_requests") == numbers.of("vmcrawl_requests_total") == 4
        assert numbers.of("vmcrawl_run_last_received_bytes") == 9_000
        sweep(stocked, NOW, RetentionSettings())


def test_a_run_by_hand_is_not_the_last_run_unless_there_is_no_other(stocked, database_url):
    first = runs.start_run(stocked, NOW - 2 * DAY, by_hand=True)
    runs.finish_run(stocked, first, NOW - 2 * DAY, RunStatus.SUCCESS, {"ok": 2})
    alone = scrape(database_url)
    assert alone.by("vmcrawl_run_last_domains", "outcome") == {"ok": 2}
    assert alone.of("vmcrawl_run_last_success_timestamp_seconds") == pytest.approx((NOW - 2 * DAY).timestamp())
    whole = runs.start_run(stocked, NOW - DAY)
    runs.finish_run(stocked, whole, NOW - DAY, RunStatus.PARTIAL, {"ok": 5})
    by_hand = runs.start_run(stocked, NOW, by_hand=True)
    runs.finish_run(stocked, by_hand, NOW, RunStatus.SUCCESS, {"ok": 1})
    numbers = scrape(database_url)
    assert numbers.by("vmcrawl_run_last_status", "status") == {"partial": 1}
    assert numbers.by("vmcrawl_run_last_domains", "outcome") == {"ok": 5}
    assert numbers.of("vmcrawl_run_last_success_timestamp_seconds") == 0
    assert numbers.by("vmcrawl_runs_total", "status") == {"partial": 1, "success": 2}, "they are runs all the same"


def test_before_the_first_run_times_are_zero_so_that_alerts_can_see_it(stocked, database_url):
    numbers = scrape(database_url)
    for name in ("start", "completion", "success"):
        assert numbers.of(f"vmcrawl_run_last_{name}_timestamp_seconds") == 0
    assert numbers.of("vmcrawl_run_in_progress") == 0
    assert "vmcrawl_run_current_start_timestamp_seconds" not in numbers.names()


def test_what_crawls_have_cost(stocked, database_url):
    crawl(
        stocked,
        ok(Domain("a.example"), requests=4, received_bytes=9_000, duration_seconds=0.2),
        failed(Domain("b.example"), Outcome.TIMEOUT, requests=1, duration_seconds=40),
    )
    numbers = scrape(database_url)
    assert numbers.by("vmcrawl_crawls_total", "outcome") == {"ok": 1, "timeout": 1}
    assert numbers.of("vmcrawl_crawls_total", outcome="bad_json") == 0
    assert (numbers.of("vmcrawl_requests_total"), numbers.of("vmcrawl_received_bytes_total")) == (5, 9_000)
    buckets = {
        bound: numbers.of("vmcrawl_crawl_duration_seconds_bucket", le=bound) for bound in ("0.1", "0.25", "30.0")
    }
    assert buckets == {"0.1": 0, "0.25": 1, "30.0": 1}
    assert numbers.of("vmcrawl_crawl_duration_seconds_bucket", le="+Inf") == 2
    assert numbers.of("vmcrawl_crawl_duration_seconds_count") == 2
    assert numbers.of("vmcrawl_crawl_duration_seconds_sum") == pytest.approx(40.2)
