"""What can be wrong with the units for systemd: what systemd says of them, and rules of ours."""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.deploy.tools import DEPLOY, ask_debian
from vmcrawl.address import CLOSED_V4, CLOSED_V6
from vmcrawl.cli import _parser
from vmcrawl.config import ConfigError, load_config

UNITS = DEPLOY / "systemd"
PROGRAM = "/opt/vmcrawl/bin/vmcrawl"
#: In tenths, as systemd-analyze takes it: 100 is the worst of all.
WORST_EXPOSURE = 12
#: Outside of global unicast; ::/3 has the forms in which IPv6 carries IPv4, which the address inside decides.
_NO_UNICAST = {"4000::/2", "8000::/1"}
#: What systemd itself brings; any of its own would do.
_TARGETS = (
    "basic",
    "multi-user",
    "network",
    "network-online",
    "shutdown",
    "sysinit",
    "time-set",
    "time-sync",
    "timers",
)
_ASKING = {"vmcrawl-crawl.service", "vmcrawl-discover.service"}

Unit = Mapping[str, list[str]]


def faults_of_units(texts: Mapping[str, str]) -> list[str]:
    """One sentence for each fault; units by the names of their files."""
    found = list(_verified(texts))
    for name, text in texts.items():
        unit = parsed(text)
        if name.endswith(".timer"):
            found += [f"{name}: {fault}" for fault in _wrong_timer(name, unit, texts)]
        else:
            found += [f"{name}: {fault}" for fault in (*_wrong_service(name, unit), *_wrong_command(unit))]
    return found


def parsed(text: str) -> Unit:
    """Each key of a unit, whatever its section, and what is assigned to it, in order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def _verified(texts: Mapping[str, str]) -> Iterator[str]:
    with TemporaryDirectory() as directory:
        root = Path(directory)
        program = root / PROGRAM.lstrip("/")
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        units = root / "etc/systemd/system"
        units.mkdir(parents=True)
        for target in _TARGETS:
            (units / f"{target}.target").write_text("[Unit]\n")
        for name, text in texts.items():
            (units / name).write_text(text)
        verdict = ask_debian("systemd-analyze", "verify", "--man=no", f"--root={root}", *sorted(texts))
        said = verdict.out + verdict.err
        if verdict.code or any(name in said for name in texts):
            yield said
        services = [units / name for name in sorted(texts) if name.endswith(".service")]
        for service in services:
            wanted = ("--offline=true", "--no-pager", f"--threshold={WORST_EXPOSURE}")
            verdict = ask_debian("systemd-analyze", "security", *wanted, service)
            if verdict.code:
                yield (verdict.out + verdict.err).strip().splitlines()[-1]


def _wrong_timer(name: str, unit: Unit, texts: Mapping[str, str]) -> Iterator[str]:
    if name.replace(".timer", ".service") not in texts:
        yield "starts nothing"
    if "RandomizedDelaySec" not in unit or unit.get("Persistent") != ["true"]:
        yield "strikes with all others, or not after a night that was off"
    if unit.get("WantedBy") != ["timers.target"]:
        yield "cannot be enabled"


def _wrong_service(name: str, unit: Unit) -> Iterator[str]:
    exporter = name == "vmcrawl-exporter.service"
    if unit.get("SuccessExitStatus") != ["143"]:
        yield "fails when it is stopped"
    if unit.get("KillMode") != ["mixed"] or "TimeoutStopSec" not in unit:
        yield "its processes get the signal, too, or it has no time"
    if unit.get("RestartForceExitStatus", []) != ([] if exporter else ["75"]):
        yield "does not come again when the database does"
    if unit.get("RestartPreventExitStatus", []) != (["2 78"] if exporter else []):
        yield "is started again and again, though its configuration is wrong"
    if unit.get("Restart", []) != (["always"] if exporter else []):
        yield "is started again, though its timer does that, or is not, though nobody does"
    if unit.get("User") != ["vmcrawl"] or not {"MemoryMax", "TasksMax"} <= unit.keys():
        yield "is somebody else, or takes what it can get"
    if unit.get("WantedBy", []) != (["multi-user.target"] if exporter else []):
        yield "is enabled without a timer, or cannot be enabled"
    if (unit.get("OOMPolicy") == ["continue"]) != (name == "vmcrawl-crawl.service"):
        yield "does not survive a process that is killed for its memory"
    if (unit.get("RuntimeDirectory") == ["vmcrawl"]) != (name in _ASKING):
        yield "meets no other crawler"
    yield from _wrong_networks(name, unit)


def _wrong_networks(name: str, unit: Unit) -> Iterator[str]:
    denied = {word for line in unit.get("IPAddressDeny", []) for word in line.split()}
    allowed = {word for line in unit.get("IPAddressAllow", []) for word in line.split()}
    if name == "vmcrawl-exporter.service":
        if denied != {"any"} or allowed != {"localhost"}:
            yield "is reached from elsewhere"
    elif name in _ASKING:
        closed = {str(network) for network in (*CLOSED_V4, *CLOSED_V6)}
        if denied ^ (closed - {"127.0.0.0/8"} | _NO_UNICAST):
            yield f"other networks are closed than by vmcrawl.address: {denied ^ (closed | _NO_UNICAST)}"
        if allowed != {"localhost"}:
            yield "does not reach this machine"


def _wrong_command(unit: Unit) -> Iterator[str]:
    program, *words = shlex.split(unit["ExecStart"][0])
    if program != PROGRAM:
        yield f"runs {program}"
    try:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            arguments = _parser().parse_args(words)
    except SystemExit:
        yield said.getvalue()
        return
    example = (UNITS / "vmcrawl.env.example").read_text()
    environment = dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE))
    with TemporaryDirectory() as directory:
        for credential in unit.get("LoadCredential", []):
            name, _, file = credential.partition(":")
            if not file.startswith("/etc/vmcrawl/") or file.removeprefix("/etc/vmcrawl/") != name:
                yield f"{credential} is not from /etc/vmcrawl"
            (Path(directory) / name).write_text("somebodys-secret\n")
        for line in unit.get("Environment", []):
            environment |= dict(word.partition("=")[::2] for word in line.replace("%d", directory).split())
        try:
            settings = load_config(None, environment, arguments.overrides(arguments))
        except ConfigError as error:
            yield str(error)
            return
    if words[0] == "exporter":
        if not settings.exporter.database_password or settings.database.password:
            yield "has no password, or the owner's"
    elif not settings.database.password or settings.exporter.database_password:
        yield "has no password, or the exporter's"
