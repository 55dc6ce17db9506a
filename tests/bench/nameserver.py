"""A name server that is fast enough not to be what is measured: UDP, names answered by their first letter."""

import socket
import struct
import sys

from tests.bench.crowd import SUFFIX, Kind, address_of

_HEADER = struct.Struct("!HHHHHH")
_TAIL = b"".join(bytes([len(label)]) + label.encode() for label in SUFFIX.split(".")) + b"\0"
_A, _IN = 1, 1
#: Response, recursion desired and available; NXDOMAIN and SERVFAIL (RFC 1035, 4.1.1).
_FINE, _NO_NAME, _FAILED = 0x8180, 0x8183, 0x8182
_TTL = 300
#: Negative answers need one, or nobody knows how long they hold (RFC 2308).
_SOA = b"\xc0\x0c\0\6\0\1" + struct.pack("!IH", 60, 22) + b"\0\0" + struct.pack("!IIIII", 1, 3600, 600, 86400, 60)


def answer(query: bytes) -> bytes:
    """The answer to one question; raises ``IndexError`` or ``ValueError`` for what is none of ours."""
    (number, _, _, _, _, _) = _HEADER.unpack_from(query)
    length = query[12]
    label = query[13 : 13 + length].decode().lower()
    end = 13 + length
    if query[end : end + len(_TAIL)].lower() != _TAIL:
        raise ValueError("not below the suffix")
    question = query[12 : end + len(_TAIL) + 4]
    kind = Kind(label[0])
    if kind is Kind.NO_DNS:
        return _HEADER.pack(number, _FAILED, 1, 0, 0, 0) + question
    if kind is Kind.NO_NAME:
        return _HEADER.pack(number, _NO_NAME, 1, 0, 1, 0) + question + _SOA
    if question[-4:] != struct.pack("!HH", _A, _IN):
        return _HEADER.pack(number, _FINE, 1, 0, 1, 0) + question + _SOA
    record = b"\xc0\x0c" + struct.pack("!HHIH", _A, _IN, _TTL, 4) + socket.inet_aton(address_of(label))
    return _HEADER.pack(number, _FINE, 1, 1, 0, 0) + question + record


def main() -> None:
    """Serve until killed; the port is written to stdout."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        server.bind(("127.0.0.1", 0))
        sys.stdout.write(f"{server.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            query, client = server.recvfrom(4096)
            try:
                server.sendto(answer(query), client)
            except (IndexError, ValueError):
                continue


if __name__ == "__main__":
    main()
