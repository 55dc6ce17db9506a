"""TLS towards strangers: one context per process, and a socket whose every operation keeps to a budget."""

import logging
import os
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from vmcrawl.deadline import Budget

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

log = logging.getLogger(__name__)


class BudgetedSocket(ssl.SSLSocket):
    """A TLS socket that takes each operation's timeout from a budget and counts into it what it receives.

    The timeout of a socket bounds one operation, so that a server which drips bytes would never end; here each
    operation gets what is left of the whole. OpenSSL's handshake keeps one deadline for all of its messages.
    """

    budget: Budget

    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(self.budget.wait())
        super().do_handshake(block)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        self.settimeout(self.budget.wait())
        received = self.read(buflen)
        self.budget.spend(len(received))
        return received

    def send(self, data: "ReadableBuffer", flags: int = 0) -> int:
        # sendall comes here, too.
        self.settimeout(self.budget.wait())
        return super().send(data, flags)


def make_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """A client's context: TLS 1.2 and up, HTTP/1.1 by ALPN, certificates and names verified.

    Trusted are the authorities of the system (or of ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, which OpenSSL reads) and
    those of ``ca_file``, PEM. Costs some 20 ms and half a megabyte, so: one per process. Raises ``OSError`` if
    ``ca_file`` can't be read or holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A name that stands only in the subject is no name (RFC 9525, 2), whatever OpenSSL still thinks of it.
    context.hostname_checks_common_name = False
    context.set_alpn_protocols(["http/1.1"])
    context.load_default_certs()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    context.sslsocket_class = BudgetedSocket
    if not context.cert_store_stats()["x509_ca"] and not _has_directory():
        log.warning(
            "no certificate authority is known: every certificate will be refused (is ca-certificates missing?)"
        )
    return context


def secure(raw: socket.socket, context: ssl.SSLContext, host: str, budget: Budget) -> BudgetedSocket:
    """Prepare TLS for ``host`` over a connected socket, which is taken over; the handshake is left to the caller."""
    try:
        raw.settimeout(budget.wait())
        secured = context.wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
    except BaseException:
        raw.close()
        raise
    assert isinstance(secured, BudgetedSocket)
    secured.budget = budget
    return secured


def _has_directory() -> bool:
    directory = ssl.get_default_verify_paths().capath
    return bool(directory) and any(os.scandir(directory))
