"""Certificates as files, for servers and for clients."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Leaf:
    cert: str
    key: str

    def write(self, directory, name="server"):
        """Write ``name.crt`` and ``name.key``; returns their paths."""
        cert, key = directory / f"{name}.crt", directory / f"{name}.key"
        cert.write_text(self.cert)
        key.write_text(self.key)
        return cert, key


class Issuer:
    """An authority; ``pem`` is its certificate."""

    def __init__(self, name="Test CA"):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(self._name, self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.pem = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def leaf(self, *names, password=b"", client=False):
        """A certificate for these names: DNS, addresses, ``uri:...``; with the key locked if there is a password."""
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = _builder(x509.Name([]), self._name, key.public_key())
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        encoding = serialization.Encoding.PEM
        return Leaf(
            builder.sign(self._key, hashes.SHA256()).public_bytes(encoding).decode(),
            key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, locked).decode(),
        )


def _general(name):
    if name.startswith("uri:"):
        return x509.UniformResourceIdentifier(name.removeprefix("uri:"))
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(subject, issuer, public_key):
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
    )
