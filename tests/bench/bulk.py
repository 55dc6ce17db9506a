"""``python -m tests.bench.bulk``: what commands cost that work on very many names, each a process of its own.

Peak memory is that of the program (``ru_maxrss``), without Postgres. Ends with 1 if an import needs more than 200 MB.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.population import populate
from tests.conftest import temporary_database
from tests.program import environment
from vmcrawl.embedded import running

_PROJECT = Path(__file__).parents[2]
#: Bytes; of a database with as many domains, of which one in eight is published.
_MOST_MEMORY = 200 << 20
_PUBLISHED = 8
_HEADER = "#domain,#severity,#reject_media,#reject_reports,#public_comment,#obfuscate\n"
_REST = "suspend,false,false,iftas:hate-speech;online-harassment,true\n"


@dataclass(frozen=True, slots=True)
class Step:
    """One command; an import, and an export of text, is held to the bound of memory."""

    title: str
    arguments: Sequence[str]

    @property
    def bounded(self) -> bool:
        return "import" in self.arguments or ("export" in self.arguments and "parquet" not in self.arguments)


def main() -> int:
    """Run each step once; writes a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bulk", description=__doc__)
    parser.add_argument("--names", type=int, default=250_000, help="default: %(default)s")
    parser.add_argument("--published", type=int, help="how many of them are instances (default: one in eight)")
    arguments = parser.parse_args()
    most = 0
    with _stage(arguments.names, arguments.published or arguments.names // _PUBLISHED) as (directory, url):
        names = arguments.names
        steps = (*_export_steps(directory), *_domains_steps(directory, names), *_dni_steps(directory, names))
        for step in steps:
            seconds, peak = _run(step, url)
            most = max(most, peak if step.bounded else 0)
            sys.stdout.write(f"  {step.title:<52} {seconds:>6.1f} s {peak / 1e6:>5.0f} MB\n")
            sys.stdout.flush()
    if most > _MOST_MEMORY:
        sys.stdout.write(f"TOO MUCH MEMORY: {most / 1e6:.0f} MB\n")
        return 1
    return 0


def _domains_steps(directory: Path, names: int) -> Iterator[Step]:
    text, export, many, excluded = (
        directory / name for name in ("names.txt", "servers.json", "many.txt", "excluded.txt")
    )
    _write_names(text, range(names))
    _write_servers(export, range(names))
    _write_names(many, range(4 * names))
    _write_names(excluded, range(0, names, 10))
    yield Step(f"domains import of {names:,} names, tried only", ["domains", "import", str(text), "--dry-run"])
    yield Step("the same in earnest", ["domains", "import", str(text)])
    yield Step("the same as objects in JSON", ["domains", "import", str(export)])
    yield Step("domains list --json", ["domains", "list", "--json"])
    yield Step("domains list --csv", ["domains", "list", "--csv"])
    yield Step("domains list (a table)", ["domains", "list"])
    yield Step("domains list of one outcome", ["domains", "list", "--outcome", "timeout", "--csv"])
    yield Step("domains requeue of one outcome", ["domains", "requeue", "--outcome", "dns_not_found"])
    yield Step("domains requeue of all, tried only", ["domains", "requeue", "--name", "*", "--dry-run"])
    yield Step("domains requeue of all", ["domains", "requeue", "--name", "*"])
    yield Step(f"domains exclude of {names // 10:,}", ["domains", "exclude", "--file", str(excluded), "--subdomains"])
    yield Step("domains opt-outs --csv", ["domains", "opt-outs", "--csv"])
    yield Step("domains include of them", ["domains", "include", "--file", str(excluded)])
    yield Step(f"domains import of {4 * names:,} names, a quarter known", ["domains", "import", str(many)])


def _export_steps(directory: Path) -> Iterator[Step]:
    for form in ("csv", "jsonl", "parquet"):
        output = str(directory / f"instances.{form}")
        yield Step(f"export of what is published, {form}", ["export", "--format", form, "--output", output])


def _dni_steps(directory: Path, names: int) -> Iterator[Step]:
    first, second = directory / "first.csv", directory / "second.csv"
    _write_list(first, range(names))
    _write_list(second, range(names // 10, names + names // 10))
    yield Step(f"dni import of {names:,} names", ["dni", "import", str(first)])
    yield Step("the same list again", ["dni", "import", str(first)])
    yield Step("a tenth of it is others", ["dni", "import", str(second)])
    yield Step(
        "the same as hard entries, tried only", ["dni", "import", str(second), "--severity", "hard", "--dry-run"]
    )
    yield Step("the same as hard entries", ["dni", "import", str(second), "--severity", "hard"])
    yield Step("all as soft entries again", ["dni", "import", str(second)])
    yield Step("one entry by hand", ["dni", "add", "one.example.org"])
    yield Step("dni list --json", ["dni", "list", "--json"])
    yield Step("dni list --csv", ["dni", "list", "--csv"])
    yield Step("dni changes --json", ["dni", "changes", "--json"])
    yield Step("dni remove --imported", ["dni", "remove", "--imported"])


def _write_names(path: Path, numbers: range) -> None:
    with path.open("w") as file:
        file.writelines(f"social-{number:07}.example{number % 9973}.net\n" for number in numbers)


def _write_servers(path: Path, numbers: range) -> None:
    """As joinmastodon has them, and as long."""
    with path.open("w") as file:
        file.write("[")
        for number in numbers:
            server = {
                "domain": f"social-{number:07}.example{number % 9973}.net",
                "version": "4.5.6",
                "description": "A server for everybody who likes it. " * 5,
                "languages": ["en"],
                "region": "",
                "categories": ["general"],
                "proxied_thumbnail": "https://proxy.example.org/" + "0" * 80,
                "total_users": number,
                "approval_required": False,
            }
            file.write(f"{',' if number else ''}{json.dumps(server)}")
        file.write("]")


def _write_list(path: Path, numbers: range) -> None:
    with path.open("w") as file:
        file.write(_HEADER)
        file.writelines(f"server-{number:06}.example{number % 9973}.org,{_REST}" for number in numbers)


def _run(step: Step, url: str) -> tuple[float, int]:
    """Seconds, and bytes at the most."""
    command = [sys.executable, "-m", "vmcrawl", *step.arguments]
    started = time.monotonic()
    with subprocess.Popen(command, cwd=_PROJECT, env=environment(url), stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{step.title} ended with {process.returncode}")
    return time.monotonic() - started, usage.ru_maxrss << 10


@contextmanager
def _stage(names: int, published: int) -> Iterator[tuple[Path, str]]:
    with (
        TemporaryDirectory(prefix="vmcrawl-bench-") as directory,
        running(Path(directory) / "postgres") as server_url,
        temporary_database(server_url) as url,
    ):
        populate(url, names, published)
        sys.stdout.write(f"\n{names:,} domains, {published:,} of them published\n")
        yield Path(directory), url


if __name__ == "__main__":
    sys.exit(main())
