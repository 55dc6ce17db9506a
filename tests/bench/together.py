"""Four crawlers on one run, each under the limits of a pod: one is killed, one stopped, Postgres restarted."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.bench.crowd import real_mix
from tests.bench.stage import Stage
from tests.exporter.numbers import exporter, scrape
from tests.pooler import pooled
from tests.together import CRAWLERS, play, restart_postgres

#: What a pod of deploy/kubernetes may use: memory in bytes, and CPUs.
_MEMORY = 1 << 30
_CPUS = 1
_CGROUPS = Path("/sys/fs/cgroup")


def together(stage: Stage, size: int, through_pgbouncer: bool) -> None:
    """Every domain is crawled once, the run is closed rightly, the metrics are right; or it says what is WRONG."""
    crowd = real_mix(size)
    pooler = pooled(stage.server_url, stage.directory / "pooler") if through_pgbouncer else nullcontext()
    with stage.ledger(crowd) as url, pooler as pool, _limits() as within:
        told = make_conninfo(pool, dbname=conninfo_to_dict(url)["dbname"]) if pool else url
        # What a pod with one CPU finds out for itself.
        env = stage.environment(told, CRAWL_PROCESSES="2", CRAWL_THREADS="128")
        endings = play(url, env, crowd.size, lambda: restart_postgres(stage.directory / "postgres"), within)
        with psycopg.connect(url) as connection:
            books = connection.execute(_BOOKS.encode()).fetchone()
        numbers = scrape(exporter(told))
    summary = endings[2].summary or {}
    sys.stdout.write(
        f"\n{CRAWLERS} crawlers on one run, {size:,} domains,{' PgBouncer,' * through_pgbouncer}"
        f" {'limits of a pod' if within(0) else 'no limits: no cgroup can be made here'}:"
        f" exit codes {[ending.exit_code for ending in endings]}, {summary.get('status')},"
        f" {summary.get('crawled', 0):,} crawled in {summary.get('duration_seconds', 0):.1f} s;"
        f" verdicts, in the ledger, runs, endings, pages of history, leases, suspects: {books}\n"
    )
    size = crowd.size
    whole = {"verdicts": size, "ledger": size, "runs": 1, "endings": 1, "pages": 1, "leases": 0, "suspects": 0}
    right = {
        "exit codes": [ending.exit_code for ending in endings] == [-9, 143, 0, 0],
        "one summary": endings[2].summary == endings[3].summary,
        "status": summary.get("status") == "success",
        "verdicts": dict(summary.get("outcomes", {})) == crowd.verdicts(),
        "books": books == tuple(whole.values()),
        "metrics of the run": numbers.total("vmcrawl_run_last_domains") == size,
        "counters": numbers.total("vmcrawl_crawls_total") == size
        and numbers.of("vmcrawl_runs_total", status="success") == 1,
    }
    for name, fine in right.items():
        if not fine:
            sys.stdout.write(f"  WRONG: {name}: {summary.get('outcomes')}, in truth {crowd.verdicts()}\n")
    sys.stdout.flush()


_BOOKS = """
SELECT (SELECT sum(crawls)::int FROM tallies),
       (SELECT count(*) FROM domains WHERE crawled_in = (SELECT max(id) FROM runs)),
       (SELECT count(*) FROM runs),
       (SELECT sum(runs)::int FROM run_endings),
       (SELECT count(DISTINCT run_id) FROM adoption_history),
       (SELECT count(*) FROM domains WHERE lease_holder IS NOT NULL),
       (SELECT count(*) FROM domains WHERE suspect)
"""


class _Within:
    """What starts a program in a cgroup of its own (version 1); nothing where none can be made."""

    def __init__(self, possible: bool) -> None:
        self.possible = possible

    def __call__(self, index: int) -> Sequence[str]:
        if not self.possible:
            return ()
        enter = "".join(f"echo $$ >{_group(kind, index)}/cgroup.procs; " for kind in ("memory", "cpu"))
        return ("sh", "-c", enter + 'exec "$0" "$@"')


@contextmanager
def _limits() -> Iterator[_Within]:
    try:
        for index in range(CRAWLERS):
            for kind, limit, value in (
                ("memory", "memory.limit_in_bytes", _MEMORY),
                ("cpu", "cpu.cfs_quota_us", 100_000 * _CPUS),
            ):
                _group(kind, index).mkdir(exist_ok=True)
                (_group(kind, index) / limit).write_text(str(value))
    except OSError:
        yield _Within(False)
        return
    try:
        yield _Within(True)
    finally:
        for index in range(CRAWLERS):
            for kind in ("memory", "cpu"):
                _group(kind, index).rmdir()


def _group(kind: str, index: int) -> Path:
    return _CGROUPS / kind / f"vmcrawl-bench-{index}"
