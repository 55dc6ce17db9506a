"""The connections that are open just now, and until when each may be."""

import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

#: Their threads wake up at once.
_LEAVE_SECONDS = 1.0


@dataclass(eq=False, slots=True)
class Visit:
    """A connection: its socket, which TLS replaces, and the moment (monotonic) at which it is ended."""

    sock: socket.socket
    until: float
    #: Its request has not come yet, or not all of it.
    is_asking: bool = True


class Visits:
    """All that touches a socket from another thread than its own, and all that replaces or closes it, is done under
    one lock: its number could be another's by then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._has_left = threading.Condition(self._lock)
        self._open: set[Visit] = set()
        #: Those that had to make room, until their threads have noticed.
        self._leaving: set[Visit] = set()

    def add(self, visit: Visit, most: int) -> bool:
        """Whether there was room for it, if need be in the place of the one that has been asking for longest.

        Prometheus asks within milliseconds: so nobody keeps it out by connections that say nothing, or say it slowly.
        """
        with self._lock:
            if len(self._open) >= most and not self._make_room(most):
                return False
            self._open.add(visit)
            return True

    def _make_room(self, most: int) -> bool:
        # Or there would be a thread for each of a flood.
        if not self._has_left.wait_for(lambda: len(self._leaving) < most, _LEAVE_SECONDS):
            return False
        asking = [visit for visit in self._open if visit.is_asking]
        if len(self._open) < most or not asking:
            return len(self._open) < most
        slowest = min(asking, key=lambda visit: visit.until)
        self._open.remove(slowest)
        self._leaving.add(slowest)
        _end(slowest.sock)
        return True

    def secure(self, visit: Visit, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Put TLS around the socket; the handshake is still to be done."""
        with self._lock:
            secured = context.wrap_socket(visit.sock, server_side=True, do_handshake_on_connect=False)
            visit.sock = secured
            return secured

    def extend(self, visit: Visit, time_from_now: timedelta) -> None:
        """Its request is there; it has this time for the answer."""
        with self._lock:
            visit.is_asking = False
            visit.until = time.monotonic() + time_from_now.total_seconds()
            visit.sock.settimeout(time_from_now.total_seconds())

    def remove(self, visit: Visit) -> None:
        with self._lock:
            self._open.discard(visit)
            self._leaving.discard(visit)
            self._has_left.notify()
            visit.sock.close()

    def end_overdue(self, now: float) -> None:
        with self._lock:
            for visit in self._open:
                if visit.until < now:
                    _end(visit.sock)

    def end_all(self) -> None:
        with self._lock:
            for visit in self._open:
                _end(visit.sock)


def _end(sock: socket.socket) -> None:
    """Make the thread that waits for the socket wake up with an error; it closes the socket then."""
    with suppress(OSError):
        # Of the class above: that of an SSLSocket forgets that there is TLS, and its thread would go on without.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
