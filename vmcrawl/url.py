"""URLs from outside, brought to the one spelling that we ask for: ``https://host/path?query``, all ASCII."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import quote

from vmcrawl.address import ends_in_number, parse_ipv4
from vmcrawl.domain import InvalidDomain, ascii_host


class InvalidUrl(ValueError):
    """The text leads to nothing that may be asked for; the message says why, in one line."""


def redirect_target(location: str, base: str) -> str:
    """Where a ``Location`` header leads from ``base``, an https URL as these functions return them.

    The header is read as it comes from an HTTP/1 parser: its bytes as Latin-1, whatever they mean. Raises
    :class:`InvalidUrl` for anything but https on the usual port, user names, and hosts that cannot be.
    """
    parts = _resolve(_utf8(location), base)
    if parts.scheme != "https":
        raise InvalidUrl(f"the scheme is {parts.scheme[:20]}, not https")
    host, port = _host_and_port(parts.authority)
    if port not in (None, 443):
        raise InvalidUrl(f"the port is {port}")
    return _compose(host, parts.path, parts.query)


def document_link(href: str, base: str) -> str:
    """Where a link in a document leads that was served at ``base``, an https URL as these functions return them.

    More is forgiven than in a redirect, for such links are written by configuration: ``http``, also with port 443, is
    read as https, and slashes that a base path with a slash at its end has doubled are read as one. Raises
    :class:`InvalidUrl` as :func:`redirect_target` does.
    """
    if _DOUBLED_ROOT.match(href):
        href = href[1:]
    parts = _resolve(href, base)
    if parts.scheme not in ("https", "http"):
        raise InvalidUrl(f"the scheme is {parts.scheme[:20]}, not https")
    host, port = _host_and_port(parts.authority)
    if port not in (None, 443) and not (parts.scheme == "http" and port == 80):
        raise InvalidUrl(f"the port is {port}")
    return _compose(host, re.sub("//+", "/", parts.path), parts.query)


def host_of(url: str) -> str:
    """The host of an https URL as these functions return them: lower-case ASCII, or an address (IPv6 in brackets)."""
    return _canonical(url)[0]


def path_of(url: str) -> str:
    """Path and query of an https URL as these functions return them: what the rules of robots.txt are about."""
    return _canonical(url)[1] or "/"


#: What servers and proxies take for certain (RFC 9110, 4.1 recommends 8000; nobody links to such).
_LONGEST = 2048
#: RFC 3986, appendix B; it matches every text without line ends.
_REFERENCE = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#.*)?")
_CANONICAL = re.compile(r"https://([^/?#]+)([^#]*)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: ``//nodeinfo/2.0`` is "/" and "/nodeinfo/2.0" put together: no host has a name without a dot.
_DOUBLED_ROOT = re.compile(r"//[^/?#.:\[\]]+(?=/)")
#: Everything that RFC 3986, 3.3 allows in a path, and escapes as they are; 3.4 adds the question mark for queries.
_PATH_SAFE = "/%:@!$&'()*+,;=~"
_DOT = re.compile(r"\.|%2e", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Parts:
    scheme: str
    authority: str | None
    path: str
    query: str | None


def _resolve(text: str, base: str) -> _Parts:
    """Resolve a reference (RFC 3986, 5.2.2), but for its dot segments."""
    text = text.strip()
    if len(text) > _LONGEST:
        raise InvalidUrl(f"longer than {_LONGEST} characters")
    match = None if _CONTROL.search(text) else _REFERENCE.fullmatch(text)
    if match is None:
        raise InvalidUrl("a control character")
    scheme, authority, path, query = match.groups()
    if scheme:
        return _Parts(scheme.lower(), authority, path, query)
    host, base_path_and_query = _canonical(base)
    if authority is not None:
        return _Parts("https", authority, path, query)
    base_path, _, base_query = base_path_and_query.partition("?")
    if not path:
        return _Parts("https", host, base_path, (base_query or None) if query is None else query)
    if not path.startswith("/"):
        path = base_path.rpartition("/")[0] + "/" + path
    return _Parts("https", host, path, query)


@lru_cache(maxsize=1024)
def _canonical(url: str) -> tuple[str, str]:
    # A crawl asks this of each of its few URLs again and again.
    match = _CANONICAL.match(url)
    if match is None:
        raise InvalidUrl("not an https URL")
    return match[1], match[2]


def _host_and_port(authority: str | None) -> tuple[str, int | None]:
    if not authority:
        raise InvalidUrl("no host")
    if "@" in authority:
        raise InvalidUrl("a user name")
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]*\]|[^:\s\[\]]+)(?::([0-9]*))?", authority, re.ASCII)
    if match is None:
        raise InvalidUrl("no host name")
    digits = (match[2] or "").lstrip("0")
    if len(digits) > 5:
        raise InvalidUrl("a port out of range")
    port = int(digits or "0") if match[2] else None
    return _host(match[1]), port


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            return f"[{IPv6Address(text[1:-1])}]"
        except AddressValueError as error:
            raise InvalidUrl("no IPv6 address") from error
    try:
        name = ascii_host(text)
    except InvalidDomain as error:
        raise InvalidUrl(f"no host name: {error}") from error
    if not ends_in_number(name):
        return name
    try:
        return str(parse_ipv4(name))
    except ValueError as error:
        raise InvalidUrl("no IPv4 address") from error


def _compose(host: str, path: str, query: str | None) -> str:
    try:
        url = f"https://{host}{quote(_without_dots(path), safe=_PATH_SAFE)}"
        if query is not None:
            url += f"?{quote(query, safe=_PATH_SAFE + '?')}"
    except UnicodeError as error:
        raise InvalidUrl("a character that cannot be encoded") from error
    if len(url) > _LONGEST:
        raise InvalidUrl(f"longer than {_LONGEST} characters")
    return url


def _without_dots(path: str) -> str:
    """Remove dot segments (RFC 3986, 5.2.4), escaped ones too: a server would, after robots.txt has been asked."""
    kept: list[str] = []
    segments = path.removeprefix("/").split("/")
    for index, segment in enumerate(segments):
        plain = _DOT.sub(".", segment) if len(segment) <= 6 else segment
        if plain not in (".", ".."):
            kept.append(segment)
            continue
        if plain == ".." and kept:
            kept.pop()
        if index == len(segments) - 1:
            kept.append("")
    return "/" + "/".join(kept)


def _utf8(header: str) -> str:
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header
