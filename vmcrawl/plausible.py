"""Whether what a source says can follow on what is known: a list may be wrong without having changed its shape."""

from collections.abc import Iterable

from vmcrawl.catalogue import Catalogue
from vmcrawl.version import Version


class Implausible(ValueError):
    """It cannot; the message says in one line why."""


def refuse_leaps(versions: Iterable[Version], catalogue: Catalogue) -> None:
    """Raise :class:`Implausible` for a version far above all that is known.

    A branch above the highest known one is the next minor or the next major; in a list that has both, the next but
    one, too, and so on. One typo in a tag would otherwise make us believe any server that says 42.0.0.
    """
    known = {release.version.branch_key for release in catalogue.releases}
    known |= {main.version.branch_key for main in catalogue.main_ranges}
    major, minor = highest = max(known, default=(0, 0))
    for branch, version in sorted((version.branch_key, version) for version in versions):
        if branch > highest and branch not in ((major, minor + 1), (major + 1, 0)):
            raise Implausible(f"{version.release} cannot follow on {major}.{minor}")
        major, minor = highest = max(highest, branch)


def refuse_losses(lost: int, known: int, what: str) -> None:
    """Raise :class:`Implausible` where a list would take away more than a fifth of what is known."""
    if lost * 5 > known:
        raise Implausible(f"{lost} of {known} {what} are missing")
