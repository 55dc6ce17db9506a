"""The door: argv, the environment and config.yaml become Settings, a command, and an exit code."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from vmcrawl import __version__
from vmcrawl.commands import (
    advisories,
    check,
    classify,
    crawl,
    domains,
    history,
    migrate,
    releases,
    show,
    status,
)
from vmcrawl.commands.names import UnreadableList
from vmcrawl.config import ConfigError, load_config
from vmcrawl.embedded import EmbeddedUnavailable
from vmcrawl.log import configure_logging
from vmcrawl.store.connection import BadDatabaseUrl, DatabaseUnavailable
from vmcrawl.store.migrations import DatabaseTooNew

log = logging.getLogger(__name__)

_COMMANDS = (crawl, check, show, status, domains, releases, advisories, classify, history, migrate)

_EPILOG = """exit codes: 0 done; 1 failed; 2 wrong usage; 75 try again later (the database cannot be reached);
78 configuration error; 143 after SIGTERM, with everything finished so far written"""


def entry() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command; returns its exit code (see ``vmcrawl --help``)."""
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
    except (DatabaseTooNew, UnreadableList) as error:
        log.error("%s", error)
        return 1
    except BrokenPipeError:
        # Whoever read our output (head, less) has had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


class _Stderr:
    """Wherever ``sys.stderr`` is just now: a progress display replaces it, and puts log lines above itself."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vmcrawl",
        description="Measures which version every known Mastodon server runs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vmcrawl {__version__}")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (also VMCRAWL_CONFIG); see config.yaml")
    parser.set_defaults(overrides=lambda arguments: {})
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.configure(commands)
    return parser
