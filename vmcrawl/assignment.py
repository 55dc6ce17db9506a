"""What a batch run is asked to do, and what it tells of itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vmcrawl.domain import Domain
from vmcrawl.store.runs import RunStatus


@dataclass(frozen=True, slots=True)
class Selection:
    """What a run covers: the named domains, or (``names`` None) whatever is due, or everything; ``limit`` at most."""

    names: Sequence[Domain] | None = None
    everything: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Sharing:
    """A run that several processes or machines work on: all that give the same name; it covers whatever is due."""

    name: str
    #: Which of a Kubernetes Job's completions we are.
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a run has come."""

    planned: int
    in_flight: int
    outcomes: Mapping[str, int]

    @property
    def crawled(self) -> int:
        """Domains with a verdict so far."""
        return sum(self.outcomes.values())


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended, whoever worked on it; ``running``: others still do."""

    run_id: int
    status: RunStatus
    planned: int
    crawled: int
    outcomes: Mapping[str, int]
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class Control:
    """How the outside steers and watches a run."""

    #: SIGTERM or Ctrl-C has come.
    interrupted: Callable[[], bool] = lambda: False
    #: Called a few times a second with how far the run has come.
    show: Callable[[Standing], None] = lambda standing: None
