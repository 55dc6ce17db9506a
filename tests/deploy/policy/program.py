"""Commands, variables and files of our containers, given to the program's own parsers."""

import argparse
import contextlib
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_type_hints

import yaml

from tests.deploy.manifests import Document, Pod, is_ours, mounted, of_kind, pods
from tests.deploy.policy.problem import Problem, problem
from tests.deploy.policy.references import BY_THE_OPERATOR
from tests.deploy.policy.values import quantity
from vmcrawl.cli import _parser
from vmcrawl.commands.crawl import _sharing_fits
from vmcrawl.config import ConfigError, load_config
from vmcrawl.pace import pool_size
from vmcrawl.settings import Settings
from vmcrawl.webconfig import InvalidWebConfig, WebConfig, parse_web_config

_REFERENCE = re.compile(r"\$\(([^)]*)\)")
#: What the controllers fill in.
_FILLED_IN = {
    "metadata.labels['batch.kubernetes.io/job-name']": "vmcrawl-crawl-29384757",
    "metadata.labels['batch.kubernetes.io/controller-uid']": "f3b7a1de-0c1c-4f0b-9d53-5b1a0f6e8c11",
}
_SETTINGS = {
    f"VMCRAWL_{section}_{key}".upper()
    for section, kind in get_type_hints(Settings).items()
    for key in get_type_hints(kind)
}
#: Those that name a file, which has to be in some volume.
_FILES = {
    "VMCRAWL_CONFIG",
    "VMCRAWL_EXPORTER_WEB_CONFIG_FILE",
    "VMCRAWL_NETWORK_CA_FILE",
    *({f"{name}_FILE" for name in _SETTINGS} - _SETTINGS),
}
#: Between the end of a run and the moment when it is ended from outside: to start, to migrate, to write what is left.
_MARGIN = timedelta(minutes=5)


def program_problems(documents: tuple[Document, ...]) -> Iterator[Problem]:
    """What the program would refuse, ignore or do otherwise than the manifests expect."""
    for pod in pods(documents):
        for container in pod.containers:
            if is_ours(container):
                yield from _container(f"{pod.owner}, {container['name']}", documents, pod, container)


def _container(where: str, documents: tuple[Document, ...], pod: Pod, container: Document) -> Iterator[Problem]:
    if "command" in container:
        yield problem(where, "command takes the place of the image's entry point; only args are ours")
    words = [str(word) for word in container.get("args", [])]
    environment = {variable["name"]: _value(variable) for variable in container.get("env", [])}
    yield from _variables(where, container, set(_REFERENCE.findall(" ".join(words))))
    arguments = [_REFERENCE.sub(lambda match: environment.get(match[1], match[0]), word) for word in words]
    parsed, said = _parsed(arguments)
    if parsed is None:
        yield problem(where, f"vmcrawl {' '.join(arguments)}: {said}")
        return
    files = {name: _content(documents, pod, container, environment[name]) for name in environment.keys() & _FILES}
    for name in [name for name, content in files.items() if content is None]:
        yield problem(where, f"{name}: no volume has {environment.pop(name)}")
    with TemporaryDirectory(prefix="vmcrawl-manifests-") as folder:
        here = {name: Path(folder, name) for name, content in files.items() if content is not None}
        for name, path in here.items():
            path.write_text(files[name] or "")
        try:
            settings = load_config(
                parsed.config, environment | {n: str(p) for n, p in here.items()}, parsed.overrides(parsed)
            )
        except ConfigError as error:
            yield problem(where, f"the configuration is refused: {error}")
            return
    if pod.job is not None and getattr(parsed, "every", None):
        yield problem(where, "with --every it never ends, and each Job would fail at its deadline")
    if "workingDir" in container:
        yield problem(where, "workingDir is that of the image")
    yield from _database(where, arguments[0], settings)
    if arguments[0] == "crawl":
        yield from _crawl(where, pod, container, settings)
        yield from _together(where, pod, parsed)
    if arguments[0] == "exporter":
        yield from _listening(where, container, settings)
        yield from _web(where, documents, pod, container)


def _variables(where: str, container: Document, used: set[str]) -> Iterator[Problem]:
    names = [variable["name"] for variable in container.get("env", [])]
    if len(set(names)) < len(names):
        yield problem(where, "a variable is set twice")
    if "envFrom" in container:
        yield problem(where, "envFrom: every key would be a variable, whoever put it there")
    for variable in container.get("env", []):
        path = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        if path is not None and path not in _FILLED_IN:
            yield problem(where, f"{variable['name']}: {path} is not what all pods of a Job have in common")
    for name in used - set(names):
        yield problem(where, f"$({name}) stays as it is: there is no such variable")
    for name in set(names) - used - _SETTINGS - _FILES:
        yield problem(where, f"{name} is no setting, and nothing uses it")


def _value(variable: Document) -> str:
    source = variable.get("valueFrom", {})
    if reference := source.get("secretKeyRef"):
        # What is optional may be missing, and is tried so.
        return "" if reference.get("optional") else BY_THE_OPERATOR.get(reference["name"], {}).get(reference["key"], "")
    return str(_FILLED_IN.get(source.get("fieldRef", {}).get("fieldPath"), variable.get("value", "")))


def _parsed(arguments: list[str]) -> tuple[argparse.Namespace | None, str]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            return _parser_of_the_program().parse_args(arguments), ""
    except SystemExit:
        return None, said.getvalue().strip().rpartition("\n")[2]


@cache
def _parser_of_the_program() -> argparse.ArgumentParser:
    return _parser()


def _content(documents: tuple[Document, ...], pod: Pod, container: Document, path: str) -> str | None:
    source = mounted(pod, container, path)
    if source is None:
        return None
    kind, name, key = source
    if kind == "Secret":
        return BY_THE_OPERATOR.get(name, {}).get(key)
    found = (each["data"].get(key) for each in of_kind(documents, "ConfigMap") if each["metadata"]["name"] == name)
    return next(found, None)


def _database(where: str, command: str, settings: Settings) -> Iterator[Problem]:
    if command == "exporter":
        if settings.database.url:
            yield problem(where, "the exporter holds the key of the owner")
        if not settings.exporter.database_url:
            yield problem(where, "without exporter.database_url it would start a Postgres of its own")
    elif not settings.database.url:
        yield problem(where, "without database.url it would start a Postgres of its own")


def _crawl(where: str, pod: Pod, container: Document, settings: Settings) -> Iterator[Problem]:
    grace = timedelta(seconds=pod.spec.get("terminationGracePeriodSeconds", 30))
    if grace < settings.crawl.grace + timedelta(minutes=1):
        yield problem(where, "terminationGracePeriodSeconds is less than crawl.grace and a minute to write the rest")
    deadline = timedelta(seconds=(pod.job or {}).get("activeDeadlineSeconds", 0))
    if not timedelta(0) < settings.crawl.max_duration <= deadline - _MARGIN:
        yield problem(where, "a run must end by itself (--max-duration), 5 minutes before activeDeadlineSeconds")
    if not _is_roomy(container.get("resources", {}).get("limits", {})):
        yield problem(where, "its memory is too small for what it would do with its cores")


def _is_roomy(limits: Document) -> bool:
    """Whether a pool is as large as its cores make it, and memory takes nothing away; True if nobody can say."""
    try:
        cores, memory = int(-(-quantity(limits["cpu"]) // 1)), int(quantity(limits["memory"]))
    except (KeyError, ValueError):
        return True
    return pool_size(1_000_000, cores, memory) == pool_size(1_000_000, cores, None)


def _together(where: str, pod: Pod, parsed: argparse.Namespace) -> Iterator[Problem]:
    if (pod.job or {}).get("parallelism", 1) > 1 and not parsed.sharing:
        yield problem(where, "several pods, but each would have a run of its own: --run is missing")
    if parsed.sharing and _FILLED_IN["metadata.labels['batch.kubernetes.io/controller-uid']"] not in parsed.sharing:
        yield problem(where, f"the run has the same name each time: {parsed.sharing}")
    if not _sharing_fits(parsed):
        yield problem(where, "--run is given together with what it does not go with")


def _listening(where: str, container: Document, settings: Settings) -> Iterator[Problem]:
    listened = {address.rpartition(":")[::2] for address in settings.exporter.listen}
    ports = {str(port["containerPort"]) for port in container.get("ports", [])}
    if {port for _, port in listened} != ports:
        yield problem(where, f"it listens at {settings.exporter.listen}, and its ports are {sorted(ports)}")
    if any(host not in ("", "0.0.0.0", "[::]") for host, _ in listened):
        yield problem(where, "it listens where only the pod itself can come")


def _web(where: str, documents: tuple[Document, ...], pod: Pod, container: Document) -> Iterator[Problem]:
    paths = [each["value"] for each in container.get("env", []) if each["name"] == "VMCRAWL_EXPORTER_WEB_CONFIG_FILE"]
    config = WebConfig()
    for path in paths:
        content = yaml.safe_load(_content(documents, pod, container, path) or "")
        try:
            config = parse_web_config(content, Path(path).parent)
        except InvalidWebConfig as error:
            yield problem(where, f"the web configuration is refused: {error}")
            return
    if config.users or (config.tls and config.tls.client_auth_type == "RequireAndVerifyClientCert"):
        yield problem(where, "the web configuration lets no probe in")
    for file in (config.tls.cert, config.tls.key) if config.tls else ():
        if isinstance(file, Path) and mounted(pod, container, str(file)) is None:
            yield problem(where, f"the web configuration names {file}, which no volume has")
    yield from _schemes(where, documents, container, "HTTPS" if config.tls else "HTTP")


def _schemes(where: str, documents: tuple[Document, ...], container: Document, scheme: str) -> Iterator[Problem]:
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        if container.get(name, {}).get("httpGet", {}).get("scheme", "HTTP") != scheme:
            yield problem(where, f"{name} does not speak {scheme}")
    for monitor in of_kind(documents, "ServiceMonitor"):
        for endpoint in monitor["spec"].get("endpoints", []):
            if endpoint.get("scheme", "http").upper() != scheme:
                yield problem(where, f"ServiceMonitor/{monitor['metadata']['name']} does not speak {scheme}")
