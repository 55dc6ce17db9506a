"""Lengths of time as people write them: ``90s``, ``1h30m``, ``7d``."""

import re
from datetime import timedelta

#: Longer lengths are mistakes, and would overflow when added to a date.
LONGEST = timedelta(days=36_500)

_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PARTS = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII | re.IGNORECASE)
_SECONDS_ONLY = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


class InvalidDuration(ValueError):
    """The text is no length of time."""


def parse_duration(text: str) -> timedelta:
    """Read ``30s``, ``50m``, ``3h``, ``7d``, ``1h30m``, ``1.5s`` or a bare number of seconds.

    Units go from large to small, each at most once; spaces around the text do not count.
    Raises :class:`InvalidDuration` for anything else, for signs, and for more than a hundred years.
    """
    written = text.strip()
    if len(written) > 40:
        raise InvalidDuration("too long for a length of time")
    if _SECONDS_ONLY.fullmatch(written):
        return _bounded(float(written))
    match = _PARTS.fullmatch(written)
    if not match or not written:
        raise InvalidDuration(f"{text!r} is not a length of time such as 30s, 50m, 3h, 7d or 1h30m")
    counts = zip("dhms", match.groups(), strict=True)
    return _bounded(sum(float(count) * _SECONDS[unit] for unit, count in counts if count))


def format_duration(duration: timedelta) -> str:
    """Write a length of time (not negative) so that :func:`parse_duration` reads it back, to the millisecond."""
    if duration < timedelta(0):
        raise ValueError("a length of time is not negative")
    left = round(duration / timedelta(milliseconds=1))
    text = ""
    for unit in "dhm":
        count, left = divmod(left, _SECONDS[unit] * 1000)
        text += f"{count}{unit}" if count else ""
    if left or not text:
        text += f"{left / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    return text


def _bounded(seconds: float) -> timedelta:
    if seconds > LONGEST.total_seconds():
        raise InvalidDuration("longer than a hundred years")
    return timedelta(seconds=seconds)
