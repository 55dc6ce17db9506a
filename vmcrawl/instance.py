"""The instance API of Mastodon, of which one thing matters: which domain the server says it is."""

import re

from vmcrawl.document import InvalidDocument
from vmcrawl.domain import Domain, InvalidDomain, parse_domain


class InvalidInstance(InvalidDocument):
    """The document names no usable domain."""


def parse_instance_domain(document: object) -> Domain:
    """Read ``domain`` of /api/v2/instance, or ``uri`` of /api/v1/instance (docs.joinmastodon.org, Instance entities).

    Both should be a bare name; a URL, the usual port and everything that :func:`vmcrawl.domain.parse_domain` forgives
    are forgiven. Raises :class:`InvalidInstance`.
    """
    if not isinstance(document, dict):
        raise InvalidInstance("not a JSON object")
    reason = "neither domain nor uri"
    for key in ("domain", "uri"):
        value = document.get(key)
        if not isinstance(value, str):
            continue
        try:
            return parse_domain(_host(value))
        except InvalidDomain as error:
            reason = f"{key} is no domain: {error}"
    raise InvalidInstance(reason)


_LONGEST = 2048
_ADDRESS = re.compile(r"(?:(?:https?:)?//)?([^/?#:@\\]+)(?::(?:443|80)?)?(?:[/?#].*)?", re.IGNORECASE | re.DOTALL)


def _host(text: str) -> str:
    """Cut the host out of what may be a URL; what is neither is returned as it is."""
    match = _ADDRESS.fullmatch(text.strip()[:_LONGEST])
    return match[1] if match else text
