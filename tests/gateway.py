"""A way to the database that can lose everything without a word, as a network does."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gateway(host: str, port: int) -> Iterator[tuple[int, threading.Event]]:
    """A port of 127.0.0.1 that leads to a Postgres, and an event: while it is set, nothing gets through.

    ``host`` may be a directory with a socket.
    """
    swallow = threading.Event()
    sockets: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, host, port, swallow, sockets), daemon=True).start()
        try:
            yield listener.getsockname()[1], swallow
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for each in sockets:
                each.close()


def _serve(
    listener: socket.socket, host: str, port: int, swallow: threading.Event, sockets: list[socket.socket]
) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        try:
            server = _dial(host, port)
        except OSError:
            # Nobody is there just now: the client hears that, and may come again.
            client.close()
            continue
        sockets += [client, server]
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=_pump, args=(source, target, swallow), daemon=True).start()


def _dial(host: str, port: int) -> socket.socket:
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(f"{host}/.s.PGSQL.{port}")
    except OSError:
        server.close()
        raise
    return server


def _pump(source: socket.socket, target: socket.socket, swallow: threading.Event) -> None:
    try:
        while data := source.recv(65536):
            if not swallow.is_set():
                target.sendall(data)
    except OSError:
        return
    finally:
        target.close()
