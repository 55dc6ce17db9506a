"""``vmcrawl crawl``: one batch run, or one after the other."""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

from vmcrawl.assignment import Control, RunSummary, Selection, Sharing
from vmcrawl.batch import CrawlsPaused, run_batch
from vmcrawl.commands.database import opened
from vmcrawl.commands.display import progress_display, write_json, write_summary
from vmcrawl.commands.names import read_domains, read_names
from vmcrawl.commands.number import read_positive
from vmcrawl.commands.repeating import read_duration, repeat, sleep_until
from vmcrawl.gate import Gate, default_lock_file
from vmcrawl.interruption import Interruption
from vmcrawl.pool import PoolBroken
from vmcrawl.settings import Settings
from vmcrawl.store.connection import DatabaseUnavailable
from vmcrawl.store.runs import RunStatus

log = logging.getLogger(__name__)

#: How often ``--every`` looks whether a pause is over.
_LOOK_AGAIN_SECONDS = 5.0


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "crawl",
        help="one batch run: the named domains, or everything due",
        epilog="for example:\n  vmcrawl crawl --max-duration 50m",
    )
    parser.add_argument("domains", nargs="*", metavar="DOMAIN", help="crawl these now, due or not")
    parser.add_argument("--file", metavar="LIST", help="names to crawl now, as domains import reads them; - for stdin")
    parser.add_argument("--all", action="store_true", help="everything in the ledger, due or not")
    parser.add_argument("--limit", type=read_positive, metavar="N", help="at most N domains")
    parser.add_argument("--max-duration", type=read_duration, metavar="50m", help="stop claiming after this long")
    parser.add_argument("--processes", type=read_positive, metavar="N", help="crawler processes")
    parser.add_argument("--threads", type=read_positive, metavar="N", help="crawls in flight per process")
    parser.add_argument("--every", type=read_duration, metavar="1h", help="again and again, until SIGTERM")
    parser.add_argument(
        "--run",
        dest="sharing",
        type=_run_name,
        metavar="NAME",
        help="work on what is due together with all, on any machine, who give the same NAME: one run, over for all of"
        " them at the same time; if it is over, there is nothing left to do",
    )
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    parser.set_defaults(run=run, overrides=_overrides)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Crawl; 0 when the run ended by itself, 1 when it failed, 128 + signal when it was told to end."""
    if not settings.http.contact or settings.http.contact == type(settings.http)().contact:
        log.warning("http.contact is not set: servers that are crawled cannot see whom to ask")
    selection = _selection(arguments, settings) if _sharing_fits(arguments) else None
    if selection is None:
        return 2
    try:
        Gate(default_lock_file(), settings.network.requests_per_address).close()
    except OSError as error:
        log.error("the lock file of all crawlers on this machine cannot be used: %s", error)
        return os.EX_CONFIG
    with Interruption() as interruption, opened(settings) as ready:
        interruption.patiently()
        once = partial(_one_run, ready, selection, _sharing(arguments), interruption, arguments.json)
        return repeat(arguments.every, interruption, partial(_when_allowed, once, arguments, interruption))


def _when_allowed(once: Callable[[], int], arguments: argparse.Namespace, interruption: Interruption) -> int:
    """Do it, but not while all crawlers are to pause: ``--every`` waits, a single run is over.

    That is no failure, so that what starts crawls by the clock need not learn of pauses; only where certain domains
    are to be crawled it is "try again later".
    """
    said = False
    while True:
        try:
            return once()
        except CrawlsPaused as error:
            if not said:
                log.warning("%s: nothing is crawled", error)
            said = True
            if arguments.every is None or interruption.came:
                if arguments.json:
                    write_json(sys.stdout, {"status": "paused", "pause": asdict(error.pause)})
                return os.EX_TEMPFAIL if arguments.domains or arguments.file else 0
        sleep_until(time.monotonic() + _LOOK_AGAIN_SECONDS, interruption)


def _one_run(
    settings: Settings, selection: Selection, sharing: Sharing | None, interruption: Interruption, as_json: bool
) -> int:
    try:
        with progress_display(sys.stderr) as show:
            summary = run_batch(settings, selection, Control(lambda: interruption.came, show), sharing)
    except PoolBroken as error:
        log.error("%s", error)
        return 1
    except DatabaseUnavailable as error:
        log.error("the database cannot be reached: %s", error)
        return os.EX_TEMPFAIL
    _write(summary, as_json)
    return 1 if summary.status is RunStatus.FAILED else 0


def _write(summary: RunSummary, as_json: bool) -> None:
    if as_json:
        write_json(sys.stdout, summary)
    else:
        write_summary(summary, sys.stdout)
    sys.stdout.flush()


def _selection(arguments: argparse.Namespace, settings: Settings) -> Selection | None:
    if arguments.all and (arguments.domains or arguments.file):
        log.error("--all and named domains exclude each other")
        return None
    if not arguments.domains and arguments.file is None:
        return Selection(None, arguments.all, arguments.limit)
    named = read_domains(arguments.domains)
    if named is None:
        return None
    names = [*named]
    if arguments.file is not None:
        names += read_names(arguments.file, settings)
    return Selection(tuple(dict.fromkeys(names)), False, arguments.limit)


def _sharing_fits(arguments: argparse.Namespace) -> bool:
    if arguments.sharing is None:
        return True
    if arguments.domains or arguments.file or arguments.all or arguments.limit or arguments.every:
        log.error(
            "--run shares what is due, once: names, --file, --all, --limit and --every are for a run of one's own"
        )
        return False
    return True


def _sharing(arguments: argparse.Namespace) -> Sharing | None:
    if arguments.sharing is None:
        return None
    # Set by Kubernetes in each pod of an Indexed Job.
    index = os.environ.get("JOB_COMPLETION_INDEX", "")
    return Sharing(arguments.sharing, int(index) if index.isascii() and index.isdigit() and len(index) < 9 else None)


def _run_name(text: str) -> str:
    if not text.isprintable() or not 1 <= len(text.strip()) <= 200:
        raise argparse.ArgumentTypeError("must be 1 to 200 printable characters")
    return text.strip()


def _overrides(arguments: argparse.Namespace) -> dict[tuple[str, str], object]:
    given = {
        ("crawl", "processes"): arguments.processes,
        ("crawl", "threads"): arguments.threads,
        ("crawl", "max_duration"): arguments.max_duration,
    }
    return {key: value for key, value in given.items() if value is not None}
