"""Writing down what crawls saw: the verdict, what it means for the published row, what the next crawl can use."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import psycopg
from psycopg import errors

from vmcrawl.domain import Domain
from vmcrawl.exposure import Reading
from vmcrawl.observation import Observation
from vmcrawl.outcome import REMOVES_PUBLISHED, Outcome
from vmcrawl.schedule import Appointment
from vmcrawl.store.meanings import write_versions
from vmcrawl.store.robots import remember
from vmcrawl.store.tallies import count
from vmcrawl.tally import add_up

log = logging.getLogger(__name__)

#: A value that Postgres, or psycopg on the way to it, will not have; another batch may still be written.
_SPOILED = (psycopg.DataError, psycopg.IntegrityError, errors.ProgramLimitExceeded, UnicodeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Result:
    """One finished crawl with what was decided about it: when to come again, and what its version means."""

    observation: Observation
    appointment: Appointment
    #: Set for ``ok``, None for every other outcome.
    reading: Reading | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a batch."""

    #: Verdicts that stand in the ledger now; those of an earlier attempt at the same batch count again.
    outcomes: Mapping[str, int] = field(default_factory=dict)
    #: Results that came after their lease had ended; somebody else has crawled the domain, or will.
    lost: int = 0
    #: Verdicts that had to become ``internal_error`` because what was seen could not be stored.
    spoiled: int = 0

    def __add__(self, other: "Recorded") -> "Recorded":
        outcomes = Counter(self.outcomes) + Counter(other.outcomes)
        return Recorded(outcomes, self.lost + other.lost, self.spoiled + other.spoiled)


def record(connection: psycopg.Connection, results: Sequence[Result], holder: str) -> Recorded:
    """Write a batch of results, atomically, for the domains that ``holder`` still has under lease.

    May be called again with the same batch when the connection was lost: nothing is written twice. Rows are locked in
    the order of their keys, table after table, so that any number of writers wait for each other only in one
    direction. If Postgres refuses a value (a NUL, half a surrogate pair, a number out of range), the batch is halved
    until the row is alone: it becomes ``internal_error``, all others are stored.
    """
    latest = {result.observation.domain: result for result in results}
    return _record(connection, [latest[domain] for domain in sorted(latest)], holder)


def _record(connection: psycopg.Connection, results: Sequence[Result], holder: str) -> Recorded:
    if not results:
        return Recorded()
    try:
        with connection.transaction():
            return _write(connection, results, holder)
    except _SPOILED as error:
        spoiled = error
    if len(results) == 1:
        return _record_unstorable(connection, results[0], holder, spoiled)
    # Halves are transactions of their own: while one waits it holds no lock of the other.
    middle = len(results) // 2
    return _record(connection, results[:middle], holder) + _record(connection, results[middle:], holder)


def _record_unstorable(connection: psycopg.Connection, result: Result, holder: str, error: Exception) -> Recorded:
    observation = result.observation
    log.error("the result of %a cannot be stored", observation.domain, exc_info=error)
    bare = Observation(
        observation.domain,
        observation.observed_at,
        Outcome.INTERNAL_ERROR,
        f"what was seen cannot be stored ({type(error).__name__})",
        requests=observation.requests,
        received_bytes=observation.received_bytes,
        duration_seconds=observation.duration_seconds,
    )
    failures = min(max(result.appointment.failures, 1), 1_000_000)
    try:
        with connection.transaction():
            appointment = replace(result.appointment, failures=failures, trusted_until=None)
            written = _write(connection, [Result(bare, appointment)], holder)
    except _SPOILED:
        # Only the name or the times are left to be at fault: the lease runs out, and the domain is due again.
        log.exception("%a cannot have a verdict at all", observation.domain)
        return Recorded(lost=1)
    return replace(written, spoiled=len(written.outcomes))


def _write(connection: psycopg.Connection, results: Sequence[Result], holder: str) -> Recorded:
    runs = _update_ledger(connection, results, holder)
    ours = runs.keys()
    standing = ours | (_written_before(connection, results) if len(ours) < len(results) else set())
    outcomes = Counter(str(r.observation.outcome) for r in results if r.observation.domain in standing)
    kept = [result for result in results if result.observation.domain in ours]
    _add_aliases(connection, kept)
    _write_versions(connection, kept)
    _write_sightings(connection, kept)
    _remove_sightings(connection, kept)
    remember(connection, (rules for result in kept for rules in result.observation.robots))
    # Last, so that the rows of a holder that several share, as in tests, are locked for a moment only.
    _count(connection, kept, runs, holder)
    return Recorded(outcomes, lost=len(results) - len(standing))


def _update_ledger(connection: psycopg.Connection, results: Sequence[Result], holder: str) -> dict[Domain, int]:
    """Write the verdicts of what is under lease; returns the run that each domain was leased for (0: for none)."""
    seen = [result.observation for result in results]
    rows = connection.execute(
        _UPDATE_LEDGER,
        {
            "holder": holder,
            "domains": [o.domain for o in seen],
            "outcomes": [str(o.outcome) for o in seen],
            "details": [o.detail for o in seen],
            "aliases": [o.alias_of if o.outcome is Outcome.ALIAS else None for o in seen],
            "failures": [result.appointment.failures for result in results],
            "due": [result.appointment.due_at for result in results],
            "not_before": [result.appointment.not_before for result in results],
            "nodeinfo_urls": [o.nodeinfo_url for o in seen],
            "validators": [o.validator for o in seen],
            "trusted": [result.appointment.trusted_until for result in results],
            "observed": [o.observed_at for o in seen],
        },
    )
    return dict(rows)


def _written_before(connection: psycopg.Connection, results: Sequence[Result]) -> set[Domain]:
    """Find the results that an earlier attempt wrote, whose success we were not told of."""
    seen = [result.observation for result in results]
    rows = connection.execute(
        "SELECT domains.domain FROM domains"
        " JOIN unnest(%(domains)s::text[], %(outcomes)s::text[], %(observed)s::timestamptz[])"
        "      AS result (domain, outcome, observed_at) ON result.domain = domains.domain"
        " WHERE domains.last_crawled_at = result.observed_at AND domains.outcome = result.outcome",
        {
            "domains": [o.domain for o in seen],
            "outcomes": [str(o.outcome) for o in seen],
            "observed": [o.observed_at for o in seen],
        },
    )
    return {domain for (domain,) in rows}


def _add_aliases(connection: psycopg.Connection, results: Sequence[Result]) -> None:
    named = [(r.observation.alias_of, r.observation.observed_at) for r in results if r.observation.alias_of]
    confirmed = {r.observation.alias_of for r in results if r.observation.outcome is Outcome.ALIAS}
    aliases = sorted({name: seen_at for name, seen_at in named if name in confirmed}.items())
    if aliases:
        connection.execute(
            "INSERT INTO domains (domain, source, added_at, due_at)"
            " SELECT domain, 'alias', seen_at, seen_at"
            " FROM unnest(%s::text[], %s::timestamptz[]) AS alias (domain, seen_at) ORDER BY domain"
            " ON CONFLICT DO NOTHING",
            [[domain for domain, _ in aliases], [seen_at for _, seen_at in aliases]],
        )


def _write_versions(connection: psycopg.Connection, results: Sequence[Result]) -> None:
    write_versions(
        connection,
        {
            (o.software, o.version, o.upstream_version or None): result.reading
            for result in results
            if (o := result.observation).outcome is Outcome.OK
        },
    )


def _write_sightings(connection: psycopg.Connection, results: Sequence[Result]) -> None:
    good = [result.observation for result in results if result.observation.outcome is Outcome.OK]
    if good:
        connection.execute(
            _WRITE_SIGHTINGS,
            {
                "domains": [o.domain for o in good],
                "software": [o.software for o in good],
                "version": [o.version for o in good],
                "upstream": [o.upstream_version for o in good],
                "active_users": [o.active_users for o in good],
                "observed": [o.observed_at for o in good],
            },
        )


def _remove_sightings(connection: psycopg.Connection, results: Sequence[Result]) -> None:
    gone = [r.observation.domain for r in results if r.observation.outcome in REMOVES_PUBLISHED]
    if gone:
        connection.execute("DELETE FROM sightings WHERE domain = ANY (%s)", [gone])


def _count(connection: psycopg.Connection, results: Sequence[Result], runs: Mapping[Domain, int], holder: str) -> None:
    by_run: dict[int, list[Observation]] = {}
    for result in results:
        by_run.setdefault(runs[result.observation.domain], []).append(result.observation)
    for run_id, observations in sorted(by_run.items()):
        count(connection, run_id, holder, add_up(observations))


_UPDATE_LEDGER = """
WITH held AS MATERIALIZED (
    SELECT domain FROM domains
    WHERE domain = ANY (%(domains)s) AND lease_holder = %(holder)s
    ORDER BY domain FOR UPDATE
)
UPDATE domains
SET outcome = result.outcome, detail = result.detail, alias_of = result.alias_of, failures = result.failures,
    due_at = result.due_at, retry_after_until = result.not_before,
    nodeinfo_url = coalesce(result.nodeinfo_url, domains.nodeinfo_url),
    nodeinfo_validator = coalesce(result.validator, domains.nodeinfo_validator), trusted_until = result.trusted_until,
    last_crawled_at = result.observed_at, crawled_in = domains.lease_run,
    leased_until = NULL, lease_holder = NULL, lease_run = NULL, wanted_by = NULL, suspect = false,
    isolated = false
FROM held
JOIN unnest(
    %(domains)s::text[], %(outcomes)s::text[], %(details)s::text[], %(aliases)s::text[], %(failures)s::integer[],
    %(due)s::timestamptz[], %(not_before)s::timestamptz[], %(nodeinfo_urls)s::text[], %(validators)s::text[],
    %(trusted)s::timestamptz[], %(observed)s::timestamptz[]
) AS result (domain, outcome, detail, alias_of, failures, due_at, not_before, nodeinfo_url, validator, trusted_until,
             observed_at)
  ON result.domain = held.domain
WHERE domains.domain = held.domain
RETURNING domains.domain, coalesce(domains.crawled_in, 0)
"""

# A domain that was excluded while its crawl was in flight is not published any more. Nobody else can have moved a
# sighting since the statement began: this transaction holds its domain's row in the ledger.
_WRITE_SIGHTINGS = """
WITH before AS MATERIALIZED (
    SELECT known.domain, known.version_id FROM unnest(%(domains)s::text[]) AS seen (domain)
    CROSS JOIN LATERAL (SELECT domain, version_id FROM sightings WHERE sightings.domain = seen.domain LIMIT 1) AS known
), written AS (
    INSERT INTO sightings (domain, version_id, active_users, first_seen_at, last_seen_at)
    SELECT seen.domain, versions.id, seen.active_users, seen.observed_at, seen.observed_at
    FROM unnest(
        %(domains)s::text[], %(software)s::text[], %(version)s::text[], %(upstream)s::text[],
        %(active_users)s::bigint[], %(observed)s::timestamptz[]
    ) AS seen (domain, software, version, upstream_version, active_users, observed_at)
    JOIN versions
      ON versions.software = seen.software AND versions.version = seen.version
     AND coalesce(versions.upstream_version, '') = coalesce(seen.upstream_version, '')
    WHERE refused_by(seen.domain) IS NULL
    ORDER BY seen.domain COLLATE "C"
    ON CONFLICT (domain) DO UPDATE
    SET version_id = excluded.version_id, active_users = excluded.active_users, last_seen_at = excluded.last_seen_at
    WHERE sightings.last_seen_at < excluded.last_seen_at
    RETURNING domain, version_id, last_seen_at
)
INSERT INTO moves (domain, from_id, to_id, observed_at)
SELECT domain, before.version_id, written.version_id, written.last_seen_at
FROM written JOIN before USING (domain)
WHERE before.version_id <> written.version_id
ORDER BY domain
ON CONFLICT DO NOTHING
"""
