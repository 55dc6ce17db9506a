"""Patch delay: how long after a release a share of the instances, and of the users, of its branch had it."""

from collections.abc import Callable, Iterable, Sequence
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


@dataclass(frozen=True, slots=True)
class Taker:
    """One instance of a branch, and whether it has a release of it, or a newer one. Moments are UTC."""

    #: Since when it is watched.
    first_seen_at: datetime
    has_it: bool
    #: When it was first seen with it after it was seen without; None: it was never seen to arrive there.
    arrived_at: datetime | None
    active_users: int


@dataclass(frozen=True, slots=True)
class Uptake:
    """How a release was taken up on its branch."""

    #: Of the branch, now.
    instances: int
    have_it: int
    #: Of those that have it: nobody was watching when they took it, or has kept when that was.
    unknown_since: int
    #: Instances that were known on the day of the release: the delays are theirs alone.
    watched: int
    #: Whether those are enough, at least half of the instances (of the users), for a delay to say something of all, and
    #: not so many of their moments are lost that nobody can say when a share was reached.
    instances_known: bool
    users_known: bool
    delays: tuple[Delay, ...]


def read_uptake(released: date, takers: Sequence[Taker], shares: Sequence[float] = SHARES) -> Uptake:
    """How a release that came out on a day (UTC) was taken up, and how long that took.

    An instance that was found only later and had the release by then took it between the release and that moment, if
    it existed before at all: when, nobody knows. To count it from the day we found it would tell our own delay, to
    leave out only those that had it already would count the late ones alone. So the delays are those of a cohort:
    the instances that were known before the day of the release was over, whatever has become of them since. Whoever
    was found later counts among ``instances`` and ``have_it`` only. Where the cohort is less than half of the
    instances now, or of the users, its delay says nothing of them and is None.

    Of the cohort, whoever was known before that day and has the release without ever having arrived there took it so
    long ago that the move is thrown away: before everybody whose move is not. They are the first of the order, and
    as long as they are fewer than each of ``shares`` its delay is that of somebody else; else it is None.
    """
    start = _start(released)
    next_day = start + timedelta(days=1)
    watched = [taker for taker in takers if taker.first_seen_at < next_day]
    unknown = [taker for taker in takers if taker.has_it and not taker.arrived_at]
    lost = [taker for taker in unknown if taker.first_seen_at < start]
    found_late = [taker for taker in unknown if taker.first_seen_at >= next_day]
    delays = patch_delays(released, [(_taken_at(taker), taker.active_users) for taker in watched], shares)

    def known(weigh: Callable[[Sequence[Taker]], int]) -> bool:
        enough = 2 * weigh(watched) >= weigh(takers)
        return enough and (not lost or all(weigh(lost) < share * weigh(watched) for share in shares))

    instances_known, users_known = known(len), known(_users)
    return Uptake(
        len(takers),
        sum(taker.has_it for taker in takers),
        len(lost) + len(found_late),
        len(watched),
        instances_known,
        users_known,
        tuple(
            Delay(d.share, d.instances if instances_known else None, d.users if users_known else None) for d in delays
        ),
    )


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
    start = _start(released)
    had = sorted((max(since - start, timedelta(0)), users) for since, users in everything if since is not None)
    by_instances = [(delay, 1) for delay, _ in had]
    all_users = sum(users for _, users in everything)
    return tuple(
        Delay(share, _reached(by_instances, share * len(everything)), _reached(had, share * all_users))
        for share in shares
    )


def _start(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _taken_at(taker: Taker) -> datetime | None:
    if not taker.has_it:
        return None
    # Of a move that is lost this is not the moment, but it comes first among all, as that did.
    return taker.arrived_at or taker.first_seen_at


def _users(takers: Sequence[Taker]) -> int:
    return sum(taker.active_users for taker in takers)


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
