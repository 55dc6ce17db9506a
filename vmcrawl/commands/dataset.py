"""``vmcrawl export``: the published data set for researchers, with a note of its licence and of what it means."""

import argparse
import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO

from vmcrawl import __version__
from vmcrawl.commands.database import readable_database
from vmcrawl.commands.display import write_json
from vmcrawl.commands.parquet import ParquetMissing, load_arrow, write_parquet
from vmcrawl.dataset import TABLES, Table, Written, csv_head, csv_rows, json_rows, licence_url, package
from vmcrawl.interruption import Interruption
from vmcrawl.settings import Settings
from vmcrawl.store.connection import DatabaseUnavailable
from vmcrawl.store.database import Database
from vmcrawl.store.dataset import Rows, read_dataset

log = logging.getLogger(__name__)

_DESCRIPTION = """The published data set: the instances that may be listed (none of a DNI list), the history of
adoption, or when these instances changed versions. docs/dataset.md says what the columns are. Beside FILE,
FILE.datapackage.json says under which licence (publish.license), from when, and what the columns mean."""


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "export",
        help="the published data set as CSV, JSON Lines or Parquet",
        description=_DESCRIPTION,
        epilog="for example:\n  vmcrawl export --format parquet --output instances.parquet",
    )
    parser.add_argument("--what", choices=[*TABLES], default="instances", help="which table (default: instances)")
    parser.add_argument(
        "--format", choices=("csv", "jsonl", "parquet"), default="csv", help="default: csv; parquet needs pyarrow"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="where to; a file is there when it is whole, and one that was there stays until then (default: stdout)",
    )
    parser.add_argument(
        "--manifest",
        type=Path,
        metavar="FILE",
        help="where the note goes (default: beside the output; none for stdout)",
    )
    parser.add_argument("--json", action="store_true", help="with --output: what was written as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Export; 0, 1 if a file cannot be written or pyarrow is missing, 75 if the database is lost in the middle."""
    if arguments.output is None and (arguments.format == "parquet" or arguments.json):
        log.error("--json and --format parquet need --output FILE")
        return 2
    try:
        if arguments.format == "parquet":
            load_arrow()
        with Interruption(), readable_database(settings) as database:
            written = _export(arguments, settings, database)
    except ParquetMissing as error:
        log.error("%s", error)
        return 1
    except OSError as error:
        log.error("%s cannot be written: %s", error.filename or arguments.output, error.strerror or error)
        return 1
    if arguments.json:
        write_json(sys.stdout, {**asdict(written), "what": arguments.what, "license": settings.publish.license})
    elif written.file:
        sys.stdout.write(f"{written.file}: {written.rows} rows\n")
    return 0


def _export(arguments: argparse.Namespace, settings: Settings, database: Database) -> Written:
    table, licence, now = TABLES[arguments.what], settings.publish.license, database.now()
    program = f"vmcrawl {__version__}"
    if arguments.output is None:
        written = _to_stdout(table, arguments.format, database)
    else:
        notes = {"license": licence, "license_url": licence_url(licence)} if licence else {}
        notes |= {"created": now.isoformat(), "source": program, "publisher": settings.http.contact}
        written = _to_file(arguments.output, table, arguments.format, database, notes)
    note = arguments.manifest or (arguments.output and Path(f"{arguments.output}.datapackage.json"))
    if note and _is_ordinary(note):
        said = package(table, written, licence, now, program, settings.http.contact)
        with _whole_file(note) as file:
            file.write((json.dumps(said, indent=2, ensure_ascii=False) + "\n").encode())
    return written


def _to_stdout(table: Table, form: str, database: Database) -> Written:
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8")
    begun = False

    def write(batches: Iterator[Rows]) -> Written:
        nonlocal begun
        if begun:
            # A new connection sees another state, and what is written is written.
            raise DatabaseUnavailable("the connection was lost in the middle of the export, which is not whole")
        begun = True
        rows, size, digest = 0, 0, hashlib.sha256()
        for text, number in _texts(table, form, batches):
            sys.stdout.write(text)
            encoded = text.encode()
            rows, size = rows + number, size + len(encoded)
            digest.update(encoded)
        return Written("", form, rows, size, digest.hexdigest())

    return database.run(partial(read_dataset, table=table, reader=write))


def _to_file(path: Path, table: Table, form: str, database: Database, notes: Mapping[str, str]) -> Written:
    def write(batches: Iterator[Rows]) -> int:
        # From the beginning each time: if the connection is lost, what was written so far is of another state.
        with _whole_file(path) as file:
            if form == "parquet":
                return write_parquet(file, table, batches, notes)
            rows = 0
            for text, number in _texts(table, form, batches):
                file.write(text.encode())
                rows += number
            return rows

    rows = database.run(partial(read_dataset, table=table, reader=write))
    size, digest = _digest(path) if _is_ordinary(path) else (0, "")
    return Written(path.name, form, rows, size, digest)


def _texts(table: Table, form: str, batches: Iterator[Sequence[Sequence[object]]]) -> Iterator[tuple[str, int]]:
    if form == "csv":
        yield csv_head(table), 0
    rows_of = csv_rows if form == "csv" else json_rows
    for batch in batches:
        yield rows_of(table, batch), len(batch)


@contextmanager
def _whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its place only when it is whole; what is no ordinary file (a pipe, /dev/null) is just written.

    Raises ``OSError``.
    """
    if not _is_ordinary(path):
        with path.open("wb") as file:
            yield file
        return
    place = path.resolve()
    passing = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        with passing.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        passing.replace(place)
    except OSError as error:
        # Nobody has asked for the name that it has until it is whole.
        error.filename = str(path)
        raise
    finally:
        passing.unlink(missing_ok=True)


def _is_ordinary(path: Path) -> bool:
    return path.is_file() or not path.exists()


def _digest(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
