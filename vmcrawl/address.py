"""Which addresses may be connected to: a pure judgement over explicit tables, no look-ups."""

import re
import socket
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE | re.ASCII)


def refusal(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """Say why ``address`` may not be connected to; ``None`` if it may.

    ``allowed`` are the operator's exemptions (``network.allow_addresses``). IPv4-mapped (RFC 4291, 2.5.5.2) and NAT64
    (RFC 6052, 2.1) forms are judged by the IPv4 address inside, since that is where the packets go; all other
    transition forms are refused. The tables follow the IANA special-purpose registries (RFC 6890) and the
    metadata addresses of the clouds.
    """
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return f"{address} has a scope, so it is local to a link"
    if any(address.version == network.version and address in network for network in allowed):
        return None
    inside = embedded_ipv4(address)
    if inside is not None:
        reason = refusal(inside, allowed)
        return None if reason is None else f"{address} carries {reason}"
    # A big-int comparison per row costs a fifth of ``address in network``.
    number = int(address)
    if isinstance(address, IPv4Address):
        rows = _ROWS_V4
    elif number >> 125 != _GLOBAL_BITS:
        return f"{address} is outside of global unicast ({GLOBAL_UNICAST})"
    else:
        rows = _ROWS_V6
    for first, last, what in rows:
        if first <= number <= last:
            return f"{address} is {what}"
    return None


def embedded_ipv4(address: Address) -> IPv4Address | None:
    """The IPv4 address that packets to an IPv4-mapped or NAT64 (64:ff9b::/96) address end up at, else ``None``."""
    if isinstance(address, IPv6Address) and int(address) >> 32 in _CARRIERS:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def open_networks() -> dict[Network, tuple[Network, ...]]:
    """All that :func:`refusal` lets through, as a firewall can be told it: networks, and the holes in each of them.

    Of IPv4-mapped addresses nothing is said: they are never on the wire (:func:`connectable`).
    """
    every_v4 = IPv4Network("0.0.0.0/0")
    carried = tuple(
        IPv6Network((int(NAT64.network_address) | int(each.network_address), 96 + each.prefixlen)) for each in CLOSED_V4
    )
    return {every_v4: tuple(CLOSED_V4), GLOBAL_UNICAST: tuple(CLOSED_V6), NAT64: carried}


def connectable(address: Address) -> Address:
    """The form of ``address`` to connect to: IPv4-mapped becomes plain IPv4, so that one server is one address."""
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address


def parse_literal(host: str) -> Address | None:
    """Read a URL's host as an IP literal; ``None`` if it is a name.

    Raises ``ValueError`` for anything that some resolver or browser reads as an address although it isn't written as
    one (:func:`ends_in_number`): nobody publishes a server so, and no two programs agree where they lead.
    """
    if host.startswith("["):
        if not host.endswith("]"):
            raise ValueError(f"unfinished IPv6 literal {host!r}")
        return IPv6Address(host[1:-1])
    if ":" in host:
        return IPv6Address(host)
    if not ends_in_number(host):
        return None
    try:
        return IPv4Address(host)
    except ValueError as error:
        raise ValueError(f"{host!r} is neither a name nor a plain IPv4 address") from error


def ends_in_number(host: str) -> bool:
    """Whether the last label of a host makes it an IPv4 address, in whatever spelling, and no name.

    So are ``127.1``, ``0x7f.1``, ``2130706433`` and ``0177.0.0.1`` (WHATWG URL, "ends in a number").
    """
    return _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]) is not None


def parse_ipv4(host: str) -> IPv4Address:
    """Read an IPv4 address in any of the spellings of inet_aton, as WHATWG's URL standard defines them.

    One to four numbers, decimal, octal or hexadecimal, of which the last fills the octets that are left. Raises
    ``ValueError``.
    """
    *high, last = (_ipv4_number(part) for part in host.split("."))
    if len(high) > 3 or any(number > 255 for number in high) or last >= 256 ** (4 - len(high)):
        raise ValueError("a number too many, or one out of range")
    return IPv4Address(last + sum(number << (8 * (3 - index)) for index, number in enumerate(high)))


def socket_address(address: Address, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """What ``socket`` and ``connect`` need for exactly this address; nothing is looked up."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return family, (str(address), port)


def parse_nameserver(text: str) -> tuple[Address, int]:
    """Read ``address``, ``address:port`` or ``[v6]:port``; the port defaults to 53. Raises ``ValueError``."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is not an address with a port")
        return IPv6Address(host), _port(rest[1:]) if rest else 53
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return IPv4Address(host), _port(port)
    return ip_address(text), 53


def _ipv4_number(part: str) -> int:
    if _NUMBER.fullmatch(part) is None:
        raise ValueError("not a number")
    if part[:2] in ("0x", "0X"):
        return int(part[2:] or "0", 16)
    return int(part, 8 if part.startswith("0") else 10)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ValueError(f"{text!r} is not a port")
    return int(text)


CLOSED_V4: Mapping[IPv4Network, str] = {
    IPv4Network(text): what
    for text, what in {
        "0.0.0.0/8": "'this network' (RFC 791)",
        "10.0.0.0/8": "private (RFC 1918)",
        "100.64.0.0/10": "shared address space (RFC 6598)",
        "127.0.0.0/8": "loopback (RFC 1122)",
        "168.63.129.16/32": "cloud metadata (Azure)",
        "169.254.0.0/16": "link-local (RFC 3927)",
        "172.16.0.0/12": "private (RFC 1918)",
        "192.0.0.0/24": "for protocol assignments (RFC 6890)",
        "192.0.2.0/24": "for documentation (RFC 5737)",
        "192.31.196.0/24": "AS112 (RFC 7535)",
        "192.52.193.0/24": "AMT (RFC 7450)",
        "192.88.99.0/24": "6to4 relay anycast (RFC 7526)",
        "192.168.0.0/16": "private (RFC 1918)",
        "192.175.48.0/24": "AS112 (RFC 7534)",
        "198.18.0.0/15": "for benchmarking (RFC 2544)",
        "198.51.100.0/24": "for documentation (RFC 5737)",
        "203.0.113.0/24": "for documentation (RFC 5737)",
        "224.0.0.0/4": "multicast (RFC 5771)",
        "240.0.0.0/4": "reserved (RFC 1112)",
    }.items()
}

#: Everything outside of this is closed as a whole, except for NAT64.
GLOBAL_UNICAST = IPv6Network("2000::/3")

#: What is closed within global unicast.
CLOSED_V6: Mapping[IPv6Network, str] = {
    IPv6Network(text): what
    for text, what in {
        "2001::/23": "for protocol assignments, Teredo among them (RFC 2928, RFC 4380)",
        "2001:db8::/32": "for documentation (RFC 3849)",
        "2002::/16": "6to4 (RFC 3056)",
        "2620:4f:8000::/48": "AS112 (RFC 7534)",
        "3ffe::/16": "6bone, returned (RFC 3701)",
        "3fff::/20": "for documentation (RFC 9637)",
    }.items()
}

#: Addresses that lead to the IPv4 host in their last 32 bits (RFC 6052, 2.1).
NAT64 = IPv6Network("64:ff9b::/96")


def _table(rows: Mapping[IPv4Network, str] | Mapping[IPv6Network, str]) -> tuple[tuple[int, int, str], ...]:
    return tuple((int(each.network_address), int(each.broadcast_address), what) for each, what in rows.items())


_ROWS_V4, _ROWS_V6 = _table(CLOSED_V4), _table(CLOSED_V6)
_GLOBAL_BITS = int(GLOBAL_UNICAST.network_address) >> 125

#: The upper 96 bits of addresses whose packets reach an IPv4 host: IPv4-mapped, NAT64.
_CARRIERS = frozenset({int(IPv6Address("::ffff:0:0")) >> 32, int(NAT64.network_address) >> 32})
