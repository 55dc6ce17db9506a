"""``python -m tests.bench.reclassify``: what it takes to read all stored version strings anew, with 100,000 sightings.

The strings are the labelled ones of ``tests/data/versions.csv``; where more are wanted, with operators' suffixes added.
"""

import argparse
import csv
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from tests.conftest import temporary_database
from vmcrawl.embedded import running
from vmcrawl.knowledge import load_reader, read_anew
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store.catalogue import changed
from vmcrawl.store.connection import connect
from vmcrawl.store.database import Database
from vmcrawl.store.meanings import write_versions
from vmcrawl.store.migrations import prepare

_LABELLED = Path(__file__).parents[1] / "data" / "versions.csv"
#: What upstream does most often: patches on the branches that most servers run. Taken back again, they change as much.
_PATCHES = """
INSERT INTO releases (release, branch, released_on, prerelease, security, source, changed_at)
SELECT branch || '.99', branch, current_date, false, true, 'bench', now()
FROM unnest(ARRAY['4.7', '4.6', '4.5', '4.4']) AS branch
"""
_TAKEN_BACK = "DELETE FROM releases WHERE source = 'bench'"
_SIGHTINGS = """
WITH numbered AS (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS strings FROM versions),
     named AS (SELECT 'd' || n || '.example' AS domain, n FROM generate_series(1, %(sightings)s) AS n),
     added AS (INSERT INTO domains (domain, outcome) SELECT domain, 'ok' FROM named RETURNING domain)
INSERT INTO sightings (domain, version_id, active_users, first_seen_at, last_seen_at)
SELECT domain, id, 10, now(), now() FROM added JOIN named USING (domain) JOIN numbered ON place = n %% strings
"""


def main() -> int:
    """Measure with few and with many strings; medians in seconds."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reclassify", description=__doc__)
    parser.add_argument("--sightings", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--runs", type=int, default=5, help="how often; medians are shown (default: %(default)s)")
    arguments = parser.parse_args()
    labelled = _labelled()
    with TemporaryDirectory(prefix="vmcrawl-bench-") as directory, running(Path(directory)) as server_url:
        for number in (len(labelled), 5_000):
            with _stored(server_url, _strings(labelled, number), arguments.sightings) as (database, connection):
                _measure(database, connection, number, arguments)
    return 0


def _measure(database: Database, connection: psycopg.Connection, number: int, arguments: argparse.Namespace) -> None:
    today = database.now().date()
    first, read = _seconds(lambda: read_anew(database, today))
    rounds = []
    for round_ in range(arguments.runs):
        connection.execute(_TAKEN_BACK if round_ % 2 else _PATCHES)
        changed(connection)
        rounds.append(_seconds(lambda: read_anew(database, today)))
    known, _ = _seconds(lambda: read_anew(database, today))
    sys.stdout.write(
        f"{arguments.sightings} sightings of {number} strings: all read for the first time in {first:.2f} s"
        f" ({read} changed); after patches on four branches"
        f" {statistics.median(seconds for seconds, _ in rounds):.2f} s ({rounds[-1][1]} changed);"
        f" where nothing has changed {known * 1000:.1f} ms\n"
    )


def _seconds(work: Callable[[], int]) -> tuple[float, int]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


@contextmanager
def _stored(
    server_url: str, strings: list[tuple[str, str]], sightings: int
) -> Iterator[tuple[Database, psycopg.Connection]]:
    """A database in which so many servers run these (software, version)."""
    with temporary_database(server_url) as url, connect(DatabaseSettings(url=url)) as connection:
        prepare(connection, timedelta(days=3))
        database = Database(DatabaseSettings(url=url))
        reader = load_reader(database, database.now().date())
        with connection.transaction():
            write_versions(connection, {(*said, None): reader.read(*said, None) for said in strings})
        # As a parser before the first would have left them.
        connection.execute("UPDATE versions SET release = NULL, parser = 0, revision = 0, exposures = ''")
        connection.execute("DELETE FROM version_advisories")
        connection.execute(_SIGHTINGS, {"sightings": sightings})
        connection.execute("ANALYZE")
        yield database, connection
        database.close()


def _labelled() -> list[tuple[str, str]]:
    with _LABELLED.open(encoding="utf-8", newline="") as file:
        said = ((row["software"], json.loads(row["raw_json"])) for row in csv.DictReader(file))
        # As many as can be stored: some of the others are there to be refused.
        return list(dict.fromkeys(one for one in said if isinstance(one[1], str) and one[1].isprintable() and one[1]))


def _strings(labelled: list[tuple[str, str]], number: int) -> list[tuple[str, str]]:
    numbers = [
        version.partition("+")[0] for software, version in labelled if software == "mastodon" and version[0] == "4"
    ]
    more = (("mastodon", f"{numbers[place % len(numbers)]}+op.{place}") for place in range(number - len(labelled)))
    return [*labelled, *more]


if __name__ == "__main__":
    sys.exit(main())
