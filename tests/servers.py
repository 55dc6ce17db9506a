"""Small hostile servers on loopback for the tests of the network: TLS with certificates of our own, and DNS."""

import contextlib
import datetime
import ipaddress
import os
import socket
import ssl
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from vmcrawl.fetch import Client
from vmcrawl.settings import HttpSettings, NetworkSettings

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
#: Limits that make an attack end soon.
IMPATIENT = HttpSettings(
    connect_timeout=timedelta(seconds=0.8), read_timeout=timedelta(seconds=0.8), request_timeout=timedelta(seconds=1)
)


class Authority:
    """A certificate authority; ``file`` holds its certificate as long as it lives."""

    def __init__(self, name: str = "Test CA") -> None:
        # Not on disk, where it would stay behind when a test run is killed.
        memory = os.memfd_create("ca.pem")
        weakref.finalize(self, os.close, memory)
        self.file = Path(f"/proc/{os.getpid()}/fd/{memory}")
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(self._name, self._name, self._key.public_key(), 30)
        certificate = builder.add_extension(x509.BasicConstraints(True, None), True).sign(self._key, hashes.SHA256())
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, *names: str, days: int = 30) -> ssl.SSLContext:
        """A server's context with a certificate for ``names`` (DNS or IP), which ends in ``days``."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(x509.Name([]), self._name, key.public_key(), days)
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        certificate = builder.add_extension(alternatives, True).sign(self._key, hashes.SHA256())
        encoding = serialization.Encoding.PEM
        private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate.public_bytes(encoding) + private)
            file.flush()
            context.load_cert_chain(file.name)
        return context


@cache
def authority() -> Authority:
    """The authority that the clients of :func:`client_for` trust."""
    return Authority()


@cache
def usual_context() -> ssl.SSLContext:
    """A valid certificate for the names and the loopback addresses that tests use."""
    return authority().issue("a.example", "b.example", "c.example", "127.0.0.1", "::1")


class Conversation:
    """One connection, as a server's script sees it."""

    def __init__(self, sock: socket.socket, ending: threading.Event, heads: list[bytes]) -> None:
        self.sock = sock
        self.ending = ending
        self._heads = heads

    def head(self) -> bytes:
        """Read one request up to the empty line; ``b""`` at the end of the connection."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.sock.recv(1)
            if not byte:
                return b""
            head += byte
        self._heads.append(head)
        return head

    def send(self, data: bytes) -> "Conversation":
        self.sock.sendall(data)
        return self

    def drip(self, data: bytes, every: float = 0.05) -> "Conversation":
        """Send one byte now and then, for ever if need be, until the server ends."""
        while data and not self.ending.wait(every):
            self.send(data[:1])
            data = data[1:] or data
        return self

    def flood(self, data: bytes) -> "Conversation":
        """Send the same again and again until the other side has had enough."""
        while not self.ending.is_set():
            self.send(data)
        return self

    def stall(self) -> "Conversation":
        """Say nothing more until the server ends."""
        self.ending.wait()
        return self


Script = Callable[[Conversation], object]


class Server:
    """Listens on a loopback address and runs ``script`` once for each connection, in a thread of its own."""

    def __init__(
        self, script: Script, *, context: ssl.SSLContext | None = None, tls: bool = True, at: str = "127.0.0.1"
    ):
        self._script = script
        self._context = (context or usual_context()) if tls else None
        family = socket.AF_INET6 if ":" in at else socket.AF_INET
        self._listener = socket.create_server((at, 0), family=family, backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.heads: list[bytes] = []
        self.connections = 0
        self._ending = threading.Event()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._listen)]

    def __enter__(self) -> "Server":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for each in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        self._listener.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                thread = threading.Thread(target=self._serve, args=(sock,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket) -> None:
        self._open.append(sock)
        with contextlib.suppress(OSError, ValueError), sock:
            if self._context is None:
                self._script(Conversation(sock, self._ending, self.heads))
                return
            with self._context.wrap_socket(sock, server_side=True) as secured:
                self._open.append(secured)
                self._script(Conversation(secured, self._ending, self.heads))


class NameServer:
    """DNS over UDP: ``answer(name, kind)`` gives addresses or aliases, an rcode, raw bytes, or ``None`` for silence."""

    def __init__(
        self, answer: Callable[[str, str], "list[str] | dns.rcode.Rcode | bytes | None"], ttl: int = 60
    ) -> None:
        self._answer = answer
        self._ttl = ttl
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked: list[tuple[str, str]] = []
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> "NameServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bell:
            bell.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while True:
            wire, peer = self._socket.recvfrom(4096)
            if not wire:
                return
            query = dns.message.from_wire(wire)
            question = query.question[0]
            name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
            self.asked.append((name, kind))
            answer = self._answer(name, kind)
            if answer is None:
                continue
            self._socket.sendto(answer if isinstance(answer, bytes) else self._reply(query, name, kind, answer), peer)

    def _reply(self, query: dns.message.Message, name: str, kind: str, answer: "list[str] | dns.rcode.Rcode") -> bytes:
        response = dns.message.make_response(query)
        if isinstance(answer, dns.rcode.Rcode):
            response.set_rcode(answer)
            return response.to_wire()
        owner = name + "."
        for value in answer:
            alias = not value[0].isdigit() and ":" not in value
            response.answer.append(dns.rrset.from_text(owner, self._ttl, "IN", "CNAME" if alias else kind, value))
            owner = value if alias else owner
        return response.to_wire()


def eventually(holds: Callable[[], bool], seconds: float = 5) -> bool:
    """Whether something comes true within some seconds."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.005)
    return holds()


def loopback_only(name: str, kind: str) -> list[str]:
    """DNS in which every name is at 127.0.0.1."""
    return ["127.0.0.1"] if kind == "A" else []


@dataclass(frozen=True)
class World:
    """A client and the name server it asks."""

    client: Client
    names: NameServer


@contextlib.contextmanager
def client_for(
    port: int,
    http: HttpSettings = IMPATIENT,
    network: NetworkSettings | None = None,
    *,
    answer: Callable[[str, str], "list[str] | dns.rcode.Rcode | bytes | None"] = loopback_only,
    lock_file: Path | None = None,
    ttl: int = 60,
) -> Iterator[World]:
    """A client for servers at ``port`` that trusts our authority and may connect to loopback."""
    network = network or NetworkSettings(allow_addresses=(LOOPBACK,), dns_timeout=timedelta(seconds=1))
    with NameServer(answer, ttl) as names:
        network = replace(network, port=port, ca_file=authority().file, nameservers=(names.address,))
        client = Client(http, network, user_agent="test/1 (+https://example)", lock_file=lock_file)
        try:
            yield World(client, names)
        finally:
            client.close()


def answering(head: str, body: bytes = b"") -> Script:
    """A script that gives the same answer to every request; ``head`` is the status line and headers."""

    def script(conversation: Conversation) -> None:
        lines = head.strip().replace("\n", "\r\n")
        while conversation.head():
            conversation.send(lines.encode("latin-1") + b"\r\n\r\n" + body)

    return script


def healthy(body: bytes = b"{}", content_type: str = "application/json") -> Script:
    """A script that answers 200 with ``body`` to every request and keeps the connection."""
    return answering(f"HTTP/1.1 200 OK\nContent-Type: {content_type}\nContent-Length: {len(body)}", body)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
