"""What all commands that ask sources have in common: how the result is shown, and the exit code."""

import argparse
import os
import sys
from collections.abc import Callable

from vmcrawl.commands.database import ready_database
from vmcrawl.commands.display import write_json, write_table
from vmcrawl.interruption import Interruption
from vmcrawl.refresh import Answer, Asked, Refreshed
from vmcrawl.settings import Settings
from vmcrawl.store.database import Database

#: Longer lists are only counted.
_SHOWN = 5


def refreshing(refresh: Callable[[Database, Settings], Refreshed]) -> Callable[[argparse.Namespace, Settings], int]:
    """The ``run`` of a command that refreshes once."""

    def run(arguments: argparse.Namespace, settings: Settings) -> int:
        with Interruption(), ready_database(settings) as database:
            refreshed = refresh(database, settings)
        write_refreshed(refreshed, as_json=arguments.json)
        return exit_code(refreshed.worst)

    return run


def write_refreshed(refreshed: Refreshed, *, as_json: bool) -> None:
    """Write what each source answered."""
    if as_json:
        write_json(sys.stdout, refreshed)
    else:
        _write(refreshed)
    sys.stdout.flush()


def exit_code(worst: Answer) -> int:
    """0 if all sources have answered; 1 if one cannot be used, else 75 if one is down, slow or rate-limited."""
    return {Answer.FAILED: 1, Answer.UNAVAILABLE: os.EX_TEMPFAIL}.get(worst, 0)


def _write(refreshed: Refreshed) -> None:
    write_table(sys.stdout, ("source", "answer", "new, or why not"), [_row(asked) for asked in refreshed.sources])
    if refreshed.branches:
        sys.stdout.write(f"branches that stand elsewhere now: {', '.join(refreshed.branches)}\n")
    sys.stdout.write(f"{refreshed.versions} distinct versions mean something else now\n")


def _row(asked: Asked) -> tuple[str, ...]:
    more = len(asked.changes) - _SHOWN
    changes = ", ".join(asked.changes[-_SHOWN:])
    return asked.source, asked.answer, asked.detail or (f"{changes} and {more} more" if more > 0 else changes)
