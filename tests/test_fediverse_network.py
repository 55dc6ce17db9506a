"""The simulated Fediverse below HTTP: its certificates, its broken connections, its name server."""

import errno
import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.fediverse import Running, all_scenarios, fediverse_in_thread, named
from tests.fediverse.asking import PATIENCE, addresses, connect, resolve
from tests.fediverse.site import BLACKHOLE_ADDRESS, DEAD_ADDRESS, PRIVATE_ADDRESS, UNREACHABLE_ADDRESS


@pytest.fixture(scope="module")
def fediverse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with fediverse_in_thread(all_scenarios(), tmp_path_factory.mktemp("fediverse")) as running:
        yield running


@pytest.mark.parametrize(
    ("slug", "verify_code"),
    [
        ("transport-expired", 10),
        ("not-yet-valid", 9),
        ("wrong-name", 62),
        ("unknown-issuer", 20),
        ("self-signed", 18),
    ],
)
def test_a_faulty_certificate_is_refused_for_its_fault(fediverse, slug, verify_code):
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        connect(fediverse, named(slug))
    assert refused.value.verify_code == verify_code


@pytest.mark.parametrize(
    "slug",
    [
        "tls-1-1-only",
        "no-shared-cipher",
        "client-certificate",
        "plain-http",
        "ssh",
        "alert-handshake-failure",
        "alert-unrecognized-name",
        "hello-of-tls-1-1",
        "garbage-before-tls",
    ],
)
def test_a_handshake_fails_for_want_of_common_ground(fediverse, slug):
    with pytest.raises(ssl.SSLError) as refused:
        connect(fediverse, named(slug))
    assert not isinstance(refused.value, ssl.SSLCertVerificationError)


def test_tls_1_2_is_good_enough(fediverse):
    with closing(connect(fediverse, named("tls-1-2-only"))) as connection:
        assert isinstance(connection.sock, ssl.SSLSocket)
        assert connection.sock.version() == "TLSv1.2"


def test_connections_are_refused_unreachable_or_never_answered(fediverse):
    for address, reason in ((DEAD_ADDRESS, errno.ECONNREFUSED), (UNREACHABLE_ADDRESS, errno.ENETUNREACH)):
        with pytest.raises(OSError) as failed:  # noqa: PT011 - the errno is the point
            socket.create_connection((address, fediverse.port), timeout=PATIENCE)
        assert failed.value.errno == reason
    with pytest.raises(ConnectionRefusedError):
        connect(fediverse, named("transport-refused"))
    with pytest.raises(TimeoutError):
        socket.create_connection((BLACKHOLE_ADDRESS, fediverse.port), timeout=0.3)


@pytest.mark.parametrize(
    ("slug", "failure"),
    [
        ("reset-at-hello", ConnectionResetError),
        ("close-at-hello", ssl.SSLEOFError),
        ("silent-before-tls", TimeoutError),
        ("handshake-stalled", TimeoutError),
    ],
)
def test_the_handshake_is_cut_off(fediverse, slug, failure):
    with pytest.raises(failure):
        connect(fediverse, named(slug), timeout=0.3)


@pytest.mark.parametrize(
    ("slug", "failure"),
    [
        ("silent", TimeoutError),
        ("close-without-answer", http.client.RemoteDisconnected),
        ("reset-without-answer", ConnectionResetError),
        ("no-http", http.client.BadStatusLine),
        ("endless-header", http.client.LineTooLong),
        ("endless-headers", http.client.HTTPException),
    ],
)
def test_no_answer_comes_after_the_handshake(fediverse, slug, failure):
    with closing(connect(fediverse, named(slug), timeout=0.3)) as connection:
        connection.request("GET", "/.well-known/nodeinfo")
        with pytest.raises(failure):
            connection.getresponse()


def test_a_dripping_body_keeps_coming_and_never_ends(fediverse):
    with closing(connect(fediverse, named("drip-body"))) as connection:
        connection.request("GET", "/.well-known/nodeinfo")
        response = connection.getresponse()
        assert [response.read(1) for _ in range(3)] == [b" "] * 3


@pytest.mark.parametrize(
    ("slug", "rcode", "count"),
    [
        ("version-v", "NOERROR", 1),
        ("no-address", "NOERROR", 0),
        ("no-such-domain", "NXDOMAIN", 0),
        ("transport-servfail", "SERVFAIL", 0),
        ("dns-refused", "REFUSED", 0),
        ("first-dead", "NOERROR", 2),
        ("mixed-private-first", "NOERROR", 2),
    ],
)
def test_the_name_server_answers(fediverse, slug, rcode, count):
    for tcp in (False, True):
        message = resolve(fediverse, named(slug).upper(), tcp=tcp)
        assert (dns.rcode.to_text(message.rcode()), len(addresses(message))) == (rcode, count)


def test_names_that_nobody_has_do_not_exist(fediverse):
    message = resolve(fediverse, "nobody-has-such-a-name.social")
    assert message.rcode() == dns.rcode.NXDOMAIN
    assert message.authority


def test_a_chain_of_names_comes_with_its_address_and_a_loop_without(fediverse):
    chain = resolve(fediverse, named("cname"))
    assert addresses(chain)[-1] == fediverse.address(named("cname"))
    assert len(chain.answer) == 3
    # dnspython itself follows such a loop, but ours has no address at the end.
    loop = resolve(fediverse, named("cname-loop"))
    assert {records.rdtype.name for records in loop.answer} == {"CNAME"}


def test_a_truncated_answer_is_whole_over_tcp(fediverse):
    for slug in ("dns-truncated", "many-dead"):
        query = dns.message.make_query(named(slug), "A", use_edns=False)
        address, port = fediverse.nameserver
        short = dns.query.udp(query, address, port=port, timeout=PATIENCE)
        assert short.flags & dns.flags.TC
        assert addresses(resolve(fediverse, named(slug), tcp=True))


def test_a_silent_name_is_never_answered(fediverse):
    with pytest.raises(dns.exception.Timeout):
        resolve(fediverse, named("dns-silent"))
    assert addresses(resolve(fediverse, named("dns-silent-aaaa"))) == [fediverse.address(named("dns-silent-aaaa"))]
    with pytest.raises(dns.exception.Timeout):
        resolve(fediverse, named("dns-silent-aaaa"), "AAAA")


def test_garbage_and_forged_answers_come_as_such(fediverse):
    address, port = fediverse.nameserver
    with pytest.raises(dns.exception.DNSException):
        resolve(fediverse, named("dns-garbage"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        query = dns.message.make_query(named("dns-spoofed"), "A")
        sock.sendto(query.to_wire(), (address, port))
        forged, good = (dns.message.from_wire(sock.recv(4096)) for _ in range(2))
    assert (forged.id == query.id, addresses(forged)) == (False, [PRIVATE_ADDRESS])
    assert (good.id == query.id, addresses(good)) == (True, [fediverse.address(named("dns-spoofed"))])


def test_a_rebinding_name_changes_its_address_at_the_second_question(tmp_path):
    sites = [site for site in all_scenarios() if site.domain == named("dns-rebinding")]
    with fediverse_in_thread(sites, tmp_path) as fediverse:
        domain = named("dns-rebinding")
        answers = [addresses(resolve(fediverse, domain)) for _ in range(3)]
        assert answers == [[fediverse.address(domain)], [PRIVATE_ADDRESS], [PRIVATE_ADDRESS]]
        assert [entry["question"] for entry in fediverse.questions()] == [f"{domain}. A"] * 3
