"""Why a domain is due when it is due: the rule of the schedule behind it, in words for people."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from vmcrawl.duration import format_duration
from vmcrawl.outcome import Outcome
from vmcrawl.schedule import next_appointment
from vmcrawl.settings import Settings

#: A crawl is decided upon when it is over: later than ``last_crawled_at``, its beginning, by as much as it may take.
_SLACK = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the ledger says of when a domain is crawled next."""

    outcome: str | None
    #: In a row, the last one included.
    failures: int
    due_at: datetime
    last_crawled_at: datetime | None = None
    #: Nobody may ask before, by the server's own word.
    not_before: datetime | None = None
    leased_until: datetime | None = None
    #: When the rules of robots.txt were read that hold for it; None where none are kept.
    rules_read_at: datetime | None = None


def why_due(waiting: Waiting, now: datetime, settings: Settings) -> str:
    """Say in a sentence which rule set ``due_at``, with the settings as they are now."""
    if waiting.leased_until is not None and waiting.leased_until > now:
        return "it is being crawled now; if no result comes, it is due again when the lease ends"
    if waiting.outcome is None or waiting.last_crawled_at is None:
        return "it has not been crawled yet: due since it was added, or made due"
    if waiting.outcome not in _KNOWN:
        return f"this version of vmcrawl has no rule for {waiting.outcome}"
    rule, earliest, latest = _rule(waiting, waiting.last_crawled_at, settings)
    if waiting.due_at < earliest - timedelta(seconds=1):
        return f"made due earlier (by domains requeue or include, by name, or by crawl --all) than by {rule}"
    if waiting.due_at <= latest + _SLACK:
        return rule
    if waiting.outcome == Outcome.OK:
        return f"{_later(waiting, settings)}; else by {rule}"
    return f"put off further than by {rule}: by other settings, or by a crawl that brought no result"


def _rule(waiting: Waiting, crawled_at: datetime, settings: Settings) -> tuple[str, datetime, datetime]:
    """The rule for an outcome, and the earliest and the latest moment that it leads to."""
    schedule = settings.schedule
    outcome = Outcome(waiting.outcome or "")
    asked = None if waiting.not_before is None else round((waiting.not_before - crawled_at).total_seconds())
    before = max(0, waiting.failures - 1)
    earliest, latest = (
        next_appointment(outcome, before, crawled_at, asked, schedule, chance).due_at for chance in (0.0, 1.0)
    )
    return _named(outcome, waiting, asked, settings), earliest, latest


def _named(outcome: Outcome, waiting: Waiting, asked: int | None, settings: Settings) -> str:
    schedule = settings.schedule
    around = f", give or take {schedule.jitter:.0%}"
    if outcome is Outcome.RATE_LIMITED:
        usual = schedule.rate_limited
        if asked is None or usual <= timedelta(seconds=asked) <= usual + _SLACK:
            return f"schedule.rate_limited ({format_duration(usual)}), and not before"
        return f"its Retry-After (until {waiting.not_before:%Y-%m-%d %H:%M %Z}), and not before"
    if outcome in _SETTLED:
        interval = getattr(schedule, str(_SETTLED[outcome]))
        return f"schedule.{_SETTLED[outcome]} ({format_duration(interval)}{around})"
    number = max(1, waiting.failures)
    interval = min(schedule.failure_first * (1 << min(number - 1, 20)), schedule.failure_longest)
    capped = ", the most there is (schedule.failure_longest)" if interval == schedule.failure_longest else ""
    rule = (
        f"schedule.failure_first ({format_duration(schedule.failure_first)}), doubled with each failure in a row: "
        f"{format_duration(interval)} after {number}{capped}{around}"
    )
    if asked is not None and waiting.not_before is not None and waiting.due_at <= waiting.not_before:
        return f"its Retry-After (until {waiting.not_before:%Y-%m-%d %H:%M %Z})"
    return rule


def _later(waiting: Waiting, settings: Settings) -> str:
    lifetime = settings.crawl.robots_lifetime
    if waiting.rules_read_at is not None and abs(waiting.due_at - waiting.rules_read_at - lifetime) <= _SLACK:
        return f"put off until its robots.txt is to be read anew (crawl.robots_lifetime, {format_duration(lifetime)})"
    return "put off, since its server lets its document be used for longer (Cache-Control)"


_KNOWN = frozenset(map(str, Outcome))
_SETTLED = {
    Outcome.OK: "ok",
    Outcome.ALIAS: "alias",
    Outcome.ALIAS_UNVERIFIED: "alias",
    Outcome.NOT_MASTODON: "not_mastodon",
    Outcome.ROBOTS_DISALLOWED: "robots_disallowed",
    Outcome.OPTED_OUT: "opted_out",
    Outcome.EXCLUDED: "excluded",
}
