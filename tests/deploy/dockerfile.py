"""What can be wrong with the Dockerfile: hadolint's rules, and ours."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.deploy.tools import ROOT, ask
from vmcrawl import __version__

_LABELS = {"title", "description", "licenses", "source", "version", "revision"}
#: What may be set, since each has its reason; a secret would stay in the image for ever.
_VARIABLES = {"PATH", "VMCRAWL_REVISION"}


@dataclass(frozen=True, slots=True)
class Instruction:
    word: str
    rest: str
    #: Of which ``FROM`` on; what stands before the first has none.
    stage: int


def faults_of_dockerfile(text: str, ignored: str) -> list[str]:
    """One sentence for each fault; ``ignored`` is the text of ``.dockerignore``."""
    steps = list(instructions(text))
    last = [step for step in steps if step.stage == steps[-1].stage]
    return [
        *_linted(text),
        *_unpinned(steps),
        *_not_from_locks(steps),
        *_not_copied(steps, ignored),
        *_wrong_in_the_result(last),
    ]


def instructions(text: str) -> Iterator[Instruction]:
    """The instructions of a Dockerfile, with lines joined and comments dropped."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    stage = 0
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, _, rest = line.partition(" ")
        stage += word == "FROM"
        yield Instruction(word, rest.strip(), stage)


def _linted(text: str) -> Iterator[str]:
    for found in json.loads(ask("hadolint", "--no-color", "--format", "json", "-", given=text).out):
        yield f"line {found['line']}: {found['code']} {found['message']}"


def _unpinned(steps: list[Instruction]) -> Iterator[str]:
    defaults = dict(step.rest.partition("=")[::2] for step in steps if step.word == "ARG" and step.stage == 0)
    for step in steps:
        if step.word == "FROM":
            image = re.sub(r"\$\{(\w+)\}", lambda found: defaults[found[1]], step.rest.split()[0])
            if not re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*@sha256:[0-9a-f]{64}", image):
                yield f"{image} has no tag with a version, or no digest"
    if len({step.stage for step in steps} - {0}) < 2:
        yield "there is no stage for building"


def _not_from_locks(steps: list[Instruction]) -> Iterator[str]:
    for step in steps:
        for command in re.split(r"&&|;|\|\|", step.rest) if step.word == "RUN" else ():
            if re.search(r"\b(apt-get|apt|curl|wget|gcc)\b", command):
                yield f"is fetched or compiled: {command.strip()}"
            if re.search(r"\bpip\b.*\binstall\b", command):
                ours = command.rstrip().endswith(" .")
                wanted = {"--no-cache-dir", "--no-deps", *(("--no-index", "--no-build-isolation") if ours else ())}
                wanted |= set() if ours else {"--require-hashes", "--only-binary", "requirements-image.lock"}
                if missing := wanted - set(shlex.split(command)):
                    yield f"pip install lacks {sorted(missing)}"
            if re.search(r"\bcompileall\b", command) and "unchecked-hash" not in command:
                yield "bytecode is held against times of change"


def _not_copied(steps: list[Instruction], ignored: str) -> Iterator[str]:
    patterns = [line for line in ignored.splitlines() if line and not line.startswith("#")]
    if patterns[:1] != ["*"]:
        yield ".dockerignore lets in what it does not name"
    allowed = {pattern[1:] for pattern in patterns if pattern.startswith("!")}
    for name in allowed:
        if not (ROOT / name).exists() or name in ("deploy", "."):
            yield f".dockerignore lets in {name}"
    copied: set[str] = set()
    for step in steps:
        if step.word == "ADD":
            yield "ADD does more than it says"
        if step.word == "COPY" and "--from" not in step.rest:
            copied |= set(step.rest.split()[:-1])
    if copied != allowed:
        yield f"copied, or let in by .dockerignore, but not both: {sorted(copied ^ allowed)}"


def _wrong_in_the_result(last: list[Instruction]) -> Iterator[str]:
    only: Mapping[str, list[str]] = {
        word: [step.rest for step in last if step.word == word]
        for word in ("USER", "ENTRYPOINT", "ENV", "LABEL", "HEALTHCHECK", "RUN", "STOPSIGNAL", "VOLUME", "EXPOSE")
    }
    if only["USER"] != ["10001:10001"]:
        yield f"the user is {only['USER']}"
    if only["ENTRYPOINT"] != ['["vmcrawl"]']:
        yield f"the entry point is {only['ENTRYPOINT']}"
    for word in ("HEALTHCHECK", "STOPSIGNAL", "VOLUME"):
        if only[word]:
            yield f"{word} holds for every container"
    if any(re.search(r"\bpip\b", command) for command in only["RUN"]):
        yield "something is installed in the result"
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', " ".join(only["LABEL"])))
    if labels.keys() != _LABELS:
        yield f"labels differ: {sorted(labels.keys() ^ _LABELS)}"
    if labels.get("version") != __version__:
        yield f"the label says version {labels.get('version')}"
    if labels.get("revision") != "${REVISION}":
        yield "the label does not say the revision"
    names = set(re.findall(r"(?:^|\s)(\w+)=", " ".join(only["ENV"])))
    if names != _VARIABLES:
        yield f"variables differ: {sorted(names ^ _VARIABLES)}"
