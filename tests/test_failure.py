"""What errors of the network say about a server, by type and number; the common ones are met over real sockets."""

import errno
import os
import ssl

import pytest

from vmcrawl.answer import BrokenAnswer, HungUp, OverlongHead
from vmcrawl.failure import hung_up, outcome_of
from vmcrawl.outcome import Outcome


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ECONNREFUSED, Outcome.CONNECTION_REFUSED),
        (errno.EHOSTUNREACH, Outcome.CONNECTION_UNREACHABLE),
        (errno.ENETUNREACH, Outcome.CONNECTION_UNREACHABLE),
        (errno.ENETDOWN, Outcome.CONNECTION_UNREACHABLE),
        (errno.EADDRNOTAVAIL, Outcome.CONNECTION_UNREACHABLE),
        (errno.EAFNOSUPPORT, Outcome.CONNECTION_UNREACHABLE),
        (errno.EACCES, Outcome.CONNECTION_UNREACHABLE),
        (errno.ECONNRESET, Outcome.CONNECTION_RESET),
        (errno.ECONNABORTED, Outcome.CONNECTION_RESET),
        (errno.EPIPE, Outcome.CONNECTION_RESET),
        (errno.ENOTCONN, Outcome.CONNECTION_RESET),
        (errno.ETIMEDOUT, Outcome.TIMEOUT),
        (errno.EMFILE, None),
        (errno.ENFILE, None),
        (errno.ENOMEM, None),
        (errno.ENOBUFS, None),
        (errno.EBADF, None),
        (errno.ENOLCK, None),
    ],
)
def test_each_number_of_the_kernel_has_its_meaning_or_is_our_own_failure(code, expected):
    assert outcome_of(OSError(code, os.strerror(code)), answered=False) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), Outcome.TLS_CERTIFICATE),
        (ssl.SSLEOFError(8, "EOF"), Outcome.CONNECTION_RESET),
        (ssl.SSLZeroReturnError(6, "closed"), Outcome.CONNECTION_RESET),
        (ssl.SSLSyscallError(5, "syscall"), Outcome.CONNECTION_RESET),
        (ssl.SSLError(1, "alert"), Outcome.TLS_HANDSHAKE),
        (HungUp("without a word"), Outcome.CONNECTION_RESET),
        (BrokenAnswer("no HTTP"), Outcome.CONNECTION_RESET),
        (OverlongHead("no end"), Outcome.TOO_LARGE),
    ],
)
def test_each_type_has_its_meaning(error, expected):
    assert outcome_of(error, answered=False) is expected


def test_broken_tls_after_an_answer_has_begun_is_no_matter_of_the_handshake():
    assert outcome_of(ssl.SSLError(1, "bad record"), answered=True) is Outcome.CONNECTION_RESET


def test_openssl_without_memory_is_our_own_failure():
    error = ssl.SSLError(1, "no memory")
    error.reason = "MALLOC_FAILURE"
    assert outcome_of(error, answered=False) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError(errno.ECONNRESET, ""), True),
        (BrokenPipeError(errno.EPIPE, ""), True),
        (ssl.SSLEOFError(8, "EOF"), True),
        (HungUp("without a word"), True),
        (TimeoutError("timed out"), False),
        (ssl.SSLError(1, "alert"), False),
        (BrokenAnswer("no HTTP"), False),
    ],
)
def test_the_end_of_an_idle_connection_is_told_from_other_failures(error, expected):
    assert hung_up(error) is expected
