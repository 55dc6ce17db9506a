"""TLS towards strangers: one context per process, and a socket whose every operation keeps to a budget."""

import logging
import os
import select
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from vmcrawl.deadline import Budget

T = TypeVar("T")

log = logging.getLogger(__name__)


class BudgetedSocket(ssl.SSLSocket):
    """A TLS socket that waits no longer than a budget allows, and counts into it what it receives.

    It is non-blocking, and waits by itself: the timeout of a socket bounds one operation, so that a server which drips
    bytes would never end, and to set it is a system call at which another thread takes the interpreter.
    """

    budget: Budget
    _poll: select.poll

    def shake_hands(self) -> None:
        """Do the handshake; raises ``OSError`` and what the budget raises, as the others do."""
        self._patiently(self.do_handshake)

    def receive(self, size: int) -> bytes:
        """At most so many bytes as soon as there are any; ``b""`` at the end."""
        if not self.pending():
            self._wait(select.POLLIN)
        received = self._patiently(partial(self.read, size))
        if not received:
            # It may be us who ended it, for lack of time.
            self.budget.left()
        self.budget.spend(len(received))
        return received

    def has_something(self) -> bool:
        """Whether anything can be read at once, the end included."""
        if self.pending():
            return True
        self._poll.modify(self, select.POLLIN)
        return bool(self._poll.poll(0))

    def send_whole(self, message: bytes) -> None:
        """Send all of it."""
        rest = memoryview(message)
        while rest:
            rest = rest[self._patiently(partial(self.send, rest)) :]

    def _patiently(self, operation: Callable[[], T]) -> T:
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                events = select.POLLIN
            except ssl.SSLWantWriteError:
                events = select.POLLOUT
            self._wait(events)

    def _wait(self, events: int) -> None:
        self._poll.modify(self, events)
        if not self._poll.poll(self.budget.wait() * 1000):
            # Either all of the time is up, or the longest silence.
            self.budget.left()
            raise TimeoutError("nothing came for too long")


def make_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """A client's context: TLS 1.2 and up, HTTP/1.1 by ALPN, certificates and names verified.

    Trusted are the authorities of the system (or of ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, which OpenSSL reads) and
    those of ``ca_file``, PEM. Costs some 20 ms and half a megabyte, so: one per process. Raises ``OSError`` if
    ``ca_file`` can't be read or holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A name that stands only in the subject is no name (RFC 9525, 2), whatever OpenSSL still thinks of it.
    context.hostname_checks_common_name = False
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    context.load_default_certs()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    context.sslsocket_class = BudgetedSocket
    if not context.cert_store_stats()["x509_ca"] and not _has_directory():
        log.warning(
            "no certificate authority is known: every certificate will be refused (is ca-certificates missing?)"
        )
    return context


def secure(raw: socket.socket, context: ssl.SSLContext, host: str, budget: Budget) -> BudgetedSocket:
    """Prepare TLS for ``host`` over a connected, non-blocking socket, which is taken over.

    The handshake is left to the caller.
    """
    try:
        secured = context.wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
    except BaseException:
        raw.close()
        raise
    assert isinstance(secured, BudgetedSocket)
    secured.budget = budget
    secured._poll = select.poll()
    secured._poll.register(secured, select.POLLIN)
    return secured


def _has_directory() -> bool:
    directory = ssl.get_default_verify_paths().capath
    return bool(directory) and any(os.scandir(directory))
