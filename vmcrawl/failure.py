"""What an error of the network says about the server: a pure judgement by type, errno and OpenSSL's reason."""

import errno
import ssl

from vmcrawl.answer import BrokenAnswer, HungUp, OverlongHead
from vmcrawl.document import clean_text
from vmcrawl.outcome import Outcome

#: No route to the host or its network, told by the kernel or by a router (ICMP, RFC 1122 4.2.3.9). EACCES is what
#: Linux makes of ICMPv6 "administratively prohibited"; EAFNOSUPPORT, a machine without IPv6.
_UNREACHABLE = frozenset(
    {
        errno.EACCES,
        errno.EADDRNOTAVAIL,
        errno.EAFNOSUPPORT,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EPROTO,
    }
)
_HUNG_UP = frozenset({errno.ECONNABORTED, errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE, errno.ESHUTDOWN})


def outcome_of(error: OSError | BrokenAnswer | OverlongHead, *, answered: bool) -> Outcome | None:
    """The outcome of a crawl that ended in ``error``; ``None`` if it is none of the server's doing.

    ``answered``: bytes of an answer had arrived. A server that hangs up during the TLS handshake has hung up without
    an answer (``connection_reset``); ``tls_handshake`` is for those that answer it, with an alert or with something
    that isn't TLS. An answer that isn't HTTP counts as none. Running out of files or memory is our own failure.
    """
    if isinstance(error, OverlongHead):
        return Outcome.TOO_LARGE
    if isinstance(error, BrokenAnswer):
        return Outcome.CONNECTION_RESET
    if isinstance(error, ssl.SSLError):
        return _of_tls(error, answered=answered)
    if isinstance(error, TimeoutError):
        return Outcome.TIMEOUT
    if error.errno == errno.ECONNREFUSED:
        return Outcome.CONNECTION_REFUSED
    if error.errno in _HUNG_UP:
        return Outcome.CONNECTION_RESET
    if error.errno in _UNREACHABLE:
        return Outcome.CONNECTION_UNREACHABLE
    return None


def hung_up(error: OSError | BrokenAnswer | OverlongHead) -> bool:
    """Whether the other side closed the connection, as it may do with one that has been idle (RFC 9112, 9.3.1)."""
    if isinstance(error, ssl.SSLError):
        return isinstance(error, _TLS_ENDS)
    return isinstance(error, HungUp) or getattr(error, "errno", None) in _HUNG_UP


def explain(error: OSError | BrokenAnswer | OverlongHead) -> str:
    """What is to be said of an error, in a few clean words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return getattr(error, "reason", None) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return clean_text(f"{type(error).__name__}: {error}", _LONGEST_REASON)


def _of_tls(error: ssl.SSLError, *, answered: bool) -> Outcome | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Outcome.TLS_CERTIFICATE
    if isinstance(error, _TLS_ENDS):
        return Outcome.CONNECTION_RESET
    # Errors that the ssl module makes itself, without OpenSSL, have no reason.
    if getattr(error, "reason", None) == "MALLOC_FAILURE":
        return None
    # With TLS 1.3 an alert to the handshake comes when we believe it done, in place of the first answer.
    return Outcome.CONNECTION_RESET if answered else Outcome.TLS_HANDSHAKE


_LONGEST_REASON = 200
_TLS_ENDS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
