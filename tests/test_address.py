"""Which addresses are closed to a crawler, by tables; and anything private is closed in every embedding."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.address import connectable, ends_in_number, parse_ipv4, parse_literal, parse_nameserver, refusal

CLOSED = """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
    168.63.129.16 169.254.1.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.170 192.0.0.192 192.0.2.1
    192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.1 192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1
    224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a00:1
    64:ff9b:1::808:808 64:ff9b:0:1::1 100::1 100:0:0:1::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1
    2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:808:808::1 2620:4f:8000::1 3ffe::1 3fff::1 4000::1
    3fff:fff:ffff::1 5f00::1 fc00::1 fd00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 2606:4700::1%eth0 fec0::1 ff02::1
    8000::1 ff0e::1
"""

OPEN = """
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 168.63.129.17
    172.15.255.255 172.32.0.0 192.0.1.1 192.167.255.255 198.17.255.255 198.20.0.0 223.255.255.255
    2001:200::1 2001:4860:4860::8888 2606:4700::1111 2a00:1450:4001::1 2003::1 2400:cb00::1
    ::ffff:8.8.8.8 64:ff9b::808:808
"""

PRIVATE = [
    ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16")
]


@pytest.mark.parametrize("text", CLOSED.split())
def test_an_address_that_is_not_public_is_refused_with_a_reason(text):
    assert refusal(ip_address(text))


@pytest.mark.parametrize("text", OPEN.split())
def test_a_public_address_is_open(text):
    assert refusal(ip_address(text)) is None


@given(st.sampled_from(PRIVATE).flatmap(lambda network: st.ip_addresses(network=str(network))))
def test_a_private_address_is_refused_in_every_embedding(address):
    number = int(address)
    assert refusal(IPv4Address(number))
    forms = [
        number,  # IPv4-compatible
        0xFFFF << 32 | number,  # IPv4-mapped
        0xFFFF << 48 | number,  # IPv4-translated (RFC 2765)
        0x64FF9B << 96 | number,  # NAT64
        0x64FF9B0001 << 80 | number,  # local NAT64
        0x2002 << 112 | number << 80,  # 6to4
        0x20010000 << 96 | ~number & 0xFFFFFFFF,  # Teredo
        0xFE80 << 112 | 0x5EFE << 32 | number,  # ISATAP
    ]
    assert all(refusal(IPv6Address(form)) for form in forms)


@given(st.ip_addresses())
def test_every_address_gets_a_judgement(address):
    assert refusal(address) is None or str(address) in str(refusal(address))


def test_an_allowed_network_exempts_its_addresses_and_their_mapped_forms_only():
    allowed = (ip_network("127.0.0.0/8"), ip_network("fd00::/16"))
    for text in ("127.0.0.1", "::ffff:127.9.9.9", "fd00::7"):
        assert refusal(ip_address(text), allowed) is None
    for text in ("10.0.0.1", "::1", "fd01::1", "::ffff:10.0.0.1", "fe80::1%1"):
        assert refusal(ip_address(text), allowed)


def test_a_mapped_address_is_connected_to_as_ipv4():
    assert connectable(ip_address("::ffff:8.8.8.8")) == ip_address("8.8.8.8")
    assert connectable(ip_address("2606:4700::1")) == ip_address("2606:4700::1")


@pytest.mark.parametrize("host", ["a.example", "1.2.3.example", "x1", "127.0.0.1.example", "0x.example", "a.0xg"])
def test_a_name_is_no_literal(host):
    assert parse_literal(host) is None


@pytest.mark.parametrize(("host", "address"), [("10.0.0.1", "10.0.0.1"), ("[::1]", "::1"), ("::1", "::1")])
def test_an_ip_literal_is_read(host, address):
    assert parse_literal(host) == ip_address(address)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "1.2.3.4.5",
        "0x7f000001",
        "[::1",
        "a.1",
        "a.0x",
        "[1]",
    ],
)
def test_a_host_that_only_some_read_as_an_address_is_refused(host):
    with pytest.raises(ValueError):  # noqa: PT011 - ipaddress' own message in some cases
        parse_literal(host)


@pytest.mark.parametrize("host", ["1", "a.1", "a.09", "a.0x", "0XfF", "a.0x4", "127.0.0.1", "127.1.", "1.2.3.4.5"])
def test_a_host_whose_last_label_is_a_number_is_no_name(host):
    assert ends_in_number(host)


@pytest.mark.parametrize(
    "host", ["", ".", "a", "1.a", "0xg", "1.0xg", "x1", "1-1", "1.example.", "-1", "1_0", "\u0661"]
)
def test_a_host_whose_last_label_is_no_number_may_be_a_name(host):
    assert not ends_in_number(host)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        *(("127.0.0.1", "127.0.0.1"), ("127.1", "127.0.0.1"), ("2130706433", "127.0.0.1"), ("127.0.1", "127.0.0.1")),
        *(("0x7f.1", "127.0.0.1"), ("0X7F000001", "127.0.0.1"), ("0177.0.0.01", "127.0.0.1"), ("0x.0", "0.0.0.0")),
        *(("4294967295", "255.255.255.255"), ("1.65535", "1.0.255.255"), ("1.16777215", "1.255.255.255")),
    ],
)
def test_every_spelling_of_an_ipv4_address_is_read_as_inet_aton_does(host, address):
    assert parse_ipv4(host) == IPv4Address(address)


@pytest.mark.parametrize(
    "host",
    [
        *("", ".", "a", "1.", ".1", "1..1", "09", "0x1.0xg", "-1", "+1", "1_0", " 1", "\u0661", "1.2.3.4.5", "0o17"),
        *("256.1", "1.256.1", "1.2.3.256", "1.2.65536", "1.16777216", "4294967296", "9" * 10_000),
    ],
)
def test_what_is_no_ipv4_address_in_any_spelling_is_refused(host):
    with pytest.raises(ValueError):  # noqa: PT011 - int's own message in some cases
        parse_ipv4(host)


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("1.1.1.1", "1.1.1.1", 53),
        ("127.0.0.1:5353", "127.0.0.1", 5353),
        ("::1", "::1", 53),
        ("[::1]:54", "::1", 54),
        ("[::1]", "::1", 53),
    ],
)
def test_a_name_server_is_an_address_with_or_without_a_port(text, address, port):
    assert parse_nameserver(text) == (ip_address(address), port)


@pytest.mark.parametrize(
    "text", ["", "dns.example", "1.1.1.1:", "1.1.1.1:0", "1.1.1.1:65536", "[::1]54", "[::1", "1.1.1.1:5x"]
)
def test_a_name_server_that_is_no_address_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - ipaddress' own message in some cases
        parse_nameserver(text)
