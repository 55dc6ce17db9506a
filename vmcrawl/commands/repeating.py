"""``--every``: a command that does the same again and again, until it is told to end."""

import argparse
import time
from collections.abc import Callable
from datetime import timedelta

from vmcrawl.duration import parse_duration
from vmcrawl.interruption import Interruption


def repeat(every: timedelta | None, interruption: Interruption, work: Callable[[], int]) -> int:
    """Do ``work`` once, or with ``every`` at intervals of that length from start to start, until a signal came.

    Returns the exit code of the work, or that of the signal. Work that takes longer begins again at once.
    """
    while True:
        started = time.monotonic()
        code = work()
        if every is None or interruption.came:
            return interruption.exit_code or code
        sleep_until(started + every.total_seconds(), interruption)
        if interruption.came:
            return interruption.exit_code


def sleep_until(moment: float, interruption: Interruption) -> None:
    """Wait for a monotonic moment, or for a signal."""
    while not interruption.came and (left := moment - time.monotonic()) > 0:
        time.sleep(min(left, 0.5))


def read_duration(text: str) -> timedelta:
    """Read a length of time that is not nothing; for ``type`` of an argument."""
    try:
        duration = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not duration:
        raise argparse.ArgumentTypeError("must be longer than nothing")
    return duration
