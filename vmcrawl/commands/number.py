"""A whole number as people give it on the command line."""

import argparse


def read_positive(text: str) -> int:
    """Read a number of things of which there must be one; for ``type`` of an argument."""
    return read_number(text, 1)


def read_number(text: str, lowest: int, highest: int | None = None) -> int:
    """Read a whole number within bounds that belong to it, written in ASCII digits without a sign."""
    # The length first: Python refuses to read thousands of digits, with another error.
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else -1
    if number < lowest or (highest is not None and number > highest):
        bounds = f"of at least {lowest}" if highest is None else f"from {lowest} to {highest}"
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no whole number {bounds}")
    return number
