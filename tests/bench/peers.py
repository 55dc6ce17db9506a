"""``python -m tests.bench.peers``: what it takes to be told 300,000 names, and what the same program takes for 3,000.

The servers are those of the simulated Fediverse, on the same cores. Names are new (each under a registrable domain of
its own), then all known, then subdomains of one domain.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from tests.conftest import temporary_database
from tests.fediverse import Site, start_fediverse
from tests.fediverse.scenario import named, scenario
from tests.fediverse.scenarios_peers import PEERS, array
from tests.program import crawl_crowd, patient_environment, start
from vmcrawl.embedded import running
from vmcrawl.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Cost:
    """What one ``vmcrawl discover`` took, start and end of the program included."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def teller(slug: str, names: Sequence[str]) -> Site:
    """A healthy server that tells these names."""
    return scenario(slug, Outcome.OK, {PEERS: array(names)})


def names(number: int) -> list[str]:
    """So many, none under the same registrable domain as another, as long as names of servers are."""
    return [f"social-{each:06}.example-{each * 7919 % 1_000_003}.net" for each in range(number)]


def farm(number: int) -> list[str]:
    """So many subdomains of one domain."""
    return [f"x{each:06}.one-owner.net" for each in range(number)]


@contextmanager
def told(url: str, sites: Sequence[Site], directory: Path) -> Iterator[dict[str, str]]:
    """Serve and crawl ``sites``; gives the environment for a program that asks them, without a cap on new names."""
    with start_fediverse(sites, directory) as fediverse:
        env = patient_environment(url, fediverse.config_file)
        crawl_crowd(directory, env)
        yield env | {"VMCRAWL_DISCOVERY_NAMES_PER_INSTANCE": "1_000_000"}


def ask(slug: str, env: dict[str, str]) -> Cost:
    """Ask one server, as a program."""
    started = time.monotonic()
    program = start(["discover", named(slug), "--json"], env)
    peak = 0
    # What wait4 says of memory includes what this process had when it forked.
    while (ended := os.wait4(program.pid, os.WNOHANG))[0] == 0:
        peak = max(peak, _peak(program.pid))
        time.sleep(0.01)
    seconds = time.monotonic() - started
    _, status, usage = ended
    program.returncode = os.waitstatus_to_exitcode(status)
    _, errors = program.communicate()
    if program.returncode:
        raise RuntimeError(errors)
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak)


def _peak(pid: int) -> int:
    """The most memory that a process has had in use so far; 0 if it is about to end (proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), 0)


def main() -> int:
    """Measure on an embedded Postgres of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    parser.add_argument("--names", type=int, default=300_000, help="default: %(default)s")
    number = parser.parse_args().names
    sites = [teller("few", names(3_000)), teller("many", names(number)), teller("farm", farm(number // 6))]
    with (
        TemporaryDirectory(prefix="vmcrawl-bench-") as directory,
        running(Path(directory) / "postgres") as server_url,
        temporary_database(server_url) as url,
        told(url, sites, Path(directory) / "fediverse") as env,
    ):
        for slug, what in (
            ("few", "3,000 new names"),
            ("many", f"{number:,} names, all but 3,000 new"),
            ("many", "the same again, all known"),
            ("farm", f"{number // 6:,} subdomains of one domain"),
        ):
            before = _ledger(url)
            cost = ask(slug, env)
            sys.stdout.write(
                f"{what}: {cost.seconds:.1f} s, {cost.cpu_seconds:.1f} s of CPU, {cost.peak_bytes / 1e6:.0f} MB;"
                f" {_ledger(url) - before:,} new in the ledger\n"
            )
            sys.stdout.flush()
    return 0


def _ledger(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM domains").fetchone()
    assert row is not None
    return int(row[0])


if __name__ == "__main__":
    sys.exit(main())
