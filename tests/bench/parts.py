"""Where the CPU of a crawl goes: one thread crawls and records, a timer of CPU time looks what it is doing.

``python -m tests.bench.parts RUNS`` is run by the benchmark with the settings of the program in its environment.
"""

import json
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from types import FrameType

from vmcrawl.config import load_config
from vmcrawl.crawl import Standards, crawl
from vmcrawl.fetch import Client
from vmcrawl.knowledge import load_reader
from vmcrawl.memory import HostMemory
from vmcrawl.polite import Manners
from vmcrawl.schedule import appoint
from vmcrawl.settings import Settings, user_agent
from vmcrawl.store import claims, results, runs
from vmcrawl.store.database import Database
from vmcrawl.store.results import Result

_EVERY_SECONDS = 0.001
_BATCH = 200
_HOLDER = "benchmark"
#: The innermost frame from a file whose path holds one of these says what the time is spent on.
_PARTS = {
    "ssl.py": "TLS",
    "vmcrawl/tls.py": "TLS",
    "vmcrawl/dial.py": "TCP",
    "http/client.py": "HTTP",
    "email/": "HTTP",
    "vmcrawl/coding.py": "HTTP",
    "vmcrawl/connection.py": "HTTP",
    "vmcrawl/fetch.py": "HTTP",
    "vmcrawl/deadline.py": "HTTP",
    "pycares/": "DNS",
    "vmcrawl/resolver.py": "DNS",
    "vmcrawl/hosts.py": "DNS",
    "vmcrawl/address.py": "addresses",
    "ipaddress.py": "addresses",
    "vmcrawl/gate.py": "gate",
    "json/": "JSON",
    "vmcrawl/document.py": "JSON",
    "protego/": "robots",
    "vmcrawl/robots.py": "robots",
    "vmcrawl/polite.py": "robots",
    "vmcrawl/memory.py": "robots",
    "vmcrawl/store/": "database",
    "psycopg": "database",
}


def main() -> None:
    """Crawl all that is due in one thread; writes one JSON object, milliseconds of CPU per domain by part."""
    settings = load_config(None, os.environ, {})
    database = Database(settings.database)
    samples: Counter[str] = Counter()

    def look(_: int, frame: FrameType | None) -> None:
        samples[_part(frame)] += 1

    signal.signal(signal.SIGPROF, look)
    started = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, _EVERY_SECONDS, _EVERY_SECONDS)
    domains = _crawl_all(settings, database)
    signal.setitimer(signal.ITIMER_PROF, 0)
    cost = (time.process_time() - started) / domains * 1e3
    database.close()
    total = sum(samples.values())
    shares = {part: count / total * cost for part, count in samples.most_common()}
    json.dump({"domains": domains, "cost": cost, "parts": shares}, sys.stdout)


def _crawl_all(settings: Settings, database: Database) -> int:
    now = database.now()
    reader = load_reader(database, now.date())
    standards = Standards(reader.why_bad_version, settings.publish.max_active_users)
    manners = Manners(settings.http.robots_agent, settings.crawl.domain_timeout.total_seconds())
    memory = HostMemory(settings.crawl.robots_lifetime)
    client = Client(settings.http, settings.network, user_agent=user_agent(settings.http), lock_file=None)
    run_id = database.run(lambda connection: runs.start_run(connection, now))
    lease = 10 * settings.crawl.domain_timeout
    domains = 0
    while mine := database.run(
        lambda connection: claims.claim(connection, _HOLDER, _BATCH, now, lease, run_id=run_id, due_before=now)
    ):
        batch = []
        for claim in mine:
            for record in claim.robots:
                memory.remember(record)
            with client.session(settings.crawl.domain_timeout) as session:
                seen = crawl(claim.domain, session, now, manners, memory, standards, claim.last)
            seen = replace(seen, duration_seconds=0.1)
            appointment = appoint(seen, claim.failures, claim.last, now, settings, 0.5)
            batch.append(Result(seen, appointment, reader.reading(seen)))
        database.run(partial(results.record, results=batch, holder=_HOLDER))
        domains += len(mine)
    client.close()
    return domains


def _part(frame: FrameType | None) -> str:
    while frame is not None:
        path = frame.f_code.co_filename
        for mark, part in _PARTS.items():
            if mark in path:
                return part
        frame = frame.f_back
    return "rest"


if __name__ == "__main__":
    main()
