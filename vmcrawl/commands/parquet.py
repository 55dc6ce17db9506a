"""Parquet, by pyarrow: an extra, since it is larger than all else that vmcrawl needs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from vmcrawl.dataset import Kind, Table


class ParquetMissing(Exception):
    """pyarrow is not installed."""


def write_parquet(
    file: IO[bytes], table: Table, batches: Iterator[Sequence[Sequence[object]]], notes: Mapping[str, str]
) -> int:
    """Write rows to an open file, batch by batch, with notes in its metadata; returns how many.

    Raises :class:`ParquetMissing`.
    """
    arrow, parquet = load_arrow()
    types = {
        Kind.STRING: arrow.string(),
        Kind.INTEGER: arrow.int64(),
        Kind.BOOLEAN: arrow.bool_(),
        Kind.DATE: arrow.date32(),
        Kind.DATETIME: arrow.timestamp("us", tz="UTC"),
    }
    schema = arrow.schema(
        [arrow.field(column.name, types[column.kind], nullable=not column.required) for column in table.columns],
        metadata=dict(notes),
    )
    written = 0
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in batches:
            columns = zip(*batch, strict=True)
            arrays = [arrow.array(list(column), field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_batch(arrow.record_batch(arrays, schema=schema))
            written += len(batch)
    return written


def load_arrow() -> tuple[Any, Any]:
    """pyarrow and its part for Parquet; raises :class:`ParquetMissing`."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ParquetMissing(
            "Parquet needs pyarrow, which is an extra: pip install 'vmcrawl[parquet]'; csv and jsonl need nothing"
        ) from error
    return pyarrow, pyarrow.parquet
