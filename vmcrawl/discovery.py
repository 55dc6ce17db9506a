"""Where a domain's NodeInfo document is: at the domain itself, or on the backend that host-meta or webfinger name."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from vmcrawl.document import InvalidDocument, parse_json
from vmcrawl.domain import Domain
from vmcrawl.nodeinfo import NodeInfo, parse_nodeinfo
from vmcrawl.observation import CrawlFailed
from vmcrawl.outcome import Outcome
from vmcrawl.polite import Visitor
from vmcrawl.url import host_of
from vmcrawl.wellknown import (
    DocumentLink,
    InlineDocument,
    MatrixServer,
    parse_host_meta,
    parse_host_meta_json,
    parse_nodeinfo_links,
    parse_webfinger,
)
from vmcrawl.wire import Response

#: The host answered, but has no NodeInfo: the domain may live on another host. After 5xx or no answer at all it is
#: the server that is in trouble, and more requests would not help.
_NO_NODEINFO_HERE = frozenset(
    {Outcome.HTTP_4XX, Outcome.HTTP_OTHER, Outcome.BAD_CONTENT_TYPE, Outcome.BAD_JSON},
)
#: Answers of host-meta or webfinger that only say "nothing here"; refusals and transport failures end the crawl.
_NOTHING_HERE = _NO_NODEINFO_HERE | {Outcome.HTTP_5XX, Outcome.TOO_LARGE}
#: Other hosts tried at most: host-meta names one, webfinger one or two.
_MAX_BACKENDS = 3


@dataclass(frozen=True, slots=True)
class Found:
    """A NodeInfo document and the answer that finally served it, after redirects."""

    nodeinfo: NodeInfo
    response: Response

    @property
    def url(self) -> str:
        """Where it is."""
        return self.response.url


def find_nodeinfo(domain: Domain, visitor: Visitor) -> Found:
    """Read the NodeInfo document of ``domain``; raises :class:`CrawlFailed`.

    The decisive failure is that of the domain's own well-known document, unless host-meta or webfinger led to
    another host: then it is the first such host's.
    """
    decisive: CrawlFailed
    try:
        link = _nodeinfo_link(domain, visitor)
    except CrawlFailed as failure:
        if failure.outcome not in _NO_NODEINFO_HERE:
            raise
        decisive = _without_traces(failure)
    else:
        return _read(link, visitor)
    elsewhere: CrawlFailed | None = None
    for host in islice(backends(domain, visitor), _MAX_BACKENDS):
        try:
            link = _nodeinfo_link(host, visitor)
        except CrawlFailed as failure:
            if failure.outcome not in _NO_NODEINFO_HERE:
                raise
            elsewhere = elsewhere or _without_traces(failure)
        else:
            return _read(link, visitor)
    raise _without_traces(elsewhere or decisive)


def _without_traces(failure: CrawlFailed) -> CrawlFailed:
    """The same failure without the frames it came through.

    A frame that keeps an error which knows that frame is freed by nobody but the garbage collector.
    """
    return CrawlFailed(
        failure.outcome, failure.detail, status=failure.status, retry_after_seconds=failure.retry_after_seconds
    )


def backends(domain: str, visitor: Visitor) -> Iterator[str]:
    """Name the other hosts that serve ``domain`` by its host-meta (RFC 6415), then webfinger (RFC 7033), lazily."""
    named = {domain}
    for look in (_by_host_meta, _by_webfinger):
        for host in look(domain, visitor):
            if host not in named:
                named.add(host)
                yield host


def linked_hosts(domain: str, visitor: Visitor) -> frozenset[str]:
    """The hosts that the well-known NodeInfo document of ``domain`` leads to, by redirect or by link."""
    document, response = visitor.get_json(f"https://{domain}/.well-known/nodeinfo")
    url = response.url
    try:
        link = parse_nodeinfo_links(document, url)
    except InvalidDocument:
        return frozenset({host_of(url)})
    return frozenset({host_of(url)} | ({host_of(link.url)} if isinstance(link, DocumentLink) else set()))


def _nodeinfo_link(host: str, visitor: Visitor) -> DocumentLink | Found:
    document, response = visitor.get_json(f"https://{host}/.well-known/nodeinfo")
    try:
        link = parse_nodeinfo_links(document, response.url)
    except InvalidDocument as error:
        raise CrawlFailed(Outcome.BAD_JSON, f"{response.url}: {error}") from error
    match link:
        case MatrixServer():
            raise CrawlFailed(Outcome.NOT_MASTODON, f"{host} is a Matrix server")
        case InlineDocument(inline):
            return _found(inline, response)
        case DocumentLink():
            return link


def _read(link: DocumentLink | Found, visitor: Visitor) -> Found:
    return link if isinstance(link, Found) else _found(*visitor.get_json(link.url))


def _found(document: object, response: Response) -> Found:
    try:
        return Found(parse_nodeinfo(document), response)
    except InvalidDocument as error:
        raise CrawlFailed(Outcome.BAD_JSON, f"{response.url}: {error}") from error


def _by_host_meta(domain: str, visitor: Visitor) -> list[str]:
    # The plain path may answer with either form (RFC 6415, 3); where it names nobody, the JSON form has a path of its
    # own.
    url = f"https://{domain}/.well-known/host-meta"
    return _hosts_of(url, visitor, "application/xrd+xml, application/jrd+json;q=0.9, application/json;q=0.8") or (
        _hosts_of(f"{url}.json", visitor, "application/jrd+json, application/json;q=0.9")
    )


def _by_webfinger(domain: str, visitor: Visitor) -> list[str]:
    url = f"https://{domain}/.well-known/webfinger?resource=acct:{domain}@{domain}"
    try:
        document, response = visitor.get_json(url)
        return parse_webfinger(document, response.url)
    except (CrawlFailed, InvalidDocument) as failure:
        return _nothing(failure)


def _hosts_of(url: str, visitor: Visitor, accept: str) -> list[str]:
    try:
        response = visitor.get(url, accept)
        visitor.require_success(response)
        if response.body.lstrip()[:1] == b"{":
            return parse_host_meta_json(parse_json(response.body), response.url)
        return parse_host_meta(response.body, response.url)
    except (CrawlFailed, InvalidDocument) as failure:
        return _nothing(failure)


def _nothing(failure: CrawlFailed | InvalidDocument) -> list[str]:
    """No host is named by an answer that says nothing; refusals and transport failures end the crawl."""
    if isinstance(failure, CrawlFailed) and failure.outcome not in _NOTHING_HERE:
        raise failure
    return []
