"""``vmcrawl refresh``: all that others publish and we go by, once or again and again."""

import argparse
import logging
import os

from vmcrawl.commands.database import opened, ready_database
from vmcrawl.commands.refreshing import exit_code, write_refreshed
from vmcrawl.commands.repeating import read_duration, repeat
from vmcrawl.interruption import Interruption
from vmcrawl.refresh import refresh_all
from vmcrawl.settings import Settings
from vmcrawl.store.connection import DatabaseUnavailable

log = logging.getLogger(__name__)

_HELP = "releases, then advisories, then the DNI list if dni.url is set"
_EPILOG = """for example:
  vmcrawl refresh --every 6h

Exit codes: 0 all sources have answered; 1 one cannot be used, and somebody has to look; 75 one is down, slow or
rate-limited, and asking again later may help; 143 after SIGTERM. A source that fails changes nothing."""


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser("refresh", help=_HELP, epilog=_EPILOG)
    parser.add_argument("--every", type=read_duration, metavar="6h", help="again and again, until SIGTERM")
    parser.add_argument("--json", action="store_true", help="as one JSON object, with --every one a line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Ask all sources. A signal ends it at once: what a source has said is written wholly or not at all."""
    with Interruption() as interruption, opened(settings) as ready:
        return repeat(arguments.every, interruption, lambda: _once(arguments, ready))


def _once(arguments: argparse.Namespace, settings: Settings) -> int:
    try:
        with ready_database(settings) as database:
            refreshed = refresh_all(database, settings)
    except DatabaseUnavailable as error:
        log.error("the database cannot be reached: %s", error)
        return os.EX_TEMPFAIL
    write_refreshed(refreshed, as_json=arguments.json)
    return exit_code(refreshed.worst)
