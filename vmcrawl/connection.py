"""One TLS connection to one host: a request out, an answer in, again and again; ``http.client`` reads the answer."""

import http.client
import select
import socket
import ssl
import threading
from collections.abc import Iterator

from vmcrawl.address import Address
from vmcrawl.deadline import Budget
from vmcrawl.tls import BudgetedSocket, secure

_PIECE = 64 * 1024


class OpenSockets:
    """The sockets that are in use, so that another thread can end whatever waits for them; safe to share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: set[BudgetedSocket] = set()
        self._shut = False

    def add(self, each: BudgetedSocket) -> None:
        with self._lock:
            self._sockets.add(each)
            if self._shut:
                _shut(each)

    def discard(self, each: BudgetedSocket) -> None:
        with self._lock:
            self._sockets.discard(each)

    def shut_all(self) -> None:
        """End all traffic, now and later; every operation fails at once."""
        with self._lock:
            self._shut = True
            for each in self._sockets:
                _shut(each)


class Connection:
    """One connection, whose ``address`` was judged before; used by one thread."""

    __slots__ = ("_answer", "_open", "_socket", "address", "used")

    def __init__(
        self,
        raw: socket.socket,
        address: Address,
        host: str,
        context: ssl.SSLContext,
        budget: Budget,
        sockets: OpenSockets,
    ) -> None:
        """Take ``raw`` over and shake hands; raises ``OSError`` and what the budget raises."""
        self.address = address
        #: An answer has come over it.
        self.used = False
        self._open = sockets
        self._answer: http.client.HTTPResponse | None = None
        self._socket = secure(raw, context, host, budget)
        sockets.add(self._socket)
        try:
            self._socket.do_handshake()
        except BaseException:
            self.close()
            raise

    def ask(self, head: bytes) -> http.client.HTTPResponse:
        """Send one request without a body, read the head of its answer.

        Raises ``OSError``, ``HTTPException`` and what the budget raises; the connection is of no more use then.
        """
        self._socket.sendall(head)
        answer = _Answer(self._socket, method="GET")
        self._answer = answer
        answer.begin()
        self.used = True
        return answer

    def finish(self) -> bool:
        """Forget the answer; says whether the connection can carry another request (all of the answer was read)."""
        answer, self._answer = self._answer, None
        if answer is None:
            return True
        done = answer.isclosed() and not answer.will_close
        answer.close()
        return done

    def stale(self) -> bool:
        """Whether something has arrived that nobody asked for: mostly the end of the connection."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return self._socket.pending() > 0 or bool(poll.poll(0))

    def close(self) -> None:
        """Close without a word: nobody waits for TLS' farewell."""
        self.finish()
        self._open.discard(self._socket)
        self._socket.close()


def read_pieces(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body as it came, without the framing, in pieces of at most 64 KiB.

    Raises ``IncompleteRead`` if it is shorter than announced (RFC 9112, 8) or its chunks are malformed, and what the
    socket raises.
    """
    while True:
        try:
            piece = answer.read(_PIECE)
        except ValueError as error:
            # What http.client makes of a negative chunk size.
            raise http.client.IncompleteRead(b"") from error
        if not piece:
            break
        yield piece
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)


class _Answer(http.client.HTTPResponse):
    def _read_status(self) -> tuple[str, int, str]:
        """Read the status line, past any interim answer (RFC 9110, 15.2); ``http.client`` knows but 100 of them."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 < status < 200 or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)


def _shut(each: BudgetedSocket) -> None:
    try:
        # SSLSocket.shutdown would pull the TLS object from under the thread that is using it.
        socket.socket.shutdown(each, socket.SHUT_RDWR)
    except OSError:
        # It has ended by itself, which is all that was wanted.
        return
