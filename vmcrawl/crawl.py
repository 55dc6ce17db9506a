"""One domain, from robots.txt to a verdict: the story that everything else serves."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from vmcrawl.again import look_again
from vmcrawl.discovery import find_nodeinfo
from vmcrawl.document import clean_text
from vmcrawl.domain import Domain
from vmcrawl.identity import leads_back, named_domain
from vmcrawl.nodeinfo import NodeInfo, is_mastodon_family, whole_number
from vmcrawl.observation import CrawlFailed, LastLook, Observation
from vmcrawl.outcome import Outcome
from vmcrawl.polite import Manners, Memory, Visitor
from vmcrawl.url import host_of
from vmcrawl.wire import Response, Session

log = logging.getLogger(__name__)

#: Long enough to explain any verdict, short enough for a line on a screen.
_LONGEST_DETAIL = 500
#: What a server sent is stored as it is, up to here; the parsers have refused longer versions by then.
_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Standards:
    """What a NodeInfo document must meet: ``why_bad_version(software, version, upstream_version)`` is None if fine."""

    why_bad_version: Callable[[str, str | None, str | None], str | None]
    max_active_users: int


def crawl(
    domain: Domain,
    session: Session,
    now: datetime,
    manners: Manners,
    memory: Memory,
    standards: Standards,
    last: LastLook | None = None,
) -> Observation:
    """Crawl one domain. Never raises: every ending is the :class:`Outcome` of the observation.

    ``now`` is when the crawl began (aware); ``session`` is the network as this one crawl may use it, ``memory`` what
    other crawls know of the hosts it comes to. ``last`` is the last look at the server if that was good: as long as
    it is trusted, and nothing is odd, one request is all.
    """
    visitor = Visitor(session, manners, memory, now)
    seen = _Seen()
    retry_after_seconds = None
    try:
        if last is None or now >= last.trusted_until or not _is_as_it_was(domain, last, visitor, standards, seen):
            outcome, detail = _look(domain, visitor, standards, seen)
        else:
            outcome, detail = Outcome.OK, ""
    except CrawlFailed as failure:
        outcome, detail, retry_after_seconds = failure.outcome, failure.detail, failure.retry_after_seconds
    except Exception as error:
        log.exception("the crawl of %s ended in a bug", domain)
        outcome, detail = Outcome.INTERNAL_ERROR, f"{type(error).__name__}: {error}"
    return Observation(
        domain,
        now,
        outcome,
        clean_text(detail, _LONGEST_DETAIL),
        alias_of=seen.alias_of,
        software=seen.software,
        version=seen.version,
        upstream_version=seen.upstream_version,
        active_users=seen.active_users,
        nodeinfo_url=seen.nodeinfo_url,
        retry_after_seconds=retry_after_seconds,
        robots=tuple(visitor.robots),
        requests=visitor.requests,
        confirmed=seen.confirmed,
        validator=seen.validator,
        fresh_seconds=seen.fresh_seconds,
        rules_read_at=visitor.rules_read_at,
    )


@dataclass(slots=True)
class _Seen:
    """What has become known so far: it is kept, whichever way the crawl ends."""

    software: str | None = None
    version: str | None = None
    upstream_version: str | None = None
    active_users: int | None = None
    nodeinfo_url: str | None = None
    alias_of: Domain | None = None
    confirmed: bool = True
    validator: str | None = None
    fresh_seconds: int = 0

    def take(self, nodeinfo: NodeInfo) -> None:
        """Keep what may be stored of a document."""
        self.software = clean_text(nodeinfo.software_name, _LONGEST_TEXT)
        self.version = _storable(nodeinfo.software_version)
        upstream = (nodeinfo.upstream_name or "").strip().lower() == "mastodon"
        self.upstream_version = _storable(nodeinfo.upstream_version) if upstream else None

    def note(self, response: Response) -> None:
        """Keep where NodeInfo is, and what its server says of keeping it."""
        self.nodeinfo_url, self.validator = response.url, response.validator
        self.fresh_seconds = response.fresh_seconds


def _is_as_it_was(domain: Domain, last: LastLook, visitor: Visitor, standards: Standards, seen: _Seen) -> bool:
    """Ask once; False, and nothing is taken from the answer, unless software and version are the same as ever."""
    answer = look_again(domain, last, visitor)
    if answer is None:
        return False
    nodeinfo, response = answer
    found = _Seen(last.software, last.version, last.upstream_version, last.active_users)
    if nodeinfo is not None:
        found.take(nodeinfo)
        found.active_users = whole_number(nodeinfo.active_month, standards.max_active_users)
    same = (found.software, found.version, found.upstream_version or None) == (
        (last.software, last.version, last.upstream_version or None)
    )
    if not same or found.active_users is None:
        return False
    if standards.why_bad_version(last.software, last.version, last.upstream_version) is not None:
        return False
    seen.software, seen.version, seen.upstream_version = found.software, found.version, found.upstream_version
    seen.active_users, seen.confirmed = found.active_users, False
    seen.note(response)
    if nodeinfo is None:
        # An answer without a body need not repeat it (RFC 9110, 15.4.5).
        seen.validator = response.validator or last.validator
    return True


def _look(domain: Domain, visitor: Visitor, standards: Standards, seen: _Seen) -> tuple[Outcome, str]:
    found = find_nodeinfo(domain, visitor)
    nodeinfo = found.nodeinfo
    seen.take(nodeinfo)
    seen.note(found.response)
    if not is_mastodon_family(nodeinfo):
        return Outcome.NOT_MASTODON, f"NodeInfo names {seen.software}"
    refusal = standards.why_bad_version(nodeinfo.software_name, nodeinfo.software_version, seen.upstream_version)
    if refusal:
        return Outcome.BAD_VERSION, refusal
    seen.active_users = whole_number(nodeinfo.active_month, standards.max_active_users)
    if seen.active_users is None:
        return Outcome.NO_ACTIVE_USERS, f"usage.users.activeMonth is {nodeinfo.active_month!r:.100}"
    return _confirm(domain, host_of(found.url), visitor, seen)


def _confirm(domain: Domain, backend: str, visitor: Visitor, seen: _Seen) -> tuple[Outcome, str]:
    named, api_host = named_domain(backend, visitor)
    if named == domain:
        return Outcome.OK, ""
    # A server speaks for itself: whoever was led to its own host by us (www, an old name) is an alias of it.
    if named == api_host or leads_back(named, frozenset({domain, backend, api_host}), visitor):
        seen.alias_of = named
        return Outcome.ALIAS, f"the instance API of {api_host} names {named}"
    return Outcome.ALIAS_UNVERIFIED, f"the instance API of {api_host} names {named}, which does not lead back"


def _storable(text: str | None) -> str | None:
    return None if text is None else clean_text(text, _LONGEST_TEXT)
