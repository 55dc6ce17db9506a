"""What dead processes leave behind: leases that nobody works on, runs that nobody closes, domains under suspicion."""

import logging
import os
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
    database.run(partial(parts.close_deserted, now=now, but=name))
    for holder, until in database.run(claims.holders):
        if until > now and _is_gone(holder):
            number = database.run(partial(claims.release, holder=holder))
            log.warning("%d domains were left under lease by a process that is gone", number)


def take_over(database: Database, run_id: int, schedule: ScheduleSettings, now: datetime) -> None:
    """Free what other parts of a run held that have died meanwhile.

    What they had in flight becomes suspect and is crawled alone in its process. What was suspect already is crawled in
    isolation, alone in its part of the run. What ends such a part, too, gets its verdict: whoever takes a whole machine
    down each time must not keep a run from ever ending, nor cost those their verdict who were there at the time.
    """
    for part in database.run(partial(parts.at_work_on, run_id=run_id)):
        if is_gone(part):
            # Nobody need wait for its silence, if it is the one to close the run.
            database.run(partial(parts.leave, run_id=run_id, part=part, now=now))
    for holder, until in database.run(partial(claims.holders, run_id=run_id)):
        if until > now and not _is_gone(holder):
            continue
        why = "three times it was in flight when a crawler ended with its machine or pod, the last time alone"
        convict(database, holder, why, schedule, isolated=True)
        number = database.run(partial(claims.release_dead, holder=holder))
        log.warning("%d domains were in flight in a part of the run that is gone: taken over", number)


def suspect(database: Database, holder: str, exit_code: int | None) -> int:
    """Free what a process of ours had in flight that has died; returns how many domains are suspect of that."""
    if exit_code == os.EX_TEMPFAIL:
        # It lost the database, for longer than it may: no domain is to blame.
        database.run(partial(claims.release, holder=holder))
        return 0
    number = database.run(partial(claims.release_dead, holder=holder))
    log.warning("%d domains were in flight in the process that died", number)
    return number


def judge(database: Database, holder: str, exit_code: int | None, schedule: ScheduleSettings) -> Recorded:
    """Give the domain its verdict that a process of ours crawled alone, which has died."""
    if exit_code == os.EX_TEMPFAIL:
        database.run(partial(claims.release, holder=holder))
        return Recorded()
    why = f"its crawl, alone in a process, ended that process with exit code {exit_code}"
    return convict(database, holder, why, schedule)


def convict(
    database: Database, holder: str, why: str, schedule: ScheduleSettings, isolated: bool | None = None
) -> Recorded:
    """Give the suspects that a dead process had under lease their verdict, all or the isolated ones."""
    held = database.run(partial(claims.held_by, holder=holder, suspect=True, isolated=isolated))
    batch = [_verdict(claim, why, schedule, database.now()) for claim in held]
    return database.run(partial(results.record, results=batch, holder=holder)) if batch else Recorded()


def _verdict(claim: Claim, why: str, schedule: ScheduleSettings, now: datetime) -> Result:
    log.error("%s: %s", claim.domain, why)
    appointment = next_appointment(Outcome.INTERNAL_ERROR, claim.failures, now, None, schedule, random.random())
    return Result(Observation(claim.domain, now, Outcome.INTERNAL_ERROR, why), appointment)


def _is_gone(holder: str) -> bool:
    return is_gone(holder.partition("#")[0])
