import contextlib
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exporter.certificates import Issuer
from tests.prometheus import needed
from vmcrawl.config import ConfigError
from vmcrawl.exporter.tls import Rules
from vmcrawl.webconfig import InvalidWebConfig, RateLimit, TlsConfig, WebConfig, parse_web_config
from vmcrawl.webfile import WebConfigFile

HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
HERE = Path("/etc/vmcrawl")
PAIR = {"cert_file": "server.crt", "key_file": "server.key"}

#: What the exporter-toolkit says of each file, and we have to say as well.
GOOD = {
    "an empty file": "",
    "only a comment": "# nothing yet",
    "empty sections": "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\n",
    "TLS": "tls_server_config: {cert_file: server.crt, key_file: server.key}",
    "TLS, client certificates": "tls_server_config: {cert_file: server.crt, key_file: server.key,"
    " client_ca_file: ca.crt, client_auth_type: RequireAndVerifyClientCert}",
    "client certificates if there are any": "tls_server_config: {cert_file: server.crt, key_file: server.key,"
    " client_ca_file: ca.crt, client_auth_type: VerifyClientCertIfGiven}",
    "no client certificates": "tls_server_config: {cert_file: server.crt, key_file: server.key,"
    " client_auth_type: NoClientCert}",
    "only TLS 1.3": "tls_server_config: {cert_file: server.crt, key_file: server.key, min_version: TLS13}",
    "only TLS 1.2": "tls_server_config: {cert_file: server.crt, key_file: server.key, max_version: TLS12}",
    "cipher suites": "tls_server_config: {cert_file: server.crt, key_file: server.key, cipher_suites:"
    " [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256],"
    " prefer_server_cipher_suites: false}",
    "cipher suites of TLS 1.3": "tls_server_config: {cert_file: server.crt, key_file: server.key,"
    " cipher_suites: [TLS_AES_128_GCM_SHA256]}",
    "a curve": "tls_server_config: {cert_file: server.crt, key_file: server.key, curve_preferences: [X25519]}",
    "HTTP/2": "http_server_config: {http2: false}",
    "headers": "http_server_config: {headers: {X-Frame-Options: deny, X-Content-Type-Options: nosniff,"
    " X-XSS-Protection: '1; mode=block', Strict-Transport-Security: max-age=1, Content-Security-Policy: default-src}}",
    "users": f"basic_auth_users: {{alice: {HASH}, 123: {HASH}}}",
}
BAD = {
    "not YAML": "tls_server_config: {",
    "a list": "- tls_server_config",
    "an unknown section": "tls_config: {}",
    "an unknown key": "tls_server_config: {cert_file: server.crt, key_file: server.key, kex: x}",
    "a section that is a text": "tls_server_config: yes please",
    "a key twice": "basic_auth_users: {}\nbasic_auth_users: {}",
    "a certificate without a key": "tls_server_config: {cert_file: server.crt}",
    "a key without a certificate": "tls_server_config: {key_file: server.key}",
    "clients are to show what nobody can": "tls_server_config: {client_auth_type: RequireAndVerifyClientCert}",
    "a certificate that is not there": "tls_server_config: {cert_file: none.crt, key_file: server.key}",
    "a key that is not there": "tls_server_config: {cert_file: server.crt, key_file: none.key}",
    "a key of another": "tls_server_config: {cert_file: server.crt, key_file: other.key}",
    "a certificate that is none": "tls_server_config: {cert_file: web.yml, key_file: server.key}",
    "an authority that is not there": "tls_server_config: {cert_file: server.crt, key_file: server.key,"
    " client_ca_file: none.crt, client_auth_type: RequireAndVerifyClientCert}",
    "an authority for nothing": "tls_server_config: {cert_file: server.crt, key_file: server.key,"
    " client_ca_file: ca.crt}",
    "an unknown way to ask": "tls_server_config: {cert_file: server.crt, key_file: server.key, client_auth_type: Ask}",
    "an unknown version": "tls_server_config: {cert_file: server.crt, key_file: server.key, min_version: TLS14}",
    "SSL": "tls_server_config: {cert_file: server.crt, key_file: server.key, min_version: SSL30}",
    "an unknown cipher suite": "tls_server_config: {cert_file: server.crt, key_file: server.key,"
    " cipher_suites: [TLS_RSA_WITH_2048]}",
    "an insecure cipher suite": "tls_server_config: {cert_file: server.crt, key_file: server.key,"
    " cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}",
    "an unknown curve": "tls_server_config: {cert_file: server.crt, key_file: server.key, curve_preferences: [P192]}",
    "a truth that is none": "http_server_config: {http2: maybe}",
    "an unknown header": "http_server_config: {headers: {X-Powered-By: us}}",
    "a value that no header has": "http_server_config: {headers: {X-Frame-Options: allow}}",
    "a password as it is": "basic_auth_users: {alice: secret}",
    "a user without a password": "basic_auth_users: {alice: }",
}
#: Where we are stricter, with what we say; and what is newer than the promtool that may be here.
REFUSED = {
    "basic_auth_users: {alice: $2y$10$tooshort}": "basic_auth_users.alice expects a bcrypt hash",
    "tls_server_config: {min_version: TLS13}": "tls_server_config has neither cert nor cert_file",
    "tls_server_config: {cert_file: a, key_file: b, min_version: TLS10}": "min_version TLS10 is refused",
    "tls_server_config: {cert_file: a, key_file: b, max_version: TLS11}": "max_version TLS11 is refused",
    "tls_server_config: {cert_file: a, key_file: b, min_version: TLS13, max_version: TLS12}": "leaves no version",
    "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAnyClientCert}": "would not be verified",
    "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequestClientCert}": "would not be verified",
    "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireClientCert}": "would not be verified",
    "tls_server_config: {cert_file: a, key_file: b, curve_preferences: [X25519, CurveP256]}": "one curve only",
    "tls_server_config: {cert_file: a, key_file: b, client_allowed_sans: [a]}": "needs client_auth_type Require",
    "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAndVerifyClientCert,"
    " client_allowed_sans: []}": "client_allowed_sans is empty",
    "tls_server_config: {cert_file: a, cert: b, key_file: c}": "cert stands here and in cert_file",
    "tls_server_config: {cert_file: 1, key_file: c}": "cert_file expects text",
    "tls_server_config: {cert_file: a, key_file: b, cipher_suites: TLS_AES_128_GCM_SHA256}": "expects a list of texts",
    "tls_server_config: {cert_fil: a}": "tls_server_config.cert_fil is no setting; did you mean cert_file?",
    'http_server_config: {headers: {X-XSS-Protection: "a\\r\\nSet-Cookie: b"}}': "one line of printable ASCII",
    "rate_limit: {interval: soon, burst: 1}": "rate_limit.interval expects a length of time",
    "rate_limit: {interval: -1s, burst: 1}": "rate_limit.interval expects a length of time",
    "rate_limit: {interval: 5, burst: 1}": "rate_limit.interval expects a length of time",
    "rate_limit: {interval: 1s}": "rate_limit.burst must be from 1",
    "rate_limit: {interval: 1s, burst: many}": "rate_limit.burst expects a whole number",
    "basic_auth_users: {? [a, b] : c}": "a key must be a plain word",
    "basic_auth_users: &a {b: c}": "anchors, aliases and tags are refused",
    "rate_limit: {interval: 2026-13-45}": "not a value: '2026-13-45'",
    "auth_excluded_paths: [/-/healthy]": "auth_excluded_paths is no setting",
}


@pytest.fixture
def written(tmp_path):
    """A function that writes a web configuration beside its certificates."""
    authority = Issuer()
    authority.leaf("localhost").write(tmp_path)
    authority.leaf("localhost").write(tmp_path, "other")
    (tmp_path / "ca.crt").write_text(authority.pem)

    def write(text):
        path = tmp_path / "web.yml"
        path.write_text(text)
        return path

    return write


def promtool_accepts(path):
    return (
        subprocess.run([needed("promtool"), "check", "web-config", path], capture_output=True, check=False).returncode
        == 0
    )


def we_accept(path):
    try:
        Rules(WebConfigFile(path))()
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_is_taken(name, written):
    assert we_accept(written(GOOD[name]))


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused(name, written):
    assert not we_accept(written(BAD[name]))


@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_promtool_agrees(name, written):
    assert promtool_accepts(written((GOOD | BAD)[name])) == (name in GOOD)


@pytest.mark.parametrize("text", REFUSED)
def test_what_we_refuse_is_named_with_file_line_and_key(text, written):
    path = written(f"# ours\n{text}\n")
    with pytest.raises(ConfigError) as error:
        WebConfigFile(path)()
    assert REFUSED[text] in str(error.value)
    assert str(error.value).startswith(f"{path}, line 2: ")


def test_all_mistakes_are_named_at_once_each_with_its_line(written):
    path = written("basic_auth_users:\n  alice: a\nhttp_server_config:\n  http2: 1\nrate_limits: {}\n")
    with pytest.raises(ConfigError) as error:
        WebConfigFile(path)()
    assert [line.removeprefix(f"{path}, ") for line in str(error.value).splitlines()] == [
        "line 5: rate_limits is no setting; did you mean rate_limit?",
        "line 2: basic_auth_users.alice expects a bcrypt hash such as those of htpasswd -nBC 10",
        "line 4: http_server_config.http2 expects true or false",
    ]


def test_a_mistake_never_shows_a_password_or_a_key(written):
    path = written("basic_auth_users: {alice: hunter2}\ntls_server_config: {cert: hunter2, key: {hunter2: hunter2}}\n")
    with pytest.raises(ConfigError) as error:
        WebConfigFile(path)()
    assert "hunter2" not in str(error.value)
    config = WebConfig(TlsConfig("cert", "hunter2"), {"alice": "hunter2"})
    assert "hunter2" not in repr(config)


def test_relative_paths_start_where_the_file_is():
    tls = parse_web_config({"tls_server_config": {**PAIR, "client_auth_type": "VerifyClientCertIfGiven"}}, HERE).tls
    assert tls == TlsConfig(HERE / "server.crt", HERE / "server.key", None, "VerifyClientCertIfGiven")
    absolute = parse_web_config({"tls_server_config": {"cert_file": "/a", "key_file": "/b"}}, HERE).tls
    assert absolute == TlsConfig(Path("/a"), Path("/b"))


def test_what_is_inline_is_taken_as_it_stands():
    pair = {"cert": "CERT", "key": "KEY", "client_ca": "CA", "client_auth_type": "RequireAndVerifyClientCert"}
    tls = parse_web_config({"tls_server_config": {**pair, "client_allowed_sans": ["a.example"]}}, HERE).tls
    assert tls == TlsConfig("CERT", "KEY", "CA", "RequireAndVerifyClientCert", ("a.example",))


def test_cipher_suites_and_curves_get_their_openssl_names():
    suites = ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]
    options = {"cipher_suites": suites, "curve_preferences": ["CurveP384"], "prefer_server_cipher_suites": False}
    tls = parse_web_config({"tls_server_config": {**PAIR, **options}}, HERE).tls
    assert tls is not None
    assert (tls.ciphers, tls.curve, tls.prefer_server_ciphers) == (("ECDHE-RSA-AES128-GCM-SHA256",), "secp384r1", False)


def test_with_suites_of_tls_1_3_only_there_is_no_tls_1_2():
    tls = parse_web_config({"tls_server_config": {**PAIR, "cipher_suites": ["TLS_AES_128_GCM_SHA256"]}}, HERE).tls
    assert tls is not None
    assert tls.min_version == "TLS13"


@pytest.mark.parametrize(
    ("interval", "seconds"), [("1s", 1), ("500ms", 0.5), ("1m30s", 90), ("1.5h", 5400), ("250µs", 0.00025)]
)
def test_a_rate_limit_is_written_as_go_writes_durations(interval, seconds):
    config = parse_web_config({"rate_limit": {"interval": interval, "burst": 5}}, HERE)
    assert config.rate_limit == RateLimit(timedelta(seconds=seconds), 5)


@pytest.mark.parametrize("interval", [0, "0", "0s", None])
def test_an_interval_of_nothing_is_no_limit(interval):
    assert parse_web_config({"rate_limit": {"interval": interval, "burst": 5}}, HERE) == WebConfig()


def test_blank_headers_are_not_sent():
    headers = {"X-Frame-Options": "", "X-Content-Type-Options": "nosniff"}
    config = parse_web_config({"http_server_config": {"headers": headers}}, HERE)
    assert config.headers == {"X-Content-Type-Options": "nosniff"}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([*PAIR, "TLS13"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = ["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"]
KEYS = [*PAIR, "min_version", "cipher_suites", "headers", "http2", "interval", "burst", "client_allowed_sans", "cert"]


@given(st.dictionaries(st.sampled_from(SECTIONS), anything | st.dictionaries(st.sampled_from(KEYS), anything)))
def test_whatever_stands_there_it_is_a_configuration_or_a_named_mistake(document):
    with contextlib.suppress(InvalidWebConfig):
        assert isinstance(parse_web_config(document, HERE), WebConfig)


def test_what_has_changed_is_read_anew_and_what_is_broken_or_empty_is_an_error_until_it_is_mended(written):
    path = written(f"basic_auth_users: {{alice: {HASH}}}")
    file = WebConfigFile(path)
    assert [*file().users] == ["alice"]
    written(f"basic_auth_users: {{bob: {HASH}}}")
    assert [*file().users] == ["bob"]
    for broken in ("basic_auth_users: {bob: }", "", "  \n"):
        written(broken)
        with pytest.raises(ConfigError):
            file()
    path.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        file()
    written(f"basic_auth_users: {{carol: {HASH}}}")
    assert [*file().users] == ["carol"]
