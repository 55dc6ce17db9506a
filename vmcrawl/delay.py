"""Patch delay: how long after a release a share of the instances, and of the users, of its branch had it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

#: Half, and nearly all.
SHARES = (0.5, 0.9)


@dataclass(frozen=True, slots=True)
class Delay:
    """How long it took until ``share`` of the branch had a release; None where that has not happened yet.

    ``instances`` counts servers, ``users`` weighs each with its monthly active users.
    """

    share: float
    instances: timedelta | None
    users: timedelta | None


def patch_delays(
    released: date, instances: Iterable[tuple[datetime | None, int]], shares: Sequence[float] = SHARES
) -> tuple[Delay, ...]:
    """How long after the start (UTC) of the day of a release each of ``shares`` (0 to 1) of its branch had it.

    ``instances`` is everything that counts, each instance of the branch once: when it was first seen with the
    release or a newer one (UTC; None: not yet), and its monthly active users. Of nothing, and of no users, no share
    is ever reached. What was seen before that moment counts as at once: the day of a release is known, its hour
    is not.

    The steps are those of an empirical distribution (nearest rank): the delay of a share is the delay of the first
    instance with which at least so many of all had it; nothing is interpolated.
    """
    everything = list(instances)
    start = datetime(released.year, released.month, released.day, tzinfo=UTC)
    had = sorted((max(since - start, timedelta(0)), users) for since, users in everything if since is not None)
    by_instances = [(delay, 1) for delay, _ in had]
    all_users = sum(users for _, users in everything)
    return tuple(
        Delay(share, _reached(by_instances, share * len(everything)), _reached(had, share * all_users))
        for share in shares
    )


def _reached(had: Sequence[tuple[timedelta, int]], wanted: float) -> timedelta | None:
    """The delay at which the weights, added up in order, are at least what is wanted."""
    if wanted <= 0:
        return None
    total = 0
    for delay, weight in had:
        total += weight
        # 0.9 * 10 is not always 9: a share is not missed by the last bit.
        if total >= wanted * _NEARLY:
            return delay
    return None


_NEARLY = 1 - 1e-9
