"""The floor: one thread of ``http.client`` that makes the same requests on one connection, and reads the JSON."""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.crowd import SUFFIX, Kind, address_of

FOUR = ("/robots.txt", "/.well-known/nodeinfo", "/nodeinfo/2.0", "/api/v2/instance")
ONE = ("/nodeinfo/2.0",)
_ROUND = 100


def floor(ca_file: Path, port: int, paths: Sequence[str], kind: Kind = Kind.HEALTHY, rounds: int = 5) -> float:
    """CPU seconds of one domain, the client's alone: the median of rounds of a hundred, without any look-up."""
    context = ssl.create_default_context(cafile=str(ca_file))
    costs = []
    for each in range(rounds + 1):
        started = time.thread_time()
        for index in range(_ROUND):
            _visit(context, f"{kind}{each * _ROUND + index}", port, paths)
        costs.append((time.thread_time() - started) / _ROUND)
    # The first one warms up.
    return sorted(costs[1:])[rounds // 2]


def _visit(context: ssl.SSLContext, label: str, port: int, paths: Sequence[str]) -> None:
    host = f"{label}.{SUFFIX}"
    connection = http.client.HTTPSConnection(host, port, context=context)
    raw = socket.create_connection((address_of(label), port))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sock = context.wrap_socket(raw, server_hostname=host)
    for path in paths:
        connection.request("GET", path)
        body = connection.getresponse().read()
        if path != "/robots.txt":
            json.loads(body)
    connection.close()
