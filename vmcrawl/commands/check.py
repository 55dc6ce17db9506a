"""``vmcrawl check DOMAIN``: crawl one domain before your eyes, and write nothing."""

import argparse
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime

from vmcrawl.commands.database import known_facts
from vmcrawl.commands.display import shown, write_facts, write_json
from vmcrawl.commands.names import read_domain
from vmcrawl.crawl import Standards, crawl
from vmcrawl.fetch import Client
from vmcrawl.gate import default_lock_file
from vmcrawl.memory import HostMemory
from vmcrawl.observation import CrawlFailed, Observation
from vmcrawl.polite import Manners
from vmcrawl.reading import Reader
from vmcrawl.settings import Settings, user_agent
from vmcrawl.wire import Request, Response, Session, Turn


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser("check", help="crawl one domain, print each step and the observation, write nothing")
    parser.add_argument("domain", metavar="DOMAIN")
    parser.add_argument("--json", action="store_true", help="steps and observation as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Crawl one domain; 0 whatever the verdict is, 2 if it is no domain."""
    domain = read_domain(arguments.domain)
    if domain is None:
        return 2
    exclusions, catalogue = known_facts(settings)
    manners = Manners(settings.http.robots_agent, settings.crawl.domain_timeout.total_seconds(), exclusions)
    now = datetime.now(UTC)
    standards = Standards(Reader(now.date(), catalogue).why_bad_version, settings.publish.max_active_users)
    client = Client(
        settings.http, settings.network, user_agent=user_agent(settings.http), lock_file=default_lock_file()
    )
    try:
        with client.session(settings.crawl.domain_timeout) as session:
            watched = _Watched(session, aloud=not arguments.json)
            seen = crawl(domain, watched, now, manners, HostMemory(settings.crawl.robots_lifetime), standards)
    finally:
        client.close()
    if arguments.json:
        document = {"steps": watched.steps, "observation": asdict(seen)}
        write_json(sys.stdout, document)
    else:
        _write(seen)
    return 0


class _Watched:
    """A session that tells each step as it happens."""

    def __init__(self, session: Session, *, aloud: bool) -> None:
        self._session = session
        self._aloud = aloud
        self.steps: list[dict[str, object]] = []

    def get(self, request: Request, turn: Turn | None = None) -> Response:
        started = time.monotonic()
        try:
            response = self._session.get(request, turn)
        except CrawlFailed as failure:
            self._tell(request.url, str(failure.outcome), failure.detail, started)
            raise
        detail = f"{response.content_type or 'no content type'}, {len(response.body)} bytes"
        if response.location is not None:
            detail = f"to {response.location!r}"
        self._tell(request.url, str(response.status), detail, started)
        return response

    def pause(self, seconds: float) -> None:
        started = time.monotonic()
        self._session.pause(seconds)
        self._tell("(pause)", "crawl-delay", f"{seconds:g} s", started)

    def _tell(self, url: str, result: str, detail: str, started: float) -> None:
        milliseconds = round((time.monotonic() - started) * 1000)
        self.steps.append({"url": url, "result": result, "detail": detail, "milliseconds": milliseconds})
        if self._aloud:
            sys.stdout.write(f"{milliseconds:6d} ms  {result:>4}  {shown(url)}  {shown(detail)}\n")
            sys.stdout.flush()


def _write(seen: Observation) -> None:
    facts = {
        "outcome": seen.outcome,
        "detail": seen.detail,
        "alias of": seen.alias_of,
        "software": seen.software,
        "version": seen.version,
        "upstream version": seen.upstream_version,
        "active users": seen.active_users,
        "NodeInfo": seen.nodeinfo_url,
        "requests": seen.requests,
    }
    write_facts(sys.stdout, ((name, value) for name, value in facts.items() if value not in (None, "")))
