"""``python -m tests.bench.prune``: what pruning costs where much is old at once, and what it leaves to vacuum.

Writes for each table how long it took, the longest transaction, how many dead rows there are afterwards, and how large
the table is before, after, and when as many rows have been added again (autovacuum has had its turn in between).
"""

import argparse
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from tests.conftest import temporary_database
from vmcrawl.embedded import running
from vmcrawl.settings import DatabaseSettings, RetentionSettings
from vmcrawl.store.connection import connect
from vmcrawl.store.migrations import prepare
from vmcrawl.store.prune import prune

_OLD = {
    "robots": "INSERT INTO robots SELECT %(tag)s || n || '.example', now() - interval '8 days', '' FROM {numbers}",
    "moves": "INSERT INTO moves SELECT 'd' || n %% 1000, 1, 2, now() - interval '900 days'"
    " + make_interval(secs => n + length(%(tag)s)) FROM {numbers}",
    "runs": "INSERT INTO runs (started_at, finished_at, heartbeat_at, status, host)"
    " SELECT t, t, t, 'success', %(tag)s FROM {numbers}, LATERAL (SELECT now() - interval '500 days' AS t) AS at",
    # A hundred releases, a page every hour.
    "adoption_history": "INSERT INTO adoption_history"
    " SELECT now() - interval '100 days' - make_interval(hours => n / 100),"
    " n / 100 + length(%(tag)s) * 1000000, '4.5', (n %% 100)::text, 1, 1, true FROM {numbers}",
}
_YOUNG = {
    "robots": "INSERT INTO robots SELECT 'y' || n || '.example', now(), '' FROM {numbers}",
    "moves": "INSERT INTO moves SELECT 'd' || n %% 1000, 1, 2, now() + make_interval(secs => n) FROM {numbers}",
    "runs": "SELECT 1",
    "adoption_history": "INSERT INTO adoption_history SELECT now() - make_interval(hours => n / 3000),"
    " n / 100 + 500000000, '4.5', (n %% 100)::text, 1, 1, true FROM {numbers}",
}


def main() -> int:
    """Fill, prune, look, wait for autovacuum, fill again."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.prune", description=__doc__)
    parser.add_argument("--rows", type=int, default=250_000, help="old ones in each table (default: %(default)s)")
    parser.add_argument("--vacuum-within", type=float, default=90, help="seconds (default: %(default)s)")
    arguments = parser.parse_args()
    with (
        TemporaryDirectory(prefix="vmcrawl-bench-") as directory,
        running(Path(directory) / "postgres") as server_url,
        temporary_database(server_url) as url,
        connect(DatabaseSettings(url=url)) as connection,
    ):
        connection.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
        connection.execute("SELECT pg_reload_conf()")
        prepare(connection, timedelta(days=3))
        connection.execute("INSERT INTO domains (domain) SELECT 'd' || n FROM generate_series(0, 999) AS n")
        connection.execute(
            "INSERT INTO versions (software, version, parser) VALUES ('mastodon', '1', 1), ('mastodon', '2', 1)"
        )
        sys.stdout.write(
            f"{'':<18}{'rows':>9}{'s':>7}{'longest':>9}{'dead':>9}{'':>4}{'MB before':>10}{'after':>7}{'again':>7}\n"
        )
        for table in _OLD:
            _measure(connection, url, table, arguments.rows, arguments.vacuum_within)
    return 0


def _measure(connection: psycopg.Connection, url: str, table: str, rows: int, patience: float) -> None:
    _fill(connection, _OLD[table], rows, "o")
    _fill(connection, _YOUNG[table], rows, "y")
    connection.execute(f"VACUUM ANALYZE {table}".encode())
    before = _megabytes(connection, table)
    watch = _Watch(url)
    started = time.monotonic()
    pruned = prune(connection, datetime.now(UTC), RetentionSettings())
    seconds = time.monotonic() - started
    longest = watch.end()
    dead = _dead(connection, table)
    after = _megabytes(connection, table)
    end = time.monotonic() + patience
    while _dead(connection, table) > 0.1 * rows and time.monotonic() < end:
        time.sleep(0.5)
    _fill(connection, _OLD[table], pruned.rows, "again")
    again = _megabytes(connection, table)
    prune(connection, datetime.now(UTC), RetentionSettings())
    sys.stdout.write(
        f"{table:<18}{pruned.rows:>9,}{seconds:>7.1f}{longest * 1000:>6.0f} ms{dead:>9,}{'':>4}"
        f"{before:>10.1f}{after:>7.1f}{again:>7.1f}\n"
    )
    sys.stdout.flush()


def _fill(connection: psycopg.Connection, statement: str, rows: int, tag: str) -> None:
    numbers = f"generate_series(1, {rows}) AS n"
    parameters = {"tag": tag} if "%(" in statement else None
    connection.execute(
        statement.replace("%%", "%" if parameters is None else "%%").format(numbers=numbers).encode(), parameters
    )


class _Watch:
    """How long the longest transaction of the pruning connection takes, as others see it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ending = threading.Event()
        self._longest = 0.0
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def end(self) -> float:
        self._ending.set()
        self._thread.join()
        return self._longest

    def _look(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._ending.wait(0.002):
                row = connection.execute(
                    "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float"
                    " FROM pg_stat_activity WHERE application_name = 'vmcrawl'"
                ).fetchone()
                assert row is not None
                self._longest = max(self._longest, row[0])


def _dead(connection: psycopg.Connection, table: str) -> int:
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = %s", [table]).fetchone()
    assert row is not None
    return int(row[0])


def _megabytes(connection: psycopg.Connection, table: str) -> float:
    row = connection.execute("SELECT pg_total_relation_size(%s::regclass) / 1e6::float", [table]).fetchone()
    assert row is not None
    return float(row[0])


if __name__ == "__main__":
    sys.exit(main())
