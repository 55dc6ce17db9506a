"""What a mutant of the manifests is, and the places where most of them are."""

from typing import Any, NamedTuple

GONE = object()

JOB = "spec jobTemplate spec"
POD = f"{JOB} template spec"
CRAWLER = f"{POD} containers 0"
SHOWN = "spec template spec"
EXPORTER = f"{SHOWN} containers 0"
SHOWS = "Deployment/vmcrawl-exporter"
RULES = f"{JOB} podFailurePolicy rules"


class Mutant(NamedTuple):
    """One change, and a part of the sentence that some rule has to say of it."""

    document: str
    path: str
    value: Any
    said: str
    rendered: str = "+all"


def crawl(path: str, value: Any, said: str) -> Mutant:
    """The crawl, with all components."""
    return Mutant("CronJob/vmcrawl-crawl", path, value, said)


def single(path: str, value: Any, said: str) -> Mutant:
    """The crawl of the base: one pod."""
    return Mutant("CronJob/vmcrawl-crawl", path, value, said, "base")


def exporter(path: str, value: Any, said: str) -> Mutant:
    """The exporter."""
    return Mutant(SHOWS, path, value, said)


def policy(name: str, path: str, value: Any, said: str) -> Mutant:
    """A NetworkPolicy."""
    return Mutant(f"NetworkPolicy/{name}", path, value, said)
