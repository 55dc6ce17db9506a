"""Which hosts the operator has said are never to be asked."""

from dataclasses import dataclass, field
from typing import Protocol


class Covering(Protocol):
    """Whatever says which hosts may not be asked."""

    def covers(self, host: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Names that get no request, ever: ``exact`` ones, and ``trees`` that stand for every name below them, too."""

    exact: frozenset[str] = frozenset()
    trees: frozenset[str] = frozenset()

    def covers(self, host: str) -> bool:
        """Tell whether ``host`` (lower-case ASCII) may not be asked."""
        if host in self.exact:
            return True
        labels = host.split(".")
        return any(".".join(labels[start:]) in self.trees for start in range(len(labels)))


@dataclass(slots=True)
class CurrentExclusions:
    """Those of now: crawls that hold it learn at once of what is put into it. For any thread."""

    exclusions: Exclusions = field(default_factory=Exclusions)

    def covers(self, host: str) -> bool:
        """As :meth:`Exclusions.covers`."""
        return self.exclusions.covers(host)
