"""What a supervisor and its crawler processes say to each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vmcrawl.settings import Settings


class Word(StrEnum):
    """What a supervisor says to a crawler process."""

    #: Claim nothing more; finish what is in flight, within ``crawl.grace``.
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Orders:
    """What one crawler process is to do."""

    settings: Settings
    threads: int
    run_id: int
    #: Only domains that this run was given by name, not whatever is due.
    named: bool
    #: Only domains that were in flight when their process died.
    suspects: bool
    due_before: datetime
    #: Of suspects, only those that were crawled when a machine died for the second time.
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """What a crawler process has recorded since it last said so, and how many crawls are in flight.

    ``holder`` is the name that its leases bear; it is told before the first claim.
    """

    holder: str
    outcomes: Mapping[str, int]
    in_flight: int
