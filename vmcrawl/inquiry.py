"""One server, asked for its peers: from robots.txt to how it ended, and its names on their way into the ledger."""

import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from vmcrawl.asking import Ending, ending_of
from vmcrawl.document import clean_text
from vmcrawl.domain import Domain
from vmcrawl.fetch import Client
from vmcrawl.harvest import Harvest
from vmcrawl.observation import CrawlFailed, Observation
from vmcrawl.outcome import Outcome
from vmcrawl.peers import Name
from vmcrawl.polite import Manners, Memory, Visitor
from vmcrawl.schedule import next_appointment
from vmcrawl.settings import Settings
from vmcrawl.store import claims, peers, results, robots
from vmcrawl.store.connection import DatabaseUnavailable, StoreError
from vmcrawl.store.database import Database
from vmcrawl.store.peers import Added, Asking
from vmcrawl.store.results import Result

log = logging.getLogger(__name__)

_PATH = "/api/v1/instance/peers"
_LONGEST_DETAIL = 500


@dataclass(frozen=True, slots=True)
class Asked:
    """How asking one server ended, in numbers: which names it told is not kept."""

    domain: Domain
    ended: str
    #: Why, where it is a failure.
    detail: str = ""
    #: Made for it, those for robots.txt and redirects included; 0: it may not be asked.
    requests: int = 0
    #: Items in the answer, as far as it was read, ...
    read: int = 0
    #: ... those that name no server, ...
    unusable: int = 0
    #: ... those that are excluded, or on a hard DNI entry, ...
    refused: int = 0
    #: ... those that are in the ledger, ...
    known: int = 0
    #: ... those left out since there are enough under the same registrable domain, ...
    crowded: int = 0
    #: ... and those that are new.
    new: int = 0


def inquire(
    asking: Asking, holder: str, database: Database, client: Client, memory: Memory, settings: Settings
) -> Asked:
    """Ask the server that ``holder`` has under lease, write down what came of it, give the lease back.

    Raises only what the database raises: every other ending has a name.
    """
    now, started = database.now(), time.monotonic()
    exclusions = database.run(claims.load_exclusions)
    harvest = Harvest(exclusions, settings.discovery, partial(_add, database, settings))
    timeout = settings.crawl.domain_timeout
    manners = Manners(settings.http.robots_agent, timeout.total_seconds(), exclusions)
    failure = None
    with client.session(timeout + settings.discovery.timeout) as session:
        visitor = Visitor(session, manners, memory, now)
        try:
            response = visitor.download(f"https://{asking.host}{_PATH}", harvest.download())
            visitor.require_success(response)
            ended = str(harvest.close())
        except CrawlFailed as error:
            failure, ended = error, str(ending_of(error))
        except (DatabaseUnavailable, StoreError):
            raise
        except Exception as error:
            log.exception("asking %s for its peers ended in a bug", asking.domain)
            failure = CrawlFailed(Outcome.INTERNAL_ERROR, type(error).__name__)
            ended = str(failure.outcome)
    # What had come before a failure is as good as any name.
    harvest.store()
    database.run(partial(robots.remember, records=visitor.robots))
    if failure is not None and failure.outcome is Outcome.TIMEOUT and client.stopping.is_set():
        failure, ended = None, str(Ending.UNFINISHED)
    detail = "" if failure is None else clean_text(failure.detail, _LONGEST_DETAIL)
    if failure is not None and failure.outcome is Outcome.OPTED_OUT:
        seen = Observation(
            asking.domain,
            now,
            Outcome.OPTED_OUT,
            detail,
            requests=visitor.requests,
            received_bytes=session.received_bytes,
            duration_seconds=time.monotonic() - started,
        )
        _opt_out(database, asking, holder, seen, settings)
    not_before = None if failure is None else _not_before(failure, asking, now, settings)
    note = partial(peers.finish, domain=asking.domain, holder=holder, ended=ended, not_before=not_before)
    database.run(note)
    sieve = harvest.sieve
    return Asked(
        *(asking.domain, ended, detail, visitor.requests, sieve.read, sieve.unusable, sieve.refused),
        *(harvest.known, harvest.crowded, harvest.new),
    )


def _add(database: Database, settings: Settings, names: Sequence[Name], at_most: int) -> Added:
    limits, now = settings.discovery, database.now()
    return database.run(
        lambda connection: peers.add(
            connection, names, now, names_per_domain=limits.names_per_domain, at_most=at_most, spread=limits.spread
        )
    )


def _opt_out(database: Database, asking: Asking, holder: str, seen: Observation, settings: Settings) -> None:
    """410, 418 and 451 are an opt-out from any endpoint: a verdict like that of a crawl, and at once."""
    chance = random.random()
    appointment = next_appointment(
        Outcome.OPTED_OUT, asking.failures, seen.observed_at, None, settings.schedule, chance
    )
    batch = [Result(seen, appointment)]
    if database.run(lambda connection: results.record(connection, batch, holder)).lost:
        log.warning("%s has opted out, but its lease had ended: the next crawl has to find that out", asking.domain)


def _not_before(failure: CrawlFailed, asking: Asking, now: datetime, settings: Settings) -> datetime | None:
    """Until when the server wants to be left alone; crawls obey that, too. No other failure is held against it."""
    appointment = next_appointment(
        failure.outcome, asking.failures, now, failure.retry_after_seconds, settings.schedule, random.random()
    )
    return appointment.not_before
