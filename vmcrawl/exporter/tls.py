"""TLS as the web configuration wants it: contexts for the server, made anew when a certificate has changed."""

import ipaddress
import os
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vmcrawl.webconfig import Pem, TlsConfig, WebConfig

_LARGEST_FILE = 1 << 20
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_VERIFY = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


class BadTls(ValueError):
    """A certificate or key that cannot be used: which one, and why."""


class Rules:
    """The web configuration together with the files that it names, as they are now. Any thread may ask.

    Files are read each time; what has not changed is not made anew.
    """

    def __init__(self, web_config: Callable[[], WebConfig]) -> None:
        """``web_config`` raises ``ValueError`` when there is none that can be used."""
        self._web_config = web_config
        self._lock = threading.Lock()
        self._last: tuple[TlsConfig, _Material, ssl.SSLContext] | None = None

    def __call__(self) -> WebConfig:
        """Raises ``ValueError`` when the configuration, or a certificate, cannot be used."""
        config = self._web_config()
        material = None if config.tls is None else _Material(config.tls)
        with self._lock:
            if config.tls is None or material is None:
                self._last = None
            elif self._last is None or self._last[0] != config.tls or not self._last[1].is_same_as(material):
                self._last = (config.tls, material, _context(config.tls, material))
        return config

    def for_handshake(self) -> tuple[TlsConfig, ssl.SSLContext] | None:
        """What connections are made under; ``None``: plain HTTP.

        While the configuration cannot be used it is that of before, so that clients can be told that they get nothing.
        """
        with suppress(ValueError):
            self()
        with self._lock:
            return None if self._last is None else (self._last[0], self._last[2])


def is_allowed(config: TlsConfig, sock: ssl.SSLSocket) -> bool:
    """Whether the client's certificate, which OpenSSL has verified, bears one of the names that are asked for, if any
    are: DNS names, addresses, e-mail addresses and URIs, exactly as they stand."""
    if config.client_allowed_sans is None:
        return True
    shown = sock.getpeercert() or {}
    names = {_san(*pair) for pair in shown.get("subjectAltName", ()) if len(pair) == 2}
    return not names.isdisjoint(config.client_allowed_sans)


def _san(kind: object, value: object) -> str | None:
    text = str(value).strip()
    if kind in ("DNS", "email", "URI"):
        return text
    try:
        # OpenSSL writes 0:0:0:0:0:0:0:1 for ::1.
        return str(ipaddress.ip_address(text)) if kind == "IP Address" else None
    except ValueError:
        return None


class _Material:
    """What the files hold, so that what is compared is what is used."""

    def __init__(self, config: TlsConfig) -> None:
        self.cert = _read("cert", config.cert)
        self.key = _read("key", config.key)
        self.client_ca = None if config.client_ca is None else _read("client_ca", config.client_ca)

    def is_same_as(self, other: "_Material") -> bool:
        return (self.cert, self.key, self.client_ca) == (other.cert, other.key, other.client_ca)


def _read(name: str, pem: Pem) -> bytes:
    if isinstance(pem, str):
        return pem.encode()
    try:
        with pem.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise BadTls(f"tls_server_config.{name}_file: {pem}: {error.strerror or error}") from error
    if len(content) > _LARGEST_FILE:
        raise BadTls(f"tls_server_config.{name}_file: {pem}: larger than {_LARGEST_FILE >> 20} MiB")
    return content


def _context(config: TlsConfig, material: _Material) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]
    context.maximum_version = _VERSIONS[config.max_version]
    context.set_alpn_protocols(["http/1.1"])
    # A session that is taken up again shows its certificate to nobody; and no client comes often enough to gain.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    # OpenSSL 1.1 would let clients ask for handshake after handshake on one connection.
    context.options |= ssl.OP_NO_RENEGOTIATION
    if not config.prefer_server_ciphers:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if config.ciphers:
        context.set_ciphers(":".join(config.ciphers))
    if config.curve:
        context.set_ecdh_curve(config.curve)
    _load_chain(context, config, material)
    if config.client_auth_type != "NoClientCert":
        _load_client_ca(context, config, material)
    context.verify_mode = _VERIFY[config.client_auth_type]
    return context


def _load_chain(context: ssl.SSLContext, config: TlsConfig, material: _Material) -> None:
    with _in_a_file(material.cert) as cert, _in_a_file(material.key) as key:
        try:
            # Without a password OpenSSL would ask for one at the terminal, and wait.
            context.load_cert_chain(cert, key, password="")
        except (ssl.SSLError, ValueError) as error:
            where = " and ".join(_where(name, pem) for name, pem in (("cert", config.cert), ("key", config.key)))
            raise BadTls(
                f"{where}: no certificate and its key, in PEM and without a password ({_why(error)})"
            ) from error


def _load_client_ca(context: ssl.SSLContext, config: TlsConfig, material: _Material) -> None:
    if config.client_ca is None or material.client_ca is None:
        # As the toolkit does: those that the system trusts.
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    try:
        context.load_verify_locations(cadata=material.client_ca.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        where = _where("client_ca", config.client_ca)
        raise BadTls(f"{where}: no certificates of authorities in PEM ({_why(error)})") from error


def _where(name: str, pem: Pem) -> str:
    return f"tls_server_config.{name}" if isinstance(pem, str) else f"tls_server_config.{name}_file: {pem}"


def _why(error: Exception) -> str:
    return (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()


@contextmanager
def _in_a_file(content: bytes) -> Iterator[str]:
    """Python loads certificates from files only; this one is in memory, where the system has such."""
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("pem")
        try:
            Path(f"/proc/self/fd/{number}").write_bytes(content)
            yield f"/proc/self/fd/{number}"
        finally:
            os.close(number)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
