"""What kustomize makes of ``deploy/kubernetes``, and the parts of it that rules speak of."""

import os
import subprocess
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from tests.deploy.generate import KUBERNETES

Document = dict[str, Any]

COMPONENTS = sorted(path.parent.name for path in KUBERNETES.glob("components/*/kustomization.yaml"))
OVERLAYS = sorted(path.parent.name for path in KUBERNETES.glob("overlays/*/kustomization.yaml"))
#: What is rendered: the base, each overlay, each component on the base, and all components on the base.
RENDERED = ("base", *(f"overlays/{name}" for name in OVERLAYS), *(f"+{name}" for name in COMPONENTS), "+all")
#: TLS comes last, since it changes what another component brings.
_ALL = sorted(COMPONENTS, key=lambda name: (name == "web-tls", name))


@cache
def rendered(name: str) -> tuple[Document, ...]:
    """The documents of one of :data:`RENDERED`. They are shared: whoever changes one copies it first."""
    if not name.startswith("+"):
        return _kustomize(KUBERNETES / name)
    components = _ALL if name == "+all" else [name[1:]]
    with TemporaryDirectory(prefix="vmcrawl-kustomize-") as folder:
        # kustomize takes no absolute paths, and compares real ones.
        here = Path(folder).resolve()
        away = Path(os.path.relpath(KUBERNETES, here))
        # The list of servers is the overlay's to bring.
        brought = [{"name": "vmcrawl-servers", "literals": ["servers.txt=social.example"]}]
        document = {
            "resources": [str(away / "base")],
            "components": [str(away / "components" / each) for each in components],
            "configMapGenerator": brought if "servers" in components else [],
        }
        (here / "kustomization.yaml").write_text(yaml.safe_dump(document))
        return _kustomize(here)


def _kustomize(folder: Path) -> tuple[Document, ...]:
    kubectl = Path(sysconfig.get_path("scripts")) / "kubectl"
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # kustomize warns of what will not be understood for ever.
    assert not done.stderr, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def name_of(document: Document) -> str:
    """``CronJob/vmcrawl-crawl``."""
    return f"{document.get('kind')}/{document.get('metadata', {}).get('name')}"


def of_kind(documents: tuple[Document, ...], *kinds: str) -> list[Document]:
    """The documents of some kinds."""
    return [document for document in documents if document.get("kind") in kinds]


@dataclass(frozen=True, slots=True)
class Pod:
    """The pods that a workload makes."""

    owner: str
    labels: dict[str, str]
    spec: Document
    #: The Job that makes them, where one does.
    job: Document | None = None
    #: How often that is made.
    cron: Document | None = None

    @property
    def containers(self) -> list[Document]:
        """All of them, init containers first."""
        return [*self.spec.get("initContainers", []), *self.spec.get("containers", [])]

    @property
    def component(self) -> str:
        """What of vmcrawl it is."""
        return self.labels.get("app.kubernetes.io/component", "")

    def volume(self, name: str) -> Document | None:
        """The volume of that name, if there is one."""
        return next((volume for volume in self.spec.get("volumes", []) if volume["name"] == name), None)


def pods(documents: tuple[Document, ...]) -> Iterator[Pod]:
    """The pods of all workloads."""
    for document in documents:
        kind, spec = document.get("kind"), document.get("spec", {})
        cron = spec if kind == "CronJob" else None
        job = spec["jobTemplate"]["spec"] if kind == "CronJob" else spec if kind == "Job" else None
        template = (job or spec).get("template") if isinstance(job or spec, dict) else None
        if template:
            labels = template.get("metadata", {}).get("labels", {})
            yield Pod(name_of(document), labels, template["spec"], job, cron)


def is_ours(container: Document) -> bool:
    """Whether a container runs vmcrawl, and not somebody else's image."""
    image: str = container.get("image", "")
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0] == "vmcrawl"


def selects(selector: Document | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector fits; an empty one fits all, none at all fits nothing."""
    if selector is None:
        return False
    words = selector.get("matchLabels", {}).items()
    return words <= labels.items() and all(_fits(each, labels) for each in selector.get("matchExpressions", []))


def _fits(expression: Document, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    fits: dict[str, Callable[[], bool]] = {
        "In": lambda: value in expression["values"],
        "NotIn": lambda: value not in expression["values"],
        "Exists": lambda: value is not None,
        "DoesNotExist": lambda: value is None,
    }
    return fits[expression["operator"]]()


def mounted(pod: Pod, container: Document, path: str) -> tuple[str, str, str] | None:
    """Where a file in a container comes from: kind, name and key; None if it is in no mount of one of these."""
    for mount in container.get("volumeMounts", []):
        inside = Path(path).relative_to(mount["mountPath"]) if Path(path).is_relative_to(mount["mountPath"]) else None
        volume = pod.volume(mount["name"])
        if inside is None or volume is None:
            continue
        for kind, field, named in [("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")]:
            if source := volume.get(field):
                items = {item["path"]: item["key"] for item in source.get("items", [])}
                key = items.get(str(inside)) if items else str(inside)
                return (kind, source[named], key) if key else None
    return None
