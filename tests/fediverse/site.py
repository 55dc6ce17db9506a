"""What one simulated server is: its name, its DNS, its TLS, its answers, and what a right crawl makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from vmcrawl.outcome import Outcome

#: In a DNS answer: the address that the simulation gives this site.
SELF = "self"
#: Loopback addresses that play the public Internet, one per site.
PUBLIC_NETWORK = "127.10.0.0/16"
#: A public address where nothing listens.
DEAD_ADDRESS = "127.10.255.254"
#: A public address whose connections are never answered: its queue of new connections is full.
BLACKHOLE_ADDRESS = "127.10.255.253"
#: The broadcast address of the loopback network: connecting to it is ENETUNREACH, and no packet leaves.
UNREACHABLE_ADDRESS = "127.255.255.255"
#: Plays a private address. A healthy server listens there, and its log must stay empty.
PRIVATE_ADDRESS = "127.66.0.1"
IPV6_ADDRESS = "::1"


@dataclass(frozen=True, slots=True)
class Truth:
    """The verdict of a right crawl.

    ``also`` are other outcomes that the contract leaves room for; ``notes`` say why. ``version`` and ``active_users``
    are those of an ``ok`` verdict, ``retry_after_seconds`` what a 429 asked for.
    """

    outcome: Outcome
    alias_of: str | None = None
    software: str | None = None
    version: str | None = None
    active_users: int | None = None
    retry_after_seconds: int | None = None
    also: tuple[Outcome, ...] = ()
    notes: str = ""

    @property
    def published(self) -> bool:
        return self.outcome is Outcome.OK

    def as_json(self) -> dict[str, object]:
        """Give the truth as ``truth.json`` has it."""
        return {
            "outcome": str(self.outcome),
            "also": [str(outcome) for outcome in self.also],
            "published": self.published,
            "alias_of": self.alias_of,
            "software": self.software,
            "version": self.version,
            "active_users": self.active_users,
            "retry_after_seconds": self.retry_after_seconds,
            "notes": self.notes,
        }


@dataclass(frozen=True, slots=True)
class Send:
    """Send ``data``, ``times`` over."""

    data: bytes
    times: int = 1


@dataclass(frozen=True, slots=True)
class Drip:
    """Send ``data`` byte by byte, again and again, with ``seconds`` between the bytes, until the client is gone."""

    data: bytes
    seconds: float = 0.1


@dataclass(frozen=True, slots=True)
class Flood:
    """Send ``data`` again and again, as fast as it goes, until the client is gone."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Receive:
    """Wait for bytes of the client."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Say nothing until the client is gone."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection in good order."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Close the connection by RST."""


Step = Send | Drip | Flood | Receive | Hang | Close | Reset


@dataclass(frozen=True, slots=True)
class Script:
    """An answer below HTTP: steps, played in order; the connection is closed after the last."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer. ``Content-Length`` and ``Date`` are added, gzip is used where ``gzip`` and the client agree."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    gzip: bool = False
    chunked: bool = False


Answer = Reply | Script


class Listening(StrEnum):
    """What happens to a connection at the address of a site."""

    SERVING = "serving"
    #: Nothing listens.
    REFUSING = "refusing"
    #: Nobody ever accepts: connections time out.
    BLACKHOLE = "blackhole"


class Tls(StrEnum):
    """The certificate and the protocols of a site."""

    GOOD = "good"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    WRONG_NAME = "wrong name"
    UNKNOWN_ISSUER = "unknown issuer"
    SELF_SIGNED = "self-signed"
    #: Nothing newer than TLS 1.1.
    TLS_1_1 = "TLS 1.1"
    TLS_1_2 = "TLS 1.2"
    #: TLS 1.2 with suites for RSA certificates only, and a certificate that is not RSA.
    NO_SHARED_CIPHER = "no shared cipher"
    #: TLS 1.2 that insists on a certificate of the client.
    CLIENT_CERTIFICATE = "client certificate"


class Quirk(StrEnum):
    """Oddities of a name in the DNS."""

    NONE = "none"
    #: Never answers.
    SILENT = "silent"
    #: Answers A, but never AAAA.
    SILENT_AAAA = "silent on AAAA"
    #: Answers A, but SERVFAIL to AAAA.
    SERVFAIL_AAAA = "SERVFAIL on AAAA"
    #: Answers A, but NXDOMAIN to AAAA.
    NXDOMAIN_AAAA = "NXDOMAIN on AAAA"
    #: Over UDP there is no room for the answer.
    TRUNCATED = "truncated"
    #: The first answer to A is good; all later ones are :data:`PRIVATE_ADDRESS`.
    REBINDING = "rebinding"
    #: The answer is no DNS message.
    GARBAGE = "garbage"
    #: A wrong answer with another id comes first, then the right one.
    SPOOFED = "spoofed"


@dataclass(frozen=True, slots=True)
class Name:
    """One name in the DNS. ``a`` may hold :data:`SELF`; ``rcode`` is that of RFC 1035 and 2136 as text."""

    a: tuple[str, ...] = (SELF,)
    aaaa: tuple[str, ...] = ()
    cname: str | None = None
    rcode: str = "NOERROR"
    quirk: Quirk = Quirk.NONE
    ttl: int = 60


@dataclass(frozen=True, slots=True)
class Site:
    """One simulated server.

    ``domain`` is in lower-case ASCII; ``listed_as`` is how the list of domains spells it, None keeps it out of that
    list. ``routes`` maps a path, with or without its query, or ``*`` for every path, to an answer; ``fallback`` answers
    the rest. ``on_connect`` is played in place of TLS, ``latency_seconds`` passes before each answer.
    """

    domain: str
    truth: Truth
    routes: Mapping[str, Answer] = field(default_factory=dict)
    fallback: Answer = Reply(404)
    listed_as: str | None = None
    name: Name = Name()
    other_names: Mapping[str, Name] = field(default_factory=dict)
    listening: Listening = Listening.SERVING
    tls: Tls = Tls.GOOD
    on_connect: Script | None = None
    latency_seconds: float = 0.0
    #: A fixed address in place of the next free one.
    address: str | None = None
