"""All that is said of one distinct version string, as the store keeps it: its meaning, and what it is exposed to."""

from dataclasses import dataclass
from datetime import date

from vmcrawl.meaning import Meaning


@dataclass(frozen=True, slots=True)
class Exposure:
    """One advisory that touches a version, and where a fix is: of its own branch, or else of the newest one."""

    ghsa_id: str
    #: A release; None where no known release fixes it.
    fixed_in: str | None = None
    fix_released_on: date | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one version string means, and with what knowledge it was read."""

    meaning: Meaning
    #: The day (UTC) it was read for.
    read_on: date = date.min
    #: Of the catalogue it was read with (:func:`vmcrawl.store.catalogue.revision`); the later reading wins.
    revision: int = 0
    #: Since when there was something newer to take: a release of its branch, for a build of main also the
    #: fix on main. None for what is patched, or where nobody knows.
    fix_available_on: date | None = None
    exposures: tuple[Exposure, ...] = ()
