"""Words, names and quantities that schemas take for text, and the API server refuses."""

import re
from collections.abc import Iterator
from decimal import Decimal

from tests.deploy.manifests import Document, name_of
from tests.deploy.policy.problem import Problem, problem

#: What may stand behind a key, wherever it is. ``type`` and ``operator`` mean too many things.
_CHOICES = {
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "dnsPolicy": {"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"},
    "whenUnsatisfiable": {"DoNotSchedule", "ScheduleAnyway"},
    "fsGroupChangePolicy": {"Always", "OnRootMismatch"},
    "terminationMessagePolicy": {"FallbackToLogsOnError", "File"},
    "protocol": {"SCTP", "TCP", "UDP"},
    "scheme": {"HTTP", "HTTPS", "http", "https"},
    "concurrencyPolicy": {"Allow", "Forbid", "Replace"},
    "podManagementPolicy": {"OrderedReady", "Parallel"},
}
_LISTS = {
    "accessModes": {"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"},
    "policyTypes": {"Egress", "Ingress"},
}
#: What is counted, in documents of Kubernetes itself.
_QUANTITIES = {"cpu", "memory", "storage", "sizeLimit", "ephemeral-storage"}
_UNITS = {"": Decimal(1), "m": Decimal("0.001"), "Ki": Decimal(1 << 10), "Mi": Decimal(1 << 20), "Gi": Decimal(1 << 30)}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z]*)", re.ASCII)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?", re.ASCII)
_LABEL = re.compile(r"([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?", re.ASCII)


def quantity(text: object) -> Decimal:
    """What ``500m`` or ``1Gi`` stand for; raises ``ValueError``."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None or match[2] not in _UNITS:
        raise ValueError(f"{text!r} is no quantity")
    return Decimal(match[1]) * _UNITS[match[2]]


def value_problems(documents: tuple[Document, ...]) -> Iterator[Problem]:
    """What cannot stand where it stands."""
    for document in documents:
        where = name_of(document)
        # Ours are all valid as labels, too, which Services have to be.
        if not _NAME.fullmatch(document["metadata"]["name"]):
            yield problem(where, "its name is none: small letters, digits and '-', 63 at most")
        for path, value in _fields(document):
            yield from _field(where, path, value)


def _field(where: str, path: tuple[str, ...], value: object) -> Iterator[Problem]:
    key = path[-1]
    if key in ("labels", "matchLabels") and isinstance(value, dict) and "rules" not in path:
        for name, text in value.items():
            if not _LABEL_KEY.fullmatch(name) or not _LABEL.fullmatch(str(text)):
                yield problem(where, f"{name}={text} is no label")
    if key in _CHOICES and value not in _CHOICES[key]:
        yield problem(where, f"{key} cannot be {value!r}")
    if key in _LISTS and not (isinstance(value, list) and value and {*value} <= _LISTS[key]):
        yield problem(where, f"{key} cannot be {value!r}")
    if key in _QUANTITIES:
        try:
            quantity(value)
        except ValueError as error:
            yield problem(where, f"{key}: {error}")


def _fields(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Each field, however deep; what ConfigMaps hold is text, and nobody else's."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield (*path, name), each
            yield from _fields(each, (*path, name))
    elif isinstance(value, list):
        for each in value:
            yield from _fields(each, path)
