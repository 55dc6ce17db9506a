"""When a domain is crawled next: a function of how its crawl ended and how often it has failed in a row."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from vmcrawl.observation import LastLook, Observation
from vmcrawl.outcome import Outcome
from vmcrawl.settings import CrawlSettings, ScheduleSettings, Settings

#: No server is left alone for longer on its own word, for that would hide what it runs.
_LONGEST_FRESH_SECONDS = 86_400
#: Answers that settle what a domain is; asking again soon would only be noise.
_SETTLED: dict[Outcome, Callable[[ScheduleSettings], timedelta]] = {
    Outcome.OK: lambda settings: settings.ok,
    Outcome.ALIAS: lambda settings: settings.alias,
    Outcome.ALIAS_UNVERIFIED: lambda settings: settings.alias,
    Outcome.NOT_MASTODON: lambda settings: settings.not_mastodon,
    Outcome.ROBOTS_DISALLOWED: lambda settings: settings.robots_disallowed,
    Outcome.OPTED_OUT: lambda settings: settings.opted_out,
    Outcome.EXCLUDED: lambda settings: settings.excluded,
}


@dataclass(frozen=True, slots=True)
class Appointment:
    """The next crawl: ``failures`` in a row so far; nobody may ask before ``not_before``, not even by hand."""

    due_at: datetime
    failures: int
    not_before: datetime | None = None
    #: Until then one request is enough, if nothing is odd; None: look at all of it.
    trusted_until: datetime | None = None


def appoint(
    seen: Observation, failures: int, last: LastLook | None, now: datetime, settings: Settings, chance: float
) -> Appointment:
    """Decide when to crawl a domain again after ``seen``, and how much of it has to be looked at then.

    ``failures`` and ``chance`` as in :func:`next_appointment`; ``last`` is what was known of the server before.

    A good look is trusted for ``crawl.reconfirm``, but never for longer than the rules of robots.txt that it went by
    (RFC 9309, 2.4). The look that reads them anew comes when they are a day old, so that an opt-out takes effect
    within a day, and not before; and none comes while a document is fresh by its server's own word (RFC 9111, 4.2).
    """
    schedule = settings.schedule
    appointment = next_appointment(seen.outcome, failures, now, seen.retry_after_seconds, schedule, chance)
    if seen.outcome is not Outcome.OK:
        return appointment
    due_at = max(appointment.due_at, now + timedelta(seconds=min(seen.fresh_seconds, _LONGEST_FRESH_SECONDS)))
    trusted_until = None if last is None else last.trusted_until
    if seen.confirmed:
        trusted_until = seen.observed_at + _spread(settings.crawl.reconfirm, schedule.jitter, chance)
    if seen.rules_read_at is not None:
        rules_until = seen.rules_read_at + settings.crawl.robots_lifetime
        trusted_until = min(trusted_until or rules_until, rules_until)
        # Who asks more rarely than once in the life of the rules wants it so.
        if schedule.ok < settings.crawl.robots_lifetime and due_at > rules_until - schedule.ok / 2:
            due_at = max(rules_until, now + schedule.ok / 2)
    return replace(appointment, due_at=due_at, trusted_until=trusted_until)


def next_appointment(
    outcome: Outcome,
    failures: int,
    observed_at: datetime,
    retry_after_seconds: int | None,
    settings: ScheduleSettings,
    chance: float,
) -> Appointment:
    """Decide when to crawl a domain again.

    ``failures`` counts the failures in a row before this crawl; ``chance`` is a random number from 0 to 1 that
    spreads due times by ``settings.jitter`` either way, so that what was added together is not asked together.
    A server that said when to come again is never asked earlier (RFC 9110, 10.2.3), only later.
    """
    if outcome is Outcome.RATE_LIMITED:
        # No time, and a time that has passed, are no answer to when.
        asked = timedelta(seconds=retry_after_seconds) if retry_after_seconds else settings.rate_limited
        wait = min(asked, settings.rate_limited_longest)
        not_before = observed_at + wait
        return Appointment(not_before + wait * settings.jitter * chance, failures, not_before)
    if outcome in _SETTLED:
        interval = _SETTLED[outcome](settings)
        return Appointment(observed_at + _spread(interval, settings.jitter, chance), 0)
    due_at = observed_at + _spread(_backoff(failures, settings), settings.jitter, chance)
    failures = min(failures, 1_000_000) + 1
    if retry_after_seconds is None:
        return Appointment(due_at, failures)
    not_before = observed_at + min(timedelta(seconds=retry_after_seconds), settings.rate_limited_longest)
    return Appointment(max(due_at, not_before), failures, not_before)


def retry_after_seconds(header: str | None, now: datetime) -> int | None:
    """Read a ``Retry-After`` header (RFC 9110, 10.2.3): delay in seconds or an HTTP date; None if it says neither."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:10])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, round((moment - now).total_seconds()))


def lease_time(crawl: CrawlSettings) -> timedelta:
    """How long a domain is leased to whoever crawls it: the shorter, the sooner others take over from a dead machine.

    A crawl is over within its timeout, and as long again for delays that robots.txt asks for; leases of longer ones are
    renewed.
    """
    return max(timedelta(seconds=60), 3 * crawl.domain_timeout)


def _backoff(failures: int, settings: ScheduleSettings) -> timedelta:
    # 2^20 hours is more than a century: beyond that the longest interval holds anyway.
    return min(settings.failure_first * (1 << min(failures, 20)), settings.failure_longest)


def _spread(interval: timedelta, jitter: float, chance: float) -> timedelta:
    return interval * (1 + jitter * (2 * chance - 1))
