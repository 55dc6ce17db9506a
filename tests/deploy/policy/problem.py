"""What a rule says when something is wrong, and which line of which rule said it."""

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """Where something is wrong, and what."""

    where: str
    what: str
    #: The file and the line of the rule: a test holds that each of them can speak.
    rule: tuple[str, int]

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def problem(where: str, what: str) -> Problem:
    """A problem that the calling line has found."""
    caller = sys._getframe(1)
    return Problem(where, what, (Path(caller.f_code.co_filename).name, caller.f_lineno))
