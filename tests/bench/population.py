"""A database as it is after months of crawling: a ledger, published instances, runs, and what they have cost."""

import csv
import json
from datetime import timedelta
from pathlib import Path

import psycopg

from vmcrawl.knowledge import load_reader
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.database import Database
from vmcrawl.store.meanings import write_versions
from vmcrawl.store.migrations import prepare
from vmcrawl.tally import DURATION_BOUNDS

_LABELLED = Path(__file__).parents[1] / "data" / "versions.csv"
#: How the domains end that are no published instance; about as 81,155 hosts of the Fediverse did in December 2023.
_OUTCOMES = (
    *("dns_not_found",) * 20,
    *("not_mastodon",) * 14,
    *("http_4xx",) * 10,
    *("tls_certificate",) * 6,
    *("connection_unreachable",) * 5,
    *("timeout",) * 5,
    *(
        "http_5xx",
        "http_5xx",
        "bad_json",
        "bad_json",
        "tls_handshake",
        "connection_refused",
        "dns_failure",
        "opted_out",
    ),
)
_INSTANCES = """
WITH numbered AS (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS strings
                  FROM versions WHERE release IS NOT NULL),
     named AS (SELECT md5(n::text) || '.example' AS domain, n FROM generate_series(1, %(instances)s) AS n),
     added AS (INSERT INTO domains (domain, outcome, due_at, last_crawled_at, nodeinfo_url, trusted_until)
               SELECT domain, CASE WHEN n %% 50 = 0 THEN 'timeout' ELSE 'ok' END,
                      now() + random() * interval '3 hours', now() - random() * interval '3 hours',
                      'https://' || domain || '/nodeinfo/2.0', now() + interval '12 hours'
               FROM named RETURNING domain)
INSERT INTO sightings (domain, version_id, active_users, first_seen_at, last_seen_at)
SELECT domain, id, n %% 1000, now() - interval '300 days', now() - random() * interval '30 hours'
FROM added JOIN named USING (domain) JOIN numbered ON place = n %% strings
"""
_OTHERS = """
INSERT INTO domains (domain, outcome, detail, failures, due_at, last_crawled_at)
SELECT md5(n::text) || '.other.example', (%(outcomes)s::text[])[1 + n %% %(number)s], 'as it is said in one line', 5,
       now() + (random() - 0.03) * interval '7 days', now() - random() * interval '7 days'
FROM generate_series(1, %(others)s) AS n
"""
_LEASED = """
UPDATE domains SET lease_holder = 'p' || (hashtext(domain) & 7), leased_until = now() + interval '1 minute'
WHERE domain IN (SELECT domain FROM domains LIMIT 2000)
"""
_RUNS = """
INSERT INTO runs (started_at, finished_at, heartbeat_at, status, host, planned, crawled, outcomes)
SELECT at, at + interval '20 minutes', at + interval '20 minutes', 'success', 'bench', 30000, 30000,
       '{"ok": 20000, "timeout": 900, "dns_not_found": 9000}'
FROM generate_series(now() - interval '400 days', now() - interval '1 hour', interval '1 hour') AS at
"""
_TALLIES = """
INSERT INTO tallies (run_id, holder, outcome, crawls, requests, received_bytes, seconds, durations)
SELECT run, 'p' || process, outcome, 1000, 2000, 4000000, 500, array_fill(100::bigint, ARRAY[%(buckets)s])
FROM unnest(ARRAY[0, 1, 2]) AS run, generate_series(1, 16) AS process, unnest(%(outcomes)s::text[]) AS outcome
ON CONFLICT DO NOTHING
"""


def populate(url: str, domains: int, instances: int) -> None:
    """Fill an empty database: so many domains, of which so many are published instances of all labelled versions."""
    database = Database(DatabaseSettings(url=url))
    database.run(lambda connection: prepare(connection, timedelta(days=3)))
    reader = load_reader(database, database.now().date())
    database.close()
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.transaction():
            write_versions(connection, {(*said, None): reader.read(*said, None) for said in _labelled()})
        connection.execute(_INSTANCES, {"instances": instances})
        outcomes = list(_OUTCOMES)
        others = {"outcomes": outcomes, "number": len(outcomes), "others": domains - instances}
        connection.execute(_OTHERS, others)
        connection.execute(_LEASED)
        connection.execute(_RUNS)
        connection.execute(_TALLIES, {"outcomes": outcomes, "buckets": len(DURATION_BOUNDS) + 1})
        connection.execute("VACUUM ANALYZE")


def _labelled() -> list[tuple[str, str]]:
    with _LABELLED.open(encoding="utf-8", newline="") as file:
        said = ((row["software"], json.loads(row["raw_json"])) for row in csv.DictReader(file))
        return list(dict.fromkeys(one for one in said if isinstance(one[1], str) and one[1].isprintable() and one[1]))
