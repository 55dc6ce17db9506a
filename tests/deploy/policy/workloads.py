"""Pods and what makes them: resources, volumes, images, probes and selectors."""

import re
from collections import Counter
from collections.abc import Iterator

from tests.deploy.manifests import Document, Pod, is_ours, name_of, of_kind, pods, selects
from tests.deploy.policy.problem import Problem, problem
from tests.deploy.policy.values import quantity
from vmcrawl import __version__

_IMAGE = re.compile(r"[a-z0-9./:_-]+?(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?", re.ASCII)


def workload_problems(documents: tuple[Document, ...]) -> Iterator[Problem]:
    """What is wrong with each pod, and with what keeps it there."""
    for name, times in Counter(name_of(document) for document in documents).items():
        if times > 1:
            yield problem(name, "there are two of that name")
    for pod in pods(documents):
        yield from _volumes(pod)
        for container in pod.containers:
            where = f"{pod.owner}, {container['name']}"
            yield from _image(where, container)
            yield from _resources(where, container, pod.component == "crawler")
        yield from _spread(pod)
        yield from _placed(pod)
        if pod.job is None:
            yield from _kept(pod)
    yield from _selectors(documents)


def _image(where: str, container: Document) -> Iterator[Problem]:
    match = _IMAGE.fullmatch(container.get("image", ""))
    if match is None:
        yield problem(where, f"{container.get('image')!r} is no name of an image")
    elif (match["tag"] or "latest") == "latest":
        yield problem(where, "an image without a tag, or with one that moves")
    elif is_ours(container) and match["tag"] != __version__:
        yield problem(where, f"the image is that of {match['tag']}, and this is {__version__}")
    elif not is_ours(container) and match["digest"] is None:
        yield problem(where, "an image of others without a digest")


def _resources(where: str, container: Document, crawls: bool) -> Iterator[Problem]:
    resources = container.get("resources", {})
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    if not {"cpu", "memory"} <= requests.keys() or "memory" not in limits:
        yield problem(where, "resources: requests for cpu and memory, and a limit of memory, must be set")
    if crawls and "cpu" not in limits:
        yield problem(where, "a crawler without a limit of cpu takes all cores of its node for its own")
    try:
        if any(quantity(limits[name]) < quantity(asked) for name, asked in requests.items() if name in limits):
            yield problem(where, "resources: a request above its limit")
    except ValueError:
        return  # values.py speaks of it.


def _volumes(pod: Pod) -> Iterator[Problem]:
    names = {volume["name"] for volume in pod.spec.get("volumes", [])}
    if len(names) < len(pod.spec.get("volumes", [])):
        yield problem(pod.owner, "two volumes of one name")
    claimed = {"data"} if pod.owner.startswith("StatefulSet/") else set()
    used = set()
    for container in pod.containers:
        paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
        if len(set(paths)) < len(paths):
            yield problem(pod.owner, "two mounts at one path")
        for mount in container.get("volumeMounts", []):
            used.add(mount["name"])
            yield from _mount(pod, mount, names | claimed)
        if is_ours(container) and not any(
            mount["mountPath"] == "/tmp" and "emptyDir" in (pod.volume(mount["name"]) or {})
            for mount in container.get("volumeMounts", [])
        ):
            yield problem(pod.owner, "/tmp is no emptyDir: the lock of all crawlers and the pool's socket are there")
    for name in names - used:
        yield problem(pod.owner, f"nobody mounts {name!r}")
    for volume in pod.spec.get("volumes", []):
        if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
            yield problem(pod.owner, f"the emptyDir {volume['name']!r} may fill the disk of its node")


def _mount(pod: Pod, mount: Document, known: set[str]) -> Iterator[Problem]:
    if mount["name"] not in known:
        yield problem(pod.owner, f"there is no volume {mount['name']!r}")
    volume = pod.volume(mount["name"]) or {}
    if "subPath" in mount:
        yield problem(pod.owner, f"{mount['name']!r} by subPath would never be brought up to date")
    if {"secret", "configMap"} & volume.keys() and not mount.get("readOnly"):
        yield problem(pod.owner, f"{mount['name']!r} is not mounted readOnly")


def _spread(pod: Pod) -> Iterator[Problem]:
    for constraint in pod.spec.get("topologySpreadConstraints", []):
        if not selects(constraint.get("labelSelector"), pod.labels):
            yield problem(pod.owner, "topologySpreadConstraints count other pods than these")


def _placed(pod: Pod) -> Iterator[Problem]:
    for name in ("nodeName", "priorityClassName", "schedulerName", "runtimeClassName"):
        if pod.spec.get(name):
            yield problem(pod.owner, f"{name}: whether there is that, only the cluster's owner knows")
    if pod.spec.get("dnsPolicy", "ClusterFirst") != "ClusterFirst":
        yield problem(pod.owner, "dnsPolicy must be ClusterFirst: the database's name is the cluster's")
    if any(container.get("stdin") or container.get("tty") for container in pod.containers):
        yield problem(pod.owner, "waits for somebody to type")


def _kept(pod: Pod) -> Iterator[Problem]:
    if pod.spec.get("terminationGracePeriodSeconds", 30) < 15:
        yield problem(pod.owner, "terminationGracePeriodSeconds: it has no time to end")
    for container in pod.spec["containers"]:
        where = f"{pod.owner}, {container['name']}"
        if not {"startupProbe", "readinessProbe"} <= container.keys():
            yield problem(where, "startup and readiness are not probed")
        ports = {port["name"] for port in container.get("ports", [])}
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container.get(name, {}).get("httpGet")
            if asked is None:
                continue
            if asked.get("port") not in ports:
                yield problem(where, f"{name} asks a port {asked.get('port')!r} that is not there")
            if is_ours(container) and asked.get("path") != _SIGNS_OF_LIFE[name]:
                yield problem(where, f"{name} asks for {asked.get('path')!r}")


_SIGNS_OF_LIFE = {"startupProbe": "/-/healthy", "livenessProbe": "/-/healthy", "readinessProbe": "/-/ready"}


def _selectors(documents: tuple[Document, ...]) -> Iterator[Problem]:
    everyone = list(pods(documents))
    for document in of_kind(documents, "Deployment", "StatefulSet"):
        where, spec = name_of(document), document["spec"]
        if spec.get("replicas", 1) < 1 or spec.get("paused"):
            yield problem(where, "nothing of it would run")
        if spec.get("strategy", {}).get("type") == "Recreate" and "rollingUpdate" in spec["strategy"]:
            yield problem(where, "rollingUpdate goes with its own type only")
        chosen = {pod.owner for pod in everyone if selects(spec["selector"], pod.labels)}
        if chosen != {where}:
            yield problem(where, f"its selector is for {sorted(chosen)}")
        services = {service["metadata"]["name"] for service in of_kind(documents, "Service")}
        if document["kind"] == "StatefulSet" and spec.get("serviceName") not in services:
            yield problem(where, f"there is no Service {spec.get('serviceName')!r}")
