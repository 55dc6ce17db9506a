"""The certificate authority of the simulation: a good issuer, one that nobody knows, fine and faulty leaves."""

import ssl
import threading
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.fediverse.connection import remember_sni
from tests.fediverse.site import Tls

_DAY = timedelta(days=1)


class Authority:
    """Issues certificates (ECDSA P-256, RFC 5280) and makes the TLS contexts of servers from them."""

    def __init__(self, directory: Path) -> None:
        """Write ``ca.pem`` and, as they are needed, the leaves into ``directory``."""
        self._directory = directory
        # All leaves share a key: making one takes longer than signing, and nobody looks at it.
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._issuer = _root("Simulated Fediverse CA", self._key)
        self._stranger_key = ec.generate_private_key(ec.SECP256R1())
        self._stranger = _root("A CA nobody knows", self._stranger_key)
        self._lock = threading.Lock()
        self._contexts: dict[tuple[Tls, tuple[str, ...]], ssl.SSLContext] = {}
        self.ca_file = directory / "ca.pem"
        self.ca_file.write_bytes(self._issuer.public_bytes(Encoding.PEM))

    def context(self, tls: Tls, names: Sequence[str]) -> ssl.SSLContext:
        """Give the server-side context of a site with these names; made once."""
        key = (tls, tuple(names))
        with self._lock:
            if key not in self._contexts:
                self._contexts[key] = self._make_context(tls, names)
            return self._contexts[key]

    def _make_context(self, tls: Tls, names: Sequence[str]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        context.sni_callback = remember_sni
        leaf = self._directory / f"leaf-{len(self._contexts)}.pem"
        private = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        leaf.write_bytes(private + self._leaf(tls, names).public_bytes(Encoding.PEM))
        context.load_cert_chain(leaf)
        leaf.unlink()
        if tls is Tls.TLS_1_1:
            _limit_to_tls_1_1(context)
        if tls in (Tls.TLS_1_2, Tls.NO_SHARED_CIPHER, Tls.CLIENT_CERTIFICATE):
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        if tls is Tls.NO_SHARED_CIPHER:
            context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
        if tls is Tls.CLIENT_CERTIFICATE:
            context.load_verify_locations(self.ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _leaf(self, tls: Tls, names: Sequence[str]) -> x509.Certificate:
        now = datetime.now(UTC)
        start, end = now - _DAY, now + 30 * _DAY
        issuer, issuer_key = self._issuer, self._key
        if tls is Tls.EXPIRED:
            start, end = now - 90 * _DAY, now - _DAY
        elif tls is Tls.NOT_YET_VALID:
            start, end = now + _DAY, now + 90 * _DAY
        elif tls is Tls.WRONG_NAME:
            names = ["somebody-else.social"]
        elif tls is Tls.UNKNOWN_ISSUER:
            issuer, issuer_key = self._stranger, self._stranger_key
        subject = _name(names[0])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if tls is Tls.SELF_SIGNED else issuer.subject)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_key_identifier(issuer_key), critical=False)
        )
        return builder.sign(issuer_key, SHA256())


def _root(name: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 365 * _DAY)
        .not_valid_after(now + 365 * _DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, SHA256())


def _name(text: str) -> x509.Name:
    # A common name has at most 64 characters (RFC 5280, appendix A).
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _key_identifier(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _limit_to_tls_1_1(context: ssl.SSLContext) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    # OpenSSL 3 counts the signatures of TLS 1.1 (SHA-1) to level 0.
    context.set_ciphers("ALL:@SECLEVEL=0")
