"""What a crawled domain costs Postgres: CPU, log, disk and the time of a connection, without any crawling.

``python -m tests.bench.capacity [SIZE] [BATCH]``: four writers claim and record what is due on a generated ledger, as
many crawler processes would. From these numbers follows how large a Postgres a ledger needs; see deploy/README.md.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from tests.bench.ledger import generate
from tests.conftest import temporary_database
from tests.store.builders import failed, ok
from vmcrawl.embedded import running
from vmcrawl.outcome import Outcome
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store import claims, history, results, runs
from vmcrawl.store.connection import connect
from vmcrawl.store.database import Database

_WRITERS = 4
_SECONDS = 20.0
_LEASE = timedelta(minutes=2)
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Meter:
    """What Postgres has used so far."""

    at: float
    cpu_seconds: float
    log_bytes: int
    active_seconds: float


def main() -> None:
    """Measure one size."""
    words = [*sys.argv[1:3], *("1000000", "100")[len(sys.argv) - 1 :]]
    size, batch = (int(word.replace(",", "")) for word in words)
    with (
        TemporaryDirectory(prefix="vmcrawl-bench-") as directory,
        running(Path(directory)) as server_url,
        temporary_database(server_url) as url,
    ):
        now = generate(url, size)
        for name, seconds in _whole_ledger(url, now):
            sys.stdout.write(f"  {name:<36} {seconds:>8.2f} s\n")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("UPDATE domains SET due_at = now() - interval '1 hour' WHERE due_at > now()")
            connection.execute("VACUUM ANALYZE domains")
            connection.execute("CHECKPOINT")
        before = _meter(url, Path(directory))
        with ProcessPoolExecutor(_WRITERS, mp_context=get_context("forkserver")) as pool:
            done = sum(pool.map(partial(_write, url, batch), range(_WRITERS)))
        after = _meter(url, Path(directory))
        _tell(size, batch, done, before, after, url)


def _whole_ledger(url: str, now: datetime) -> Iterator[tuple[str, float]]:
    """How long the statements take that read all of it: once a run, or once a scrape."""
    with connect(DatabaseSettings(url=url)) as connection:
        run_id = runs.start_run(connection, now)
        questions: dict[str, Callable[[], object]] = {
            "start of a run: what is due": lambda: claims.count_due(connection, now),
            "end of a run: what is missing": lambda: history.sight(connection, run_id, now - timedelta(days=4)),
            "a scrape: the ledger by outcome": lambda: connection.execute("SELECT * FROM ledger_states").fetchall(),
        }
        for name, ask in questions.items():
            started = time.perf_counter()
            ask()
            yield name, time.perf_counter() - started


def _write(url: str, batch: int, number: int) -> int:
    database, done = Database(DatabaseSettings(url=url)), 0
    now, holder = database.now(), f"bench#{number}"
    run_id = database.run(lambda connection: runs.start_run(connection, now))
    ends = time.monotonic() + _SECONDS
    while time.monotonic() < ends:
        mine = database.run(partial(claims.claim, holder=holder, limit=batch, now=now, lease=_LEASE, run_id=run_id))
        looks = [
            ok(claim.domain, now) if claim.last else failed(claim.domain, Outcome.DNS_NOT_FOUND, now) for claim in mine
        ]
        database.run(partial(results.record, results=looks, holder=holder))
        done += len(mine)
    database.close()
    return done


def _meter(url: str, directory: Path) -> Meter:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        row = connection.execute(
            "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, active_time / 1000"
            " FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    postmaster = (directory / "data" / "postmaster.pid").read_text().splitlines()[0]
    return Meter(time.monotonic(), _cpu(postmaster), row[0], row[1])


def _cpu(pid: str) -> float:
    """Seconds of CPU of a process, its children that have ended, and those that are there."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(map(int, fields[11:15])) / _TICKS
    return own + sum(_cpu(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def _tell(size: int, batch: int, done: int, before: Meter, after: Meter, url: str) -> None:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT pg_total_relation_size('domains') / %(size)s, pg_total_relation_size('sightings')"
            " / (SELECT count(*) FROM sightings), pg_database_size(current_database()) / %(size)s",
            {"size": size},
        ).fetchone()
    assert row is not None
    sys.stdout.write(
        f"\n{size:,} domains, {_WRITERS} writers, batches of {batch}: {done:,} domains claimed and recorded,"
        f" {done / (after.at - before.at):,.0f} a second\n"
        f"  per domain: {(after.cpu_seconds - before.cpu_seconds) / done * 1e3:.3f} ms of CPU in Postgres,"
        f" {(after.active_seconds - before.active_seconds) / done * 1e3:.3f} ms of a connection's time,"
        f" {(after.log_bytes - before.log_bytes) / done:,.0f} bytes of log (WAL)\n"
        f"  on disk: {row[0]:,} bytes a domain with its indexes, {row[1]:,} a published one more,"
        f" {row[2]:,} a domain in all\n"
    )


if __name__ == "__main__":
    main()
