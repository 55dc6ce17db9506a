"""The sockets that the exporter listens at: from what people write to what the system has."""

import errno
import os
import socket
from collections.abc import Iterable

_BACKLOG = 128
#: This machine lacks IPv6, or this address, while it may have the others of a name.
_NOT_HERE = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
#: What no waiting changes.
_MISTAKES = (*_NOT_HERE, errno.EACCES, errno.EPERM, errno.EINVAL)


class BadListenAddress(ValueError):
    """An address at which this machine, or this user, cannot listen; the message names it."""


class CannotListen(Exception):
    """An address that somebody else listens at, or that cannot be had just now; the message names it."""


def listen(addresses: Iterable[str]) -> list[socket.socket]:
    """Listen at ``host:port``, ``[IPv6]:port`` and ``:port`` (everywhere); a name stands for all its addresses.

    ``[::]`` is IPv6 only, so that ``0.0.0.0`` has room beside it. Either all can be had or none is: raises
    :class:`BadListenAddress` and :class:`CannotListen`.
    """
    listeners: dict[object, socket.socket] = {}
    try:
        for address in addresses:
            _add(listeners, address)
    except BaseException:
        for listener in listeners.values():
            listener.close()
        raise
    return list(listeners.values())


def shown_address(sockaddr: tuple[object, ...]) -> str:
    """An address of a socket as people write it."""
    host, port = sockaddr[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def _add(listeners: dict[object, socket.socket], address: str) -> None:
    resolved = _resolve(address)
    not_here = None
    heard = 0
    for family, sockaddr in resolved:
        try:
            if sockaddr not in listeners or sockaddr[1] == 0:
                listener = _listener(family, sockaddr)
                listeners[sockaddr if sockaddr[1] else listener] = listener
            heard += 1
        except OSError as error:
            if error.errno not in _NOT_HERE or len(resolved) == 1:
                raise _refused(address, sockaddr, error) from error
            not_here = error
    if not_here is not None and not heard:
        raise _refused(address, resolved[0][1], not_here) from not_here


def _resolve(address: str) -> list[tuple[int, tuple[object, ...]]]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise BadListenAddress(f"{address!r} is not an address and a port")
    try:
        found = socket.getaddrinfo(
            host.removeprefix("[").removesuffix("]") or None,
            int(port),
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise CannotListen(f"{address}: {error.strerror}") from error
        raise BadListenAddress(f"{address}: {error.strerror}") from error
    except UnicodeError as error:
        raise BadListenAddress(f"{address}: no name of a host") from error
    return list(dict.fromkeys((family, sockaddr) for family, _, _, _, sockaddr in found))


def _listener(family: int, sockaddr: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of a process that has just ended do not keep the next one from its port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(sockaddr)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _refused(address: str, sockaddr: tuple[object, ...], error: OSError) -> Exception:
    also = shown_address(sockaddr)
    where = address if address == also else f"{address} ({also})"
    message = f"{where}: {os.strerror(error.errno) if error.errno else error}"
    return BadListenAddress(message) if error.errno in _MISTAKES else CannotListen(message)
