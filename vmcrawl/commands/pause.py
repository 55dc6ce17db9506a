"""``vmcrawl pause`` and ``vmcrawl resume``: one word to all crawlers on a database, wherever they run."""

import argparse
import getpass
import os
import sys
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from platform import node

from vmcrawl.commands.database import with_database
from vmcrawl.commands.display import shown, write_json
from vmcrawl.commands.repeating import read_duration
from vmcrawl.duration import format_duration
from vmcrawl.store import pause
from vmcrawl.store.database import Database

_PAUSE = """Let all crawlers on this database rest, on every machine: within seconds nothing new is crawled, what is in
flight is finished. Runs that are going on wait, until crawl.max_duration ends them; runs that are started end at once
with exit code 0, or 75 if domains are named; crawl --every waits. What asks upstream (releases refresh, ...) goes
on, and check asks, since it is told to. Published instances fade after publish.retention, if they are not seen again
before."""


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare both commands."""
    pausing = commands.add_parser(
        "pause",
        help="let all crawlers on this database rest",
        description=_PAUSE,
        epilog='for example:\n  vmcrawl pause --for 2h --reason "the uplink is being repaired"',
    )
    pausing.add_argument("--reason", default="", help="why; shown by status and in the log of each crawler")
    pausing.add_argument(
        "--for", type=read_duration, dest="duration", metavar="2h", help="go on by itself after this long"
    )
    pausing.add_argument("--by", default=None, metavar="NAME", help="who says so (default: user@machine)")
    pausing.add_argument("--json", action="store_true", help="the pause as one JSON object")
    pausing.set_defaults(run=with_database(_pause))
    resuming = commands.add_parser(
        "resume",
        help="let crawlers go on",
        description="End a pause: runs that wait go on within seconds. Without one there is nothing to do.",
        epilog="for example:\n  vmcrawl resume",
    )
    resuming.add_argument("--json", action="store_true", help="the pause that is over as one JSON object")
    resuming.set_defaults(run=with_database(_resume))


def _pause(arguments: argparse.Namespace, database: Database) -> int:
    now = database.now()
    until = None if arguments.duration is None else now + arguments.duration
    by, reason = shown(arguments.by or _who()), shown(arguments.reason)
    held = database.run(partial(pause.pause, now=now, by=by, reason=reason, until=until))
    if arguments.json:
        write_json(sys.stdout, {"paused": True, **asdict(held)})
    else:
        sys.stdout.write(f"{pause.in_words(held)}\n")
    return 0


def _resume(arguments: argparse.Namespace, database: Database) -> int:
    held = database.run(partial(pause.resume, now=database.now()))
    if arguments.json:
        write_json(sys.stdout, {"paused": False, "was": held and asdict(held)})
    elif held is None:
        sys.stdout.write("crawls are not paused\n")
    else:
        sys.stdout.write(f"crawls go on, after {_how_long(database.now() - held.paused_at)}\n")
    return 0


def _how_long(paused: timedelta) -> str:
    # The clock of the database may have been set back meanwhile.
    return format_duration(timedelta(seconds=max(round(paused.total_seconds()), 0)))


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # In a container any number may be the user.
        user = f"user {os.getuid()}"
    return f"{user}@{node()}"
