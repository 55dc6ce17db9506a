"""Who watches a request as it is made: what it hears, and when; nothing is done for it where nobody watches."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from vmcrawl.address import Address


class Stage(StrEnum):
    """What a request is about to do."""

    #: Wait for our turn, at the host or at the address.
    GATE = "gate"
    #: Look up the name.
    DNS = "dns"
    #: TCP.
    CONNECT = "connect"
    #: The handshake.
    TLS = "tls"
    #: From sending the request to the head of the answer, which comes in one piece as a rule.
    FIRST_BYTE = "first_byte"
    #: The rest of the answer.
    BODY = "body"


@dataclass(frozen=True, slots=True)
class Security:
    """What was agreed on for a connection."""

    #: ``TLSv1.3``.
    version: str
    cipher: str
    #: The end of the server's certificate.
    certificate_until: datetime | None


class Witness(Protocol):
    """Hears, in the thread of the crawl, how its requests go; it is the witness that looks at a clock."""

    def entered(self, stage: Stage) -> None:
        """A stage begins, and the one before it is over; a stage may come several times in a request, or never."""

    def at(self, address: Address) -> None:
        """The request goes to that address, on a connection that is new or was kept."""

    def secured(self, security: Security) -> None:
        """A new connection has shaken hands."""
