"""Pod Security Standards, "restricted", for every container, and what we want beyond them."""

from collections.abc import Iterator

from tests.deploy.manifests import Document, Pod, is_ours, name_of, of_kind, pods
from tests.deploy.policy.problem import Problem, problem

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_SECCOMP = {"RuntimeDefault", "Localhost"}
_MODES = ("enforce", "audit", "warn")
_KINDS = {
    *("ConfigMap", "CronJob", "Deployment", "Namespace", "NetworkPolicy", "PrometheusRule"),
    *("Secret", "Service", "ServiceAccount", "ServiceMonitor", "StatefulSet"),
}
#: That of the image; deploy/Dockerfile.
_USER = 10001


def security_problems(documents: tuple[Document, ...]) -> Iterator[Problem]:
    """What "restricted" would refuse, and what it would let through although we need it not."""
    for document in of_kind(documents, "Namespace"):
        labels = document["metadata"].get("labels", {})
        if any(labels.get(f"pod-security.kubernetes.io/{mode}") != "restricted" for mode in _MODES):
            yield problem(name_of(document), "the labels of Pod Security are not all restricted")
    for document in documents:
        if document["kind"] not in _KINDS:
            yield problem(name_of(document), "of a kind that nothing of ours needs, such as rights at the API server")
    accounts = {document["metadata"]["name"]: document for document in of_kind(documents, "ServiceAccount")}
    for document in accounts.values():
        if document.get("automountServiceAccountToken") is not False:
            yield problem(name_of(document), "automountServiceAccountToken must be false")
    for pod in pods(documents):
        yield from _of_pod(pod)
        account = pod.spec.get("serviceAccountName", "default")
        if account not in {"default", *accounts}:
            yield problem(pod.owner, f"there is no ServiceAccount {account!r}")
        for container in pod.containers:
            yield from _of_container(f"{pod.owner}, {container['name']}", container, pod)


def _shared(pod: Pod) -> Iterator[Problem]:
    if any(pod.spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield problem(pod.owner, "a namespace of the host")
    if pod.spec.get("shareProcessNamespace"):
        yield problem(pod.owner, "one container sees another's files, and is not process 1")


def _of_pod(pod: Pod) -> Iterator[Problem]:
    yield from _shared(pod)
    for name in ("automountServiceAccountToken", "enableServiceLinks"):
        if pod.spec.get(name) is not False:
            yield problem(pod.owner, f"{name} must be false")
    for volume in pod.spec.get("volumes", []):
        if not _VOLUMES & volume.keys():
            yield problem(pod.owner, f"the volume {volume['name']!r} is of a kind that restricted refuses")
        if any("serviceAccountToken" in source for source in volume.get("projected", {}).get("sources", [])):
            yield problem(pod.owner, f"the volume {volume['name']!r} holds a token of the API server")
    context = pod.spec.get("securityContext", {})
    if context.get("sysctls"):
        yield problem(pod.owner, "sysctls are set")
    if not context.get("fsGroup"):
        yield problem(pod.owner, "without an fsGroup nobody can read the mounted secrets")
    options = {each["name"]: each.get("value") for each in pod.spec.get("dnsConfig", {}).get("options", [])}
    if any(is_ours(container) for container in pod.containers) and options.get("ndots") != "1":
        yield problem(pod.owner, 'dnsConfig has no option ndots with the value "1"')


def _of_container(where: str, container: Document, pod: Pod) -> Iterator[Problem]:
    own = container.get("securityContext", {})
    # What a container says itself wins.
    both = {**pod.spec.get("securityContext", {}), **own}
    if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
        yield problem(where, "may run as root")
    if is_ours(container) and (both.get("runAsUser"), both.get("runAsGroup")) != (_USER, _USER):
        yield problem(where, f"does not run as {_USER}, the user of the image")
    yield from _profiles(where, both)
    if own.get("privileged") or own.get("procMount", "Default") != "Default":
        yield problem(where, "is privileged")
    if own.get("allowPrivilegeEscalation") is not False:
        yield problem(where, "allowPrivilegeEscalation must be false")
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []) or capabilities.get("add"):
        yield problem(where, "capabilities must all be dropped")
    if own.get("readOnlyRootFilesystem") is not True:
        yield problem(where, "readOnlyRootFilesystem must be true")
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield problem(where, "has a port of the host")


def _profiles(where: str, context: Document) -> Iterator[Problem]:
    if context.get("seccompProfile", {}).get("type") not in _SECCOMP:
        yield problem(where, "seccompProfile must be RuntimeDefault")
    if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in _SECCOMP:
        yield problem(where, "appArmorProfile must be RuntimeDefault")
    if context.get("seLinuxOptions") or context.get("windowsOptions"):
        yield problem(where, "seLinuxOptions and windowsOptions are the cluster's")
