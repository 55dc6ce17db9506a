"""``make demo``: the simulated Fediverse, an embedded Postgres and one real crawl, with a summary to look at."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.fediverse.crowd import demo_crowd
from tests.fediverse.running import start_fediverse

_PROJECT = Path(__file__).parents[1]
_DIRECTORY = _PROJECT / ".demo"


def main() -> int:
    """Run the demonstration; returns the exit code of the first command that failed, else 0."""
    shutil.rmtree(_DIRECTORY / "fediverse", ignore_errors=True)
    shutil.rmtree(_DIRECTORY / "postgres", ignore_errors=True)
    sites = demo_crowd()
    _say(f"Starting {len(sites)} simulated servers on loopback, with their own DNS and certificate authority.")
    with start_fediverse(sites, _DIRECTORY / "fediverse") as fediverse:
        options = ["--config", str(fediverse.config_file)]
        for excluded in (fediverse.directory / "exclusions.txt").read_text().split():
            _vmcrawl(*options, "domains", "exclude", excluded, "--reason", "for the demonstration")
        for arguments in (
            ["domains", "import", str(fediverse.domains_file)],
            ["crawl"],
            ["status"],
        ):
            code = _vmcrawl(*options, *arguments)
            if code:
                return code
    _say("All of it ran on this machine; nothing was asked of anybody else. Next: README.md, “Running it for real”.")
    return 0


def _vmcrawl(*arguments: str) -> int:
    _say(f"$ vmcrawl {' '.join(arguments[2:])}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "VMCRAWL_"))}
    environment["VMCRAWL_DATABASE_DIRECTORY"] = str(_DIRECTORY / "postgres")
    return subprocess.run([sys.executable, "-m", "vmcrawl", *arguments], env=environment, check=False).returncode


def _say(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
