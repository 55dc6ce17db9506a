"""``python -m tests.bench [PART ...]``: what a crawl costs on this machine, as ratios within one run."""

import argparse
import signal
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial

from tests.bench.crowd import Crowd, Kind, all_healthy, real_mix, with_chain
from tests.bench.floor import FOUR, ONE, floor
from tests.bench.scale import dead, killed, rivals
from tests.bench.scrape import scrape
from tests.bench.stage import Stage, Usage, make_due, set_stage
from tests.bench.together import together
from tests.bench.webserver import NoWebServer


def main() -> int:
    """Measure the parts that were asked for, each in turn, as often as was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(_PARTS)}; without any, all")
    parser.add_argument("--domains", type=int, default=4_000, help="how many a crowd has (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="how often; medians are shown (default: %(default)s)")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - _PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    # Also when it is killed, nothing is left running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with set_stage() as stage:
            for part in arguments.parts or _PARTS:
                _PARTS[part](stage, arguments.domains, arguments.runs)
    except NoWebServer as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _first(stage: Stage, size: int, runs: int, kind: Kind = Kind.HEALTHY) -> None:
    """All healthy, first look: against a floor with the same four requests."""
    crowd = all_healthy(size) if kind is Kind.HEALTHY else with_chain(size)
    pairs = []
    for _ in range(runs):
        ground = floor(stage.ca_file, stage.port, FOUR, kind)
        with stage.ledger(crowd) as url:
            pairs.append((ground, stage.crawl(url)))
    _show(f"{crowd.name}, first look", crowd, pairs)


def _known(stage: Stage, size: int, runs: int) -> None:
    """The same as known servers that are due: against a floor with one request."""
    crowd = all_healthy(size)
    pairs = []
    with stage.ledger(crowd) as url:
        stage.crawl(url)
        for _ in range(runs):
            make_due(url)
            ground = floor(stage.ca_file, stage.port, ONE)
            pairs.append((ground, stage.crawl(url)))
    _show(f"{crowd.name}, known and due", crowd, pairs)


def _mix(stage: Stage, size: int, runs: int) -> None:
    """The real mix of failures, with latency."""
    crowd = real_mix(size)
    pairs = []
    for _ in range(runs):
        ground = floor(stage.ca_file, stage.port, FOUR)
        with stage.ledger(crowd) as url:
            pairs.append((ground, stage.crawl(url)))
    _show("the real mix of failures", crowd, pairs)


def _show(title: str, crowd: Crowd, pairs: Sequence[tuple[float, Usage]]) -> None:
    def median(of: Callable[[float, Usage], float]) -> float:
        return statistics.median(of(ground, usage) for ground, usage in pairs)

    rows = [
        ("floor, ms of CPU per domain", median(lambda ground, _: ground * 1e3), "{:.2f}"),
        ("CPU per domain, ms", median(lambda _, usage: usage.cpu_per_domain * 1e3), "{:.2f}"),
        ("times the floor", median(lambda ground, usage: usage.cpu_per_domain / ground), "{:.2f}"),
        ("requests per domain", median(lambda _, usage: usage.requests / usage.crawled), "{:.2f}"),
        ("domains per second", median(lambda _, usage: usage.crawled / usage.wall_seconds), "{:.0f}"),
        ("peak memory, MB (PSS)", median(lambda _, usage: usage.peak_bytes / 1e6), "{:.0f}"),
    ]
    sys.stdout.write(f"\n{title}: {crowd.size} domains, median of {len(pairs)}\n")
    for name, value, form in rows:
        sys.stdout.write(f"  {name:<30} {form.format(value):>10}\n")
    for _, usage in pairs:
        outcomes = dict(usage.summary["outcomes"])
        if outcomes != crowd.verdicts():
            sys.stdout.write(f"  WRONG VERDICTS: {outcomes}, in truth {crowd.verdicts()}\n")
    sys.stdout.flush()


def _parts(stage: Stage, size: int, _: int) -> None:
    """What a crawl spends its CPU on, in one thread: first look, and known and due."""
    with stage.ledger(all_healthy(size)) as url:
        for title, paths in (("first look", FOUR), ("known and due", ONE)):
            make_due(url)
            ground = floor(stage.ca_file, stage.port, paths) * 1e3
            used = stage.parts(url)
            cost = used["cost"]
            sys.stdout.write(f"\n{title}, one thread: {cost:.2f} ms of CPU, {cost / ground:.2f} times the floor\n")
            for name, each in used["parts"].items():
                sys.stdout.write(f"  {name:<30} {each:>10.3f}  {each / cost:>6.1%}\n")


def _grid(stage: Stage, size: int, _: int) -> None:
    """How it changes with processes and threads, all healthy, first look."""
    sys.stdout.write(f"\nprocesses x threads, first look, {size} domains\n")
    for processes, threads in ((1, 1), (1, 8), (1, 64), (2, 8), (2, 64), (4, 8), (4, 64), (4, 256)):
        ground = floor(stage.ca_file, stage.port, FOUR)
        with stage.ledger(all_healthy(size)) as url:
            used = stage.crawl(url, CRAWL_PROCESSES=str(processes), CRAWL_THREADS=str(threads))
        sys.stdout.write(
            f"  {processes} x {threads:<4} {used.cpu_per_domain / ground:>6.2f} times the floor"
            f" {used.crawled / used.wall_seconds:>6.0f} domains/s {used.peak_bytes / 1e6:>5.0f} MB\n"
        )
        sys.stdout.flush()


_PARTS: dict[str, Callable[[Stage, int, int], None]] = {
    "first": _first,
    "chain": partial(_first, kind=Kind.CHAIN),
    "known": _known,
    "mix": _mix,
    "parts": _parts,
    "grid": _grid,
    "dead": lambda stage, size, _: dead(stage, size),
    "rivals": lambda stage, size, _: rivals(stage, size),
    "killed": lambda stage, size, _: killed(stage, size),
    "together": lambda stage, size, _: together(stage, size, through_pgbouncer=False),
    "pooled": lambda stage, size, _: together(stage, size, through_pgbouncer=True),
    "scrape": scrape,
}


if __name__ == "__main__":
    sys.exit(main())
