"""What dead processes leave behind: leases that nobody works on, runs that nobody closes, domains under suspicion."""

import logging
import random
from datetime import datetime
from functools import partial

from vmcrawl.machine import is_gone
from vmcrawl.observation import Observation
from vmcrawl.outcome import Outcome
from vmcrawl.schedule import next_appointment
from vmcrawl.settings import ScheduleSettings
from vmcrawl.store import claims, parts, results, runs
from vmcrawl.store.claims import Claim
from vmcrawl.store.database import Database
from vmcrawl.store.results import Recorded, Result
from vmcrawl.store.runs import RunStatus

log = logging.getLogger(__name__)


def bury_the_dead(database: Database, name: str | None, now: datetime) -> None:
    """Before a run begins: close what nobody works on any more, and free what processes of this machine held that are
    gone, instead of waiting for the end of their leases.

    A run that is called ``name`` is left open: it is about to be joined.
    """
    database.run(partial(runs.close_stale, now=now, but=name))
    for run_id, part in database.run(parts.at_work):
        if is_gone(part):
            database.run(partial(parts.leave, run_id=run_id, part=part, now=now))
    for run_id, called in database.run(parts.deserted):
        if name is None or called != name:
            counted = database.run(partial(runs.count_outcomes, run_id=run_id))
            failed = partial(runs.finish_run, run_id=run_id, now=now, status=RunStatus.FAILED, outcomes=counted)
            database.run(failed)
    for holder, until in database.run(claims.holders):
        if until > now and _is_gone(holder):
            number = database.run(partial(claims.release, holder=holder))
            log.warning("%d domains were left under lease by a process that is gone", number)


def take_over(database: Database, run_id: int, schedule: ScheduleSettings, now: datetime) -> bool:
    """Free what other parts of a run held that have died meanwhile; returns whether anybody is still at work on it.

    What they had in flight becomes suspect and is crawled alone. What was suspect already has ended two of them, and
    gets its verdict: whoever takes a whole machine down each time must not keep a run from ever ending.
    """
    alive = False
    for holder, until in database.run(partial(claims.holders, run_id=run_id)):
        if until > now and not _is_gone(holder):
            alive = True
            continue
        why = "it was in flight twice when a crawler ended with its machine or pod, once crawled alone in its process"
        convict(database, holder, why, schedule)
        number = database.run(partial(claims.release_dead, holder=holder))
        log.warning("%d domains were in flight in a part of the run that is gone: taken over", number)
    return alive


def convict(database: Database, holder: str, why: str, schedule: ScheduleSettings) -> Recorded:
    """Give the suspects that a dead process had under lease their verdict."""
    held = database.run(partial(claims.held_by, holder=holder, suspect=True))
    batch = [_verdict(claim, why, schedule, database.now()) for claim in held]
    return database.run(partial(results.record, results=batch, holder=holder)) if batch else Recorded()


def _verdict(claim: Claim, why: str, schedule: ScheduleSettings, now: datetime) -> Result:
    log.error("%s: %s", claim.domain, why)
    appointment = next_appointment(Outcome.INTERNAL_ERROR, claim.failures, now, None, schedule, random.random())
    return Result(Observation(claim.domain, now, Outcome.INTERNAL_ERROR, why), appointment)


def _is_gone(holder: str) -> bool:
    return is_gone(holder.partition("#")[0])
