"""The network as one crawl may use it: a GET to a stranger's server, bounded in time and size, its failures named."""

import ssl
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol

from vmcrawl.address import Address, connectable, parse_literal, refusal
from vmcrawl.answer import Answer, BrokenAnswer, OverlongHead, field_text, media_type
from vmcrawl.caching import condition, fresh_seconds, validator_of
from vmcrawl.coding import ACCEPT_ENCODING, BadCoding, Overlong, UnknownCoding, decode, parse_codings
from vmcrawl.connection import Connection, OpenSockets
from vmcrawl.deadline import Budget, OutOfBytes, Stopped
from vmcrawl.dial import dial
from vmcrawl.document import clean_text
from vmcrawl.failure import explain, hung_up, outcome_of
from vmcrawl.gate import Gate
from vmcrawl.observation import CrawlFailed
from vmcrawl.outcome import Outcome
from vmcrawl.resolver import Resolver
from vmcrawl.settings import HttpSettings, NetworkSettings
from vmcrawl.stay import Stay
from vmcrawl.target import Target, parse_target
from vmcrawl.tls import make_context
from vmcrawl.wire import Download, Request, Response, Turn
from vmcrawl.witness import Stage, Witness

#: Of an answer that says all by its status, so much is read to keep the connection, and for so long.
_DRAINED_BYTES = 64 * 1024
_DRAINED_SECONDS = 1.0
_PIECE = 64 * 1024
#: What a connection ends with when it does not end well.
_BROKEN = (OSError, BrokenAnswer, OverlongHead)


class Limits(Protocol):
    """What one request may cost us: time, bytes as they come in, bytes after decoding."""

    @property
    def timeout_seconds(self) -> float: ...

    @property
    def max_wire_bytes(self) -> int: ...

    @property
    def max_body_bytes(self) -> int: ...


class _OrdinaryLimits(NamedTuple):
    timeout_seconds: float
    max_wire_bytes: int
    max_body_bytes: int


class Client:
    """What all crawls of one process share: the TLS context, the resolver, the gate. Safe to use from any thread.

    ``user_agent`` is sent as it is. ``lock_file`` is where the processes of a machine agree on who asks whom
    (:class:`vmcrawl.gate.Gate`); ``None`` leaves each process to itself. Raises ``ValueError`` for settings that make
    no sense, ``OSError`` for files that can't be used.
    """

    def __init__(
        self, http: HttpSettings, network: NetworkSettings, *, user_agent: str, lock_file: Path | None
    ) -> None:
        if not (user_agent.isascii() and user_agent.isprintable()):
            raise ValueError(f"the user agent {user_agent!r} cannot be sent")
        self.http = http
        self.network = network
        self.headers = f"User-Agent: {user_agent}\r\nAccept-Encoding: {ACCEPT_ENCODING}\r\n"
        self.context: ssl.SSLContext = make_context(network.ca_file)
        self.connect_seconds = http.connect_timeout.total_seconds()
        self.read_seconds = http.read_timeout.total_seconds()
        self.limits = _OrdinaryLimits(http.request_timeout.total_seconds(), http.max_wire_bytes, http.max_body_bytes)
        self.sockets = OpenSockets()
        self.stopping = threading.Event()
        self.resolver = Resolver(network.nameservers, network.dns_timeout)
        self.gate = Gate(lock_file, network.requests_per_address)

    def session(self, timeout: timedelta, witness: Witness | None = None) -> "FetchSession":
        """The network for one crawl, which may make servers cost it ``timeout`` in all; to be used by one thread.

        ``witness`` hears how each request goes.
        """
        return FetchSession(self, timeout, witness)

    def end_overdue(self) -> None:
        """To be called twice a second or so: end what no limit of its own thread can end."""
        self.sockets.shut_overdue()

    def stop(self) -> None:
        """End all crawls within about half a second: whatever they wait for fails with ``timeout``; for good."""
        self.stopping.set()
        self.gate.stop()
        self.resolver.stop()
        self.sockets.shut_all()

    def close(self) -> None:
        """Give everything back; all sessions must have ended."""
        self.resolver.close()
        self.gate.close()


class FetchSession:
    """The network for one crawl (:class:`vmcrawl.wire.Session`); a context manager that closes its connections.

    One connection per host is kept from request to request. The time limits count what the server takes: waiting at
    the gate, look-ups and pauses of our own making are not in them.
    """

    def __init__(self, client: Client, timeout: timedelta, witness: Witness | None = None) -> None:
        self._client = client
        self._witness = witness
        self._budget = Budget(timeout.total_seconds(), client.read_seconds, client.stopping)
        self._connections: dict[str, Connection] = {}
        self._stay = Stay(client.gate, self._budget)
        #: Requests sent so far.
        self.requests = 0

    def __enter__(self) -> "FetchSession":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in list(self._connections):
            self._drop(host)
        self._stay.end()

    @property
    def received_bytes(self) -> int:
        """What servers have sent so far, as it came: TLS, heads, and bodies as they were coded."""
        return self._budget.received_in_all

    def get(self, request: Request, turn: Turn | None = None) -> Response:
        """Make one GET; redirects are returned, not followed. A body comes with 2xx only, else the status says all.

        ``turn`` begins when the host is ours to ask, and ends before others may ask it.

        Raises :class:`CrawlFailed` for every failure of the other side; ``ValueError`` for a URL that is not https on
        its usual port, and ``OSError`` for failures of ours (no files or memory left), which are bugs.
        """
        target = parse_target(request.url)
        try:
            if self._witness is not None:
                self._witness.entered(Stage.GATE)
            self._stay.enter(target.host)
            if turn is not None:
                turn.begin()
            limits = self._limits(request)
            self._budget.start_request(limits.timeout_seconds, limits.max_wire_bytes)
            response = self._get(target, request)
            if turn is not None:
                turn.end(response)
            self._stay.give_way()
            return response
        except Stopped as error:
            self._drop(target.host)
            self._stay.end()
            raise CrawlFailed(Outcome.TIMEOUT, "the crawler is stopping") from error
        except BaseException:
            self._drop(target.host)
            self._stay.end()
            raise

    def pause(self, seconds: float) -> None:
        """Wait; raises :class:`CrawlFailed` if the crawler is stopping."""
        self._stay.end()
        with self._budget.ours():
            stopped = self._client.stopping.wait(seconds)
        if stopped:
            raise CrawlFailed(Outcome.TIMEOUT, "the crawler is stopping")

    def _get(self, target: Target, request: Request) -> Response:
        try:
            known = self._connections.get(target.host)
            addresses = self._addresses(target) if known is None else (known.address,)
            self._stay.move_to(addresses[0])
            answer = self._ask(target, request, addresses)
            if self._witness is not None:
                self._witness.entered(Stage.BODY)
            return self._receive(target.host, request, answer)
        except OutOfBytes as error:
            limit = self._limits(request).max_wire_bytes
            raise _failed(Outcome.TOO_LARGE, f"{request.url}: more than {limit} bytes") from error
        except _BROKEN as error:
            outcome = outcome_of(error, answered=self._budget.received > 0)
            if outcome is None:
                raise
            if self._client.stopping.is_set():
                raise Stopped from error
            raise _failed(outcome, f"{target.host}: {explain(error)}") from error

    def _addresses(self, target: Target) -> tuple[Address, ...]:
        """All addresses of the host, in the order to try them; one that may not be asked refuses the host."""
        try:
            literal = parse_literal(target.host)
        except ValueError as error:
            raise _failed(Outcome.BLOCKED_ADDRESS, str(error)) from error
        found = (literal,) if literal else self._look_up(target.host)
        for address in found:
            reason = refusal(address, self._client.network.allow_addresses)
            if reason is not None:
                raise _failed(Outcome.BLOCKED_ADDRESS, f"{target.host}: {reason}")
        return tuple(dict.fromkeys(connectable(address) for address in found))

    def _look_up(self, host: str) -> tuple[Address, ...]:
        if self._witness is not None:
            self._witness.entered(Stage.DNS)
        # Our own name server makes us wait, not the one that we are about to ask: the resolver's limit bounds that.
        with self._budget.ours():
            return self._client.resolver.resolve(host)

    def _ask(self, target: Target, request: Request, addresses: tuple[Address, ...]) -> Answer:
        head = (
            f"GET {target.path} HTTP/1.1\r\nHost: {target.host}\r\n{self._client.headers}"
            f"Accept: {request.accept}\r\n{condition(request.validator)}\r\n"
        )
        connection = self._connections.get(target.host)
        if connection is not None and not connection.stale():
            try:
                return self._send(connection, head)
            except _BROKEN as error:
                # A server may close an idle connection just as we use it (RFC 9112, 9.3.1): that is no failure,
                # unless it had begun to answer.
                if not hung_up(error) or self._budget.received:
                    raise
        if connection is not None:
            self._drop(target.host)
            # Nobody else should have to wait at the old address while we look the new one up.
            self._stay.leave_address()
            addresses = self._addresses(target)
            self._stay.move_to(addresses[0])
        connection = self._connect(target, addresses)
        self._stay.move_to(connection.address)
        return self._send(connection, head)

    def _send(self, connection: Connection, head: str) -> Answer:
        self.requests += 1
        if self._witness is not None:
            self._witness.at(connection.address)
            self._witness.entered(Stage.FIRST_BYTE)
        return connection.ask(head.encode())

    def _connect(self, target: Target, addresses: tuple[Address, ...]) -> Connection:
        client, witness = self._client, self._witness
        if witness is not None:
            witness.entered(Stage.CONNECT)
        raw, address = dial(addresses, client.network.port, client.connect_seconds, self._budget)
        if witness is not None:
            witness.at(address)
            witness.entered(Stage.TLS)
        connection = Connection(raw, address, target.server_name, client.context, self._budget, client.sockets)
        self._connections[target.host] = connection
        if witness is not None:
            witness.secured(connection.security())
        return connection

    def _receive(self, host: str, request: Request, answer: Answer) -> Response:
        body = b""
        if request.download is not None and answer.status == 200:
            request.download.begin(media_type(answer.headers.get("content-type", "")))
            self._read_download(host, request, request.download, answer)
        elif request.download is None and 200 <= answer.status < 300:
            body = self._read_body(host, request, answer)
        else:
            self._drain(host, answer)
        if not self._connections[host].finish():
            self._drop(host)
        return Response(
            request.url,
            answer.status,
            media_type(answer.headers.get("content-type", "")),
            body,
            field_text(answer.headers.get("location")),
            field_text(answer.headers.get("retry-after")),
            validator_of(answer.headers),
            fresh_seconds(answer.headers),
        )

    def _read_body(self, host: str, request: Request, answer: Answer) -> bytes:
        body, cut = bytearray(), request.truncate_at
        for piece in self._decoded(host, request, answer):
            body += piece
            if cut is not None and len(body) > cut:
                del body[cut:]
                break
        return bytes(body)

    def _read_download(self, host: str, request: Request, download: Download, answer: Answer) -> None:
        for piece in self._decoded(host, request, answer):
            # What we do with it may take a while: the server only waits for us to read on.
            with self._budget.ours():
                more = download.take(piece)
            if not more:
                break

    def _decoded(self, host: str, request: Request, answer: Answer) -> Iterator[bytes]:
        """The pieces of a body, decoded and within the limits of its request."""
        limits, cut = self._limits(request), request.truncate_at
        if cut is None and answer.length is not None and answer.length > limits.max_wire_bytes:
            raise OutOfBytes
        limit = limits.max_body_bytes if cut is None else max(limits.max_body_bytes, cut + _PIECE)
        try:
            codings = parse_codings(answer.headers.get("content-encoding", ""))
            yield from decode(self._connections[host].pieces(), codings, limit)
        except Overlong as error:
            raise _failed(Outcome.TOO_LARGE, f"{request.url}: more than {limit} bytes decoded") from error
        except UnknownCoding as error:
            # By what its headers say, this is nothing we can read: nobody has looked at the content.
            raise _failed(Outcome.BAD_CONTENT_TYPE, f"{request.url}: {error}") from error
        except BadCoding as error:
            raise _failed(Outcome.BAD_JSON, f"{request.url}: {error}") from error

    def _limits(self, request: Request) -> Limits:
        return self._client.limits if request.download is None else request.download

    def _drain(self, host: str, answer: Answer) -> None:
        """Read past a body that nobody needs, if it is short; a connection that it is left on gets closed."""
        if not answer.chunked and (answer.length is None or answer.length > _DRAINED_BYTES):
            return
        self._budget.shorten_request(_DRAINED_SECONDS, _DRAINED_BYTES)
        try:
            for _ in self._connections[host].pieces():
                pass
        except (OutOfBytes, *_BROKEN) as error:
            # The status has come: that the rest does not is no failure of the request, unless it is one of ours.
            if isinstance(error, OSError) and outcome_of(error, answered=True) is None:
                raise

    def _drop(self, host: str) -> None:
        connection = self._connections.pop(host, None)
        if connection is not None:
            connection.close()


_LONGEST_DETAIL = 500


def _failed(outcome: Outcome, detail: str) -> CrawlFailed:
    # Names, URLs, status lines and header values are a stranger's.
    return CrawlFailed(outcome, clean_text(detail, _LONGEST_DETAIL))
