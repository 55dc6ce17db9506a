"""How much a process takes on: more in flight while the machine has time to spare, fewer crawls when it has none."""

from dataclasses import dataclass, replace

#: At the start and at the least: whoever starts hundreds of handshakes at once runs into timeouts of his own making.
FLOOR = 8
#: More per second, while there is time to spare.
_GROWTH_PER_SECOND = 16.0
#: Share of the CPUs in use, by anybody, up to which there is time to spare, and from which there is none.
_SPARE = 0.85
_NONE = 0.95
#: What is left after a second without any time to spare.
_SHRINKING_PER_SECOND = 0.7
#: What is claimed ahead lasts so long: no thread waits for a claim, and a process that dies takes little with it.
_AHEAD_SECONDS = 0.5
_MOST_AHEAD = 256


@dataclass(frozen=True, slots=True)
class Pace:
    """The number of crawls in flight that is right now (``allowed``), never more than ``most``."""

    most: int
    allowed: float = FLOOR
    #: Nothing was to spare when it was last measured: answers may come late because of us.
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

    def after(self, seconds: float, busy: float | None, finished: int = 0) -> "Pace":
        """The pace after so many seconds in which ``busy`` (0 to 1) of the CPUs was in use (None: nobody knows), and
        so many crawls were finished.

        Beyond saturation more crawls in flight make every one of them slower, until they run into their timeouts.
        """
        measured = replace(self, rate=(self.rate + finished / seconds) / 2)
        return measured._with_time_to_spare(seconds, busy)

    def _with_time_to_spare(self, seconds: float, busy: float | None) -> "Pace":
        if busy is not None and busy >= _NONE:
            shrunk = max(float(FLOOR), self.allowed * _SHRINKING_PER_SECOND**seconds)
            return replace(self, allowed=shrunk, starving=True)
        if busy is not None and busy > _SPARE:
            return replace(self, starving=False)
        grown = min(float(self.most), self.allowed + _GROWTH_PER_SECOND * seconds)
        return replace(self, allowed=grown, starving=False)
