"""What crawls have cost and how they ended: counters that outlive every process."""

from collections.abc import Mapping

import psycopg

from vmcrawl.tally import Tally


def count(connection: psycopg.Connection, run_id: int, holder: str, tallies: Mapping[str, Tally]) -> None:
    """Add tallies by outcome to what ``holder`` has done for a run.

    Called inside the transaction that writes the verdicts, so that a crawl counts exactly if its verdict does.
    """
    connection.execute(
        _COUNT,
        {
            "run_id": run_id,
            "holder": holder,
            "outcomes": list(tallies),
            "crawls": [tally.crawls for tally in tallies.values()],
            "requests": [tally.requests for tally in tallies.values()],
            "received": [tally.received_bytes for tally in tallies.values()],
            "seconds": [tally.seconds for tally in tallies.values()],
            # Arrays in an array would have to be unnested as one.
            "durations": ["{" + ",".join(map(str, tally.durations)) + "}" for tally in tallies.values()],
        },
    )


def fold(connection: psycopg.Connection) -> int:
    """Add up what was done for runs that are over, and note the sums in ``runs``; returns how many rows that saves.

    A run that has a name and has failed or was interrupted waits a week: somebody may go on with it, and count on.
    May be called by many at once: each row is folded by one of them.
    """
    return connection.execute(_FOLD).rowcount


_ADD = """
ON CONFLICT (run_id, holder, outcome) DO UPDATE
SET crawls = tallies.crawls + excluded.crawls, requests = tallies.requests + excluded.requests,
    received_bytes = tallies.received_bytes + excluded.received_bytes, seconds = tallies.seconds + excluded.seconds,
    durations = (SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY bucket)
                 FROM unnest(tallies.durations, excluded.durations) WITH ORDINALITY AS each (a, b, bucket))
"""
_COUNT = f"""
INSERT INTO tallies (run_id, holder, outcome, crawls, requests, received_bytes, seconds, durations)
SELECT %(run_id)s, %(holder)s, done.outcome, done.crawls, done.requests, done.received_bytes,
       round(done.seconds::numeric, 6), done.durations::bigint[]
FROM unnest(
    %(outcomes)s::text[], %(crawls)s::bigint[], %(requests)s::bigint[], %(received)s::bigint[],
    %(seconds)s::double precision[], %(durations)s::text[]
) AS done (outcome, crawls, requests, received_bytes, seconds, durations)
ORDER BY done.outcome COLLATE "C"
{_ADD}"""
_FOLD = f"""
WITH finished AS MATERIALIZED (
    SELECT run_id, holder, outcome FROM tallies
    WHERE run_id <> 0 AND run_id NOT IN (
        SELECT id FROM runs
        WHERE status = 'running'
           OR name IS NOT NULL AND status IN ('failed', 'interrupted') AND finished_at > now() - interval '7 days')
    ORDER BY run_id, holder, outcome FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM tallies USING finished
    WHERE (tallies.run_id, tallies.holder, tallies.outcome) = (finished.run_id, finished.holder, finished.outcome)
    RETURNING tallies.*
), noted AS (
    UPDATE runs SET requests = runs.requests + of_run.requests,
                    received_bytes = runs.received_bytes + of_run.received_bytes
    FROM (SELECT run_id, sum(requests) AS requests, sum(received_bytes) AS received_bytes
          FROM taken GROUP BY run_id) AS of_run
    WHERE runs.id = of_run.run_id
)
INSERT INTO tallies (run_id, holder, outcome, crawls, requests, received_bytes, seconds, durations)
SELECT 0, '', outcome, sum(crawls), sum(requests), sum(received_bytes), sum(seconds),
       (SELECT array_agg(total ORDER BY bucket)
        FROM (SELECT bucket, sum(number)::bigint AS total
              FROM taken AS same, unnest(same.durations) WITH ORDINALITY AS each (number, bucket)
              WHERE same.outcome = taken.outcome GROUP BY bucket) AS summed)
FROM taken
GROUP BY outcome
ORDER BY outcome
{_ADD}"""
