"""The crowds of the benchmark: which name is what kind of server, and at which loopback address it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from ipaddress import IPv4Address

#: All names are below one that is reserved for examples (RFC 2606), so that one wildcard certificate serves them.
SUFFIX = "example.org"


class Kind(StrEnum):
    """What a server is like; the letter begins its name."""

    #: Mastodon, in good health and without latency.
    HEALTHY = "h"
    #: The same with a certificate chain as Let's Encrypt issues it.
    CHAIN = "l"
    #: The same with the latency of the mix.
    MASTODON = "m"
    #: NodeInfo names other software.
    OTHER_SOFTWARE = "o"
    #: No such name.
    NO_NAME = "n"
    #: The name server fails.
    NO_DNS = "d"
    #: A web server that knows nothing of the Fediverse: 404 at every path.
    NO_NODEINFO = "w"
    #: A web page with status 200 at every path.
    WEB_PAGE = "p"
    #: A certificate for another name.
    BAD_CERTIFICATE = "c"
    #: Nobody listens.
    REFUSED = "r"
    #: Packets disappear: the connection is never made.
    BLACK_HOLE = "b"
    #: The connection is made, and then nothing is said.
    SILENT = "s"
    #: No TLS at all.
    PLAIN = "t"
    #: Status 503 at every path but robots.txt.
    BROKEN = "x"
    #: Status 410 at every path.
    GONE = "g"
    #: The server hangs up without an answer.
    HANGS_UP = "u"


#: The verdict on each kind.
VERDICTS = {
    Kind.HEALTHY: "ok",
    Kind.CHAIN: "ok",
    Kind.MASTODON: "ok",
    Kind.OTHER_SOFTWARE: "not_mastodon",
    Kind.NO_NAME: "dns_not_found",
    Kind.NO_DNS: "dns_failure",
    Kind.NO_NODEINFO: "http_4xx",
    Kind.WEB_PAGE: "bad_content_type",
    Kind.BAD_CERTIFICATE: "tls_certificate",
    Kind.REFUSED: "connection_refused",
    Kind.BLACK_HOLE: "timeout",
    Kind.SILENT: "timeout",
    Kind.PLAIN: "tls_handshake",
    Kind.BROKEN: "http_5xx",
    Kind.GONE: "opted_out",
    Kind.HANGS_UP: "connection_reset",
}

#: Hosts of each kind among 81,155 that a crawler of the whole Fediverse met (mizunashi-mana/fediverse-stats, table
#: outputs of 2023-12-01). Unreachable ones are refused here; what timed out is shared by the two kinds of silence.
REAL_MIX = {
    Kind.MASTODON: 10_956,
    Kind.OTHER_SOFTWARE: 13_189,
    Kind.NO_NAME: 20_341,
    Kind.NO_DNS: 700,
    Kind.NO_NODEINFO: 10_102,
    Kind.WEB_PAGE: 2_514,
    Kind.BAD_CERTIFICATE: 6_464,
    Kind.REFUSED: 1_097 + 4_804,
    Kind.BLACK_HOLE: 2_347,
    Kind.SILENT: 2_346,
    Kind.PLAIN: 1_174 + 379,
    Kind.BROKEN: 3_855,
    Kind.GONE: 551,
    Kind.HANGS_UP: 214,
}

#: Hosts per kind that have an address of their own, or nearly: requests at a time to one address are bounded.
ADDRESSES = 250
_NETWORKS = {
    Kind.BAD_CERTIFICATE: "127.2.0.0",
    Kind.PLAIN: "127.3.0.0",
    Kind.REFUSED: "127.4.0.0",
    Kind.SILENT: "127.5.0.0",
    Kind.BLACK_HOLE: "127.6.0.0",
    Kind.CHAIN: "127.7.0.0",
}
_SHARED = "127.1.0.0"


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many servers of each kind."""

    name: str
    kinds: Sequence[tuple[Kind, int]]

    def domains(self) -> Iterator[str]:
        """All names, kinds mixed as evenly as it goes."""
        total = self.size
        queue = sorted(
            ((index + 0.5) * total / number, kind, index) for kind, number in self.kinds for index in range(number)
        )
        return (f"{kind}{index}.{SUFFIX}" for _, kind, index in queue)

    @property
    def size(self) -> int:
        return sum(number for _, number in self.kinds)

    def verdicts(self) -> dict[str, int]:
        """How many domains end how, in truth."""
        found: dict[str, int] = {}
        for kind, number in self.kinds:
            if number:
                found[VERDICTS[kind]] = found.get(VERDICTS[kind], 0) + number
        return found


def all_healthy(size: int) -> Crowd:
    return Crowd("healthy", [(Kind.HEALTHY, size)])


def with_chain(size: int) -> Crowd:
    return Crowd("chain", [(Kind.CHAIN, size)])


def real_mix(size: int) -> Crowd:
    total = sum(REAL_MIX.values())
    return Crowd("mix", [(kind, round(size * number / total)) for kind, number in REAL_MIX.items()])


def dead_names(size: int, *, alive: int = 0) -> Crowd:
    return Crowd("dead", [(Kind.HEALTHY, alive), (Kind.NO_NAME, size - alive)])


def address_of(label: str) -> str:
    """The address of a name's first label: ``m17`` is on one of the shared addresses."""
    kind, index = Kind(label[0]), int(label[1:])
    return addresses(kind)[index % ADDRESSES]


@cache
def addresses(kind: Kind) -> list[str]:
    """Where servers of a kind are."""
    first = IPv4Address(_NETWORKS.get(kind, _SHARED))
    return [str(first + offset + 1) for offset in range(ADDRESSES)]
