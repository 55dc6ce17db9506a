"""Main's history: which version it has carried since when, from its commits, or from when we looked."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from vmcrawl.version import Version

#: How old what a look shows may be: two edges of one content delivery network disagree for minutes.
_STALE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class MainStart:
    """Main has carried a version since a moment (UTC).

    With ``not_before`` that moment is only when it was first seen: it may have begun at any time from there on.
    """

    version: Version
    since: datetime
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Bump:
    """A commit to the file that names main's version, and which one it has named from then on (UTC)."""

    version: Version
    at: datetime


@dataclass(frozen=True, slots=True)
class Looks:
    """When we have looked at main: now, and the last time before (None: never)."""

    now: datetime
    last: datetime | None


def last_sure(known: Sequence[MainStart]) -> datetime | None:
    """The newest moment at which main is known to have got a version; what has happened since may be told better."""
    return max((start.since for start in known if start.not_before is None), default=None)


def follow_main(
    known: Sequence[MainStart], main: Version, looks: Looks, bumps: Sequence[Bump], security: Collection[date]
) -> tuple[MainStart, ...]:
    """Main's history, now that a look has shown ``main``.

    ``bumps`` are those after :func:`last_sure`, oldest first, and none where the commits cannot be had. They know
    better than looks do, also what came and went between two looks. ``security`` are the days of security releases.

    If the last version of what is returned is not ``main``, then what the look has shown is out of date, and to be
    asked for anew.
    """
    told = _tell(known, bumps)
    if told and told[-1].version == main:
        return told
    if known and known[-1].version == main:
        # The list of commits is older than the look.
        return tuple(known)
    # Of what was there just before: from an edge that has not heard of the bump yet.
    if told and looks.now - told[-1].since < _STALE and main in [one.version for one in told[-2 - len(bumps) : -1]]:
        return told
    return (*told, _first_seen(main, told[-1].since if told else None, looks, security))


def _tell(known: Sequence[MainStart], bumps: Sequence[Bump]) -> tuple[MainStart, ...]:
    """What is known until the first of the bumps, and the bumps from there on."""
    if not bumps:
        return tuple(known)
    told = [start for start in known if start.since < bumps[0].at]
    for bump in bumps:
        # Clocks differ: a commit may bear an earlier date than the one before it.
        if not told or (bump.version != told[-1].version and bump.at > told[-1].since):
            told.append(MainStart(bump.version, bump.at))
    return tuple(told)


def _first_seen(main: Version, before: datetime | None, looks: Looks, security: Collection[date]) -> MainStart:
    """When a version began of which we know only that the look before did not show it yet.

    Main's number goes up with each security release, in the commit of the fix: if exactly one came out between the
    looks, that was the day, and at its end it was done. Otherwise the version must not be believed to be younger
    than it may be, or it would be believed to have fixes that it lacks.
    """
    earliest = max((moment for moment in (before, looks.last and looks.last - _STALE) if moment), default=None)
    if earliest is None:
        return MainStart(main, looks.now)
    days = {day for day in security if earliest.date() <= day <= looks.now.date()}
    if len(days) == 1:
        end = datetime.combine(days.pop() + timedelta(days=1), time(), UTC) - timedelta(seconds=1)
        since = min(end, looks.now)
        return MainStart(main, since) if before is None or since > before else MainStart(main, looks.now, earliest)
    return MainStart(main, looks.now, earliest)
