"""Domains, results and moments for the tests of the store."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import psycopg

from vmcrawl.catalogue import Support
from vmcrawl.domain import Domain
from vmcrawl.exposure import Reading
from vmcrawl.meaning import Meaning
from vmcrawl.observation import Observation
from vmcrawl.outcome import Outcome
from vmcrawl.schedule import Appointment
from vmcrawl.store import claims, ledger, results, runs
from vmcrawl.store.claims import Claim
from vmcrawl.store.results import Recorded, Result

#: Whole microseconds near the real time: ``instances`` compares with the clock of the database.
NOW = datetime.now(UTC)
LEASE = timedelta(minutes=5)
MEANING = Meaning(release="4.5.6", branch="4.5", fork="mastodon", support=Support.LATEST, patched=True, parser=1)


def names(number: int) -> list[Domain]:
    """``number`` domains in alphabetical order."""
    return [Domain(f"d{index:05}.example") for index in range(number)]


def ok(domain: Domain, at: datetime = NOW, **changes: object) -> Result:
    """A good look at a healthy server."""
    seen: dict[str, object] = {
        "software": "mastodon",
        "version": "4.5.6",
        "active_users": 16,
        "nodeinfo_url": f"https://{domain}/nodeinfo/2.0",
    }
    observation = Observation(domain, at, Outcome.OK, **{**seen, **changes})  # type: ignore[arg-type]  # by name
    return Result(observation, Appointment(at + timedelta(hours=3), 0), Reading(MEANING))


def failed(domain: Domain, outcome: Outcome, at: datetime = NOW, **changes: object) -> Result:
    """A crawl that ended otherwise, for the second time."""
    observation = Observation(domain, at, outcome, "as the test wants it", **changes)  # type: ignore[arg-type]  # by name
    return Result(observation, Appointment(at + timedelta(hours=2), 2))


def start(connection: psycopg.Connection, domains: Sequence[Domain] = (), at: datetime = NOW) -> int:
    """Open a run, with some domains due."""
    ledger.add_domains(connection, domains, "test", at)
    return runs.start_run(connection, at, "test")


def claim(
    connection: psycopg.Connection,
    run_id: int,
    holder: str = "me",
    limit: int = 1000,
    at: datetime = NOW,
    named: bool = False,
    suspects: bool = False,
) -> list[Claim]:
    """Claim for five minutes."""
    return claims.claim(connection, holder, limit, at, LEASE, run_id=run_id, named=named, suspects=suspects)


def crawl(connection: psycopg.Connection, *batch: Result, holder: str = "me") -> Recorded:
    """Let a worker claim the domains of ``batch`` and record it."""
    at = batch[0].observation.observed_at
    run_id = start(connection, [result.observation.domain for result in batch], at)
    connection.execute(
        "UPDATE domains SET due_at = %s WHERE domain = ANY (%s)", [at, [r.observation.domain for r in batch]]
    )
    claim(connection, run_id, holder, at=at)
    return results.record(connection, batch, holder)


def column(connection: psycopg.Connection, query: str, *parameters: object) -> list[object]:
    """The first column of a query's answer."""
    return [row[0] for row in connection.execute(query.encode(), parameters)]


def leave_page(
    connection: psycopg.Connection,
    run_id: int,
    at: datetime,
    *rows: tuple[str, str, bool | None, int, int],
    invalid: bool = False,
) -> None:
    """Write what a run left in ``adoption_history``: branch, release, patched, instances and active users of each."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO adoption_history (at, run_id, branch, version, patched, instances, active_users, invalid)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [(at, run_id, *row, invalid) for row in rows],
        )
