"""One request on one connection, by the standard library's parser and WSGI handler, without what they lack."""

import http.client
import io
import logging
import socket
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import IO, TYPE_CHECKING, cast
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

from vmcrawl.document import clean_text

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)

#: Of the request line and all headers together.
_LARGEST_HEAD = 32 << 10
#: What a client still sends while it is told that nobody wants it.
_LARGEST_REST = 64 << 10
_LONGEST_LINE_OF_LOG = 200
_LINGER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Connection:
    sock: socket.socket
    peer: tuple[object, ...]
    app: "WSGIApplication"
    #: For the application's environ.
    facts: Mapping[str, object]


def answer_request(connection: Connection, has_asked: Callable[[], None]) -> None:
    """Read a request and answer it; ``has_asked`` is called in between.

    Raises ``OSError`` when the client is gone, or too slow.
    """
    _Handler(connection, has_asked)


class _Head(http.client.LineTooLong):
    """More than anybody needs to ask for metrics; the parser takes it for a line that is too long, and answers 431."""

    def __init__(self) -> None:
        super().__init__("head")


class _BoundedReader(io.BufferedReader):
    """The parser bounds each line and the number of lines, which together is six megabytes. And it takes the end of
    what a client sends for the end of the headers: whoever was shown the door while dripping them would be answered."""

    _left = _LARGEST_HEAD

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(self._left + 1 if size is None or size < 0 else min(size, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise _Head
        if line[-1:] != b"\n" and self._left < _LARGEST_HEAD:
            raise ConnectionAbortedError("the connection ended in the middle of a request")
        return line


class _Handler(WSGIRequestHandler):
    server_version = "vmcrawl"
    sys_version = ""
    #: Bounded in ``setup``; and what is written leaves together, or each line would wait for the one before.
    rbufsize = 0
    wbufsize = -1

    def __init__(self, connection: Connection, has_asked: Callable[[], None]) -> None:
        self._facts = connection.facts
        self._app = connection.app
        self._has_asked = has_asked
        super().__init__(connection.sock, connection.peer, cast(WSGIServer, _ServerFacts(connection.sock)))

    def setup(self) -> None:
        super().setup()
        self.rfile = _BoundedReader(cast(io.RawIOBase, self.rfile))

    def handle(self) -> None:
        if self._answer():
            self._linger()

    def _answer(self) -> bool:
        """Whether the client may still be sending."""
        self.requestline, self.request_version, self.command = "", "", ""
        try:
            self.raw_requestline = self.rfile.readline()
        except _Head:
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
            return True
        if not self.raw_requestline:
            return False
        if len(self.raw_requestline.split()) < 3:  # such as that of HTTP/0.9, which has no headers to wait for
            self.send_error(HTTPStatus.BAD_REQUEST)
            return True
        if not self.parse_request():
            return True
        self._has_asked()
        # The types of the standard library's stubs, not of PEP 3333.
        environ = cast(MutableMapping[str, str], {**self.get_environ(), **self._facts})
        streams = cast(IO[bytes], self.rfile), cast(IO[bytes], self.wfile), io.StringIO()
        handler = _Answer(*streams, environ, multithread=True)
        handler.request_handler = self
        handler.run(self._app)
        return bool(self.headers.get("Content-Length") or self.headers.get("Transfer-Encoding"))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        # A client that cannot say what it speaks is taken for one of HTTP/0.9, and would get no status.
        self.request_version = "HTTP/1.0"
        super().send_error(code, message, explain)

    def log_message(self, format: str, *arguments: object) -> None:
        if log.isEnabledFor(logging.DEBUG):
            line = clean_text(format % arguments, _LONGEST_LINE_OF_LOG)
            log.debug("%s %s", self.client_address[0], line)

    def _linger(self) -> None:
        """Hear out a client that nobody listens to: to close on it would take back the answer (RFC 9112, 9.6)."""
        with suppress(OSError):
            self.wfile.flush()
            socket.socket.shutdown(self.connection, socket.SHUT_WR)
            self.connection.settimeout(_LINGER_SECONDS)
            rest = _LARGEST_REST
            while rest > 0 and (received := len(self.rfile.read1(rest))):
                rest -= received


class _Answer(ServerHandler):
    request_handler: _Handler
    server_software = "vmcrawl"
    os_environ: dict[str, str] = {}  # noqa: RUF012  # as the class above has it: ours is nobody's business

    def log_exception(
        self,
        exc_info: "tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]",
    ) -> None:
        if isinstance(exc_info[1], OSError):  # a client that is gone, or reads too slowly
            log.debug("an answer could not be sent: %s", exc_info[1])
        else:
            log.error("an answer failed", exc_info=exc_info)


class _ServerFacts:
    """What the standard library's handler wants to know of its server."""

    def __init__(self, sock: socket.socket) -> None:
        host, port = sock.getsockname()[:2]
        self.base_environ = {
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "GATEWAY_INTERFACE": "CGI/1.1",
            "REMOTE_HOST": "",
            "CONTENT_LENGTH": "",
            "SCRIPT_NAME": "",
        }
