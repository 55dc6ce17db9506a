"""Clients of the exporter, well-behaved and not, and a server to try them on."""

import http.client
import socket
import ssl
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Gauge

from vmcrawl.exporter.listening import listen
from vmcrawl.exporter.server import serving
from vmcrawl.exporter.tls import Rules
from vmcrawl.exporter.web import make_app
from vmcrawl.webconfig import WebConfig


def some_metrics(_allowed):
    registry = CollectorRegistry()
    Gauge("vmcrawl_a", "One.", registry=registry).set(1)
    return registry


@contextmanager
def served(web_config=WebConfig, registries=some_metrics, at=("127.0.0.1:0",), limits=None):
    """The ports of a server on loopback, in the order of ``at``."""
    rules = Rules(web_config)
    listeners = listen(at)
    with serving(listeners, make_app(registries, rules), rules, limits):
        yield [listener.getsockname()[1] for listener in listeners]


def ask(port, path="/metrics", *, method="GET", host="127.0.0.1", tls=None, **headers):
    """Status, headers and body of one request; ``tls`` is a client's context."""
    connection = (
        http.client.HTTPConnection(host, port, timeout=20)
        if tls is None
        else http.client.HTTPSConnection(host, port, timeout=20, context=tls)
    )
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def say(port, text, host="127.0.0.1"):
    """All that comes back for these bytes; ``b""`` if the connection is closed without a word."""
    with socket.create_connection((host, port), timeout=20) as sock:
        answer = b""
        try:
            sock.sendall(text)
            while received := sock.recv(65536):
                answer += received
        except (ConnectionResetError, BrokenPipeError):
            pass
        return answer


def trusting(issuer, directory, leaf=None):
    """A client's context that trusts the issuer, and shows a certificate if it has one."""
    context = ssl.create_default_context(cadata=issuer.pem)
    if leaf is not None:
        context.load_cert_chain(*leaf.write(directory, "client"))
    return context
