"""Where an instance can go from the version it runs: in words for whoever asks."""

from collections.abc import Sequence
from datetime import date
from typing import Protocol

_SUPPORTED = ("latest", "previous", "deprecated")


class StandingBranch(Protocol):
    """What has to be known of a branch (:class:`vmcrawl.store.branches.BranchRow`)."""

    @property
    def branch(self) -> str: ...
    @property
    def support(self) -> str: ...
    @property
    def supported_until(self) -> date | None: ...
    @property
    def latest_release(self) -> str | None: ...


def way_out(branch: str | None, patched: bool | None, branches: Sequence[StandingBranch]) -> str:
    """The nearest release with all known fixes, of a branch that still gets them; "" if there is nothing to do."""
    own = next((one for one in branches if one.branch == branch), None)
    if branch is None or own is None:
        return ""
    if own.support == "main":
        return "" if patched is not False else "a newer build of main"
    steps = []
    if patched is False and own.latest_release:
        steps.append(f"{own.latest_release}, of its own branch")
    if own.support not in _SUPPORTED:
        above = sorted((one for one in branches if _key(one.branch) > _key(branch)), key=lambda one: _key(one.branch))
        living = [one for one in above if one.support in _SUPPORTED and one.latest_release]
        if living:
            nearest = living[0]
            until = f" until {nearest.supported_until}" if nearest.supported_until else ""
            steps.append(f"{nearest.latest_release}, of the next branch that is supported{until}")
        if len(living) > 1:
            steps.append(f"{living[-1].latest_release}, the newest")
    return "; ".join(steps)


def _key(branch: str) -> tuple[int, ...]:
    return tuple(int(part) for part in branch.split(".") if part.isascii() and part.isdigit())
