"""A day as people give it on the command line."""

import argparse
from datetime import date


def read_day(text: str) -> date:
    """Read an ISO date; for ``type`` of an argument."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no date such as 2027-02-20") from error
