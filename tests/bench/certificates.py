"""Certificates of the benchmark: one root, a plain leaf, one for another name, one behind a chain as in real life."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.bench.crowd import SUFFIX

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_DAY = timedelta(days=1)


def write_certificates(directory: Path) -> Path:
    """Write ``leaf``, ``other`` and ``chain``, each ``.pem`` and ``.key``; gives the file of the roots to trust.

    ``leaf`` is P-256 below a P-256 root. ``chain`` is what Let's Encrypt has issued since 2024: a P-256 leaf below a
    P-384 intermediate below an RSA-4096 root (letsencrypt.org/certificates).
    """
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = _issue("Benchmark root", root_key, None, root_key, authority=True)
    for name, names in (("leaf", f"*.{SUFFIX}"), ("other", "*.example.net")):
        key = ec.generate_private_key(ec.SECP256R1())
        _write(directory, name, key, [_issue(names, key, root, root_key)])
    rsa_key = rsa.generate_private_key(65537, 4096)
    real_root = _issue("Benchmark RSA root", rsa_key, None, rsa_key, authority=True)
    middle_key = ec.generate_private_key(ec.SECP384R1())
    middle = _issue("Benchmark intermediate", middle_key, real_root, rsa_key, authority=True)
    key = ec.generate_private_key(ec.SECP256R1())
    _write(directory, "chain", key, [_issue(f"*.{SUFFIX}", key, middle, middle_key), middle])
    roots = directory / "roots.pem"
    roots.write_bytes(root.public_bytes(Encoding.PEM) + real_root.public_bytes(Encoding.PEM))
    return roots


def _issue(
    name: str, key: _Key, issuer: x509.Certificate | None, issuer_key: _Key, *, authority: bool = False
) -> x509.Certificate:
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + 30 * _DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    p384 = isinstance(issuer_key, ec.EllipticCurvePrivateKey) and issuer_key.curve.name == "secp384r1"
    return builder.sign(issuer_key, SHA384() if p384 else SHA256())


def _write(directory: Path, name: str, key: _Key, chain: list[x509.Certificate]) -> None:
    (directory / f"{name}.pem").write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in chain))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / f"{name}.key").write_bytes(private)
