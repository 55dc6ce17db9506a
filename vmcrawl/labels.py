"""What branches, releases and patched or not are called in metrics: as the catalogue knows them, or ``other``.

So nothing that a server says of itself ever is the value of a label.
"""

from vmcrawl.catalogue import Catalogue

#: All that the catalogue does not know, or that is too small to be named.
OTHER = "other"

#: The label ``patched``; None: nobody can say.
PATCHED: dict[bool | None, str] = {True: "true", False: "false", None: "unknown"}


def known_branches(catalogue: Catalogue) -> frozenset[str]:
    """The branches that may be named: those that upstream has released, has in development, or states a support of."""
    return frozenset({branch.name for branch in catalogue.branches} | set(known_releases(catalogue).values()))


def known_releases(catalogue: Catalogue) -> dict[str, str]:
    """The releases that may be named, with the branch of each: what upstream has released, and what main has been."""
    versions = [release.version for release in catalogue.releases]
    versions += [known.version for known in catalogue.main_ranges]
    return {version.release: version.branch for version in versions}
