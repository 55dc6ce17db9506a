"""What the Prometheus Operator reads: its kinds have no schema here, so that what we use of them is written down below.

After the API reference of the operator (monitoring.coreos.com/v1).
"""

import re
from collections.abc import Callable, Iterator

from tests.deploy.manifests import Document, name_of, of_kind, selects
from tests.deploy.policy.problem import Problem, problem

_DURATION = re.compile(r"(0|((\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?))", re.ASCII)
_SIZE = re.compile(r"\d+((K|M|G)i?)?B", re.ASCII)
#: What kube-prometheus-stack takes without further words.
_RELEASE = "kube-prometheus-stack"
_JOB = "vmcrawl"

Check = Callable[[object], bool]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_duration(value: object) -> bool:
    return isinstance(value, str) and bool(value) and _DURATION.fullmatch(value) is not None


def _is_size(value: object) -> bool:
    return isinstance(value, str) and _SIZE.fullmatch(value) is not None


def _is_selector(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and value.keys() <= {"matchLabels", "matchExpressions"}


def _is_tls(value: object) -> bool:
    return isinstance(value, dict) and value.keys() <= {"ca", "serverName"}


def _is_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _is_list(value: object) -> bool:
    return isinstance(value, list) and bool(value)


_MONITOR: dict[str, Check] = {
    "jobLabel": _is_text,
    "selector": _is_selector,
    "endpoints": _is_list,
    "sampleLimit": _is_number,
    "labelValueLengthLimit": _is_number,
    "bodySizeLimit": _is_size,
}
_ENDPOINT: dict[str, Check] = {
    "port": _is_text,
    "path": lambda value: value == "/metrics",
    "interval": _is_duration,
    "scrapeTimeout": _is_duration,
    "scheme": lambda value: value in ("http", "https"),
    "tlsConfig": _is_tls,
}
_GROUP: dict[str, Check] = {"name": _is_text, "interval": _is_duration, "rules": _is_list}
_RULE: dict[str, Check] = {
    "record": _is_text,
    "alert": _is_text,
    "expr": _is_text,
    "for": _is_duration,
    "keep_firing_for": _is_duration,
    "labels": _is_texts,
    "annotations": _is_texts,
}


def monitor_problems(documents: tuple[Document, ...]) -> Iterator[Problem]:
    """What the operator would refuse, not see, or call by another name than the rules expect."""
    for document in of_kind(documents, "ServiceMonitor", "PrometheusRule"):
        where = name_of(document)
        if document.get("apiVersion") != "monitoring.coreos.com/v1":
            yield problem(where, f"no such version: {document.get('apiVersion')}")
        if document["metadata"].get("labels", {}).get("release") != _RELEASE:
            yield problem(where, f"without the label release={_RELEASE} kube-prometheus-stack does not see it")
    for document in of_kind(documents, "PrometheusRule"):
        for group in document["spec"].get("groups", []):
            yield from _fields(name_of(document), group, _GROUP)
            for rule in group.get("rules", []):
                yield from _fields(name_of(document), rule, _RULE)
    for document in of_kind(documents, "ServiceMonitor"):
        yield from _monitor(name_of(document), document["spec"], of_kind(documents, "Service"))


def _fields(where: str, value: Document, known: dict[str, Check]) -> Iterator[Problem]:
    for name, written in value.items():
        if name not in known:
            yield problem(where, f"no field {name!r} is known here")
        elif not known[name](written):
            yield problem(where, f"{name} cannot be {written!r}")


def _monitor(where: str, spec: Document, services: list[Document]) -> Iterator[Problem]:
    yield from _fields(where, spec, _MONITOR)
    if not {"sampleLimit", "labelValueLengthLimit", "bodySizeLimit"} <= spec.keys():
        yield problem(where, "a limit of what a scrape may bring is missing")
    behind = [each for each in services if selects(spec.get("selector"), each["metadata"].get("labels", {}))]
    if len(behind) != 1:
        yield problem(where, f"it is for {[name_of(each) for each in behind]}")
    for service in behind:
        job = service["metadata"]["labels"].get(spec.get("jobLabel"), service["metadata"]["name"])
        if job != _JOB:
            yield problem(where, f"the rules look for the job {_JOB!r}, and this is {job!r}")
        for endpoint in spec.get("endpoints", []):
            yield from _fields(where, endpoint, _ENDPOINT)
            if endpoint.get("port") not in {port.get("name") for port in service["spec"]["ports"]}:
                yield problem(where, f"{name_of(service)} has no port {endpoint.get('port')!r}")
            ca = endpoint.get("tlsConfig", {}).get("ca")
            if (endpoint.get("scheme") == "https") != (ca is not None):
                yield problem(where, "https needs somebody who vouches for it, and http has nobody")
            if endpoint.get("tlsConfig", {}).get("serverName", _name(service)) != _name(service):
                yield problem(where, "the certificate is asked for in another name than that of the Service")


def _name(service: Document) -> str:
    name: str = service["metadata"]["name"]
    return name
