"""The published data set: its tables and columns, how their values are written, and what stands beside them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum


class Kind(StrEnum):
    """What a value is, in the words of Data Package (datapackage.org, Table Schema)."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"


@dataclass(frozen=True, slots=True)
class Column:
    """One column; ``required``: there is always a value."""

    name: str
    kind: Kind
    description: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """One table, with its columns in their order, which stays: new ones come last."""

    name: str
    description: str
    columns: tuple[Column, ...]


INSTANCES = Table(
    "instances",
    "Mastodon servers, and servers of related forks, that gave a good answer within the last days (publish.retention)."
    " None that a DNI list covers, and none that has opted out.",
    (
        Column("domain", Kind.STRING, "the name of the server, ASCII (IDNA)"),
        Column("software", Kind.STRING, "what it calls its software"),
        Column("fork", Kind.STRING, "which fork that is; vanilla: Mastodon as upstream ships it", False),
        Column("version", Kind.STRING, "the version, as the server says it"),
        Column("release", Kind.STRING, "the release of Mastodon it is, or is built upon", False),
        Column("branch", Kind.STRING, "major.minor of that release", False),
        Column(
            "support",
            Kind.STRING,
            "main, latest, previous, deprecated, eol or unknown, on the day of the export",
            False,
        ),
        Column("patched", Kind.BOOLEAN, "whether it runs the newest release of its branch, or newer", False),
        Column("active_users", Kind.INTEGER, "monthly active users, as the server says"),
        Column("first_seen_at", Kind.DATETIME, "when it was first seen in good health"),
        Column("last_seen_at", Kind.DATETIME, "when it was last seen in good health"),
        Column("fix_available_on", Kind.DATE, "since when there has been something newer to update to", False),
        Column("failing", Kind.BOOLEAN, "whether the look after that one failed"),
    ),
)
HISTORY = Table(
    "history",
    "How many servers ran which release at the end of each crawl, all of them counted; days that the operator does not"
    " believe are left out. Older pages are kept once a day.",
    (
        Column("at", Kind.DATETIME, "when the crawl ended"),
        Column("run_id", Kind.INTEGER, "the number of the crawl; its rows are one page"),
        Column("branch", Kind.STRING, "major.minor of the release"),
        Column("release", Kind.STRING, "the release that servers run, or are built upon"),
        Column("instances", Kind.INTEGER, "how many servers"),
        Column("active_users", Kind.INTEGER, "the sum of their monthly active users"),
        Column("patched", Kind.BOOLEAN, "whether that was the newest release of its branch then", False),
    ),
)
CHANGES = Table(
    "changes",
    "When a server of the table instances was seen to run another version than before.",
    (
        Column("domain", Kind.STRING, "the name of the server, ASCII (IDNA)"),
        Column("observed_at", Kind.DATETIME, "the first look that saw the new version"),
        Column("from_version", Kind.STRING, "the version before, as the server said it"),
        Column("to_version", Kind.STRING, "the version since, as the server said it"),
        Column("from_release", Kind.STRING, "the release of Mastodon that the former was", False),
        Column("to_release", Kind.STRING, "the release of Mastodon that the latter is", False),
    ),
)
TABLES = {table.name: table for table in (INSTANCES, HISTORY, CHANGES)}

#: What spreadsheets take for the beginning of a formula (owasp.org/www-community/attacks/CSV_Injection), and the sign
#: that keeps them from it, which must be told from itself.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")  # noqa: RUF001  # full width, meant so

Row = Sequence[object]


def csv_head(table: Table) -> str:
    """The line with the names of columns."""
    return _csv([[column.name for column in table.columns]])


def csv_rows(table: Table, rows: Iterable[Row]) -> str:
    """Lines of CSV (RFC 4180, but lines end with LF): nothing between commas is what is not known.

    A text that a spreadsheet would run as a formula has an apostrophe before it, and so has one that begins with an
    apostrophe: whoever takes one away from each text that begins with it has what was there. Servers can say what they
    like of themselves.
    """
    return _csv([_csv_value(value) for value in row] for row in rows)


def json_rows(table: Table, rows: Iterable[Row]) -> str:
    """JSON Lines, ASCII: an object for each row, with all columns in their order."""
    names = [column.name for column in table.columns]
    return "".join(json.dumps(dict(zip(names, row, strict=True)), default=_plain) + "\n" for row in rows)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: the name of the file (empty: to standard output), and how much."""

    file: str
    format: str
    rows: int
    size: int
    sha256: str


def package(
    table: Table, written: Written, licence: str, now: datetime, program: str, contact: str
) -> Mapping[str, object]:
    """What stands beside a file, as a Data Package (datapackage.org, version 1): licence, origin, meaning of columns.

    ``licence`` is an SPDX identifier; empty: none is given.
    """
    fields = [
        {
            "name": column.name,
            "type": str(column.kind),
            "description": column.description,
            **({"constraints": {"required": True}} if column.required else {}),
        }
        for column in table.columns
    ]
    resource = {
        "name": table.name,
        "path": written.file or f"{table.name}.{written.format}",
        "format": written.format,
        "mediatype": _MEDIA_TYPES[written.format],
        "encoding": "utf-8",
        "bytes": written.size,
        "hash": f"sha256:{written.sha256}",
        "rows": written.rows,
        "schema": {"fields": fields, "missingValues": [""]},
    }
    return {
        "name": f"vmcrawl-{table.name}",
        "title": f"Mastodon version adoption: {table.name}",
        "description": table.description + " Version and users are what servers say of themselves.",
        "created": _moment(now),
        **({"licenses": [{"name": licence, "path": licence_url(licence)}]} if licence else {}),
        "contributors": [{"title": contact, "role": "publisher"}],
        "sources": [{"title": program}],
        "resources": [resource],
    }


def licence_url(licence: str) -> str:
    """Where the text of a licence is, by its SPDX identifier."""
    return f"https://spdx.org/licenses/{licence}.html"


_MEDIA_TYPES = {
    "csv": "text/csv",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
}


def _csv(rows: Iterable[Iterable[object]]) -> str:
    # The csv module quotes no CR where lines end with LF.
    return "".join(",".join(map(_cell, row)) + "\n" for row in rows)


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text


def _csv_value(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return value if value is None or isinstance(value, int) else _plain(value)


def _plain(value: object) -> str:
    return _moment(value) if isinstance(value, datetime) else str(value)


def _moment(moment: datetime | date) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if isinstance(moment, datetime) else str(moment)
