"""How much a run and each of its processes take on: what fits the machine, and what it has time for just now."""

from dataclasses import dataclass, replace

#: At the start and at the least: whoever starts hundreds of handshakes at once runs into timeouts of his own making.
FLOOR = 8
#: More per second, while there is time to spare: a number, and a share of what is in flight.
_GROWTH, _GROWTH_SHARE = 16.0, 0.25
#: What is left after a second without any time to spare.
_SHRINKING_PER_SECOND = 0.7
#: Share of the machine's CPUs in use, by anybody, from which on answers may come late.
_SATURATED = 0.95
#: CPUs that a process wants up to which it has time to spare, and from which on it has none: one thread at a time has
#: the interpreter.
_SPARE, _NONE = 0.7, 0.9
#: Seconds that a thread which could go on has to wait for the interpreter and a CPU: fine, and too much.
_PROMPT, _LATE = 0.03, 0.1
#: What is claimed ahead lasts so long: no thread waits for a claim, and a process that dies takes little with it.
_AHEAD_SECONDS = 0.5
_MOST_AHEAD = 256
#: TLS lets the interpreter go, so that two processes keep a core busy. More than these would use up a Postgres as it
#: comes (100 connections, and each process may hold two), and are worth some 15,000 domains a second.
_PROCESSES_PER_CORE, _MOST_PROCESSES = 2, 24
#: A process is worth starting for so many domains.
_DOMAINS_PER_PROCESS = 32
#: Servers that are silent for five seconds and 400 domains a second are some hundreds of crawls that only wait.
_FEWEST_THREADS, _MOST_THREADS = 16, 256
#: Measured, with room to spare: what a process takes, what a crawl in flight takes, and our share of the memory.
_BYTES_PER_PROCESS, _BYTES_PER_THREAD, _SHARE_OF_MEMORY = 64 << 20, 256 << 10, 0.5


def pool_size(domains: int, cores: int, memory: int | None, *, processes: int = 0, threads: int = 0) -> tuple[int, int]:
    """How many processes, and threads in each, crawl ``domains`` on ``cores`` in ``memory`` bytes (None: not known).

    ``processes`` and ``threads`` are what an operator wants; 0: what fits.
    """
    ours = None if memory is None else int(memory * _SHARE_OF_MEMORY)
    if not processes:
        processes = min(_PROCESSES_PER_CORE * cores, _MOST_PROCESSES)
        if ours is not None:
            processes = max(1, min(processes, ours // _BYTES_PER_PROCESS))
    if not threads:
        threads = _MOST_THREADS
        if ours is not None:
            room = ours // processes - _BYTES_PER_PROCESS
            threads = max(_FEWEST_THREADS, min(threads, room // _BYTES_PER_THREAD))
    return min(processes, max(1, -(-domains // _DOMAINS_PER_PROCESS))), threads


@dataclass(frozen=True, slots=True)
class Load:
    """How a process fared for a while."""

    #: Share (0 to 1) of the machine's CPUs in use, by anybody; None: nobody knows.
    busy: float | None
    #: CPUs that the process wanted, whether it got them or waited for them; None: nobody knows.
    demand: float | None = None
    #: Seconds, on average, between the moment a thread could go on and the moment it did.
    lag: float = 0.0


@dataclass(frozen=True, slots=True)
class Pace:
    """The number of crawls in flight that is right now (``allowed``), never more than ``most``."""

    most: int
    allowed: float = FLOOR
    #: Nothing was to spare when it was last measured: answers may come late because of this machine.
    starving: bool = False
    #: Crawls that end in a second.
    rate: float = 0.0

    @property
    def in_flight(self) -> int:
        """``allowed`` as a whole number."""
        return min(self.most, int(self.allowed))

    @property
    def ahead(self) -> int:
        """How many domains more may be claimed than are in flight."""
        return min(_MOST_AHEAD, int(self.rate * _AHEAD_SECONDS))

    def after(self, seconds: float, load: Load, finished: int = 0) -> "Pace":
        """The pace after so many seconds under ``load`` in which so many crawls were finished.

        Where its threads want the interpreter all the time, more of them only make every crawl slower, until answers
        look like timeouts. That others keep the CPUs busy is no reason to do less, as long as we get what we need.
        """
        busy = 0.0 if load.busy is None else load.busy
        # Without a better measure: that of the whole machine.
        demand = busy if load.demand is None else load.demand
        allowed = self.allowed
        if load.lag >= _LATE or demand >= _NONE:
            allowed = max(float(FLOOR), allowed * _SHRINKING_PER_SECOND**seconds)
        elif load.lag < _PROMPT and demand < _SPARE:
            allowed = min(float(self.most), allowed + (_GROWTH + _GROWTH_SHARE * allowed) * seconds)
        return replace(
            self,
            allowed=allowed,
            starving=busy >= _SATURATED or load.lag >= _LATE,
            rate=(self.rate + finished / seconds) / 2,
        )
