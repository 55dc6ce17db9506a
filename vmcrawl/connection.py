"""One TLS connection to one host: a request out, an answer in, again and again."""

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

from vmcrawl.address import Address
from vmcrawl.answer import Answer
from vmcrawl.deadline import Budget
from vmcrawl.tls import BudgetedSocket, secure
from vmcrawl.witness import Security

#: A record of TLS holds no more (RFC 8446, 5.1), and one read brings one record.
_PIECE = 16 * 1024


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

    def shut_overdue(self) -> None:
        """End what takes too long within OpenSSL, which reads on as long as a server sends what is no data."""
        with self._lock:
            for each in self._sockets:
                if each.budget.overdue():
                    _shut(each)

    def shut_all(self) -> None:
        """End all traffic, now and later; every operation fails at once."""
        with self._lock:
            self._shut = True
            for each in self._sockets:
                _shut(each)


class Connection:
    """One connection, whose ``address`` was judged before; used by one thread."""

    __slots__ = ("_answer", "_open", "_socket", "address")

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
        self._open = sockets
        self._answer: Answer | None = None
        self._socket = secure(raw, context, host, budget)
        sockets.add(self._socket)
        try:
            self._socket.shake_hands()
        except BaseException:
            self.close()
            raise

    def ask(self, head: bytes) -> Answer:
        """Send one request without a body, read the head of its answer.

        Raises ``OSError``, :class:`vmcrawl.answer.BrokenAnswer`, :class:`vmcrawl.answer.OverlongHead` and what the
        budget raises; the connection is of no more use then.
        """
        self._socket.send_whole(head)
        self._answer = answer = Answer()
        while not answer.head:
            answer.feed(self._socket.receive(_PIECE))
        return answer

    def pieces(self) -> Iterator[bytes]:
        """The body of the last answer, without the framing, in pieces as they come in; raises as :meth:`ask` does."""
        answer = self._answer
        while answer is not None:
            if piece := answer.take_body():
                yield piece
            if answer.ended:
                return
            answer.feed(self._socket.receive(_PIECE))

    def finish(self) -> bool:
        """Forget the answer; says whether the connection can carry another request (all of the answer was read)."""
        answer, self._answer = self._answer, None
        if answer is None:
            return True
        answer.close()
        return answer.reusable

    def stale(self) -> bool:
        """Whether something has arrived that nobody asked for: the end of the connection, or more than was announced.

        It must not be taken for the next answer.
        """
        return self._socket.has_something()

    def security(self) -> Security:
        """What was agreed on in the handshake."""
        cipher = self._socket.cipher()
        until = (self._socket.getpeercert() or {}).get("notAfter")
        return Security(
            self._socket.version() or "",
            cipher[0] if cipher else "",
            datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC) if isinstance(until, str) else None,
        )

    def close(self) -> None:
        """Close without a word: nobody waits for TLS' farewell."""
        self.finish()
        self._open.discard(self._socket)
        self._socket.close()


def _shut(each: BudgetedSocket) -> None:
    try:
        # SSLSocket.shutdown would pull the TLS object from under the thread that is using it.
        socket.socket.shutdown(each, socket.SHUT_RDWR)
    except OSError:
        # It has ended by itself, which is all that was wanted.
        return
