"""Whose numbers these are: the domain a server says it is, and whether that domain agrees."""

from vmcrawl.discovery import backends, linked_hosts
from vmcrawl.document import InvalidDocument
from vmcrawl.domain import Domain
from vmcrawl.instance import parse_instance_domain
from vmcrawl.observation import CrawlFailed
from vmcrawl.outcome import Outcome
from vmcrawl.polite import Visitor
from vmcrawl.url import host_of

#: Answers of one version of the instance API after which the other may still do.
_TRY_THE_OTHER = frozenset(
    {
        Outcome.HTTP_4XX,
        Outcome.HTTP_5XX,
        Outcome.HTTP_OTHER,
        Outcome.BAD_CONTENT_TYPE,
        Outcome.BAD_JSON,
        Outcome.TOO_LARGE,
    }
)


def named_domain(host: str, visitor: Visitor) -> tuple[Domain, str]:
    """Ask the instance API of ``host`` (v2, else v1) which domain it serves; returns that and the host that answered.

    Raises :class:`CrawlFailed`: ``api_auth_required`` for a 401, ``api_unavailable`` if neither names a domain.
    """
    reasons = []
    for version in ("v2", "v1"):
        url = f"https://{host}/api/{version}/instance"
        try:
            document, response = visitor.get_json(url)
            return parse_instance_domain(document), host_of(response.url)
        except CrawlFailed as failure:
            if failure.status == 401:
                raise CrawlFailed(Outcome.API_AUTH_REQUIRED, failure.detail) from failure
            if failure.outcome not in _TRY_THE_OTHER:
                raise
            reasons.append(failure.detail)
        except InvalidDocument as error:
            reasons.append(f"{url}: {error}")
    raise CrawlFailed(Outcome.API_UNAVAILABLE, "; ".join(reasons))


def leads_back(named: Domain, hosts: frozenset[str], visitor: Visitor) -> bool:
    """Tell whether ``named`` itself leads to one of ``hosts``: by redirect, NodeInfo link, host-meta or webfinger.

    Anything else, a failure to answer included, is no confirmation. Only our own lack of time is raised.
    """
    try:
        if linked_hosts(named, visitor) & hosts:
            return True
    except CrawlFailed as failure:
        if failure.outcome not in _TRY_THE_OTHER:
            return False
    try:
        return any(host in hosts for host in backends(named, visitor))
    except CrawlFailed:
        return False
