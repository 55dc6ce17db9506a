"""NetworkPolicies: what they mean together, and whether that is what we want."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from tests.deploy.manifests import Document, Pod, is_ours, name_of, of_kind, pods, selects
from tests.deploy.policy.problem import Problem, problem
from vmcrawl.address import Address, open_networks

#: Whoever asks strangers, and whoever does not.
_ABROAD = {"crawler", "refresh", "discovery"}
_HTTPS, _POSTGRES, _DNS = 443, 5432, 53


def network_problems(documents: tuple[Document, ...]) -> Iterator[Problem]:
    """Doors that are open, and doors that are missing."""
    everyone, policies = list(pods(documents)), of_kind(documents, "NetworkPolicy")
    for policy in policies:
        yield from _policy(policy, [pod for pod in everyone if selects(policy["spec"]["podSelector"], pod.labels)])
    for pod in everyone:
        for direction in ("Ingress", "Egress"):
            if not any(direction in _directions(policy) for policy in _of(documents, pod)):
                yield problem(pod.owner, f"no NetworkPolicy restricts its {direction}")
        yield from _reach(documents, pod)


def reaches(documents: tuple[Document, ...], pod: Pod, address: Address, port: int, protocol: str = "TCP") -> bool:
    """Whether a pod's packets may leave for an address outside of the cluster.

    Peers by label are pods and have no addresses here.
    """
    blocks = (
        peer["ipBlock"]
        for rule in _rules(documents, pod, "egress")
        if any(_same_port(each, port, protocol) for each in rule.get("ports", []))
        for peer in rule.get("to", [])
        if "ipBlock" in peer
    )
    return any(
        address in ip_network(block["cidr"])
        and not any(address in ip_network(hole) for hole in block.get("except", []))
        for block in blocks
    )


def _of(documents: tuple[Document, ...], pod: Pod) -> list[Document]:
    return [each for each in of_kind(documents, "NetworkPolicy") if selects(each["spec"]["podSelector"], pod.labels)]


def _directions(policy: Document) -> list[str]:
    directions: list[str] = policy["spec"].get("policyTypes", [])
    return directions


def _rules(documents: tuple[Document, ...], pod: Pod, direction: str) -> list[Document]:
    return [rule for policy in _of(documents, pod) for rule in policy["spec"].get(direction, [])]


def _same_port(each: Document, port: int, protocol: str) -> bool:
    first: int | str | None = each.get("port")
    if each.get("protocol", "TCP") != protocol or isinstance(first, str):
        return False
    return first is None or first <= port <= int(each.get("endPort", first))


def _policy(policy: Document, chosen: list[Pod]) -> Iterator[Problem]:
    where = name_of(policy)
    if not chosen:
        yield problem(where, "it is for no pod")
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        rules = policy["spec"].get(direction, [])
        if rules and direction.capitalize() not in _directions(policy):
            yield problem(where, f"has rules for {direction}, but policyTypes does not name it")
        for rule in rules:
            yield from _peers(where, direction, rule.get(peers, []))
            yield from _ports(where, direction, rule.get("ports", []), chosen)


def _peers(where: str, direction: str, peers: list[Document]) -> Iterator[Problem]:
    if not peers:
        yield problem(where, f"a rule for {direction} without peers is for everybody")
    for peer in peers:
        if peer.get("podSelector", True) == {} or peer.get("namespaceSelector", True) == {}:
            yield problem(where, f"a rule for {direction} is for every pod, or for every namespace")
        elif "namespaceSelector" in peer and "podSelector" not in peer:
            # Also what comes of a hyphen too many, which makes two peers of one.
            yield problem(where, f"a rule for {direction} is for all pods of a namespace")
        if "ipBlock" in peer:
            yield from _block(where, peer["ipBlock"])


def _ports(where: str, direction: str, ports: list[Document], chosen: list[Pod]) -> Iterator[Problem]:
    if not ports or any("port" not in port for port in ports):
        yield problem(where, f"a rule for {direction} without ports is for all of them")
    for port in ports:
        if isinstance(port.get("port"), str) and direction == "egress":
            yield problem(where, "a port of egress that has a name is that of whoever is reached")
        elif isinstance(port.get("port"), str) and not any(_has_port(pod, port) for pod in chosen):
            yield problem(where, f"no pod that it is for has a port {port['port']!r}")


def _has_port(pod: Pod, port: Document) -> bool:
    return any(
        (each["name"], each.get("protocol", "TCP")) == (port["port"], port.get("protocol", "TCP"))
        for container in pod.containers
        for each in container.get("ports", [])
    )


def _block(where: str, block: Document) -> Iterator[Problem]:
    """What the API server refuses: bits of a host in a network, and holes that are not within it, and smaller."""
    try:
        network, *holes = (ip_network(text) for text in (block["cidr"], *block.get("except", [])))
    except ValueError as error:
        yield problem(where, str(error))
        return
    for hole in holes:
        if hole.version != network.version or hole == network or not hole.subnet_of(network):  # type: ignore[arg-type]  # of one version
            yield problem(where, f"{hole} is no part of {network}")


def _reach(documents: tuple[Document, ...], pod: Pod) -> Iterator[Problem]:
    rules = _rules(documents, pod, "egress")
    open_ports = {(each.get("protocol", "TCP"), each.get("port")) for rule in rules for each in rule.get("ports", [])}
    yield from _abroad(documents, pod, rules)
    if pod.component in _ABROAD and ("TCP", _HTTPS) not in open_ports:
        yield problem(pod.owner, "nobody is reached at port 443")
    if pod.component == "exporter" and not _rules(documents, pod, "ingress"):
        yield problem(pod.owner, "Prometheus does not reach it")
    if not any(is_ours(container) for container in pod.containers):
        return
    if not {("UDP", _DNS), ("TCP", _DNS)} <= open_ports:
        yield problem(pod.owner, "it cannot ask for names, by UDP and by TCP")
    if ("TCP", _POSTGRES) not in open_ports:
        yield problem(pod.owner, "it does not reach Postgres")
    for other in pods(documents):
        if other.component == "database" and not _meet(documents, pod, other):
            yield problem(pod.owner, f"{other.owner} is not reached, or does not let it in")


def _abroad(documents: tuple[Document, ...], pod: Pod, rules: list[Document]) -> Iterator[Problem]:
    """Addresses, instead of labels: they are those of strangers."""
    blocks = [peer["ipBlock"] for rule in rules for peer in rule.get("to", []) if "ipBlock" in peer]
    if pod.component not in _ABROAD and blocks:
        yield problem(pod.owner, "it has no business outside of the cluster")
    if pod.component not in _ABROAD or any(list(_block("", block)) for block in blocks):
        return
    found = {ip_network(each["cidr"]): {ip_network(hole) for hole in each.get("except", [])} for each in blocks}
    if found != {network: set(holes) for network, holes in open_networks().items()}:
        yield problem(pod.owner, "what it reaches is not what vmcrawl/address.py lets through")
    if any(reaches(documents, pod, ip_address("1.1.1.1"), port) for port in (22, 25, 80, _POSTGRES)):
        yield problem(pod.owner, "strangers are reached at other ports than 443")


def _meet(documents: tuple[Document, ...], one: Pod, other: Pod) -> bool:
    """Whether one pod may speak with another in its namespace, by what both are allowed."""
    out = any(_is_peer(peer, other) for rule in _rules(documents, one, "egress") for peer in rule.get("to", []))
    return out and any(
        _is_peer(peer, one) for rule in _rules(documents, other, "ingress") for peer in rule.get("from", [])
    )


def _is_peer(peer: Document, pod: Pod) -> bool:
    return "namespaceSelector" not in peer and selects(peer.get("podSelector"), pod.labels)
