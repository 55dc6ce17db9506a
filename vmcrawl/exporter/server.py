"""The HTTP server: several listeners, a thread for each connection, and nobody who can hold up the others.

HTTP/1.0 on the standard library's parser, one request a connection. One thread accepts, and does nothing that could
wait for a client: the TLS handshake, too, is done by the connection's own thread. How long a connection may take, from
its first byte to the last of the request and to the last of the answer, is watched from outside, since the timeout of a
socket bounds one operation only, and a client that drips bytes would never end.
"""

import errno
import logging
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from vmcrawl.exporter.listening import shown_address
from vmcrawl.exporter.request import Connection, answer_request
from vmcrawl.exporter.tls import Rules, is_allowed
from vmcrawl.exporter.visits import Visit, Visits
from vmcrawl.exporter.web import TLS_OF_CONNECTION
from vmcrawl.webconfig import TlsConfig

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)

_WATCH_SECONDS = 0.5
#: A flood of connections shall not be one of lines, too.
_SAID_AGAIN_SECONDS = 60.0
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(frozen=True, slots=True)
class Limits:
    #: Connections at a time; for one more the one that has been asking for longest is closed, or it is itself.
    connections: int = 256
    #: For the handshake and the whole request.
    request: timedelta = timedelta(seconds=10)
    #: For making the answer and sending it: the longest scrape, and time to read it.
    answer: timedelta = timedelta(seconds=90)


@contextmanager
def serving(
    listeners: Sequence[socket.socket],
    app: "WSGIApplication",
    rules: Rules,
    limits: Limits | None = None,
) -> "Iterator[Server]":
    """Serve ``app`` in threads of its own for as long as the context lasts; takes the listeners over.

    ``rules`` say for each connection whether it is TLS; ``app`` has to be made with the same. At the end everything is
    closed at once, also what is being answered.
    """
    server = Server(listeners, app, rules, limits or Limits())
    try:
        server.start()
        yield server
    finally:
        server.close()


class Server:
    """What listens; see :func:`serving`."""

    def __init__(
        self, listeners: Sequence[socket.socket], app: "WSGIApplication", rules: Rules, limits: Limits
    ) -> None:
        self._listeners = listeners
        self._app = app
        self._rules = rules
        self._limits = limits
        self._visits = Visits()
        self._said_full_at = -_SAID_AGAIN_SECONDS
        self._bell, self._ear = socket.socketpair()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._accept_until_the_bell, name="accept", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait(self) -> None:
        """Wait until no more connections are accepted: for ever, unless :meth:`close` is called or something broke."""
        self._ended.wait()

    def close(self) -> None:
        with suppress(OSError):
            self._bell.send(b"!")
        if self._thread.ident is not None:
            self._thread.join()
        self._visits.end_all()
        for sock in (*self._listeners, self._bell, self._ear):
            sock.close()

    def _accept_until_the_bell(self) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                for sock in (*self._listeners, self._ear):
                    selector.register(sock, selectors.EVENT_READ)
                while True:
                    ready = [key.fileobj for key, _ in selector.select(_WATCH_SECONDS)]
                    if self._ear in ready:
                        return
                    for listener in ready:
                        if isinstance(listener, socket.socket):
                            self._accept(listener)
                    self._visits.end_overdue(time.monotonic())
        except Exception:
            log.exception("no more connections are accepted")
        finally:
            self._ended.set()

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, peer = listener.accept()
        except OSError as error:
            # The client may have gone. But where there are no more files, it is still there, and would be at once.
            if error.errno in _OUT_OF_RESOURCES:
                log.error("a connection cannot be accepted: %s", error.strerror)
                time.sleep(_WATCH_SECONDS)
            return
        visit = Visit(sock, time.monotonic() + self._limits.request.total_seconds())
        if not self._visits.add(visit, self._limits.connections):
            if time.monotonic() - self._said_full_at >= _SAID_AGAIN_SECONDS:
                log.warning("%d connections are being answered; more are turned away", self._limits.connections)
                self._said_full_at = time.monotonic()
            sock.close()
            return
        name = f"connection {shown_address(peer)}"
        try:
            threading.Thread(target=self._serve, args=(visit, peer, name), name=name, daemon=True).start()
        except RuntimeError as error:  # no more threads
            log.error("%s is turned away: %s", shown_address(peer), error)
            self._visits.remove(visit)

    def _serve(self, visit: Visit, peer: tuple[object, ...], name: str) -> None:
        try:
            visit.sock.settimeout(self._limits.request.total_seconds())
            tls = self._shake_hands(visit)
            connection = Connection(visit.sock, peer, self._app, {TLS_OF_CONNECTION: tls})
            answer_request(connection, lambda: self._visits.extend(visit, self._limits.answer))
        except OSError as error:
            # Clients come and go, and some speak no TLS: nobody has to do anything about it.
            log.debug("%s: %s", name, error)
        except Exception:
            log.exception("%s failed", name)
        finally:
            self._visits.remove(visit)

    def _shake_hands(self, visit: Visit) -> TlsConfig | None:
        """Give the TLS configuration that the connection is under now; ``None``: plain HTTP."""
        rules = self._rules.for_handshake()
        if rules is None:
            return None
        config, context = rules
        secured = self._visits.secure(visit, context)
        secured.do_handshake()
        if not is_allowed(config, secured):
            raise ssl.SSLError("the client's certificate has none of the names in client_allowed_sans")
        return config
