"""Looking again at a server that is known: one request, as long as nothing is odd."""

from vmcrawl.document import InvalidDocument
from vmcrawl.domain import Domain
from vmcrawl.nodeinfo import NodeInfo, parse_nodeinfo
from vmcrawl.observation import CrawlFailed, LastLook
from vmcrawl.outcome import Outcome
from vmcrawl.polite import Visitor
from vmcrawl.url import host_of
from vmcrawl.wire import Response

#: Whoever cannot be connected to, or has no name, cannot be asked for anything else either.
_NOBODY_THERE = frozenset(
    {
        Outcome.BLOCKED_ADDRESS,
        Outcome.DNS_NOT_FOUND,
        Outcome.DNS_FAILURE,
        Outcome.CONNECTION_REFUSED,
        Outcome.CONNECTION_UNREACHABLE,
        Outcome.TLS_CERTIFICATE,
        Outcome.TLS_HANDSHAKE,
    }
)
#: Said by any host that we are led to, these end the crawl: it asks nobody anything more.
_REFUSALS = frozenset({Outcome.OPTED_OUT, Outcome.RATE_LIMITED})


def look_again(domain: Domain, last: LastLook, visitor: Visitor) -> tuple[NodeInfo | None, Response] | None:
    """Ask for the NodeInfo document where it was found last time.

    Returns the document, or None in its place if it has not changed, with the answer. Returns None alone if anything
    is odd: another status, a redirect, no NodeInfo, a failure: then only a full look can tell what it means. Raises
    :class:`CrawlFailed` for a refusal, and where a full look would come to the same, since it begins at the same host.
    """
    # Where a whole look may not begin, a short one may not either, wherever it leads.
    visitor.require_permission(f"https://{domain}/.well-known/nodeinfo")
    try:
        response = visitor.ask(last.nodeinfo_url, last.validator)
        if response.status == 304 and last.validator:
            return None, response
        return parse_nodeinfo(visitor.read_json(response)), response
    except InvalidDocument:
        return None
    except CrawlFailed as failure:
        begins_here = host_of(last.nodeinfo_url) == domain
        refused = failure.outcome in _REFUSALS or failure.retry_after_seconds is not None
        if refused or (failure.outcome in _NOBODY_THERE and begins_here):
            raise
        return None
