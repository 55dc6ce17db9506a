"""Servers that say nothing: some take the connection, with others it is never made."""

import resource
import signal
import socket
import sys

from tests.bench.crowd import Kind, addresses


def main() -> None:
    """Be silent at the port that is the argument until killed; ``ready`` is written to stdout."""
    port = int(sys.argv[1])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    kept = [_listen(address, port, 4096) for address in addresses(Kind.SILENT)]
    for address in addresses(Kind.BLACK_HOLE):
        # With its backlog full Linux drops what comes to a listening socket: nobody answers.
        kept.append(_listen(address, port, 0))
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((address, port))
            kept.append(filler)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    signal.pause()


def _listen(address: str, port: int, backlog: int) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen(backlog)
    return server


if __name__ == "__main__":
    main()
