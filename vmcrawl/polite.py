"""How we ask a stranger's server: robots.txt before every path, its delay between requests, its refusals at once.

This is the upper of two storeys of HTTP. Nothing that decides what to ask can reach the network but through here,
so nobody can forget robots.txt.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from math import ceil
from typing import Protocol

from vmcrawl.document import is_json_type, parse_json
from vmcrawl.exclusion import Covering, Exclusions
from vmcrawl.observation import CrawlFailed, RobotsRecord
from vmcrawl.optout import answered, forbidden, too_slow
from vmcrawl.outcome import Outcome
from vmcrawl.robots import MAX_BYTES, Rules, parse_rules, reduce_robots
from vmcrawl.schedule import retry_after_seconds
from vmcrawl.url import InvalidUrl, host_of, path_of, redirect_target
from vmcrawl.wire import Download, Request, Response, Session

#: RFC 9309, 2.3.1.2 asks for at least five consecutive redirects; nobody needs more.
MAX_REDIRECTS = 5
#: The requests that may follow robots.txt on one host: well-known, NodeInfo, instance API v2 and v1.
REQUESTS_PER_HOST = 4
#: How long to leave a host alone that answered 429 and did not say when to come again.
_REST_SECONDS = 60
#: How long, and how often, to look whether somebody else has finished reading the same robots.txt.
_PATIENCE_SECONDS = 15.0
_GLANCE_SECONDS = 0.1

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Failures of a body: the file is there, and we do not know what it says.
_UNREADABLE = frozenset({Outcome.BAD_CONTENT_TYPE, Outcome.BAD_JSON, Outcome.TOO_LARGE})
_OPT_OUTS = frozenset({410, 418, 451})


class Memory(Protocol):
    """What other crawls of the process know; :class:`vmcrawl.memory.HostMemory` is the real one."""

    def recall(self, host: str) -> RobotsRecord | None: ...

    def remember(self, record: RobotsRecord) -> None: ...

    def note_opt_out(self, host: str) -> None: ...

    def opted_out(self, host: str) -> bool: ...

    def note_unreachable(self, host: str) -> None: ...

    def unreachable(self, host: str) -> bool: ...

    def begin_reading(self, host: str) -> bool: ...

    def end_reading(self, host: str) -> None: ...

    def seconds_until_next(self, host: str, delay: float) -> float: ...

    def asked(self, host: str, delay: float) -> None: ...

    def leave_alone(self, host: str, seconds: float) -> None: ...

    def seconds_left_alone(self, host: str) -> int: ...


@dataclass(frozen=True, slots=True)
class Manners:
    """What our conduct depends on: who we are for robots.txt, how long a crawl may take, whom never to ask."""

    robots_agent: str
    domain_timeout_seconds: float
    #: Asked before each request, so that what is new in it holds for crawls that are in flight.
    exclusions: Covering = field(default_factory=Exclusions)


class Visitor:
    """Asks on behalf of one crawl. Every method raises :class:`CrawlFailed` for every way of not getting an answer."""

    def __init__(self, session: Session, manners: Manners, memory: Memory, now: datetime) -> None:
        self._session = session
        self._manners = manners
        self._memory = memory
        self._now = now
        self._rules: dict[str, Rules] = {}
        self._rules_read_at: dict[str, datetime] = {}
        #: Requests made so far, those for robots.txt and redirects included.
        self.requests = 0
        #: What this crawl read anew, for the next one to remember.
        self.robots: list[RobotsRecord] = []

    @property
    def rules_read_at(self) -> datetime | None:
        """When the oldest of the rules were read that have been gone by so far."""
        return min(self._rules_read_at.values(), default=None)

    def ask(self, url: str, validator: str) -> Response:
        """GET ``url``, if it is another document than the one that ``validator`` is of; redirects are not followed."""
        self.require_permission(url)
        return self._ask(Request(url, validator=validator))

    def get(self, url: str, accept: str = "application/json") -> Response:
        """GET ``url``, follow at most five redirects; returns an answer of any status but refusals and redirects."""
        request = Request(url, accept)
        self.require_permission(url)
        return self._follow(request, self._ask(request))

    def download(self, url: str, download: Download) -> Response:
        """As :meth:`get`, for a document that is too long to be held: a 200 goes to ``download``, piece by piece."""
        request = Request(url, download=download)
        self.require_permission(url)
        return self._follow(request, self._ask(request))

    def get_json(self, url: str) -> tuple[object, Response]:
        """GET a JSON document; returns it with the answer that finally served it. Any status but 200 is a failure."""
        response = self.get(url)
        return self.read_json(response), response

    def read_json(self, response: Response) -> object:
        """The JSON document in an answer; raises :class:`CrawlFailed` for every other."""
        self.require_success(response)
        if not is_json_type(response.content_type):
            raise CrawlFailed(Outcome.BAD_CONTENT_TYPE, f"{response.url} is {response.content_type}")
        try:
            return parse_json(response.body)
        except ValueError as error:
            raise CrawlFailed(Outcome.BAD_JSON, f"{response.url}: {error}") from error

    def _follow(self, request: Request, response: Response) -> Response:
        """Follow the redirects that ``response``, the answer to ``request``, begins."""
        seen = {request.url}
        for _ in range(MAX_REDIRECTS):
            if not _is_redirect(response):
                return response
            request = _next_hop(request, response, seen)
            self.require_permission(request.url)
            response = self._ask(request)
        if _is_redirect(response):
            raise CrawlFailed(Outcome.TOO_MANY_REDIRECTS, f"more than {MAX_REDIRECTS} redirects, to {request.url}")
        return response

    def require_success(self, response: Response) -> None:
        """Raise the outcome of a status that is not 200."""
        if response.status == 200:
            return
        outcome = {4: Outcome.HTTP_4XX, 5: Outcome.HTTP_5XX}.get(response.status // 100, Outcome.HTTP_OTHER)
        raise self._unavailable(outcome, response)

    def _unavailable(self, outcome: Outcome, response: Response) -> CrawlFailed:
        """The failure for a status; a server that says when to come again (RFC 9110, 10.2.3) is taken at its word."""
        wait = retry_after_seconds(response.retry_after, self._now)
        if wait is not None:
            self._memory.leave_alone(host_of(response.url), wait)
        detail = f"{response.url} answered {response.status}"
        return CrawlFailed(outcome, detail, status=response.status, retry_after_seconds=wait)

    def _ask(self, request: Request) -> Response:
        host = host_of(request.url)
        delay = self._rules[host].crawl_delay if host in self._rules else None
        if delay:
            self._keep_distance(host, delay)
        turn = _Turn(host, delay, self._memory, self._now, self._manners.exclusions)
        try:
            return self._session.get(request, turn)
        finally:
            self.requests += turn.begun

    def _keep_distance(self, host: str, delay: float) -> None:
        waited = 0.0
        while wait := self._memory.seconds_until_next(host, delay):
            waited += wait
            if waited > self._manners.domain_timeout_seconds:
                detail = f"{host} asks for {delay:g} s between requests, and others of ours are waiting for it"
                raise CrawlFailed(Outcome.RATE_LIMITED, detail, retry_after_seconds=ceil(waited))
            self._session.pause(wait)

    def require_permission(self, url: str) -> None:
        """Raise :class:`CrawlFailed` unless ``url`` may be asked for; reads robots.txt of its host if need be."""
        host = host_of(url)
        _require_no_exclusion(host, self._manners.exclusions)
        _require_peace(host, self._memory)
        if path_of(url) == "/robots.txt":
            return
        if host not in self._rules:
            self._learn_rules(host)
        rules = self._rules[host]
        if (rule := rules.forbidding(url)) is not None:
            raise CrawlFailed(Outcome.ROBOTS_DISALLOWED, forbidden(host, rule, rules.agent, url))
        delay = rules.crawl_delay or 0
        if delay * REQUESTS_PER_HOST > self._manners.domain_timeout_seconds:
            raise CrawlFailed(Outcome.ROBOTS_DISALLOWED, too_slow(host, delay, rules.agent))

    def _learn_rules(self, host: str) -> None:
        waited = 0.0
        while not (alone := self._memory.begin_reading(host)) and waited < _PATIENCE_SECONDS:
            # Somebody else is reading it; what we wait for is ours, and no reason to blame this domain.
            self._session.pause(_GLANCE_SECONDS)
            waited += _GLANCE_SECONDS
        try:
            known = self._memory.recall(host)
            # What the database knows of the host has been learned only now.
            _require_peace(host, self._memory)
            if known is not None:
                self._rules[host] = parse_rules(known.rules)
                self._rules_read_at[host] = known.read_at
            else:
                self._read_rules(host)
        except CrawlFailed as failure:
            # Whoever goes on all the same must not find the rules of the moment of reading.
            self._rules.pop(host, None)
            if failure.outcome in _UNREADABLE:
                detail = f"robots.txt of {host} cannot be read: {failure.detail}"
                raise CrawlFailed(Outcome.ROBOTS_UNREACHABLE, detail) from failure
            raise
        finally:
            if alone:
                self._memory.end_reading(host)

    def _read_rules(self, host: str) -> None:
        # While the file is being read nothing is forbidden on this host: robots.txt may redirect within it, and two
        # hosts whose files redirect to each other must not send us round in circles.
        self._rules[host] = parse_rules("")
        request = Request(f"https://{host}/robots.txt", "text/plain, */*;q=0.1", truncate_at=MAX_BYTES)
        response = self._follow(request, self._ask(request))
        if response.status >= 500:
            raise self._unavailable(Outcome.ROBOTS_UNREACHABLE, response)
        # RFC 9309, 2.3.1.3: a file that is unavailable forbids nothing.
        found = 200 <= response.status < 300
        reduced = reduce_robots(response.body, self._manners.robots_agent) if found else ""
        self._adopt(host, reduced)
        # A redirect from example.org/robots.txt to www.example.org/robots.txt has shown us the rules of both.
        if path_of(response.url) == "/robots.txt" and (served_by := host_of(response.url)) != host:
            self._adopt(served_by, reduced)

    def _adopt(self, host: str, reduced: str) -> None:
        self._rules[host] = parse_rules(reduced)
        self._rules_read_at[host] = self._now
        record = RobotsRecord(host, self._now, reduced)
        self.robots.append(record)
        self._memory.remember(record)
        if delay := self._rules[host].crawl_delay:
            self._memory.asked(host, delay)


class _Turn:
    """One request's turn at a host: asks nobody who has refused in the meantime, and tells at once who refuses now."""

    def __init__(self, host: str, delay: float | None, memory: Memory, now: datetime, exclusions: Covering) -> None:
        self._exclusions = exclusions
        self._host = host
        self._delay = delay
        self._memory = memory
        self._now = now
        self.begun = False

    def begin(self) -> None:
        # Waiting for the gate, or for a Crawl-delay, may have taken its time.
        _require_no_exclusion(self._host, self._exclusions)
        _require_peace(self._host, self._memory)
        self.begun = True

    def end(self, response: Response) -> None:
        if self._delay:
            self._memory.asked(self._host, self._delay)
        if response.status in _OPT_OUTS:
            self._memory.note_opt_out(self._host)
            raise CrawlFailed(Outcome.OPTED_OUT, answered(response.url, response.status))
        if response.status == 429:
            wait = retry_after_seconds(response.retry_after, self._now)
            self._memory.leave_alone(self._host, _REST_SECONDS if wait is None else wait)
            raise CrawlFailed(Outcome.RATE_LIMITED, f"{response.url} answered 429", retry_after_seconds=wait)
        if response.status >= 500 and path_of(response.url) == "/robots.txt":
            self._memory.note_unreachable(self._host)


def _require_no_exclusion(host: str, exclusions: Covering) -> None:
    if exclusions.covers(host):
        raise CrawlFailed(Outcome.EXCLUDED, f"{host} is excluded from all crawls")


def _require_peace(host: str, memory: Memory) -> None:
    """Raise what ``host`` has told another crawl: that it wants none of this, or to be left alone for a while."""
    if memory.opted_out(host):
        raise CrawlFailed(Outcome.OPTED_OUT, f"{host} has opted out")
    if left := memory.seconds_left_alone(host):
        detail = f"{host} has asked to be left alone for another {left} s"
        raise CrawlFailed(Outcome.RATE_LIMITED, detail, retry_after_seconds=left)
    if memory.unreachable(host):
        raise CrawlFailed(Outcome.ROBOTS_UNREACHABLE, f"robots.txt of {host} has just answered 5xx to another crawl")


def _is_redirect(response: Response) -> bool:
    return response.status in _REDIRECTS and response.location is not None


def _next_hop(request: Request, response: Response, seen: set[str]) -> Request:
    location = response.location or ""
    try:
        target = redirect_target(location, request.url)
    except InvalidUrl as error:
        raise CrawlFailed(Outcome.BAD_REDIRECT, f"{request.url} redirects to {location[:200]!r}: {error}") from error
    if target in seen:
        raise CrawlFailed(Outcome.TOO_MANY_REDIRECTS, f"{request.url} redirects back to {target}")
    seen.add(target)
    return replace(request, url=target, validator="")
