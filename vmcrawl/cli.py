"""The door: argv, the environment and config.yaml become Settings, a command, and an exit code."""

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO, cast

from vmcrawl import __version__
from vmcrawl.commands import (
    about,
    advisories,
    check,
    classify,
    completion,
    crawl,
    dataset,
    discover,
    dni,
    domains,
    exporter,
    history,
    migrate,
    pause,
    prune,
    refresh,
    releases,
    report,
    show,
    status,
)
from vmcrawl.commands.database import NotPrepared
from vmcrawl.commands.names import UnreadableList
from vmcrawl.commands.parser import Parser
from vmcrawl.config import ConfigError, load_config
from vmcrawl.embedded import EmbeddedUnavailable
from vmcrawl.log import configure_logging
from vmcrawl.store.connection import NOT_PERMITTED, BadDatabaseUrl, DatabaseUnavailable, StoreError
from vmcrawl.store.migrations import DatabaseTooNew

log = logging.getLogger(__name__)

_COMMANDS = (
    *(crawl, pause, check, show, status, domains, discover, dni, refresh, about),
    *(releases, advisories, classify, history, report, dataset, exporter, migrate, prune, completion),
)

#: 128 and SIGPIPE.
_BROKEN_PIPE = 141

_EPILOG = """exit codes: 0 done; 1 failed; 2 wrong usage; 75 try again later (the database cannot be reached);
78 configuration error; 141 nobody reads the output any more; 143 after SIGTERM, with everything finished so far
written"""


def entry() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command; returns its exit code (see ``vmcrawl --help``).

    Never 0 if any of its output is lost: 1 if it cannot be written, 141 if nobody reads it any more, which is what a
    shell makes of the SIGPIPE that others die of.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # as long as the process
    if sys.stdout is None:
        # Nothing is done for which there is no answer; and a socket could get the number of standard output.
        sys.stderr.write("vmcrawl: standard output is closed\n")
        return 1
    stdout, whole = sys.stdout, _whole(sys.stdout)
    sys.stdout = cast(TextIO, _Stdout(whole))
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()
    except OutputLost as lost:
        # Or what is left of it would be tried once more, at the very end.
        for stream in (stdout, whole):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(lost.reason, BrokenPipeError):
            return _BROKEN_PIPE
        sys.stderr.write(f"vmcrawl: the output cannot be written: {lost.reason.strerror or lost.reason}\n")
        return 1
    finally:
        sys.stdout = stdout


def _run(argv: Sequence[str]) -> int:
    arguments = _parser().parse_args(argv)
    try:
        settings = load_config(arguments.config, os.environ, arguments.overrides(arguments))
    except ConfigError as error:
        sys.stderr.write(f"vmcrawl: {error}\n")
        return os.EX_CONFIG
    configure_logging(settings.log, stream=_Stderr())
    try:
        code: int = arguments.run(arguments, settings)
    except BadDatabaseUrl as error:
        log.error("%s", error)
        return os.EX_CONFIG
    except (DatabaseUnavailable, EmbeddedUnavailable) as error:
        log.error("the database cannot be reached: %s", error)
        return os.EX_TEMPFAIL
    except UnreadableList as error:
        log.error("%s", error)
        return error.code
    except (DatabaseTooNew, NotPrepared) as error:
        log.error("%s", error)
        return 1
    except StoreError as error:
        hint = "; does database.url name a user who may, and no standby?" if isinstance(error, NOT_PERMITTED) else ""
        log.error("the database does not take it: %s%s", " ".join(str(error).split()), hint)
        log.debug("where it came from", exc_info=True)
        return 1
    return code


def _whole(stream: TextIO) -> TextIO:
    """A stream that writes all or fails: one that is not buffered (``PYTHONUNBUFFERED``) ends in the middle of a text
    when somebody hangs up or the disk is full, and says nothing."""
    if not isinstance(getattr(stream, "buffer", None), io.RawIOBase):
        return stream
    return open(os.dup(stream.fileno()), "w", buffering=1, encoding=stream.encoding, errors=stream.errors)


class OutputLost(Exception):
    """What was to go to standard output does not get there; ``reason`` is what the system says."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _Stdout:
    """Standard output, whose failures are told from those of all other files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            raise OutputLost(error) from error

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            raise OutputLost(error) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Stderr:
    """Wherever ``sys.stderr`` is just now: a progress display replaces it, and puts log lines above itself."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="vmcrawl",
        description="Measures which version every known Mastodon server runs.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"vmcrawl {__version__}")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (also VMCRAWL_CONFIG); see config.yaml")
    parser.set_defaults(overrides=lambda arguments: {}, parser=parser)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.configure(commands)
    return parser
