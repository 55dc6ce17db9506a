"""The web configuration of Prometheus exporters: TLS, users, headers and a rate limit, from a document to values.

The format is that of the exporter-toolkit (github.com/prometheus/exporter-toolkit, docs/web-configuration.md). Where
the toolkit is lenient about security, this is not; a file that it refuses is refused here, too, except that a blank
header is none, as its documentation has it:

* ``http2`` is accepted and ignored: HTTP/1 is all that is spoken.
* ``RequestClientCert``, ``RequireAnyClientCert`` and ``RequireClientCert`` are refused: OpenSSL, as Python has it, asks
  for no certificate that it does not verify. So are ``TLS10`` and ``TLS11`` (RFC 8996), more than one curve, which
  Python cannot set, and options of TLS without a certificate, which the toolkit does not look at.
* A password has to be a whole bcrypt hash, and a certificate stands inline or in a file, not both.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path

#: PEM, inline or in a file.
Pem = str | Path

#: The names that Go has for what OpenSSL calls otherwise; those of TLS 1.3 are always on (RFC 8446, 9.1), as in Go.
_CIPHERS = {
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
_CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
_VERSIONS = ("TLS12", "TLS13")
_OLD_VERSIONS = ("TLS10", "TLS11")
_CLIENT_AUTH = ("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
_UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
#: The values each may have; none: any.
_HEADERS = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}", re.ASCII)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,9})?)(ns|us|µs|ms|s|m|h)", re.ASCII)


@dataclass(frozen=True, slots=True)
class TlsConfig:
    cert: Pem
    key: Pem = field(repr=False)
    client_ca: Pem | None = None
    #: NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert.
    client_auth_type: str = "NoClientCert"
    #: None: any client with a certificate; else the certificate has one of these names, exactly.
    client_allowed_sans: tuple[str, ...] | None = None
    #: TLS12 or TLS13.
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    #: OpenSSL's names, for TLS 1.2; none: its own choice.
    ciphers: tuple[str, ...] = ()
    prefer_server_ciphers: bool = True
    #: OpenSSL's name; none: its own choice.
    curve: str = ""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One request in each ``interval``, and up to ``burst`` at once after a pause."""

    interval: timedelta
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    #: None: plain HTTP.
    tls: TlsConfig | None = None
    #: bcrypt hashes by user; none: no authentication.
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    rate_limit: RateLimit | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, with which key: ``("tls_server_config", "cert_file")``."""

    key: tuple[str, ...]
    why: str


class InvalidWebConfig(ValueError):
    """A document that is no web configuration; ``problems`` are all that was found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{'.'.join(problem.key)} {problem.why}".strip() for problem in problems))
        self.problems = problems


def parse_web_config(document: object, directory: Path) -> WebConfig:
    """Read a YAML document; relative paths start from ``directory``, where the file is.

    Raises :class:`InvalidWebConfig` that names all mistakes. No file is opened.
    """
    problems: list[Problem] = []
    top = _Section(
        (), document, problems, ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
    )
    config = WebConfig(
        _tls(top.section("tls_server_config", _TLS_KEYS), directory),
        _users(top.section("basic_auth_users", None)),
        _headers(top.section("http_server_config", ("http2", "headers"))),
        _rate_limit(top.section("rate_limit", ("interval", "burst"))),
    )
    if problems:
        raise InvalidWebConfig(problems)
    return config


_TLS_KEYS = (
    *("cert", "key", "client_ca", "cert_file", "key_file", "client_ca_file", "client_auth_type", "client_allowed_sans"),
    *("min_version", "max_version", "cipher_suites", "prefer_server_cipher_suites", "curve_preferences"),
)


class _Section:
    """A mapping of the document, and what is wrong with it; what is wrong reads as if it were not there."""

    def __init__(
        self, key: tuple[str, ...], value: object, problems: list[Problem], known: Sequence[str] | None
    ) -> None:
        self.key = key
        self._problems = problems
        self._values: Mapping[object, object] = {}
        if isinstance(value, Mapping):
            self._values = value
        elif value is not None:
            self.wrong("", "expects keys, each with a value" if key else "the file expects keys, each with a value")
        for name in self._values:
            if not isinstance(name, str):
                self.wrong("", f"has a key that is no text: {_shown(str(name))}")
            elif known is not None and name not in known:
                close = get_close_matches(name[:100], known, n=1, cutoff=0.7)
                self.wrong(name, "is no setting" + (f"; did you mean {close[0]}?" if close else ""))

    def wrong(self, name: str, why: str) -> None:
        self._problems.append(Problem((*self.key, name) if name else self.key, why))

    def names(self) -> list[str]:
        return [name for name in self._values if isinstance(name, str)]

    def section(self, name: str, known: Sequence[str] | None) -> "_Section":
        return _Section((*self.key, name), self._values.get(name), self._problems, known)

    def value(self, name: str) -> object:
        return self._values.get(name)

    def text(self, name: str) -> str:
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            self.wrong(name, "expects text")
        return value if isinstance(value, str) else ""

    def truth(self, name: str, default: bool) -> bool:
        value = self._values.get(name)
        if value is not None and not isinstance(value, bool):
            self.wrong(name, "expects true or false")
        return value if isinstance(value, bool) else default

    def choice(self, name: str, known: Sequence[str], refused: Mapping[str, str]) -> str:
        """``""`` where nothing is said."""
        text = self.text(name)
        if text in refused:
            self.wrong(name, f"{text} is refused: {refused[text]}")
        elif text and text not in known:
            self.wrong(name, f"{_shown(text)} is none of {', '.join(known)}")
        return text

    def texts(self, name: str) -> tuple[str, ...] | None:
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.wrong(name, "expects a list of texts")
            return ()
        return tuple(value)

    def translated(self, name: str, words: Mapping[str, str]) -> tuple[str, ...] | None:
        texts = self.texts(name)
        for text in texts or ():
            if text not in words:
                self.wrong(name, f"{_shown(text)} is none of {', '.join(words)}")
        return None if texts is None else tuple(words.get(text, "") for text in texts)


def _tls(section: _Section, directory: Path) -> TlsConfig | None:
    def pem(name: str) -> Pem | None:
        inline, file = section.text(name), section.text(f"{name}_file")
        if inline and file:
            section.wrong(name, f"stands here and in {name}_file; one of them is enough")
        return directory / file if file else inline or None

    cert, key, client_ca = pem("cert"), pem("key"), pem("client_ca")
    unverified = dict.fromkeys(_UNVERIFIED, "such a certificate would not be verified; use RequireAndVerifyClientCert")
    old = dict.fromkeys(_OLD_VERSIONS, "it is no longer secure (RFC 8996)")
    lowest, highest = (section.choice(name, _VERSIONS, old) for name in ("min_version", "max_version"))
    suites = section.translated("cipher_suites", _CIPHERS) or ()
    curves = section.translated("curve_preferences", _CURVES) or ()
    config = TlsConfig(
        cert or "",
        key or "",
        client_ca,
        section.choice("client_auth_type", _CLIENT_AUTH, unverified) or "NoClientCert",
        section.texts("client_allowed_sans"),
        # Nothing of TLS 1.2 is left where only suites of TLS 1.3 are allowed.
        "TLS13" if suites and not any(suites) else lowest or "TLS12",
        highest or "TLS13",
        tuple(suite for suite in suites if suite),
        section.truth("prefer_server_cipher_suites", True),
        curves[0] if curves else "",
    )
    for name, why in _contradictions(config, len(curves)):
        if section.names():
            section.wrong(name, why)
    return config if section.names() else None


def _contradictions(config: TlsConfig, curves: int) -> Iterator[tuple[str, str]]:
    if not config.cert:
        yield "", "has neither cert nor cert_file"
    if not config.key:
        yield "", "has neither key nor key_file"
    if config.min_version == "TLS13" and config.max_version == "TLS12":
        yield "max_version", "leaves no version of TLS"
    if config.client_auth_type == "NoClientCert" and config.client_ca is not None:
        yield "client_auth_type", "must say whether certificates are verified, since there is a client_ca"
    if config.client_auth_type != "RequireAndVerifyClientCert" and config.client_allowed_sans is not None:
        yield "client_allowed_sans", "needs client_auth_type RequireAndVerifyClientCert: nobody else shows names"
    if config.client_allowed_sans == ():
        yield "client_allowed_sans", "is empty: nobody would get in"
    if curves > 1:
        yield "curve_preferences", "may name one curve only; Python cannot set several"


def _users(section: _Section) -> dict[str, str]:
    users = {}
    for name in section.names():
        users[name] = section.text(name)
        if not _BCRYPT.fullmatch(users[name]):
            section.wrong(name, "expects a bcrypt hash such as those of htpasswd -nBC 10")
    return users


def _headers(section: _Section) -> dict[str, str]:
    section.truth("http2", True)
    headers = section.section("headers", tuple(_HEADERS))
    given = {name: headers.text(name) for name in headers.names() if name in _HEADERS}
    for name, value in given.items():
        if value and _HEADERS[name] and value not in _HEADERS[name]:
            headers.wrong(name, f"{_shown(value)} is none of {', '.join(_HEADERS[name])}")
        elif not (value.isascii() and value.isprintable()):
            headers.wrong(name, "must be one line of printable ASCII")
    return {name: value for name, value in given.items() if value}


def _rate_limit(section: _Section) -> RateLimit | None:
    interval = _duration(section, section.value("interval"))
    burst = section.value("burst") or 0
    if not isinstance(burst, int) or burst is True:
        section.wrong("burst", "expects a whole number")
        return None
    if interval and not 1 <= burst <= 1_000_000:
        section.wrong("burst", "must be from 1 to 1000000, or nobody would get in")
    return RateLimit(interval, burst) if interval else None


def _duration(section: _Section, written: object) -> timedelta:
    """A length of time as Go writes it: ``1m30s``, ``0.5s``, ``0``."""
    if written is None or written == "0" or (written == 0 and not isinstance(written, bool)):
        return timedelta(0)
    parts = _DURATION.findall(written) if isinstance(written, str) else []
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != written or seconds > 86_400:
        section.wrong("interval", "expects a length of time such as 500ms or 1m30s, of a day at most")
        return timedelta(0)
    # Less than what a timedelta can hold is not nothing.
    return max(timedelta(seconds=seconds), timedelta.resolution) if seconds else timedelta(0)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
