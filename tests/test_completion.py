"""Completion in the shells themselves: bash and zsh on a terminal of their own, with keys pressed; fish asked."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.program import environment, vmcrawl

#: What is typed, and what stands there when TAB was pressed.
TYPED = [
    ("vmcrawl hist", "vmcrawl history "),
    ("vmcrawl history inv", "vmcrawl history invalidate "),
    ("vmcrawl history invalidate --rea", "--reason"),
    ("vmcrawl domains list --outcome too_m", "too_many_redirects"),
    ("vmcrawl export --format par", "parquet"),
    ("vmcrawl domains import name", "names-of-servers.txt"),
]
#: As the help of the command says that it is put in place.
_BEGIN = {
    "bash": "PS1='ready> '; source {file}",
    "zsh": "PS1='ready> '; fpath+={folder}; autoload -Uz compinit; compinit -u -D",
}
_NAMES = {"bash": "vmcrawl", "zsh": "_vmcrawl", "fish": "vmcrawl.fish"}
_SHELLS = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}


def script(shell: str, directory: Path) -> Path:
    """The script, with ``vmcrawl`` in the environment as a name only: pressing TAB asks nothing of it."""
    written = vmcrawl("completion", shell, env=environment("postgresql://nowhere.invalid/x"))
    assert written.returncode == 0, written.stderr
    (directory / "completions").mkdir()
    file = directory / "completions" / _NAMES[shell]
    file.write_text(written.stdout)
    return file


def installed(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no {shell} (Debian: {shell})")
    return str(found)


class Terminal:
    """A shell on a terminal."""

    def __init__(self, master: int) -> None:
        self._master = master

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def shows(self, text: str, seconds: float = 20) -> str:
        """All that has come until the text is there, or for so long."""
        screen, end = "", time.monotonic() + seconds
        while text not in screen and time.monotonic() < end:
            ready, _, _ = select.select([self._master], [], [], 0.2)
            if ready:
                with suppress(OSError):
                    screen += os.read(self._master, 65_536).decode(errors="replace")
        return screen


@contextmanager
def terminal(shell: str, directory: Path) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    env = {"PATH": os.environ["PATH"], "HOME": str(directory), "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        _SHELLS[shell], cwd=directory, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    try:
        yield Terminal(master)
    finally:
        process.kill()
        process.wait()
        os.close(master)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_completes_commands_options_choices_and_files(shell, tmp_path):
    installed(shell)
    (tmp_path / "names-of-servers.txt").write_text("")
    file = script(shell, tmp_path)
    with terminal(shell, tmp_path) as shown:
        begin = _BEGIN[shell].format(file=file, folder=file.parent)
        shown.press(f"{begin}; echo beg''un\n")
        assert "begun" in shown.shows("begun")
        for typed, expected in TYPED:
            shown.press(f"{typed}\t")
            screen = shown.shows(expected)
            assert expected in screen, screen
            # To the beginning of the line, and all of it away.
            shown.press("\x01\x0b")
            shown.press("echo cle''ar\n")
            assert "clear" in shown.shows("clear")


def test_fish_completes_commands_options_choices_and_files(tmp_path):
    fish = installed("fish")
    (tmp_path / "names-of-servers.txt").write_text("")
    file = script("fish", tmp_path)
    for typed, expected in TYPED:
        asked = subprocess.run(
            [fish, "--no-config", "-c", f"source {file}; complete -C '{typed}'"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        offered = [line.split("\t")[0] for line in asked.stdout.splitlines()]
        assert expected.split()[-1] in offered, asked


def test_another_shell_is_wrong_usage():
    refused = vmcrawl("completion", "csh", env=environment(""))
    assert refused.returncode == 2


def test_shtab_is_loaded_only_to_write_scripts():
    """It takes longer to load than most commands take in all."""
    command = [sys.executable, "-c", "import sys, vmcrawl.cli; sys.exit('shtab' in sys.modules)"]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0
