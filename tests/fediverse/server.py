"""The web servers of the simulation: one event loop, a listening socket per address, HTTP/1.1 (RFC 9112) by hand."""

import asyncio
import gzip
import hashlib
import socket
import ssl
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from itertools import count
from urllib.parse import unquote

from tests.fediverse.connection import ClientGone, Stream, TlsStream, play
from tests.fediverse.site import Answer, Listening, Reply, Script, Site

_LONGEST_HEAD = 65536
_LOGGED_HEADERS = ("accept", "accept-encoding", "if-none-match", "cookie", "authorization", "connection", "range")


@dataclass(frozen=True, slots=True)
class Host:
    """A site at its address, with the TLS context that its certificate is in."""

    site: Site
    address: str
    context: Callable[[], ssl.SSLContext]


@dataclass(frozen=True, slots=True)
class _Head:
    """The head of a request; ``headers`` by lower-case name, the last of a kind counts."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class _Connection:
    number: int
    host: Host
    sni: str | None = None


@dataclass(slots=True)
class WebServer:
    """Serves hosts within an event loop and logs every connection and every request."""

    log: Callable[[dict[str, object]], None]
    _listeners: list[socket.socket] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _in_flight: Counter[str] = field(default_factory=Counter)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def listen(self, hosts: list[Host], port: int) -> None:
        """Listen at the address of every host that listens; raises :class:`OSError` if the port is taken at one."""
        try:
            for host in hosts:
                if host.site.listening is not Listening.REFUSING:
                    self._listen(host, port)
        except OSError:
            self._close_listeners()
            raise

    def _listen(self, host: Host, port: int) -> None:
        deaf = host.site.listening is Listening.BLACKHOLE
        listener = _listener(host.address, port, 0 if deaf else 256)
        self._listeners.append(listener)
        if deaf:
            self._listeners.append(_fill_queue(host.address, port))
        else:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener, host)

    def _close_listeners(self) -> None:
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.remove_reader(listener)
            listener.close()
        self._listeners.clear()

    async def stop(self) -> None:
        """Stop listening and drop all connections."""
        self._close_listeners()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, listener: socket.socket, host: Host) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            return  # The client has gone already.
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.create_task(self._serve(sock, host))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, sock: socket.socket, host: Host) -> None:
        connection = _Connection(next(self._numbers), host)
        self._log_event("connection", connection)
        stream = Stream(sock)
        try:
            if host.site.on_connect is not None:
                await play(host.site.on_connect, stream)
            else:
                await self._serve_tls(stream, connection)
        except ClientGone:
            pass
        except (OSError, ssl.SSLError) as error:
            self._log_event("broken", connection, error=f"{type(error).__name__}: {error}")
        except Exception as error:
            self._log_event("bug", connection, error="".join(traceback.format_exception(error)))
            raise
        finally:
            stream.close()

    async def _serve_tls(self, stream: Stream, connection: _Connection) -> None:
        tls = TlsStream(stream, connection.host.context())
        await tls.handshake()
        connection.sni = tls.sni
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                if len(buffer) > _LONGEST_HEAD:
                    return
                buffer += await tls.receive()
            raw, _, buffer = buffer.partition(b"\r\n\r\n")
            if not await self._respond(_parse_head(raw), tls, connection):
                await tls.finish()
                return

    async def _respond(self, head: _Head, stream: TlsStream, connection: _Connection) -> bool:
        """Answer one request; returns whether the connection can be used for another."""
        site = connection.host.site
        answer = _answer(site, head.target)
        self._in_flight[site.domain] += 1
        self._log_event(
            "request",
            connection,
            sni=connection.sni,
            in_flight=self._in_flight[site.domain],
            method=head.method,
            path=head.target,
            host=head.headers.get("host"),
            user_agent=head.headers.get("user-agent"),
            headers={name: head.headers[name] for name in _LOGGED_HEADERS if name in head.headers},
            status=answer.status if isinstance(answer, Reply) else None,
        )
        try:
            if site.latency_seconds:
                await asyncio.sleep(site.latency_seconds)
            if isinstance(answer, Script):
                await play(answer, stream)
                return False  # finishing once more does no harm
            await stream.send(_encode(answer, head))
            closing = ("connection", "close") in {(name.lower(), value) for name, value in answer.headers}
            return not closing and head.headers.get("connection", "").lower() != "close"
        finally:
            self._in_flight[site.domain] -= 1

    def _log_event(self, event: str, connection: _Connection, **more: object) -> None:
        host = connection.host
        entry = {"event": event, "time": time.time(), "site": host.site.domain, "address": host.address}
        self.log(entry | {"connection": connection.number} | more)


def _listener(address: str, port: int, backlog: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind((address, port))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def _fill_queue(address: str, port: int) -> socket.socket:
    """Take the one place in a queue of length zero: Linux then drops every further SYN."""
    return socket.create_connection((address, port), timeout=1)


def _parse_head(raw: bytes) -> _Head:
    request, *lines = raw.decode("latin-1").split("\r\n")
    method, _, rest = request.partition(" ")
    pairs = (line.partition(":") for line in lines)
    return _Head(method, rest.rpartition(" ")[0], {name.strip().lower(): value.strip() for name, _, value in pairs})


def _answer(site: Site, target: str) -> Answer:
    plain = unquote(target)
    for key in (plain, plain.partition("?")[0], "*"):
        if key in site.routes:
            return site.routes[key]
    return site.fallback


def _encode(reply: Reply, head: _Head) -> bytes:
    names = {name.lower() for name, _ in reply.headers}
    body, headers, status = reply.body, list(reply.headers), reply.status
    etag = dict(reply.headers).get("ETag")
    if etag is not None and head.headers.get("if-none-match") == etag:
        body, status = b"", 304
        headers = [(name, value) for name, value in headers if name not in ("Content-Type", "Content-Length")]
    elif reply.gzip and "gzip" in head.headers.get("accept-encoding", ""):
        body = _gzipped(body)
        headers.append(("Content-Encoding", "gzip"))
    if "date" not in names:
        headers.append(("Date", formatdate(usegmt=True)))
    if reply.chunked:
        headers.append(("Transfer-Encoding", "chunked"))
        body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    elif "content-length" not in names and status not in (204, 304):
        headers.append(("Content-Length", str(len(body))))
    lines = [f"HTTP/1.1 {status} {_reason(status)}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (b"" if head.method == "HEAD" else body)


def _reason(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"


@lru_cache(maxsize=4096)
def _gzipped(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


def etag(body: bytes) -> str:
    """Give the weak validator that Rails puts on a body."""
    return f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
