"""``vmcrawl status``: the queue, the last runs, the outcomes, and which versions are published."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from vmcrawl.commands.database import readable_database
from vmcrawl.commands.display import write_json, write_table
from vmcrawl.interruption import Interruption
from vmcrawl.settings import Settings
from vmcrawl.store.database import Database
from vmcrawl.store.runs import Run, recent_runs
from vmcrawl.store.show import Queue, VersionCount, outcome_counts, queue, version_counts

_RUNS = 5


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser("status", help="queue, last runs, outcomes, published versions")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Show how things stand."""
    with Interruption(), readable_database(settings) as database:
        status = _read(database, datetime.now(UTC))
    if arguments.json:
        write_json(sys.stdout, status)
    else:
        _write(status)
    return 0


@dataclass(frozen=True, slots=True)
class _Status:
    queue: Queue
    runs: Sequence[Run]
    outcomes: dict[str, int]
    versions: Sequence[VersionCount]


def _read(database: Database, now: datetime) -> _Status:
    counted = database.run(outcome_counts)
    return _Status(
        queue=database.run(lambda connection: queue(connection, now)),
        runs=database.run(lambda connection: recent_runs(connection, _RUNS)),
        outcomes={outcome or "never crawled": number for outcome, number in counted.items()},
        versions=database.run(version_counts),
    )


def _write(status: _Status) -> None:
    waiting = status.queue
    sys.stdout.write(f"{waiting.domains} domains, {waiting.due} due, {waiting.leased} being crawled\n")
    if status.runs:
        write_table(sys.stdout, ("run", "started", "status", "planned", "crawled"), [_run_row(r) for r in status.runs])
    if status.outcomes:
        rows = [(outcome, str(number)) for outcome, number in status.outcomes.items()]
        write_table(sys.stdout, ("verdict", "domains"), rows)
    if status.versions:
        headings = ("branch", "support", "instances", "active users", "patched", "most frequent releases")
        write_table(sys.stdout, headings, list(_branch_rows(status.versions)))


def _run_row(run: Run) -> tuple[str, ...]:
    return str(run.id), f"{run.started_at:%Y-%m-%d %H:%M}", run.status, str(run.planned), str(run.crawled)


def _branch_rows(versions: Sequence[VersionCount]) -> Iterator[tuple[str, ...]]:
    for branch, counts in groupby(sorted(versions, key=_branch_key, reverse=True), key=lambda count: count.branch):
        of_branch = list(counts)
        instances = sum(count.instances for count in of_branch)
        users = sum(count.active_users for count in of_branch)
        patched = sum(count.instances for count in of_branch if count.patched)
        by_release: dict[str, int] = {}
        for count in of_branch:
            by_release[count.release or "?"] = by_release.get(count.release or "?", 0) + count.instances
        frequent = sorted(by_release.items(), key=lambda item: -item[1])[:3]
        releases = ", ".join(f"{release} ({number})" for release, number in frequent)
        yield (
            branch or "?",
            of_branch[0].support or "?",
            str(instances),
            str(users),
            f"{patched / instances:.0%}",
            releases,
        )


def _branch_key(count: VersionCount) -> list[int]:
    return [int(part) for part in (count.branch or "0").split(".")]
