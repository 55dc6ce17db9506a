"""Byte streams of the simulation, plain and TLS: every byte and every way of closing is in our hands."""

import asyncio
import contextlib
import socket
import ssl
import struct
from itertools import cycle

from tests.fediverse.site import Close, Drip, Flood, Hang, Receive, Reset, Script, Send, Step

_CHUNK = 65536
#: Without this, ``close`` ends a connection in good order; with it, by RST (socket(7)).
_LINGER_NOT = struct.pack("ii", 1, 0)


class ClientGone(Exception):
    """The client closed the connection."""


class Stream:
    """A plain TCP connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._loop = asyncio.get_running_loop()

    async def receive(self) -> bytes:
        """Wait for bytes; raises :class:`ClientGone` at the end of the stream."""
        data = await self._loop.sock_recv(self._socket, _CHUNK)
        if not data:
            raise ClientGone
        return data

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._socket, data)

    async def finish(self) -> None:
        """Close in good order, so that all that was sent arrives even if the client has sent more than we read."""
        with contextlib.suppress(TimeoutError, ClientGone, OSError):
            self._socket.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(1):
                while True:
                    await self.receive()

    def close(self) -> None:
        self._socket.close()

    def reset(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._socket.close()


class TlsStream:
    """TLS over a :class:`Stream`, server side; raises :class:`ssl.SSLError` as the handshake fails."""

    def __init__(self, stream: Stream, context: ssl.SSLContext) -> None:
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    @property
    def sni(self) -> str | None:
        """The server name of the ClientHello (RFC 6066, 3), as :func:`remember_sni` left it."""
        return getattr(self._tls, "asked_for", None)

    async def handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                self._incoming.write(await self._stream.receive())
            except ssl.SSLError:
                # The alert that says what was wrong is still to be sent.
                await self._flush()
                raise
            else:
                await self._flush()
                return

    async def receive(self) -> bytes:
        """Wait for bytes; raises :class:`ClientGone` at the end of the stream."""
        while True:
            try:
                data = self._tls.read(_CHUNK)
            except ssl.SSLWantReadError:
                await self._flush()
                self._incoming.write(await self._stream.receive())
            except ssl.SSLZeroReturnError as error:
                raise ClientGone from error
            else:
                if not data:
                    raise ClientGone
                return data

    async def send(self, data: bytes) -> None:
        for start in range(0, len(data), _CHUNK):
            self._tls.write(data[start : start + _CHUNK])
            await self._flush()

    async def finish(self) -> None:
        """Send ``close_notify`` (RFC 8446, 6.1) and close in good order."""
        with contextlib.suppress(ssl.SSLError, OSError):
            try:
                self._tls.unwrap()
            finally:
                await self._flush()
        await self._stream.finish()

    def reset(self) -> None:
        self._stream.reset()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._stream.send(self._outgoing.read())


def remember_sni(tls: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
    """Note the server name of a ClientHello; for :attr:`ssl.SSLContext.sni_callback`."""
    tls.asked_for = name  # type: ignore[union-attr]


async def play(script: Script, stream: Stream | TlsStream) -> None:
    """Play the steps of a script; the connection is of no more use afterwards."""
    for step in script.steps:
        if isinstance(step, Reset):
            stream.reset()
            return
        if isinstance(step, Close):
            break
        await _take(step, stream)
    await stream.finish()


async def _take(step: Step, stream: Stream | TlsStream) -> None:
    match step:
        case Send(data, times):
            for _ in range(times):
                await stream.send(data)
        case Receive():
            await stream.receive()
        case Drip(data, seconds):
            for byte in cycle(data):
                await stream.send(bytes((byte,)))
                await asyncio.sleep(seconds)
        case Flood(data):
            while True:
                await stream.send(data)
        case Hang():
            while True:
                await stream.receive()
