"""An age as people give it on the command line: a length of time before now, or a day."""

import argparse
from datetime import UTC, date, datetime, time, timedelta

from vmcrawl.duration import InvalidDuration, parse_duration


def read_age(text: str) -> timedelta | date:
    """Read ``7d``, ``12h`` or ``2026-11-01``; for ``type`` of an argument."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return parse_duration(text)
    except InvalidDuration as error:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no age such as 7d or 12h, nor a day: 2026-11-01") from error


def moment_of(age: timedelta | date | None, now: datetime) -> datetime | None:
    """When that was; a day is its beginning, in UTC."""
    if age is None:
        return None
    return now - age if isinstance(age, timedelta) else datetime.combine(age, time(), UTC)
