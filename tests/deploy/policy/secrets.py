"""Secrets in plain sight, in whatever document and however deep."""

import re
from collections.abc import Iterator
from functools import cache

from tests.deploy.manifests import Document, name_of, of_kind, pods
from tests.deploy.policy.problem import Problem, problem

_SECRET = re.compile(
    r"://[^/\s:@]*:(?!PASSWORD@|\$)[^/\s@]+@"  # a URL with a password
    r"|\bpassword\s*=\s*[^\s$]|-----BEGIN [A-Z ]*PRIVATE KEY|\$2[aby]\$\d\d\$"
    r"|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}"
)
#: Keys of YAML in a ConfigMap, and names of variables.
_KEY = re.compile(r"^\s*(?:\w*password|\w*token|\w*secret)\s*:\s*(?![\"']{2}\s*$)\S", re.MULTILINE | re.IGNORECASE)
_NAME = re.compile(r"PASSWORD|TOKEN|SECRET|CREDENTIAL", re.IGNORECASE)


def secret_problems(documents: tuple[Document, ...]) -> Iterator[Problem]:
    """What should be in a Secret that somebody else makes."""
    for document in documents:
        if document["kind"] == "Secret":
            yield problem(name_of(document), "a Secret does not belong into a repository")
        for text in _texts(document):
            if _is_secret(text):
                yield problem(name_of(document), "a password, a key or a token in plain sight")
    yield from _settings(documents)
    yield from _variables(documents)


@cache
def _is_secret(text: str) -> bool:
    # Dashboards are large, and the same in each rendering.
    return _SECRET.search(text) is not None


def _settings(documents: tuple[Document, ...]) -> Iterator[Problem]:
    for document in of_kind(documents, "ConfigMap"):
        for name, text in document.get("data", {}).items():
            if name.endswith((".yaml", ".yml")) and _KEY.search(text):
                yield problem(name_of(document), f"{name} sets a secret")


def _variables(documents: tuple[Document, ...]) -> Iterator[Problem]:
    for pod in pods(documents):
        for container in pod.containers:
            for variable in container.get("env", []):
                if variable.get("value") and _NAME.search(variable["name"]) and not variable["name"].endswith("_FILE"):
                    yield problem(pod.owner, f"{variable['name']} has its value in plain sight")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
