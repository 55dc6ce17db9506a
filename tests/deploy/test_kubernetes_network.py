"""The NetworkPolicies and the guard in the program agree: one table, and the same verdict for every address."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.deploy.manifests import Pod, pods, rendered
from tests.deploy.policy.network import reaches
from vmcrawl.address import CLOSED_V4, CLOSED_V6, GLOBAL_UNICAST, NAT64, Address, Network, connectable, refusal

ABROAD = ("crawler", "refresh", "discovery")
DOCUMENTS = "+all"


def _pod(component: str) -> Pod:
    (found,) = (pod for pod in pods(rendered(DOCUMENTS)) if pod.component == component)
    return found


def _blocks() -> dict[str, set[str]]:
    """Each network that the policy for the internet opens, and the holes in it, as they are written."""
    (policy,) = (each for each in rendered(DOCUMENTS) if each["metadata"]["name"] == "vmcrawl-internet")
    (rule,) = policy["spec"]["egress"]
    return {peer["ipBlock"]["cidr"]: set(peer["ipBlock"]["except"]) for peer in rule["to"]}


def _carried(network) -> str:
    return str(IPv6Address(int(NAT64.network_address) | int(network.network_address))) + f"/{96 + network.prefixlen}"


def test_every_closed_network_is_excepted_and_nothing_else_is():
    assert _blocks() == {
        "0.0.0.0/0": {str(network) for network in CLOSED_V4},
        str(GLOBAL_UNICAST): {str(network) for network in CLOSED_V6},
        str(NAT64): {_carried(network) for network in CLOSED_V4},
    }


def _edges() -> list[Address]:
    """The first and the last address of each network of the table and of the policy, and their neighbours outside."""
    networks: set[Network] = {*CLOSED_V4, *CLOSED_V6, GLOBAL_UNICAST, NAT64}
    networks |= {ip_network(text) for cidr, holes in _blocks().items() for text in (cidr, *holes)}
    found: set[Address] = set()
    for network in networks:
        kind = IPv4Address if network.version == 4 else IPv6Address
        first, last = int(network.network_address), int(network.broadcast_address)
        numbers = {first - 1, first, last, last + 1}
        found |= {kind(number) for number in numbers if 0 <= number < 1 << network.max_prefixlen}
    return sorted(found, key=lambda address: (address.version, int(address)))


@pytest.mark.parametrize("component", ABROAD)
def test_at_every_edge_of_a_network_policy_and_guard_say_the_same(component):
    pod = _pod(component)
    edges = _edges()
    assert len(edges) > 100
    for address in edges:
        wire = connectable(address)
        assert reaches(rendered(DOCUMENTS), pod, wire, 443) == (refusal(address) is None), address


@given(
    st.one_of(
        st.ip_addresses(),
        st.ip_addresses(network="2000::/3"),
        st.ip_addresses(v=4).map(lambda inside: IPv6Address(int(NAT64.network_address) | int(inside))),
        st.ip_addresses(v=4).map(lambda inside: IPv6Address(0xFFFF << 32 | int(inside))),
        st.sampled_from([*CLOSED_V4, *CLOSED_V6]).flatmap(lambda network: st.ip_addresses(network=str(network))),
    )
)
def test_for_any_address_policy_and_guard_say_the_same(address):
    # What is IPv4-mapped is connected to as IPv4; so are its packets.
    wire = connectable(address)
    assert reaches(rendered(DOCUMENTS), _pod("crawler"), wire, 443) == (refusal(address) is None)


@given(st.ip_addresses(), st.integers(1, 65_535).filter(lambda port: port != 443))
def test_strangers_are_reached_at_one_port_only_and_by_tcp(address, port):
    assert not reaches(rendered(DOCUMENTS), _pod("crawler"), address, port)
    assert not reaches(rendered(DOCUMENTS), _pod("crawler"), address, 443, "UDP")


@pytest.mark.parametrize("component", ["exporter", "database"])
@pytest.mark.parametrize("text", ["1.1.1.1", "10.0.0.1", "169.254.169.254", "2606:4700::1111", "64:ff9b::808:808"])
def test_whoever_has_no_business_there_reaches_nobody_outside(component, text):
    assert not any(reaches(rendered(DOCUMENTS), _pod(component), ip_address(text), port) for port in (53, 443, 5432))
