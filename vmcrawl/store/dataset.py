"""The published data set, row by row: what a list of instances may show, and nothing of anybody else."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import psycopg

from vmcrawl.dataset import CHANGES, HISTORY, INSTANCES, Table
from vmcrawl.store.catalogue import one_state

#: Rows that are fetched, and handed on, together.
_FETCH = 5_000

T = TypeVar("T")
Rows = Sequence[tuple[object, ...]]


def read_dataset(connection: psycopg.Connection, table: Table, reader: Callable[[Iterator[Rows]], T]) -> T:
    """Let ``reader`` take all rows of a table, some thousand at a time, of one state, in a single transaction.

    Returns what it returns.

    Only within one does a cursor live where PgBouncer stands between. It lasts as long as the reader takes: one that
    waits for hours keeps the database from cleaning up.
    """
    with one_state(connection), connection.cursor(name="dataset") as cursor:
        cursor.itersize = _FETCH
        # All of it is wanted, not the first rows soon.
        connection.execute("SET LOCAL cursor_tuple_fraction = 1")
        cursor.execute(_QUERIES[table.name])
        rows = iter(cursor)
        return reader(iter(lambda: list(islice(rows, _FETCH)), []))


_QUERIES = {
    INSTANCES.name: """
SELECT domain, software, fork, version, release, branch, support, patched, active_users, first_seen_at, last_seen_at,
       fix_available_on, failing
FROM public_instances ORDER BY domain
""",
    HISTORY.name: """
SELECT at, run_id, branch, version, instances, active_users, patched
FROM adoption_history WHERE NOT invalid ORDER BY at, run_id, branch, version
""",
    CHANGES.name: """
SELECT domain, observed_at, from_version, to_version, from_release, to_release
FROM version_changes JOIN public_instances USING (domain) ORDER BY observed_at, domain
""",
}
