"""The log: one line an event on one stream, as text or as JSON, that no text of a stranger can forge."""

import json
import logging
from datetime import UTC, datetime
from typing import Protocol

from vmcrawl.settings import LogSettings

_OWN_ATTRIBUTES = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class Stream(Protocol):
    """What log lines are written to."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


def configure_logging(settings: LogSettings, *, stream: Stream) -> None:
    """Send everything that is logged to ``stream``, and nowhere else; may be called again.

    ``settings.level`` is about our own loggers; other libraries are heard from ``warning`` on.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonLines() if settings.format == "json" else _TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("vmcrawl").setLevel(level)


class _TextLines(logging.Formatter):
    """``2026-01-01T00:00:00Z INFO vmcrawl.batch message key=value``; a traceback follows, each line behind a bar."""

    def format(self, record: logging.LogRecord) -> str:
        time = _time(record).strftime("%Y-%m-%dT%H:%M:%SZ")
        extras = "".join(f" {key}={value}" for key, value in _extras(record).items())
        first = _on_one_line(f"{time} {record.levelname} {record.name} {record.getMessage()}{extras}")
        more = [f"  | {_on_one_line(line)}" for line in self._trace(record).split("\n") if line]
        return "\n".join([first, *more])

    def _trace(self, record: logging.LogRecord) -> str:
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        return f"{trace}\n{record.stack_info}" if record.stack_info else trace


class _JsonLines(_TextLines):
    """One object a line: ``time``, ``level``, ``logger``, ``message``, extras, and ``exception`` as one string."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, object] = {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace := self._trace(record):
            event["exception"] = trace
        event |= {key: value for key, value in _extras(record).items() if key not in event}
        try:
            return json.dumps(event, default=str, allow_nan=False)
        except (ValueError, TypeError):  # NaN, an object within itself, a key that JSON does not know
            return json.dumps({key: str(value) for key, value in event.items()})


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in record.__dict__.items() if key not in _OWN_ATTRIBUTES}


def _on_one_line(text: str) -> str:
    """Line ends, terminal escapes, directional marks and the like become ``\\n``, ``\\x1b``, ``\\u202e``."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
