"""How we ask a stranger's server: robots.txt before every path, its delay between requests, its refusals at once.

This is the upper of two storeys of HTTP. Nothing that decides what to ask can reach the network but through here,
so nobody can forget robots.txt.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime

from vmcrawl.document import is_json_type, parse_json
from vmcrawl.exclusion import Exclusions
from vmcrawl.observation import CrawlFailed, RobotsRecord
from vmcrawl.outcome import Outcome
from vmcrawl.robots import Rules, parse_rules, reduce_robots
from vmcrawl.schedule import retry_after_seconds
from vmcrawl.url import InvalidUrl, host_of, redirect_target
from vmcrawl.wire import Request, Response, Session

#: RFC 9309, 2.3.1.2 asks for at least five consecutive redirects; nobody needs more.
MAX_REDIRECTS = 5
#: RFC 9309, 2.5: a crawler must read at least 500 KiB; what follows does not count.
ROBOTS_BYTES = 500 * 1024
#: The requests that may follow robots.txt on one host: well-known, NodeInfo, instance API v2 and v1.
REQUESTS_PER_HOST = 4
#: A file with more rules for us than this is read again each time rather than kept.
_LONGEST_KEPT_RULES = 64 * 1024

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Failures of a body: the file is there, and we do not know what it says.
_UNREADABLE = frozenset({Outcome.BAD_CONTENT_TYPE, Outcome.BAD_JSON, Outcome.TOO_LARGE})
_OPT_OUTS = frozenset({410, 418, 451})


@dataclass(frozen=True, slots=True)
class Manners:
    """What our conduct depends on: who we are for robots.txt, whom never to ask, what earlier crawls remember."""

    robots_agent: str
    domain_timeout_seconds: float
    exclusions: Exclusions = field(default_factory=Exclusions)
    #: The rules a host gave within the last day, if they are known.
    recall: Callable[[str], RobotsRecord | None] = field(default=lambda host: None)
    #: Told at once what was read anew, for other crawls under way.
    remember: Callable[[RobotsRecord], None] = field(default=lambda record: None)
    #: Entered while robots.txt of a host is read: others that need it had better wait than read it, too.
    reading: Callable[[str], AbstractContextManager[None]] = field(default=lambda host: nullcontext())


class Visitor:
    """Asks on behalf of one crawl. Every method raises :class:`CrawlFailed` for every way of not getting an answer."""

    def __init__(self, session: Session, manners: Manners, now: datetime) -> None:
        self._session = session
        self._manners = manners
        self._now = now
        self._rules: dict[str, Rules] = {}
        self._asked: set[str] = set()
        #: Requests made so far, those for robots.txt and redirects included.
        self.requests = 0
        #: What this crawl read anew, for the next one to remember.
        self.robots: list[RobotsRecord] = []

    def get(self, url: str, accept: str = "application/json") -> Response:
        """GET ``url``, follow at most five redirects; returns an answer of any status but refusals and redirects."""
        request = Request(url, accept)
        self._require_permission(url)
        return self._follow(request, self._ask(request))

    def get_json(self, url: str) -> tuple[object, str]:
        """GET a JSON document; returns it with the URL that finally served it. Any status but 200 is a failure."""
        response = self.get(url)
        require_success(response)
        if not is_json_type(response.content_type):
            raise CrawlFailed(Outcome.BAD_CONTENT_TYPE, f"{response.url} is {response.content_type}")
        try:
            return parse_json(response.body), response.url
        except ValueError as error:
            raise CrawlFailed(Outcome.BAD_JSON, f"{response.url}: {error}") from error

    def _follow(self, request: Request, response: Response) -> Response:
        """Follow the redirects that ``response``, the answer to ``request``, begins."""
        seen = {request.url}
        for _ in range(MAX_REDIRECTS):
            if not _is_redirect(response):
                return response
            request = _next_hop(request, response, seen)
            self._require_permission(request.url)
            response = self._ask(request)
        if _is_redirect(response):
            raise CrawlFailed(Outcome.TOO_MANY_REDIRECTS, f"more than {MAX_REDIRECTS} redirects, to {request.url}")
        return response

    def _ask(self, request: Request) -> Response:
        host = host_of(request.url)
        delay = self._rules[host].crawl_delay
        if delay and host in self._asked:
            self._session.pause(delay)
        self._asked.add(host)
        self.requests += 1
        response = self._session.get(request)
        if response.status in _OPT_OUTS:
            raise CrawlFailed(Outcome.OPTED_OUT, f"{request.url} answered {response.status}")
        if response.status == 429:
            wait = retry_after_seconds(response.retry_after, self._now)
            raise CrawlFailed(Outcome.RATE_LIMITED, f"{request.url} answered 429", retry_after_seconds=wait)
        return response

    def _require_permission(self, url: str) -> None:
        host = host_of(url)
        if self._manners.exclusions.covers(host):
            raise CrawlFailed(Outcome.EXCLUDED, f"{host} is excluded from all crawls")
        if host not in self._rules:
            self._learn_rules(host)
        rules = self._rules[host]
        if not rules.allows(url):
            raise CrawlFailed(Outcome.ROBOTS_DISALLOWED, f"robots.txt of {host} forbids {url}")
        delay = rules.crawl_delay or 0
        if delay * REQUESTS_PER_HOST > self._manners.domain_timeout_seconds:
            raise CrawlFailed(Outcome.ROBOTS_DISALLOWED, f"robots.txt of {host} asks for {delay:g} s between requests")

    def _learn_rules(self, host: str) -> None:
        try:
            self._read_rules(host)
        except CrawlFailed as failure:
            # Whoever goes on all the same must not find the rules of the moment of reading.
            del self._rules[host]
            if failure.outcome in _UNREADABLE:
                detail = f"robots.txt of {host} cannot be read: {failure.detail}"
                raise CrawlFailed(Outcome.ROBOTS_UNREACHABLE, detail) from failure
            raise

    def _read_rules(self, host: str) -> None:
        # While the file is being read nothing is forbidden on this host: robots.txt may redirect within it, and two
        # hosts whose files redirect to each other must not send us round in circles.
        self._rules[host] = parse_rules("")
        request = Request(f"https://{host}/robots.txt", "text/plain, */*;q=0.1", truncate_at=ROBOTS_BYTES)
        with self._manners.reading(host):
            if (known := self._manners.recall(host)) is not None:
                self._rules[host] = parse_rules(known.rules)
                return
            response = self._ask(request)
            if not _is_redirect(response):
                self._adopt(host, response)
                return
        # The file of another host may be needed on the way, and whoever reads that may be waiting for this one.
        self._adopt(host, self._follow(request, response))

    def _adopt(self, host: str, response: Response) -> None:
        if response.status >= 500:
            raise CrawlFailed(Outcome.ROBOTS_UNREACHABLE, f"{response.url} answered {response.status}")
        # RFC 9309, 2.3.1.3: a file that is unavailable forbids nothing.
        found = 200 <= response.status < 300
        reduced = reduce_robots(response.body, self._manners.robots_agent) if found else ""
        self._rules[host] = parse_rules(reduced)
        if len(reduced) <= _LONGEST_KEPT_RULES:
            record = RobotsRecord(host, self._now, reduced)
            self.robots.append(record)
            self._manners.remember(record)


def require_success(response: Response) -> None:
    """Raise the outcome of a status that is not 200."""
    if response.status == 200:
        return
    outcome = {4: Outcome.HTTP_4XX, 5: Outcome.HTTP_5XX}.get(response.status // 100, Outcome.HTTP_OTHER)
    raise CrawlFailed(outcome, f"{response.url} answered {response.status}", status=response.status)


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
    return Request(target, request.accept, request.truncate_at)
