"""How things stand, as ``vmcrawl status`` has it in one value; what is None may not be read by this user."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vmcrawl.commands.machines import Machine
from vmcrawl.store.adoption import VersionCount
from vmcrawl.store.standing import (
    CatalogueLine,
    FailingInstances,
    LedgerPart,
    PartLine,
    Pause,
    RunLine,
    SourceLine,
    Work,
)


@dataclass(frozen=True, slots=True)
class Queue:
    """How much work there is."""

    domains: int
    due: int
    #: Due for more than six hours.
    overdue: int
    leased: int | None
    #: Leases that have run out, and that nobody has taken over yet.
    expired: int | None
    suspects: int | None
    oldest_due_at: datetime | None
    #: When the next domain falls due; None if something is due now, or the ledger is empty.
    next_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Rates:
    """What is done in a second; requests and bytes are known only while somebody watches."""

    domains: float
    requests: float | None = None
    received_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """All of it, at one moment, by the clock of the database."""

    at: datetime
    ledger: Sequence[LedgerPart] | None
    #: Held and expired, for those who may not see who holds them.
    leases: tuple[int, int] | None
    rates: Rates | None
    runs: Sequence[RunLine] | None
    parts: Sequence[PartLine] | None
    machines: Sequence[Machine] | None
    failing: FailingInstances | None
    sources: Sequence[SourceLine] | None
    catalogue: CatalogueLine | None
    versions: Sequence[VersionCount] | None
    #: None, too, where the database knows no pause.
    pause: Pause | None
    #: What was done in all by a moment on ``time.monotonic``, to tell rates by the next time.
    work: tuple[float, Work | None]

    @property
    def queue(self) -> Queue | None:
        """The ledger, added up."""
        if self.ledger is None:
            return None
        due = sum(part.due for part in self.ledger)
        coming = [part.next_due_at for part in self.ledger if part.next_due_at]
        waiting = [part.oldest_due_at for part in self.ledger if part.oldest_due_at]
        held, expired = self.leases or (None, None)
        if self.machines is not None:
            held, expired = (sum(getattr(one, what) for one in self.machines) for what in ("held", "expired"))
        return Queue(
            sum(part.domains for part in self.ledger),
            due,
            sum(part.overdue for part in self.ledger),
            held,
            expired,
            _sum([part.suspects for part in self.ledger]),
            min(waiting, default=None),
            None if due else min(coming, default=None),
        )

    @property
    def last_day(self) -> dict[str, int] | None:
        """Domains that were crawled within the last day, by how their last crawl ended; most frequent first."""
        if self.ledger is None or any(part.last_day is None for part in self.ledger):
            return None
        ended = {part.outcome: part.last_day for part in self.ledger if part.outcome and part.last_day}
        return dict(sorted(ended.items(), key=lambda item: (-item[1], item[0])))


def _sum(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
