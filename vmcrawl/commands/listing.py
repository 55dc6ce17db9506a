"""Lists that may be longer than anybody wants to hold: as tables, CSV or JSON lines, a page at a time."""

import argparse
import csv
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from vmcrawl.commands.display import plain, shown, write_columns, write_json, write_table
from vmcrawl.store.database import Database

log = logging.getLogger(__name__)

Row = TypeVar("Row")


class Covered(Protocol):
    """A row that says whether the DNI list covers its domain."""

    @property
    def dni(self) -> str | None: ...


C = TypeVar("C", bound=Covered)


def document_of(row: object) -> dict[str, Any]:
    """The fields of a dataclass; ``asdict`` would copy what is in them."""
    return {name: getattr(row, name) for name in row.__slots__}  # type: ignore[attr-defined]  # rows have them


@dataclass(frozen=True, slots=True)
class Layout(Generic[Row]):
    """How rows look: the headings and cells of a table, the columns of CSV, and what JSON and CSV have of a row."""

    headings: Sequence[str]
    cells: Callable[[Row], tuple[str, ...]]
    columns: Sequence[str]
    document: Callable[[Row], dict[str, Any]]
    #: What CSV calls the columns, if they have other names there.
    header: Sequence[str] | None = None


def add_form(parser: argparse.ArgumentParser) -> None:
    """Let the command be told how to write its list."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a line")
    form.add_argument("--csv", action="store_true", help="CSV with a header")


def add_dni(parser: argparse.ArgumentParser) -> None:
    """Let the command be told to show whom it otherwise leaves out."""
    parser.add_argument("--with-dni", action="store_true", help="also domains that the DNI list covers, marked as such")


def pages_of(
    database: Database, page: Callable[..., list[Row]], size: int, key: Callable[[Row], object], start: object
) -> Iterator[list[Row]]:
    """Ask for page after page; a connection may be lost between two, and no row comes twice."""
    after = start
    while True:
        rows = database.run(partial(page, after=after, size=size))
        yield rows
        if len(rows) < size:
            return
        after = key(rows[-1])


def without_dni(pages: Iterable[list[C]], *, keep: bool) -> Iterator[list[C]]:
    """Leave out what the DNI list covers, unless it is to be kept; says how much that was."""
    left_out = 0
    for page in pages:
        listed = page if keep else [row for row in page if row.dni is None]
        left_out += len(page) - len(listed)
        yield listed
    if left_out:
        log.info("%d more that the DNI list covers; --with-dni shows them", left_out)


def first(pages: Iterable[list[Row]], limit: int | None) -> Iterator[list[Row]]:
    """The first ``limit`` rows."""
    left = sys.maxsize if limit is None else limit
    for page in pages:
        yield page[:left]
        left -= len(page)
        if left <= 0:
            return


def write_list(arguments: argparse.Namespace, layout: Layout[Row], pages: Iterable[list[Row]]) -> None:
    """Write rows as they come; a table is one for each page."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if arguments.csv:
        writer.writerow(layout.header or layout.columns)
    for number, page in enumerate(pages):
        if arguments.json:
            for row in page:
                write_json(sys.stdout, layout.document(row))
        elif arguments.csv:
            for row in page:
                document = layout.document(row)
                writer.writerow([_cell(document[name]) for name in layout.columns])
        elif page or not number:
            # Nobody looks at thousands of rows on a terminal, but somebody may send them through grep.
            write = write_table if sys.stdout.isatty() else write_columns
            write(sys.stdout, layout.headings, [layout.cells(row) for row in page])


def _cell(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else shown(plain(value))
