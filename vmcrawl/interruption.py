"""SIGTERM and Ctrl-C as something a program can look at, instead of something that tears it apart."""

import signal
from types import FrameType
from typing import Self


class Interruption:
    """While entered, the first SIGTERM or SIGINT is noted in ``signal_number``; a second one ends the program.

    Outside :meth:`patiently`, already the first ends it, by :class:`SystemExit` with 128 + its number: 143 for
    SIGTERM. A process that is PID 1 of a container gets no default handlers, so both are always installed.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._patient = False

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def patiently(self) -> None:
        """From now on a signal is only noted: somebody looks at :attr:`came` often."""
        self._patient = True

    @property
    def came(self) -> bool:
        """Whether a signal has come."""
        return self.signal_number is not None

    @property
    def exit_code(self) -> int:
        """What a program ended by the signal that came returns; 0 if none came."""
        return 0 if self.signal_number is None else 128 + self.signal_number

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.signal_number is not None or not self._patient:
            raise SystemExit(128 + number)
        self.signal_number = number
