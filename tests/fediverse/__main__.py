"""Serve the simulated Fediverse, tell all about it in DIR, until SIGTERM, Ctrl-C or the end of stdin."""

import argparse
import asyncio
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.fediverse.crowd import demo_crowd, healthy_crowd, mixed_crowd
from tests.fediverse.fediverse import serve
from tests.fediverse.site import Site


def main() -> int:
    """Serve the crowd that the command line asks for; prints ``ready`` as soon as every server answers."""
    arguments = _parser().parse_args()
    asyncio.run(_serve(_sites(arguments), arguments.write))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fediverse", description=__doc__)
    parser.add_argument("--write", type=Path, required=True, metavar="DIR", help="where its files go")
    crowd = parser.add_mutually_exclusive_group()
    crowd.add_argument("--healthy", type=int, metavar="N", help="N healthy servers")
    crowd.add_argument("--mixed", type=int, metavar="N", help="N servers that fail as real ones do")
    crowd.add_argument("--sites", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help="which of the possible crowds")
    return parser


def _sites(arguments: argparse.Namespace) -> Sequence[Site]:
    if arguments.sites is not None:
        sites: list[Site] = pickle.loads(arguments.sites.read_bytes())
        return sites
    if arguments.healthy is not None:
        return healthy_crowd(arguments.healthy, arguments.seed)
    if arguments.mixed is not None:
        return mixed_crowd(arguments.mixed, arguments.seed)
    return demo_crowd()


async def _serve(sites: Sequence[Site], directory: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # Whoever started us closes our stdin by ending, however that happens. The thread may outlive the loop.
    threading.Thread(target=_drain_stdin, args=(partial(loop.call_soon_threadsafe, stop.set),), daemon=True).start()
    await serve(sites, directory, stop.wait, lambda: sys.stdout.write("ready\n") and sys.stdout.flush())


def _drain_stdin(at_end: Callable[[], object]) -> None:
    while os.read(0, 4096):
        pass
    at_end()


if __name__ == "__main__":
    sys.exit(main())
