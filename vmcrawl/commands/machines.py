"""Who works on a run, machine by machine: by the names of processes, which begin with boot and PID namespace."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vmcrawl.store.standing import HolderLine, PartLine


@dataclass(frozen=True, slots=True)
class Machine:
    """What one machine (or pod) does for one run that has not ended, or holds under lease."""

    #: Its name; "" where nobody knows.
    name: str
    #: None for leases of no run.
    run_id: int | None
    #: Processes that have joined the run, and those of them that have not left it.
    parts: int
    at_work: int
    #: Crawler processes that have done something or hold something.
    crawlers: int
    crawled: int
    held: int
    expired: int
    #: When it was heard of last; None if it never was.
    heartbeat_at: datetime | None


def by_machine(parts: Sequence[PartLine], holders: Sequence[HolderLine]) -> list[Machine]:
    """One for each machine and run, by run and name."""
    names = {_place(part.part): part.machine for part in parts}
    groups: dict[tuple[int | None, str], tuple[list[PartLine], list[HolderLine]]] = {}
    for part in parts:
        groups.setdefault((part.run_id, part.machine), ([], []))[0].append(part)
    for holder in holders:
        place = _place(holder.holder)
        # Without procfs a process is named after its machine.
        name = names.get(place, "" if "/" in holder.holder else place)
        groups.setdefault((holder.run_id, name), ([], []))[1].append(holder)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0] or 0, item[0][1]))
    return [_machine(run_id, name, *of) for (run_id, name), of in ordered]


def _machine(run_id: int | None, name: str, parts: Sequence[PartLine], holders: Sequence[HolderLine]) -> Machine:
    return Machine(
        name,
        run_id,
        len(parts),
        sum(part.left_at is None for part in parts),
        len(holders),
        sum(holder.crawls for holder in holders),
        sum(holder.held for holder in holders),
        sum(holder.expired for holder in holders),
        max((part.heartbeat_at for part in parts), default=None),
    )


def _place(process: str) -> str:
    """Boot and PID namespace of a process or holder (:func:`vmcrawl.machine.process_identity`), or what else it has."""
    identity = process.partition("#")[0]
    fields = identity.split("/")
    return "/".join(fields[:2]) if len(fields) == 4 else identity
