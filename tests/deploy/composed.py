"""What can be wrong with ``compose.yaml``: what Docker Compose refuses, and rules of ours for what it would accept."""

import contextlib
import io
import ipaddress
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from tests.deploy.tools import DEPLOY, ROOT, ask
from vmcrawl import __version__
from vmcrawl.cli import _parser
from vmcrawl.config import ConfigError, load_config
from vmcrawl.settings import Settings

Service = dict[str, Any]

#: The only networks with a way out, and who is on them.
_OUT = {"egress": {"crawler", "refresh", "discover"}, "web": {"grafana"}}
_ONCE = {"migrate", "discover"}
#: Who may see which secret; each needs no more.
_SECRETS = {
    "postgres": {"postgres_password", "database_password", "exporter_database_password", "grafana_database_password"},
    "exporter": {"exporter_database_password"},
    "prometheus": set(),
    "grafana": {"grafana_admin_password", "grafana_secret_key", "grafana_database_password"},
}
_OF_OURS = {"database_password", "github_token"}
#: What must be writable, and is not memory.
_VOLUMES = {
    "postgres": {"postgres": "/var/lib/postgresql"},
    "prometheus": {"prometheus": "/prometheus"},
    "grafana": {"grafana": "/var/lib/grafana"},
    "crawler": {"gate": "/run/vmcrawl"},
    "discover": {"gate": "/run/vmcrawl"},
}


def composed(text: str, **variables: str) -> tuple[dict[str, Any], str]:
    """What Compose makes of a file in the place of ``compose.yaml``, and what it says if it makes nothing of it."""
    environment = {"VMCRAWL_HTTP_CONTACT": "https://example.org/contact", **variables}
    told = ["--file", "-", "--project-directory", str(DEPLOY), "--env-file", "/dev/null", "--profile", "discovery"]
    answer = ask("docker-compose", *told, "config", "--format", "json", given=text, environment=environment)
    return (json.loads(answer.out), "") if answer.code == 0 else ({}, answer.err)


def faults_of_compose(text: str) -> list[str]:
    """One sentence for each fault of a ``compose.yaml``."""
    project, said = composed(text)
    missing = [each["file"] for each in project.get("configs", {}).values() if not Path(each["file"]).is_file()]
    if said or missing:
        return [said, *(f"{file} is not there" for file in missing)]
    services: dict[str, Service] = project["services"]
    return [
        *_reachable(project),
        *_mounts(project),
        *(f"{name}: {fault}" for name, each in services.items() for fault in _careless(name, each)),
        *(f"{name}: {fault}" for name, each in services.items() for fault in _out_of_order(name, each, services)),
        *(f"{name}: {fault}" for name, each in services.items() if _ours(each) for fault in _wrong_vmcrawl(each)),
        *_wrong_prometheus(project),
        *_wrong_grafana(project),
    ]


def _ours(service: Service) -> bool:
    return bool(service["image"].startswith("vmcrawl:"))


def _reachable(project: dict[str, Any]) -> Iterator[str]:
    for name, service in project["services"].items():
        if service.get("network_mode") or not service.get("networks"):
            yield f"{name} is on no network of its own"
        for port in service.get("ports", []):
            if name != "grafana":
                yield f"{name} is published"
            elif not ipaddress.ip_address(port.get("host_ip", "0.0.0.0")).is_loopback:
                yield f"{name} is published to everybody"
    for name, network in project["networks"].items():
        on_it = {each for each, service in project["services"].items() if name in service.get("networks", {})}
        if not network.get("internal") and not on_it <= _OUT.get(name, set()):
            yield f"{on_it} can leave by {name}"
        if network.get("internal") and name in _OUT:
            yield f"{name} leads nowhere"
    options = project["networks"].get("web", {}).get("driver_opts", {})
    if options.get("com.docker.network.bridge.enable_ip_masquerade") != "false":
        yield "Grafana reaches the internet"


def _mounts(project: dict[str, Any]) -> Iterator[str]:
    for name in project["configs"]:
        if not any(
            name == use["source"] for service in project["services"].values() for use in service.get("configs", [])
        ):
            yield f"nobody uses {name}"
    made = set(re.findall(r"\b\w+_(?:password|key|token)\b", (DEPLOY / "up").read_text()))
    if project["secrets"].keys() != made:
        yield f"deploy/up does not make {project['secrets'].keys() ^ made}"
    for name, each in project["secrets"].items():
        if Path(each.get("file", "")) != DEPLOY / "secrets" / name:
            yield f"{name} is no file of deploy/secrets"


def _careless(name: str, service: Service) -> Iterator[str]:
    if service.get("read_only") is not True:
        yield "can write into its root"
    if service.get("cap_drop") != ["ALL"] or service.get("cap_add") or service.get("privileged"):
        yield "has capabilities"
    if service.get("security_opt") != ["no-new-privileges:true"]:
        yield "may gain privileges"
    yield from _limitless(name, service)
    yield from _indiscreet(name, service)


def _limitless(name: str, service: Service) -> Iterator[str]:
    if service.get("restart") != ("no" if name in _ONCE else "unless-stopped"):
        yield f"restarts {service.get('restart')}"
    if not 0 < int(service.get("mem_limit", 0)) <= 2 << 30 or not 0 < service.get("pids_limit", 0) <= 8192:
        yield "has no limits"
    if service.get("logging", {}).get("options") != {"max-size": "10m", "max-file": "3"}:
        yield "logs without end"
    if "stop_grace_period" not in service:
        yield "is killed after ten seconds"
    if not _ours(service):
        if not re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}", service["image"]):
            yield f"{service['image']} has no exact tag, or no digest"
        if not re.fullmatch(r"[1-9]\d*:\d+", service.get("user", "")):
            yield "runs as root, or as nobody knows whom"
    writable = {each["source"]: each["target"] for each in service.get("volumes", [])}
    if writable != _VOLUMES.get(name, {}):
        yield f"keeps {writable}"


def _indiscreet(name: str, service: Service) -> Iterator[str]:
    mounted = {each["source"] for each in service.get("secrets", [])}
    if mounted != _SECRETS.get(name, _OF_OURS):
        yield "sees other secrets than it needs"
    for variable, value in (service.get("environment") or {}).items():
        secret = re.search("PASSWORD|TOKEN|SECRET", variable) and not re.search("FILE$", variable)
        if (secret and "__file{" not in value) or re.search(r"://[^/@]*:[^/@]*@", value or ""):
            yield f"{variable} is a secret in plain sight"
        named = re.findall(r"/run/secrets/(\w+)", value or "")
        if set(named) - mounted:
            yield f"{variable} names what is not mounted"


def _out_of_order(name: str, service: Service, services: Mapping[str, Service]) -> Iterator[str]:
    awaited = {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
    for other, condition in awaited.items():
        if condition != ("service_completed_successfully" if other == "migrate" else "service_healthy"):
            yield f"waits for {other} to be {condition}"
        if condition == "service_healthy" and not services[other].get("healthcheck"):
            yield f"waits for the health of {other} in vain"
    if _ours(service) and name != "migrate" and "migrate" not in awaited:
        yield "does not wait for the tables"
    test = (service.get("healthcheck") or {}).get("test", [])
    if bool(test) != (name in ("postgres", "exporter", "prometheus", "grafana")):
        yield "has a health check that is none, or none at all"
    if test and test[0] != "CMD":
        yield "needs a shell to know how it is"
    port = {"postgres": "5432", "exporter": "9877", "prometheus": "9090", "grafana": "3000"}.get(name, "")
    if test and (port not in " ".join(test) or "127.0.0.1" not in " ".join(test)):
        yield f"its health check does not ask port {port}"


def _wrong_vmcrawl(service: Service) -> Iterator[str]:
    if service["image"] != f"vmcrawl:{__version__}":
        yield f"is {service['image']}, but this is {__version__}"
    if not any(each.startswith("/tmp") for each in service.get("tmpfs", [])):
        yield "has no /tmp"
    try:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            arguments = _parser().parse_args(service["command"])
    except SystemExit:
        yield f"{service['command']}: {said.getvalue()}"
        return
    with TemporaryDirectory() as directory:
        for each in service["secrets"]:
            (Path(directory) / each["source"]).write_text("somebodys-secret\n")
        environment = {name: value.replace("/run/secrets", directory) for name, value in service["environment"].items()}
        (file,) = (each["source"] for each in service["configs"] if each["target"] == environment["VMCRAWL_CONFIG"])
        shutil.copy(DEPLOY / "compose" / "vmcrawl.yaml", Path(directory) / file)
        environment["VMCRAWL_CONFIG"] = str(Path(directory) / file)
        try:
            settings = load_config(None, environment, arguments.overrides(arguments))
        except ConfigError as error:
            yield str(error)
            return
    yield from _wrong_settings(service, settings)


def _wrong_settings(service: Service, settings: Settings) -> Iterator[str]:
    if service["command"][0] == "exporter":
        if settings.exporter.listen != ("0.0.0.0:9877",):
            yield "listens where nobody looks"
        if "vmcrawl_exporter@postgres:5432/vmcrawl" not in settings.exporter.database_url:
            yield "reads as somebody else"
        if not settings.exporter.database_password or settings.database.url:
            yield "has no password, or the owner's"
        return
    if settings.database.url != "postgresql://vmcrawl@postgres:5432/vmcrawl" or not settings.database.password:
        yield "has another database"
    if settings.http.contact != "https://example.org/contact":
        yield "says nobody who asks"
    gate = [each["target"] for each in service.get("volumes", [])]
    if gate != [value for name, value in service["environment"].items() if name == "XDG_RUNTIME_DIR"]:
        yield "meets no other crawler"


def _wrong_prometheus(project: dict[str, Any]) -> Iterator[str]:
    services, files = project["services"], _files(project)
    (target,) = yaml.safe_load(files["prometheus"].read_text())["scrape_configs"][0]["static_configs"][0]["targets"]
    name, _, port = target.partition(":")
    if name not in services or not services[name]["command"][-1].endswith(f":{port}"):
        yield f"nobody is at {target}"
    elif not _meet(services[name], services["prometheus"]):
        yield f"Prometheus does not reach {target}"
    if "--storage.tsdb.retention.time=400d" not in services["prometheus"]["command"]:
        yield "Prometheus forgets after 15 days"
    placed = {each["target"]: files[each["source"]] for each in services["prometheus"]["configs"]}
    if placed.get("/etc/prometheus/rules.yaml") != DEPLOY / "prometheus" / "rules.yaml":
        yield "Prometheus has no rules"


def _wrong_grafana(project: dict[str, Any]) -> Iterator[str]:
    services, files = project["services"], _files(project)
    grafana = services["grafana"]
    wanted = set(re.findall(r"\$\{(\w+)\}", files["datasources"].read_text()))
    given = {variable for variable in grafana["environment"] if variable.startswith("VMCRAWL_")}
    if wanted != given:
        yield f"Grafana is given other variables than it uses: {sorted(wanted ^ given)}"
    there = {each["target"]: files[each["source"]] for each in grafana["configs"]}
    readme = (ROOT / "grafana" / "README.md").read_text()
    for source, mounted in re.findall(r"^(dashboards/\S+) +-> (\S+)$", readme, re.MULTILINE):
        if there.get(mounted) != ROOT / "grafana" / source:
            yield f"Grafana lacks {source}"
    for kind in ("datasources", "dashboards"):
        if there.get(f"/etc/grafana/provisioning/{kind}/vmcrawl.yaml") != files[kind]:
            yield f"Grafana finds no {kind}"
    for other, port in (("prometheus", "9090"), ("postgres", "5432")):
        if not any(str(value).endswith(f"{other}:{port}") for value in grafana["environment"].values()):
            yield f"Grafana does not know where {other} is"
        if not _meet(services[other], grafana):
            yield f"Grafana does not reach {other}"


def _files(project: dict[str, Any]) -> dict[str, Path]:
    return {name: Path(each["file"]) for name, each in project["configs"].items()}


def _meet(one: Service, other: Service) -> bool:
    return bool(one.get("networks", {}).keys() & other.get("networks", {}).keys())
