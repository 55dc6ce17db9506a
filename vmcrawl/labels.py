"""What branches, releases, outcomes and patched or not are called in metrics: as we know them, or ``other``.

So nothing that a server says of itself ever is the value of a label.
"""

from vmcrawl.catalogue import Catalogue
from vmcrawl.outcome import Outcome

#: All that the catalogue does not know, or that is too small to be named.
OTHER = "other"

#: The label ``patched``; None: nobody can say.
PATCHED: dict[bool | None, str] = {True: "true", False: "false", None: "unknown"}


def known_branches(catalogue: Catalogue) -> frozenset[str]:
    """The branches that may be named; the view ``adoption`` marks the same ones as ``known_branch``."""
    return frozenset(branch.name for branch in catalogue.branches)


def known_releases(catalogue: Catalogue) -> dict[str, str]:
    """The releases that may be named, with their known branches: what upstream has released, and what main has been.

    The view ``adoption`` marks the same ones as ``known_release``.
    """
    versions = [release.version for release in catalogue.releases]
    versions += [known.version for known in catalogue.main_ranges]
    branches = known_branches(catalogue)
    return {version.release: version.branch for version in versions if version.branch in branches}


def outcome_label(text: str) -> str:
    """An outcome as the database has it: a newer version of the program may know more words than we do."""
    return text if text in _OUTCOMES else OTHER


_OUTCOMES = frozenset(map(str, Outcome))
