"""Names that one document uses of another: ConfigMaps, Secrets, ports, Services, the namespace."""

from collections.abc import Iterator

from tests.deploy.manifests import Document, Pod, name_of, of_kind, pods, selects
from tests.deploy.policy.problem import Problem, problem

#: Secrets that an operator makes, and what could be in them; deploy/kubernetes/README.md names them all.
BY_THE_OPERATOR = {
    "vmcrawl-database": {
        "url": "postgresql://vmcrawl@postgres-dev/vmcrawl",
        "reader-url": "postgresql://vmcrawl_exporter@postgres-dev/vmcrawl",
    },
    "vmcrawl-github": {"token": "a token"},
    "vmcrawl-exporter-tls": {"tls.crt": "a certificate", "tls.key": "its key", "ca.crt": "who has signed it"},
    "postgres-dev": {"password": "of the owner", "reader-password": "of the exporter"},
}
_OF_NO_NAMESPACE = {"Namespace"}
_READABLE = 0o440


def reference_problems(documents: tuple[Document, ...]) -> Iterator[Problem]:
    """Names that lead nowhere."""
    maps = {each["metadata"]["name"]: each.get("data", {}).keys() for each in of_kind(documents, "ConfigMap")}
    for pod in pods(documents):
        for kind, name, key in _used(pod):
            known = maps if kind == "ConfigMap" else {name: keys.keys() for name, keys in BY_THE_OPERATOR.items()}
            if name not in known:
                yield problem(pod.owner, f"there is no {kind} {name!r}")
            elif key is not None and key not in known[name]:
                yield problem(pod.owner, f"the {kind} {name!r} has no {key!r}")
        for volume in pod.spec.get("volumes", []):
            if volume.get("configMap", {}).get("optional") or volume.get("secret", {}).get("optional"):
                yield problem(pod.owner, f"without {volume['name']!r} it would start all the same")
            mode = volume.get("secret", {}).get("defaultMode", _READABLE)
            if "secret" in volume and ("defaultMode" not in volume["secret"] or mode != _READABLE):
                yield problem(pod.owner, f"the secret {volume['name']!r} should be readable for owner and group (288)")
            if "secret" in volume and not volume["secret"].get("items"):
                yield problem(pod.owner, f"the secret {volume['name']!r} is mounted with all its keys")
    for service in of_kind(documents, "Service"):
        yield from _service(service, list(pods(documents)))
    yield from _namespaces(documents)


def _used(pod: Pod) -> Iterator[tuple[str, str, str | None]]:
    """Kind, name and key (None: all of them) of each ConfigMap and Secret that a pod asks for."""
    for kind, field, named in [("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")]:
        for source in (volume[field] for volume in pod.spec.get("volumes", []) if field in volume):
            yield kind, source[named], None
            yield from ((kind, source[named], item["key"]) for item in source.get("items", []))
    for kind, one, many in [("ConfigMap", "configMapKeyRef", "configMapRef"), ("Secret", "secretKeyRef", "secretRef")]:
        for container in pod.containers:
            sources = [variable.get("valueFrom", {}) for variable in container.get("env", [])]
            yield from ((kind, source[one]["name"], source[one]["key"]) for source in sources if one in source)
            yield from ((kind, each[many]["name"], None) for each in container.get("envFrom", []) if many in each)


def _service(service: Document, everyone: list[Pod]) -> Iterator[Problem]:
    where, spec = name_of(service), service["spec"]
    if spec.get("type", "ClusterIP") != "ClusterIP" or spec.get("externalIPs"):
        yield problem(where, "is open to whoever reaches the cluster from outside")
    behind = [pod for pod in everyone if selects({"matchLabels": spec.get("selector", {})}, pod.labels)]
    if len({pod.owner for pod in behind}) != 1:
        yield problem(where, f"it leads to {sorted(pod.owner for pod in behind)}")
    for port in spec.get("ports", []):
        target = port.get("targetPort", port["port"])
        for pod in behind:
            found = {p["name"]: p["containerPort"] for c in pod.containers for p in c.get("ports", [])}
            if target not in (*found, *found.values()):
                yield problem(where, f"{pod.owner} has no port {target!r}")
            elif found.get(target, target) != port["port"]:
                yield problem(
                    where, f"port {port['port']} leads to another number, which NetworkPolicies would not expect"
                )


def _namespaces(documents: tuple[Document, ...]) -> Iterator[Problem]:
    made = {document["metadata"]["name"] for document in of_kind(documents, "Namespace")}
    for document in documents:
        within = document["metadata"].get("namespace")
        if made and document["kind"] not in _OF_NO_NAMESPACE and within not in made:
            yield problem(name_of(document), f"is in the namespace {within!r}, and not in {sorted(made)}")
