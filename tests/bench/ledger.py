"""The statements of the hot path on a generated ledger: how long they take, and whether their plans stay the same.

``python -m tests.bench.ledger SIZE [SIZE ...]`` needs no nginx; 5,000,000 domains need some 3 GB of disk.
"""

import hashlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import psycopg

from tests.conftest import temporary_database
from tests.store.builders import ok
from vmcrawl.domain import Domain
from vmcrawl.embedded import running
from vmcrawl.peers import Name
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store import claims, peers, results, robots, runs
from vmcrawl.store.database import Database
from vmcrawl.store.migrations import prepare

T = TypeVar("T")

_BATCH = 500
_ROUNDS = 5
_LEASE = timedelta(minutes=2)
#: One in twenty is published, one in thirty is due; the rest has failed and is put off.
_GENERATE = """
INSERT INTO domains (domain, source, outcome, failures, due_at, last_crawled_at, nodeinfo_url, trusted_until)
SELECT name, 'bench', CASE WHEN good THEN 'ok' ELSE 'dns_not_found' END, CASE WHEN good THEN 0 ELSE 5 END,
       now() + CASE WHEN n %% 30 = 0 THEN -1 ELSE 1 END * random() * interval '7 days', now() - interval '1 day',
       CASE WHEN good THEN 'https://' || name || '/nodeinfo/2.0' END,
       CASE WHEN good THEN now() + interval '12 hours' END
FROM (SELECT n, md5(n::text) || '.example.org' AS name, n %% 20 = 0 AS good FROM generate_series(1, %s) AS n) AS made
"""
_PUBLISH = """
INSERT INTO versions (software, version, parser, revision)
    SELECT 'mastodon', '4.5.' || n, 1, 0 FROM generate_series(0, 399) AS n;
INSERT INTO sightings (domain, version_id, active_users, first_seen_at, last_seen_at)
    SELECT domain, (SELECT min(id) FROM versions) + (hashtext(domain) & 255), 7, now(), now() - interval '1 day'
    FROM domains WHERE outcome = 'ok';
INSERT INTO robots (host, read_at, rules)
    SELECT domain, now() - interval '1 hour', '' FROM domains WHERE outcome = 'ok';
VACUUM ANALYZE;
"""


class _Watched(psycopg.Connection[Any]):
    """Remembers what it was asked, to explain it afterwards."""

    asked: list[tuple[Any, Any]]

    def execute(self, query: Any, params: Any = None, **options: Any) -> psycopg.Cursor[Any]:
        self.asked = [*getattr(self, "asked", []), (query, params)]
        return super().execute(query, params, **options)


def main() -> None:
    """Measure each size in turn."""
    sizes = [int(word.replace(",", "")) for word in sys.argv[1:]] or [10_000, 100_000]
    plans: dict[int, Mapping[str, Sequence[str]]] = {}
    with TemporaryDirectory(prefix="vmcrawl-bench-") as directory, running(Path(directory)) as server_url:
        for size in sizes:
            with temporary_database(server_url) as url:
                plans[size] = _measure(url, size)
    for name, plan in plans[sizes[0]].items():
        same = [size for size in sizes if plans[size][name] == plan]
        sys.stdout.write(f"\n{name}: {'the same plan at every size' if same == sizes else 'PLANS DIFFER'}\n")
        for size in sizes if same != sizes else sizes[:1]:
            sys.stdout.write(f"  {size:>9,}: {', '.join(plans[size][name])}\n")


def generate(url: str, size: int) -> datetime:
    """Fill a new database with a ledger of so many domains; returns what its clock says."""
    database = Database(DatabaseSettings(url=url))
    database.run(lambda connection: prepare(connection, timedelta(days=3)))
    now = database.now()
    database.close()
    started = time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_GENERATE, [size])
        for statement in _PUBLISH.strip().split(";\n"):
            connection.execute(statement.strip().rstrip(";").encode())
    sys.stdout.write(f"\n{size:,} domains, made in {time.monotonic() - started:.0f} s\n")
    return now


def _measure(url: str, size: int) -> Mapping[str, Sequence[str]]:
    now = generate(url, size)
    with _Watched.connect(url, autocommit=True) as connection:
        run_id = runs.start_run(connection, now)
        plans: dict[str, Sequence[str]] = {}
        times: dict[str, list[float]] = {}

        def timed(name: str, work: Callable[[], T]) -> T:
            connection.asked = []
            started = time.perf_counter()
            made = work()
            times.setdefault(name, []).append(time.perf_counter() - started)
            if name not in plans:
                plans[name] = _explain(connection, connection.asked)
            return made

        for _ in range(_ROUNDS):
            mine = timed("claim of 500", lambda: claims.claim(connection, "bench", _BATCH, now, _LEASE, run_id=run_id))
            if mine:
                looks = [ok(claim.domain, now) for claim in mine]
                timed("renewal of its leases", lambda: claims.renew(connection, "bench", now + _LEASE))
                timed("record of 500", partial(results.record, connection, looks, "bench"))
            timed("rules of one host", lambda: robots.recall(connection, "a.example.org", now))
            timed("2,000 names of peers", partial(_add_peers, connection, now, len(times["rules of one host"])))
            timed("count of what is due", lambda: claims.count_due(connection, now))
        for name, taken in times.items():
            sys.stdout.write(f"  {name:<24} {statistics.median(taken) * 1e3:>8.1f} ms (median of {len(taken)})\n")
    return plans


def _add_peers(connection: psycopg.Connection, now: datetime, round_: int) -> peers.Added:
    """New ones, each under a domain of its own, known ones, and some of a crowd."""
    new = [f"new-{round_}-{number}.org" for number in range(1_000)]
    known = [f"{hashlib.md5(str(number).encode()).hexdigest()}.example.org" for number in range(1, 501)]
    crowd = [f"new-{round_}-{number}.example.org" for number in range(500)]
    names = [Name(Domain(name), Domain(name)) for name in new]
    names += [Name(Domain(name), Domain("example.org")) for name in known + crowd]
    return peers.add(connection, names, now, names_per_domain=25, at_most=20_000, spread=timedelta(days=1))


def _explain(connection: _Watched, asked: Sequence[tuple[Any, Any]]) -> Sequence[str]:
    """Which indexes the planner would have read in each of these statements."""
    nodes: list[str] = []
    for query, parameters in asked:
        text = query if isinstance(query, str) else query.decode()
        if text.lstrip().upper().startswith(("SELECT", "WITH", "UPDATE", "INSERT", "DELETE")):
            row = connection.execute(f"EXPLAIN (FORMAT JSON) {text}", parameters).fetchone()
            assert row is not None
            plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
            nodes += _scans(plan[0]["Plan"])
    return nodes


def _scans(node: Mapping[str, Any]) -> Iterator[str]:
    """Which index, or else which table, is read: how joins and sorts are done may change with the numbers."""
    if "Index Name" in node:
        yield node["Index Name"]
    elif node["Node Type"] == "Seq Scan":
        yield f"all of {node['Relation Name']}"
    for child in node.get("Plans", ()):
        yield from _scans(child)


if __name__ == "__main__":
    main()
