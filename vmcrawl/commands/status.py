"""``vmcrawl status``: the queue, runs and who works on them, what fails, how fresh all is; once, or again and again."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import count
from typing import Any

from rich.console import RenderableType
from rich.live import Live

from vmcrawl.commands.dashboard import console_for, draw, lost
from vmcrawl.commands.database import readable_database
from vmcrawl.commands.display import write_json
from vmcrawl.commands.machines import by_machine
from vmcrawl.commands.standing import Rates, Status
from vmcrawl.interruption import Interruption
from vmcrawl.settings import Settings
from vmcrawl.store import adoption, standing
from vmcrawl.store.connection import DatabaseUnavailable
from vmcrawl.store.database import Database
from vmcrawl.store.standing import LedgerPart, Work, first_permitted

_RUNS = 10
_LARGEST = 5
_EVERY_SECONDS = 2.0
_SHORTEST_SECONDS = 0.2


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "status",
        help="queue, rates, runs and machines, outcomes, what fails, published versions",
        epilog="for example:\n  vmcrawl status --watch 5",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="as one JSON object")
    how.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=_EVERY_SECONDS,
        metavar="SECONDS",
        help="again and again, until Ctrl-C or SIGTERM (default: every 2 seconds)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Show how things stand; 130 or 143 if somebody has ended the watching."""
    # Whoever watches wants to be told at once that the database is gone.
    patience = None if arguments.watch is None else ()
    with Interruption(), readable_database(settings, patience) as database:
        if arguments.watch is not None:
            _watch(database, arguments.watch)
        status = read_status(database)
    if arguments.json:
        write_json(sys.stdout, _document(status))
    else:
        console_for(sys.stdout).print(draw(status))
    return 0


def read_status(database: Database, before: tuple[float, Work | None] | None = None) -> Status:
    """Ask all there is to ask, as far as this user may; rates are those since ``before``, or of the last minute.

    ``before`` is a moment on :func:`time.monotonic`, and the work that had been done by then.
    """

    def ask(*questions: Callable[[Any], Any]) -> Any:
        return database.run(lambda connection: first_permitted(connection, *questions))

    now = database.now()
    parts = ask(standing.parts)
    holders = ask(partial(standing.holders, now=now))
    ledger = ask(partial(standing.ledger, now=now), standing.ledger_sums)
    work, moment = ask(standing.work_sums), time.monotonic()
    return Status(
        at=now,
        ledger=ledger,
        leases=None if holders is not None else ask(standing.lease_sums),
        rates=_rates(ledger, before, moment, work),
        runs=ask(partial(standing.runs, limit=_RUNS), partial(standing.run_sums, limit=_RUNS)),
        parts=parts,
        machines=None if parts is None or holders is None else by_machine(parts, holders),
        failing=ask(partial(standing.failing, largest=_LARGEST), standing.failing_sums),
        sources=ask(standing.sources, standing.source_sums),
        catalogue=ask(standing.catalogue_sums),
        versions=ask(adoption.version_counts, adoption.version_sums),
        pause=ask(standing.pause, standing.pause_sums),
        work=(moment, work),
    )


def _rates(
    ledger: Sequence[LedgerPart] | None, before: tuple[float, Work | None] | None, moment: float, work: Work | None
) -> Rates | None:
    if before is not None and before[1] is not None and work is not None and moment > before[0]:
        seconds, then = moment - before[0], before[1]
        return Rates(
            (work.crawls - then.crawls) / seconds,
            (work.requests - then.requests) / seconds,
            (work.received_bytes - then.received_bytes) / seconds,
        )
    minute = [part.last_minute for part in ledger or () if part.last_minute is not None]
    return Rates(sum(minute) / 60) if minute or ledger == [] else None


def _document(status: Status) -> dict[str, object]:
    """As JSON: what cannot be read by this user is null."""
    fields = asdict(status)
    ledger = fields.pop("ledger")
    fields.pop("work")
    known = status.queue
    return {
        **fields,
        "queue": None if known is None else asdict(known),
        "outcomes": None
        if ledger is None
        else {part["outcome"] or "never crawled": part["domains"] for part in ledger},
        "last_day": status.last_day,
    }


def _watch(database: Database, seconds: float) -> None:
    """Show it again and again; ended by the exception that a signal raises."""
    before: tuple[float, Work | None] | None = None
    last: Status | None = None
    with _screen() as show:
        for attempt in count():
            try:
                last = read_status(database, before)
                before = last.work
                show(draw(last))
            except DatabaseUnavailable as error:
                if attempt == 0:
                    raise
                before = None
                show(lost(str(error), last))
            time.sleep(seconds)


@contextmanager
def _screen() -> Iterator[Callable[[RenderableType], None]]:
    """Where pictures follow each other: in place on a terminal, below each other elsewhere."""
    console = console_for(sys.stdout)
    if not sys.stdout.isatty():

        def append(picture: RenderableType) -> None:
            console.print(picture)
            sys.stdout.flush()

        yield append
        return
    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        yield partial(live.update, refresh=True)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not _SHORTEST_SECONDS <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"must be from {_SHORTEST_SECONDS:g} to 86400 seconds")
    return seconds
