"""What a person sees: progress while a run goes on, facts and tables at its end (rich)."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from typing import TextIO

from rich.box import SIMPLE
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from vmcrawl.assignment import RunSummary, Standing
from vmcrawl.document import clean_text

log = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 15.0
#: Outcomes named in a progress line; the rest stands in the summary.
_NAMED = 4
#: No fact is as long: a URL has at most 2048 characters, and a detail may quote one.
_LONGEST_SHOWN = 4096
#: Room for the names of facts.
_NAME_WIDTH = 18


@contextmanager
def progress_display(stream: TextIO) -> Iterator[Callable[[Standing], None]]:
    """Show how a run goes on: a live line on a terminal, a log line now and then elsewhere."""
    if not stream.isatty():
        yield _LogLines()
        return
    # On a narrow terminal it is the outcomes that are cut, never the numbers.
    rest = Column(no_wrap=True, overflow="ellipsis", ratio=1)
    columns = (
        SpinnerColumn(),
        BarColumn(16),
        MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=11)),
        TextColumn("{task.fields[rate]}", table_column=Column(no_wrap=True, min_width=6)),
        TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
        TextColumn("{task.fields[outcomes]}", style="dim", table_column=rest),
    )
    with Progress(*columns, console=Console(file=stream), transient=True, expand=True) as progress:
        task = progress.add_task("crawl", total=None, rate="", outcomes="")
        started = time.monotonic()

        def show(standing: Standing) -> None:
            rate = f"{standing.crawled / max(time.monotonic() - started, 0.001):.0f}/s"
            progress.update(
                task,
                total=max(standing.planned, standing.crawled),
                completed=standing.crawled,
                rate=rate,
                outcomes=_most_frequent(standing.outcomes),
            )

        yield show


class _LogLines:
    """The same for a log: a line every quarter of a minute."""

    def __init__(self) -> None:
        self._started = self._last = time.monotonic()

    def __call__(self, standing: Standing) -> None:
        moment = time.monotonic()
        if moment - self._last < _LOG_EVERY_SECONDS:
            return
        self._last = moment
        log.info(
            "%d of %d crawled, %.0f a second, %d in flight; %s",
            standing.crawled,
            standing.planned,
            standing.crawled / (moment - self._started),
            standing.in_flight,
            _most_frequent(standing.outcomes),
        )


def write_summary(summary: RunSummary, stream: TextIO) -> None:
    """Write how a run ended: a headline, and each outcome with its number."""
    rate = summary.crawled / max(summary.duration_seconds, 0.001)
    headline = (
        f"run {summary.run_id}: {summary.status}; {summary.crawled} of {summary.planned} domains"
        f" in {summary.duration_seconds:.1f} s ({rate:.0f} a second)"
    )
    stream.write(headline + "\n")
    rows = [(outcome, str(number)) for outcome, number in sorted(summary.outcomes.items(), key=_by_number)]
    if rows:
        write_table(stream, ("outcome", "domains"), rows)


def shown(value: object) -> str:
    """One line of text that does nothing to a terminal but to stand there, whoever wrote it (``clean_text``)."""
    return clean_text(str(value), _LONGEST_SHOWN)


def write_facts(stream: TextIO, facts: Iterable[tuple[str, object]]) -> None:
    """Write facts, one a line behind its name, each as :func:`shown`."""
    for name, value in facts:
        stream.write(f"{name:>{_NAME_WIDTH}}: {shown(value)}\n")


def write_json(stream: TextIO, document: object) -> None:
    """Write one line of JSON, with what is no value of JSON as :func:`plain`."""
    fields = asdict(document) if is_dataclass(document) and not isinstance(document, type) else document
    stream.write(json.dumps(fields, default=plain) + "\n")


def plain(value: object) -> object:
    """What JSON and CSV have for a moment (ISO 8601, with its offset), a length of time (seconds) and anything else."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value.total_seconds() if isinstance(value, timedelta) else str(value)


def write_table(stream: TextIO, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table of texts, each as :func:`shown`; columns whose cells are all numbers are aligned to the right."""
    table = Table(box=SIMPLE, pad_edge=False)
    for position, heading in enumerate(headings):
        numeric = all(row[position].replace(",", "").isdigit() or not row[position] for row in rows)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        # As Text: rich would read a string for markup, and for names of emoji.
        table.add_row(*(Text(shown(cell)) for cell in row))
    # Piped output must not be folded at the 80 columns of a terminal that is not there.
    Console(file=stream, highlight=False, width=None if stream.isatty() else 300).print(table)


def write_columns(stream: TextIO, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """As :func:`write_table`, for any number of rows: nothing is folded, and a row takes far less time."""
    texts = [list(headings), *([shown(cell) for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*texts, strict=True)]
    texts.insert(1, ["─" * width for width in widths])
    for cells in texts:
        padded = (f"{cell}{' ' * (width - cell_len(cell))}" for cell, width in zip(cells, widths, strict=True))
        stream.write("  ".join(padded).rstrip() + "\n")


def _most_frequent(outcomes: Mapping[str, int]) -> str:
    named = sorted(outcomes.items(), key=_by_number)[:_NAMED]
    return ", ".join(f"{outcome} {number}" for outcome, number in named)


def _by_number(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
