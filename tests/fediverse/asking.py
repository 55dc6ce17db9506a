"""Asking the simulation by the plainest means there are: http.client, ssl and dnspython."""

import http.client
import socket
import ssl
from contextlib import closing

import dns.message
import dns.query

from tests.fediverse.running import Running

#: How long a server may take that should answer at once, in seconds.
PATIENCE = 2.0


def connect(fediverse: Running, domain: str, timeout: float = PATIENCE) -> http.client.HTTPConnection:
    """Connect to a site by TLS, whatever the DNS says of it; raises what the socket or the handshake raises."""
    context = ssl.create_default_context(cafile=str(fediverse.ca_file))
    sock = socket.create_connection((fediverse.address(domain), fediverse.port), timeout=timeout)
    connection = http.client.HTTPConnection(domain)
    try:
        connection.sock = context.wrap_socket(sock, server_hostname=domain)
    except OSError:
        sock.close()
        raise
    return connection


def get(fediverse: Running, domain: str, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    """GET a path; give status, headers and the body as it came, compressed or not."""
    with closing(connect(fediverse, domain)) as connection:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def resolve(fediverse: Running, name: str, kind: str = "A", *, tcp: bool = False) -> dns.message.Message:
    """Ask the simulation's name server; raises :class:`dns.exception.DNSException`, in case of silence in 0.5 s."""
    address, port = fediverse.nameserver
    ask = dns.query.tcp if tcp else dns.query.udp
    return ask(dns.message.make_query(name, kind), address, port=port, timeout=0.5)


def addresses(message: dns.message.Message) -> list[str]:
    """Give the data of all records of an answer, in order."""
    return [record.to_text() for records in message.answer for record in records]
