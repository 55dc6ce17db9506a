"""What is wrong with rendered manifests that no schema knows of: rules of Kubernetes between fields, and our own."""

from collections.abc import Iterator

from tests.deploy.manifests import Document
from tests.deploy.policy import jobs, monitors, network, program, references, secrets, security, values, workloads
from tests.deploy.policy.problem import Problem

_RULES = (
    jobs.job_problems,
    workloads.workload_problems,
    security.security_problems,
    program.program_problems,
    references.reference_problems,
    network.network_problems,
    monitors.monitor_problems,
    secrets.secret_problems,
    values.value_problems,
)


def problems(documents: tuple[Document, ...]) -> Iterator[Problem]:
    """Everything that is wrong with documents that are applied together."""
    for rule in _RULES:
        yield from rule(documents)
