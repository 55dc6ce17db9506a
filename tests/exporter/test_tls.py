"""TLS and authentication over real sockets, and what happens when the web configuration changes meanwhile."""

import base64
import http.client
import os
import ssl
from contextlib import ExitStack, contextmanager

import bcrypt
import pytest

from tests.exporter.certificates import Issuer
from tests.exporter.clients import ask, say, served, trusting
from tests.exporter.test_server import silent
from tests.servers import eventually
from vmcrawl.exporter.tls import BadTls, Rules
from vmcrawl.webconfig import TlsConfig, WebConfig
from vmcrawl.webfile import WebConfigFile

NAMES = ("localhost", "127.0.0.1")
NO_ANSWER = (ssl.SSLError, http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
USERS = "basic_auth_users: {alice: " + bcrypt.hashpw(b"wonderland", bcrypt.gensalt(4)).decode() + "}\n"
ALICE = {"Authorization": "Basic " + base64.b64encode(b"alice:wonderland").decode()}
CLIENTS = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"


@pytest.fixture
def issuer():
    return Issuer()


class Site:
    """A directory with a web configuration, which may change at any time, as an editor or a mount changes it."""

    def __init__(self, directory, issuer):
        self.directory = directory
        self.issuer = issuer
        issuer.leaf(*NAMES).write(directory)
        (directory / "ca.crt").write_text(issuer.pem)
        self.path = directory / "web.yml"

    def write(self, text="", tls=""):
        new = self.directory / "new.yml"
        new.write_text(f"tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n{tls}{text}")
        os.replace(new, self.path)

    @contextmanager
    def served(self):
        with served(WebConfigFile(self.path)) as (port,):
            yield port

    def ask(self, port, path="/metrics", leaf=None, **headers):
        return ask(port, path, tls=trusting(self.issuer, self.directory, leaf), **headers)[0]


@pytest.fixture
def site(tmp_path, issuer):
    site = Site(tmp_path, issuer)
    site.write()
    return site


def context_of(config):
    return Rules(lambda: WebConfig(config))()


def test_a_scrape_by_tls_with_basic_authentication(site):
    site.write(USERS)
    with site.served() as port:
        assert site.ask(port) == 401
        assert site.ask(port, Authorization="Basic Zm9vOmJhcg==") == 401
        assert site.ask(port, **ALICE) == 200
        assert say(port, b"GET /metrics HTTP/1.1\r\n\r\n") == b""


def test_nobody_else_can_pass_for_us(site):
    with site.served() as port, pytest.raises(ssl.SSLCertVerificationError):
        ask(port, tls=trusting(Issuer("Another"), site.directory))


def test_certificates_and_keys_stand_in_the_file_as_well(issuer):
    leaf = issuer.leaf(*NAMES)
    with served(lambda: WebConfig(TlsConfig(leaf.cert, leaf.key))) as (port,):
        assert ask(port, tls=ssl.create_default_context(cadata=issuer.pem))[0] == 200


def test_silent_clients_that_shake_no_hands_do_not_stop_a_scrape(site):
    with site.served() as port, ExitStack() as stack:
        silent(stack, port, 50)
        silent(stack, port, 50, b"\x16\x03\x01\x02\x00\x01")
        assert site.ask(port) == 200


def test_a_new_certificate_is_used_for_the_next_connection(site):
    other = Issuer("Next year's")
    with site.served() as port:
        assert site.ask(port) == 200
        other.leaf(*NAMES).write(site.directory)
        with pytest.raises(ssl.SSLCertVerificationError):
            site.ask(port)
        site.issuer = other
        assert site.ask(port) == 200


def test_new_users_hold_for_the_next_request(site):
    site.write(USERS)
    with site.served() as port:
        assert site.ask(port, **ALICE) == 200
        site.write(USERS.replace("alice", "bob"))
        assert site.ask(port, **ALICE) == 401
        site.write(USERS)
        assert site.ask(port, **ALICE) == 200
        site.write()
        assert site.ask(port) == 200


@pytest.mark.parametrize("break_it", ["users", "empty", "gone", "certificate", "key", "another key", "no YAML"])
def test_what_is_broken_while_we_run_lets_nobody_in_until_it_is_mended(break_it, site, caplog):
    site.write(USERS)
    with site.served() as port:
        assert site.ask(port, **ALICE) == 200
        if break_it == "users":
            site.write("basic_auth_users: {alice: }\n")
        elif break_it == "empty":
            site.path.write_text("")
        elif break_it == "gone":
            site.path.unlink()
        elif break_it == "certificate":
            (site.directory / "server.crt").write_text("-----BEGIN CERTIFICATE-----\n")
        elif break_it == "key":
            (site.directory / "server.key").unlink()
        elif break_it == "another key":
            (site.directory / "server.key").write_text(site.issuer.leaf(*NAMES).key)
        else:
            site.path.write_text("basic_auth_users: {")
        for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/nope"):
            assert site.ask(port, path, **ALICE) == 500
        assert site.ask(port) == 500
        assert "nobody is let in" in caplog.text
        site.issuer.leaf(*NAMES).write(site.directory)
        site.write(USERS)
        assert (site.ask(port), site.ask(port, **ALICE)) == (401, 200)


def test_tls_can_be_turned_on_while_we_run_and_who_came_without_gets_nothing(site):
    site.path.write_text("http_server_config: {}")
    with site.served() as port:
        assert ask(port)[0] == 200
        early = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        early.connect()
        # So that it is accepted before the configuration changes.
        assert ask(port)[0] == 200
        site.write()
        early.request("GET", "/metrics")
        assert early.getresponse().status == 503
        early.close()
        assert say(port, b"GET /metrics HTTP/1.1\r\n\r\n") == b""
        assert site.ask(port) == 200


def test_only_clients_with_a_certificate_of_our_authority_get_in(site, issuer):
    site.write(tls=CLIENTS)
    with site.served() as port:
        assert site.ask(port, leaf=issuer.leaf("prometheus.example", client=True)) == 200
        for leaf in (None, Issuer("Another").leaf("prometheus.example", client=True), issuer.leaf("a.example")):
            with pytest.raises(NO_ANSWER):
                site.ask(port, leaf=leaf)


def test_a_certificate_may_be_left_out_but_not_be_wrong_if_only_given_ones_are_verified(site, issuer):
    site.write(tls=CLIENTS.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven"))
    with site.served() as port:
        assert site.ask(port) == 200
        assert site.ask(port, leaf=issuer.leaf("prometheus.example", client=True)) == 200
        with pytest.raises(NO_ANSWER):
            site.ask(port, leaf=Issuer("Another").leaf("prometheus.example", client=True))


@pytest.mark.parametrize("name", ["prometheus.example", "10.0.0.1", "2001:db8::1", "uri:spiffe://example/prometheus"])
def test_clients_are_told_apart_by_the_names_in_their_certificates(name, site, issuer):
    allowed = name.removeprefix("uri:")
    site.write(tls=f"{CLIENTS}  client_allowed_sans: ['', '{allowed}']\n")
    with site.served() as port:
        assert site.ask(port, leaf=issuer.leaf("first.example", name, client=True)) == 200
        for other in ("grafana.example", f"x{allowed}" if name == "prometheus.example" else "10.0.0.2"):
            with pytest.raises(NO_ANSWER):
                site.ask(port, leaf=issuer.leaf(other, client=True))
        with pytest.raises(NO_ANSWER):
            site.ask(port)


def test_another_authority_for_clients_holds_for_the_next_connection(site, issuer):
    site.write(tls=CLIENTS)
    leaf, others = issuer.leaf("prometheus.example", client=True), Issuer("Another")
    with site.served() as port:
        assert site.ask(port, leaf=leaf) == 200
        (site.directory / "ca.crt").write_text(others.pem)
        with pytest.raises(NO_ANSWER):
            site.ask(port, leaf=leaf)
        assert site.ask(port, leaf=others.leaf("prometheus.example", client=True)) == 200


def test_versions_suites_and_curves_are_those_of_the_configuration(site):
    suite = "cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]"
    cases = {
        "  min_version: TLS13\n": (None, "TLSv1.3"),
        "  max_version: TLS12\n": (None, "TLSv1.2"),
        f"  max_version: TLS12\n  {suite}\n": ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLSv1.2"),
    }
    for tls, (cipher, version) in cases.items():
        site.write(tls=tls)
        with site.served() as port:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", port, timeout=20, context=trusting(site.issuer, site.directory)
            )
            connection.connect()
            assert connection.sock.version() == version
            assert cipher in (None, (connection.sock.cipher() or ("",))[0])
            connection.close()
    site.write(tls="  curve_preferences: [CurveP384]\n")
    client = trusting(site.issuer, site.directory)
    with site.served() as port:
        assert ask(port, tls=client)[0] == 200
        client.set_ecdh_curve("prime256v1")
        with pytest.raises(NO_ANSWER):
            ask(port, tls=client)


@pytest.mark.parametrize(
    ("cert", "key", "client_ca", "why"),
    [
        ("", "", None, "tls_server_config.cert and tls_server_config.key: no certificate and its key"),
        ("junk", "junk", None, "no certificate and its key"),
        (None, "locked", None, "without a password"),
        (None, None, "junk", "tls_server_config.client_ca: no certificates of authorities"),
        (None, None, "", "tls_server_config.client_ca: no certificates of authorities"),
        (None, None, "é", "tls_server_config.client_ca: no certificates of authorities"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named(cert, key, client_ca, why, issuer):
    leaf = issuer.leaf(*NAMES, password=b"secret" if key == "locked" else b"")
    config = TlsConfig(
        leaf.cert if cert is None else cert,
        leaf.key if key in (None, "locked") else key,
        client_ca,
        "NoClientCert" if client_ca is None else "RequireAndVerifyClientCert",
    )
    with pytest.raises(BadTls) as error:
        context_of(config)
    assert why in str(error.value)


def test_no_files_are_left_open(site):
    with site.served() as port:
        assert site.ask(port) == 200
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            site.issuer.leaf(*NAMES).write(site.directory)
            assert site.ask(port) == 200
        assert eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


def test_nobody_renegotiates(site):
    """OpenSSL 3 refuses it by itself, 1.1 does not."""
    rules = Rules(WebConfigFile(site.path)).for_handshake()
    assert rules is not None
    assert rules[1].options & ssl.OP_NO_RENEGOTIATION
