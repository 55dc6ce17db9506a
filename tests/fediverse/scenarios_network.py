"""What goes wrong below HTTP: names, addresses, connections, TLS, and servers that break the protocol."""

from collections.abc import Iterator

from tests.fediverse.healthy import NODEINFO, ROBOTS, V2, WELL_KNOWN, mastodon
from tests.fediverse.scenario import named, nameless, scenario
from tests.fediverse.site import (
    BLACKHOLE_ADDRESS,
    DEAD_ADDRESS,
    IPV6_ADDRESS,
    PRIVATE_ADDRESS,
    SELF,
    UNREACHABLE_ADDRESS,
    Answer,
    Close,
    Drip,
    Flood,
    Hang,
    Listening,
    Name,
    Quirk,
    Receive,
    Reply,
    Reset,
    Script,
    Send,
    Site,
    Step,
    Tls,
)
from vmcrawl.outcome import Outcome

_OK, _NONE, _FAILURE, _BLOCKED = Outcome.OK, Outcome.DNS_NOT_FOUND, Outcome.DNS_FAILURE, Outcome.BLOCKED_ADDRESS
_RESET, _TIMEOUT, _HANDSHAKE = Outcome.CONNECTION_RESET, Outcome.TIMEOUT, Outcome.TLS_HANDSHAKE
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

#: Addresses that are not public, as an answer to A or AAAA.
_NOT_PUBLIC = (
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    PRIVATE_ADDRESS,
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "fc00::1",
    "fe80::1",
    "ff02::1",
    f"::ffff:{PRIVATE_ADDRESS}",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::a00:1",
    "2001::1",
    "2001:db8::1",
    "2002:a00:1::1",
    "3fff::1",
    "fec0::1",
    "::7f00:1",
    "fd00:ec2::254",
)


def network_scenarios() -> Iterator[Site]:
    """Give one site for each."""
    yield from _names()
    yield from _addresses()
    yield from _connections()
    yield from _tls()
    yield from _http()


def _names() -> Iterator[Site]:
    nothing = named("no-such-domain")
    yield nameless("no-such-domain", _NONE, Name(a=(), rcode="NXDOMAIN"))
    yield nameless("no-address", _NONE, Name(a=()))
    yield nameless("transport-servfail", _FAILURE, Name(a=(), rcode="SERVFAIL"))
    yield nameless("dns-refused", _FAILURE, Name(a=(), rcode="REFUSED"))
    yield nameless("dns-notimp", _FAILURE, Name(a=(), rcode="NOTIMP"))
    yield nameless("dns-formerr", _FAILURE, Name(a=(), rcode="FORMERR"))
    yield nameless("dns-silent", _FAILURE, Name(quirk=Quirk.SILENT))
    yield nameless("dns-garbage", _FAILURE, Name(quirk=Quirk.GARBAGE))
    yield nameless("dns-truncated", _OK, Name(quirk=Quirk.TRUNCATED))
    yield nameless("dns-spoofed", _OK, Name(quirk=Quirk.SPOOFED), notes="a forged answer with another id comes first")
    yield nameless("dns-servfail-aaaa", _OK, Name(quirk=Quirk.SERVFAIL_AAAA), also=(_FAILURE,))
    yield nameless("dns-nxdomain-aaaa", _OK, Name(quirk=Quirk.NXDOMAIN_AAAA))
    yield nameless("dns-silent-aaaa", _OK, Name(quirk=Quirk.SILENT_AAAA), also=(_FAILURE,), notes="A is answered")
    yield nameless("dns-long-ttl", _OK, Name(ttl=2**31 - 1))
    yield nameless("dns-no-ttl", _OK, Name(ttl=0))
    notes = "the second look-up of A gives a private address; no connection may be made to it"
    yield nameless("dns-rebinding", _OK, Name(quirk=Quirk.REBINDING), also=(_BLOCKED,), notes=notes)
    first, second = f"a.{named('cname')}", f"b.{named('cname')}"
    chain = {first: Name(cname=second), second: Name()}
    yield nameless("cname", _OK, Name(cname=first), other_names=chain)
    one, two = named("cname-loop"), f"x.{named('cname-loop')}"
    notes = "a resolver would say SERVFAIL; this answer has names, but no address"
    yield nameless(
        "cname-loop", _NONE, Name(cname=two), other_names={two: Name(cname=one)}, also=(_FAILURE,), notes=notes
    )
    yield nameless("cname-to-nothing", _NONE, Name(cname=f"x.{nothing}"))
    private = f"x.{named('cname-to-private')}"
    yield nameless("cname-to-private", _BLOCKED, Name(cname=private), other_names={private: Name(a=("10.0.0.1",))})
    yield scenario("excluded", Outcome.EXCLUDED, notes="only if it is on the exclusions: see exclusions.txt")


def _addresses() -> Iterator[Site]:
    for address in _NOT_PUBLIC:
        slug = "address-" + address.replace("::", "-0-").replace(":", "-").replace(".", "-").strip("-")
        name = Name(a=(), aaaa=(address,)) if ":" in address else Name(a=(address,))
        yield nameless(slug, _BLOCKED, name)
    mixed = "one private address among public ones spoils the name"
    yield nameless("mixed-private-last", _BLOCKED, Name(a=(SELF, PRIVATE_ADDRESS)), notes=mixed, also=(_OK,))
    yield nameless("mixed-private-first", _BLOCKED, Name(a=(PRIVATE_ADDRESS, SELF)), notes=mixed, also=(_OK,))
    yield nameless("mixed-private-6", _BLOCKED, Name(aaaa=("fd00::1",)), notes=mixed, also=(_OK,))
    yield nameless("first-dead", _OK, Name(a=(DEAD_ADDRESS, SELF)))
    yield nameless("last-dead", _OK, Name(a=(SELF, DEAD_ADDRESS)))
    yield nameless("first-unreachable", _OK, Name(a=(UNREACHABLE_ADDRESS, SELF)))
    notes = "the first address may use up all the time there is for connecting"
    yield nameless("first-silent", _OK, Name(a=(BLACKHOLE_ADDRESS, SELF)), also=(_TIMEOUT,), notes=notes)
    yield nameless("all-dead", Outcome.CONNECTION_REFUSED, Name(a=(DEAD_ADDRESS, "127.10.255.252", "127.10.255.251")))
    many = tuple(f"127.10.254.{number}" for number in range(1, 60))
    yield nameless("many-dead", Outcome.CONNECTION_REFUSED, Name(a=many), notes="too many for one UDP answer")
    yield nameless("ipv6-only", _OK, Name(a=(), aaaa=(IPV6_ADDRESS,)), address=IPV6_ADDRESS)


def _connections() -> Iterator[Site]:
    yield scenario("transport-refused", Outcome.CONNECTION_REFUSED, listening=Listening.REFUSING)
    yield nameless("unreachable", Outcome.CONNECTION_UNREACHABLE, Name(a=(UNREACHABLE_ADDRESS,)))
    yield nameless("blackhole", _TIMEOUT, Name(a=(BLACKHOLE_ADDRESS,)))
    for slug, outcome, steps, also in _BEFORE_TLS:
        yield scenario(slug, outcome, on_connect=Script(steps), also=also)


_ALERT = b"\x15\x03\x03\x00\x02\x02"
_HTTP_400 = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
#: A ServerHello that chooses TLS 1.1, as old servers send it whatever they are offered.
_SERVER_HELLO_1_1 = b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02" + b"\x55" * 32 + b"\x00\x00\x2f\x00"
#: slug, outcome, what is done in place of TLS, what may be concluded as well
_BEFORE_TLS: tuple[tuple[str, Outcome, tuple[Step, ...], tuple[Outcome, ...]], ...] = (
    ("reset-at-once", _RESET, (Reset(),), ()),
    ("reset-at-hello", _RESET, (Receive(), Reset()), ()),
    ("close-at-once", _RESET, (Close(),), (_HANDSHAKE,)),
    ("close-at-hello", _RESET, (Receive(), Close()), (_HANDSHAKE,)),
    ("silent-before-tls", _TIMEOUT, (Hang(),), ()),
    ("handshake-stalled", _TIMEOUT, (Receive(), Send(b"\x16\x03\x03\x00\x7a\x02\x00\x00"), Hang()), ()),
    ("handshake-drip", _TIMEOUT, (Receive(), Send(b"\x16\x03\x03\x3f\xff"), Drip(b"\x02\x00\x3f\xfb")), ()),
    ("plain-http", _HANDSHAKE, (Receive(), Send(_HTTP_400)), ()),
    ("plain-http-first", _HANDSHAKE, (Send(_HTTP_400), Close()), ()),
    ("ssh", _HANDSHAKE, (Send(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), Hang()), ()),
    ("garbage-before-tls", _HANDSHAKE, (Receive(), Send(bytes(range(256)))), ()),
    ("alert-handshake-failure", _HANDSHAKE, (Receive(), Send(_ALERT + b"\x28")), ()),
    ("alert-unrecognized-name", _HANDSHAKE, (Receive(), Send(_ALERT + b"\x70")), ()),
    ("alert-internal-error", _HANDSHAKE, (Receive(), Send(_ALERT + b"\x50")), ()),
    ("alert-protocol-version", _HANDSHAKE, (Receive(), Send(_ALERT + b"\x46")), ()),
    ("alert-no-alpn", _HANDSHAKE, (Receive(), Send(_ALERT + b"\x78")), ()),
    ("hello-of-tls-1-1", _HANDSHAKE, (Receive(), Send(_SERVER_HELLO_1_1), Hang()), ()),
    ("flood-before-tls", _HANDSHAKE, (Flood(b"\x00" * 65536),), (_RESET,)),
)


def _tls() -> Iterator[Site]:
    certificate = Outcome.TLS_CERTIFICATE
    yield scenario("transport-expired", certificate, tls=Tls.EXPIRED)
    yield scenario("not-yet-valid", certificate, tls=Tls.NOT_YET_VALID)
    yield scenario("wrong-name", certificate, tls=Tls.WRONG_NAME)
    yield scenario("unknown-issuer", certificate, tls=Tls.UNKNOWN_ISSUER)
    yield scenario("self-signed", certificate, tls=Tls.SELF_SIGNED)
    yield scenario("tls-1-1-only", _HANDSHAKE, tls=Tls.TLS_1_1)
    yield scenario("tls-1-2-only", _OK, tls=Tls.TLS_1_2)
    yield scenario("no-shared-cipher", _HANDSHAKE, tls=Tls.NO_SHARED_CIPHER)
    yield scenario("client-certificate", _HANDSHAKE, tls=Tls.CLIENT_CERTIFICATE)


def _http() -> Iterator[Site]:
    for slug, outcome, steps, also in _IN_PLACE_OF_HTTP:
        script = Script(steps)
        # Too long a head is no transport failure: robots.txt was there, but could not be read.
        unread = (Outcome.ROBOTS_UNREACHABLE,) if Outcome.TOO_LARGE in (outcome, *also) else ()
        yield scenario(f"all-{slug}", outcome, {"*": script}, also=(*also, *unread))
        yield scenario(slug, outcome, {WELL_KNOWN: script}, also=also)
    for slug, outcome, head, also in _ODD_HEADS:
        own = mastodon(named(slug)).routes[NODEINFO]
        assert isinstance(own, Reply)
        lines = head.replace(b"{length}", str(len(own.body)).encode())
        yield scenario(slug, outcome, {NODEINFO: Script((Send(lines + own.body),))}, also=also)
    closing: dict[str, Answer] = {}
    for path, answer in mastodon(named("no-keep-alive")).routes.items():
        assert isinstance(answer, Reply)
        closing[path] = Reply(answer.status, (*answer.headers, ("Connection", "close")), answer.body, answer.gzip)
    yield scenario("no-keep-alive", _OK, closing)
    yield scenario("slow", _OK, latency_seconds=0.2)
    yield scenario("too-slow", _TIMEOUT, latency_seconds=2.5, notes="every answer comes after the read timeout")
    yield scenario("reset-at-api", _RESET, {V2: Script((Reset(),))}, also=(Outcome.API_UNAVAILABLE, _OK))
    silent = Script((Hang(),))
    yield scenario("silent-robots-and-all", _TIMEOUT, {ROBOTS: silent, "*": silent})


_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
_LENGTH = _HEAD + b"Content-Length: 5000\r\n\r\n"
#: slug, outcome, what is sent in place of an answer, what may be concluded as well
_IN_PLACE_OF_HTTP: tuple[tuple[str, Outcome, tuple[Step, ...], tuple[Outcome, ...]], ...] = (
    ("silent", _TIMEOUT, (Hang(),), ()),
    ("close-without-answer", _RESET, (Close(),), ()),
    ("reset-without-answer", _RESET, (Reset(),), ()),
    ("drip-head", _TIMEOUT, (Send(b"HTTP/1.1 200 OK\r\nX-Padding: "), Drip(b"x")), ()),
    ("drip-status", _TIMEOUT, (Drip(b"HTTP/1.1 200 OK and so on and on and on and on"),), ()),
    ("drip-headers", _TIMEOUT, (Send(_HEAD), Drip(b"X-Header: value\r\n", 0.05)), (Outcome.TOO_LARGE,)),
    ("drip-body", _TIMEOUT, (Send(_LENGTH), Drip(b" ")), ()),
    ("drip-chunks", _TIMEOUT, (Send(_CHUNKED), Drip(b"1\r\n \r\n", 0.05)), ()),
    ("stalled-body", _TIMEOUT, (Send(_LENGTH + b"{"), Hang()), ()),
    ("endless-continue", _TIMEOUT, (Flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 500),), (Outcome.TOO_LARGE, _RESET)),
    ("endless-header", Outcome.TOO_LARGE, (Send(_HEAD + b"X: "), Flood(b"x" * 65536)), (_RESET,)),
    ("endless-headers", Outcome.TOO_LARGE, (Send(_HEAD), Flood(b"X-Header: value\r\n" * 2000)), (_RESET,)),
    ("no-http", _RESET, (Send(b"\x00\x01\x02 this is no HTTP\r\n\r\n"),), (Outcome.BAD_JSON, Outcome.HTTP_OTHER)),
    ("http-0-9", _RESET, (Send(b"<html>hello</html>"),), (Outcome.BAD_JSON, Outcome.HTTP_OTHER)),
    ("bad-status-line", _RESET, (Send(b"HTTP/1.1 OK 200\r\n\r\n{}"),), (Outcome.BAD_JSON, Outcome.HTTP_OTHER)),
)

_LENGTH_OF_OWN = b"Content-Length: {length}\r\n"
#: slug, outcome, the head of an answer whose body is the right one, what may be concluded as well
_ODD_HEADS: tuple[tuple[str, Outcome, bytes, tuple[Outcome, ...]], ...] = (
    ("http-1-0", _OK, _HEAD.replace(b"1.1", b"1.0") + b"\r\n", ()),
    ("until-close", _OK, _HEAD + b"Connection: close\r\n\r\n", ()),
    ("length-too-long", _RESET, _HEAD + b"Content-Length: 99999\r\n\r\n", (Outcome.BAD_JSON,)),
    ("length-too-short", Outcome.BAD_JSON, _HEAD + b"Content-Length: 20\r\n\r\n", ()),
    ("length-garbage", _OK, _HEAD + b"Content-Length: many\r\n\r\n", (_RESET, Outcome.BAD_JSON)),
    ("length-negative", _OK, _HEAD + b"Content-Length: -1\r\n\r\n", (_RESET, Outcome.BAD_JSON)),
    ("length-twice", _OK, _HEAD + _LENGTH_OF_OWN * 2 + b"\r\n", (_RESET, Outcome.BAD_JSON)),
    ("chunks-garbage", _RESET, _CHUNKED + b"zz\r\n", (Outcome.BAD_JSON,)),
    ("chunks-cut-off", _RESET, _CHUNKED + b"ffff\r\n", (Outcome.BAD_JSON,)),
    ("early-hints", _OK, b"HTTP/1.1 103 Early Hints\r\n\r\n" + _HEAD + _LENGTH_OF_OWN + b"\r\n", (Outcome.HTTP_OTHER,)),
    ("continue-first", _OK, b"HTTP/1.1 100 Continue\r\n\r\n" + _HEAD + _LENGTH_OF_OWN + b"\r\n", ()),
    ("many-headers", _OK, _HEAD + b"Set-Cookie: a=b\r\n" * 90 + _LENGTH_OF_OWN + b"\r\n", ()),
    ("bare-line-feeds", _OK, (_HEAD + _LENGTH_OF_OWN + b"\r\n").replace(b"\r\n", b"\n"), (_RESET,)),
    ("binary-header", _OK, _HEAD + b"X-Odd: \xff\xfe\x01\r\n" + _LENGTH_OF_OWN + b"\r\n", (_RESET,)),
)
