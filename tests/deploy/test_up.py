"""``deploy/up`` needs a contact and nothing else: it makes what is missing, and leaves what is there."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.tools import DEPLOY, ROOT

#: In the place of Docker, for which there is no engine here: Compose itself judges what it would be asked to start.
_DOCKER = """#!/bin/sh
echo "$@" >>"$ASKED"
case "$*" in
    *" up "*) exec {compose} --file compose.yaml config --quiet ;;
    *" port "*) echo 127.0.0.1:3000 ;;
esac
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A clone with nothing of an operator's in it."""
    shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("secrets", ".env"))
    shutil.copytree(ROOT / "grafana", tmp_path / "grafana", ignore=shutil.ignore_patterns("pictures"))
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(_DOCKER.format(compose=Path(sys.executable).parent / "docker-compose"))
    docker.chmod(0o755)
    return tmp_path


def test_without_a_contact_nothing_is_made_and_nothing_started(place):
    done = _up(place)
    assert done.returncode == 78
    assert "say where you can be reached" in done.stderr
    assert not (place / "deploy" / "secrets").exists()
    assert " up " not in (place / "asked").read_text()


def test_an_empty_line_of_the_example_is_no_contact(place):
    shutil.copy(place / "deploy" / "env.example", place / "deploy" / ".env")
    assert _up(place).returncode == 78


def test_one_command_makes_what_is_missing_and_starts_all(place):
    done = _up(place, "--quiet-pull", VMCRAWL_HTTP_CONTACT="https://example.org/who")
    assert done.returncode == 0, done.stderr
    assert "http://127.0.0.1:3000" in done.stdout
    asked = (place / "asked").read_text().splitlines()
    assert "compose --file compose.yaml up --detach --build --wait --quiet-pull" in asked
    secrets = {path.name: path.read_text() for path in (place / "deploy" / "secrets").iterdir()}
    assert secrets.pop("github_token") == ""
    assert all(len(secret) == 48 and secret.isalnum() for secret in secrets.values())
    assert len(set(secrets.values())) == len(secrets) == 6
    assert not [secret for secret in secrets.values() if secret in done.stdout + done.stderr]


def test_secrets_are_behind_a_door_and_readable_within(place):
    _up(place, VMCRAWL_HTTP_CONTACT="https://example.org/who")
    directory = place / "deploy" / "secrets"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o644}


def test_a_second_time_it_keeps_contact_and_secrets(place):
    _up(place, VMCRAWL_HTTP_CONTACT="https://example.org/who")
    before = _contents(place)
    done = _up(place)
    assert done.returncode == 0, done.stderr
    assert _contents(place) == before
    assert (place / "deploy" / ".env").read_text() == "VMCRAWL_HTTP_CONTACT='https://example.org/who'\n"


def test_another_contact_takes_the_place_of_the_first(place):
    _up(place, VMCRAWL_HTTP_CONTACT="https://example.org/who")
    _up(place, VMCRAWL_HTTP_CONTACT="https://example.org/else")
    assert _seen_by_the_crawler(place) == "https://example.org/else"


@pytest.mark.parametrize(
    "contact",
    [
        "Jane Doe <jane@example.org>",
        "https://example.org/who?for=$vmcrawl&price=$5",
        "https://example.org/~who #1 ${HOME} `id` \\n",
        'the "crawler" of O\'Neill',
        "100% of 'it'",
    ],
)
def test_whatever_a_contact_consists_of_it_is_the_same_at_the_second_start(place, contact):
    for variables in ({"VMCRAWL_HTTP_CONTACT": contact}, {}, {"VMCRAWL_HTTP_CONTACT": contact}):
        done = _up(place, **variables)
        assert done.returncode == 0, done.stderr
    assert (place / "deploy" / ".env").read_text().count("VMCRAWL_HTTP_CONTACT=") == 1
    assert _seen_by_the_crawler(place) == contact


def test_a_contact_of_two_lines_is_refused(place):
    done = _up(place, VMCRAWL_HTTP_CONTACT="https://example.org/who\nVMCRAWL_IPV6=true")
    assert done.returncode == 78
    assert not (place / "deploy" / ".env").exists()


def test_the_last_line_of_the_operators_file_stays_what_it_is(place):
    (place / "deploy" / ".env").write_text("VMCRAWL_CRAWLER_MEMORY=3g")
    assert _up(place, VMCRAWL_HTTP_CONTACT="https://example.org/who").returncode == 0
    assert (place / "deploy" / ".env").read_text().splitlines()[0] == "VMCRAWL_CRAWLER_MEMORY=3g"
    assert _seen_by_the_crawler(place) == "https://example.org/who"


def test_a_contact_in_quotation_marks_is_one_and_an_empty_one_is_none(place):
    for written, code in [('""', 78), ("''", 78), ("   ", 78), ('"https://example.org/who"', 0)]:
        (place / "deploy" / ".env").write_text(f"VMCRAWL_HTTP_CONTACT={written}\n")
        assert _up(place).returncode == code, written


def test_a_secret_that_is_gone_is_made_anew_alone(place):
    _up(place, VMCRAWL_HTTP_CONTACT="https://example.org/who")
    before = _contents(place)
    (place / "deploy" / "secrets" / "grafana_secret_key").unlink()
    _up(place)
    after = _contents(place)
    assert [name for name in before if after[name] != before[name]] == ["grafana_secret_key"]


def test_without_docker_compose_it_says_so(place):
    (place / "bin" / "docker").write_text("#!/bin/sh\nexit 1\n")
    done = _up(place, VMCRAWL_HTTP_CONTACT="https://example.org/who")
    assert done.returncode == 69
    assert "needs Docker" in done.stderr


def _up(place: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    env = {"PATH": f"{place / 'bin'}:/usr/bin:/bin", "HOME": str(place), "ASKED": str(place / "asked"), **variables}
    command = [str(place / "deploy" / "up"), *arguments]
    return subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, timeout=60, check=False)


def _seen_by_the_crawler(place: Path) -> str:
    """The contact in its environment, as Compose reads the operator's file when nothing else says it."""
    compose = str(Path(sys.executable).parent / "docker-compose")
    command = [compose, "--file", "deploy/compose.yaml", "config", "--format", "json"]
    done = subprocess.run(command, env={}, cwd=place, capture_output=True, text=True, timeout=60, check=True)
    seen: str = json.loads(done.stdout)["services"]["crawler"]["environment"]["VMCRAWL_HTTP_CONTACT"]
    # What it prints can be read again as a composition, in which this stands for itself.
    return seen.replace("$$", "$")


def _contents(place: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (place / "deploy" / "secrets").iterdir()}
