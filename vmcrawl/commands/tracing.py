"""What ``vmcrawl check`` sees of each request: times, address, TLS, the rule of robots.txt, the answer."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime

from vmcrawl.address import Address
from vmcrawl.fetch import FetchSession
from vmcrawl.observation import CrawlFailed
from vmcrawl.robots import find_line, parse_rules, reduce_robots
from vmcrawl.url import host_of, path_of
from vmcrawl.wire import Request, Response, Turn
from vmcrawl.witness import Security, Stage


@dataclass(frozen=True, slots=True)
class AppliedRule:
    """The rule of a robots.txt that decided about a request."""

    host: str
    allows: bool
    #: Of the file as it was sent.
    line: int
    text: str


@dataclass(slots=True)
class Step:
    """One request, or one pause. Times are milliseconds."""

    url: str
    #: The status, or the outcome of what failed; ``crawl-delay`` for a pause, ``forbidden`` where nothing was asked.
    result: str = ""
    detail: str = ""
    milliseconds: int = 0
    #: By stage, as far as the request got.
    times: dict[str, float] = field(default_factory=dict)
    address: str | None = None
    #: Only where the connection is new.
    tls_version: str | None = None
    tls_cipher: str | None = None
    certificate_until: datetime | None = None
    #: Of the body, decoded; and all that came for this request, as it came.
    body_bytes: int | None = None
    received_bytes: int | None = None
    #: None where no rule speaks of it.
    robots: AppliedRule | None = None


class Trace:
    """A witness of requests, and the session that they go through; ``tell`` hears of each step when it is over."""

    def __init__(self, robots_agent: str, tell: Callable[[Step], None]) -> None:
        self._agent = robots_agent
        self._tell = tell
        self._session: FetchSession | None = None
        self._step = Step("")
        self._stage: Stage | None = None
        self._since = 0.0
        self._files: dict[str, bytes] = {}
        #: The host whose robots.txt is being read, while its redirects are followed.
        self._reading: str | None = None
        self.steps: list[Step] = []

    def through(self, session: FetchSession) -> "Trace":
        """Ask by this session from now on, which has this trace for its witness."""
        self._session = session
        return self

    def get(self, request: Request, turn: Turn | None = None) -> Response:
        assert self._session is not None
        self._step = Step(request.url, robots=self._rule(request.url))
        started, received = time.monotonic(), self._session.received_bytes
        try:
            response = self._session.get(request, turn)
            self._answered(request, response)
            return response
        except CrawlFailed as failure:
            self._step.result = self._step.result or str(failure.outcome)
            self._step.detail = self._step.detail or failure.detail
            self._reading = None
            raise
        finally:
            self._leave_stage()
            self._step.received_bytes = self._session.received_bytes - received
            self._over(started)

    def pause(self, seconds: float) -> None:
        assert self._session is not None
        started = time.monotonic()
        self._step = Step("(pause)", "crawl-delay", f"{seconds:g} s")
        self._session.pause(seconds)
        self._over(started)

    def forbidden(self, url: str) -> None:
        """Note what was not asked for, since robots.txt forbids it."""
        self._step = Step(url, "forbidden", "not asked", robots=self._rule(url))
        self._over(time.monotonic())

    def entered(self, stage: Stage) -> None:
        self._leave_stage()
        self._stage, self._since = stage, time.monotonic()

    def at(self, address: Address) -> None:
        self._step.address = str(address)

    def secured(self, security: Security) -> None:
        self._step.tls_version, self._step.tls_cipher = security.version, security.cipher
        self._step.certificate_until = security.certificate_until

    def document(self) -> list[dict[str, object]]:
        """All steps, for JSON."""
        return [asdict(step) for step in self.steps]

    def _leave_stage(self) -> None:
        if self._stage is not None:
            spent = (time.monotonic() - self._since) * 1000
            self._step.times[self._stage] = round(self._step.times.get(self._stage, 0.0) + spent, 1)
            self._stage = None

    def _over(self, started: float) -> None:
        self._step.milliseconds = round((time.monotonic() - started) * 1000)
        self.steps.append(self._step)
        self._tell(self._step)

    def _answered(self, request: Request, response: Response) -> None:
        self._step.result = str(response.status)
        self._step.body_bytes = len(response.body)
        self._step.detail = f"{response.content_type or 'no content type'}, {len(response.body)} bytes"
        redirected = response.location is not None and 300 <= response.status < 400
        if response.location is not None:
            self._step.detail = f"to {response.location!r}"
        is_robots = path_of(request.url) == "/robots.txt"
        self._reading = self._reading or (host_of(request.url) if is_robots else None)
        if self._reading is None or redirected:
            return
        if 200 <= response.status < 300:
            self._files[self._reading] = response.body
            if is_robots:
                self._files[host_of(request.url)] = response.body
        self._reading = None

    def _rule(self, url: str) -> AppliedRule | None:
        host = host_of(url)
        body = self._files.get(host)
        if body is None or self._reading is not None or path_of(url) == "/robots.txt":
            return None
        decided = parse_rules(reduce_robots(body, self._agent)).rule_for(url)
        if decided is None:
            return None
        pattern, allows = decided
        line = find_line(body, self._agent, pattern, allows=allows)
        return None if line is None else AppliedRule(host, allows, *line)
