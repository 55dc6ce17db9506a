"""The documents under /.well-known/ that say where a server's NodeInfo, or the server itself, is to be found."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from xml.etree.ElementTree import ParseError

from defusedxml.ElementTree import DefusedXMLParser

from vmcrawl.document import InvalidDocument
from vmcrawl.url import InvalidUrl, document_link, host_of


class InvalidWellKnown(InvalidDocument):
    """The document does not lead anywhere."""


@dataclass(frozen=True, slots=True)
class DocumentLink:
    """The NodeInfo document is at this URL (https, as :mod:`vmcrawl.url` makes them)."""

    url: str


@dataclass(frozen=True, slots=True)
class InlineDocument:
    """The document in place of the links is NodeInfo itself."""

    document: object


@dataclass(frozen=True, slots=True)
class MatrixServer:
    """The document in place of the links is Matrix' server delegation."""


WellKnown = DocumentLink | InlineDocument | MatrixServer


def parse_nodeinfo_links(document: object, base_url: str) -> WellKnown:
    """Read /.well-known/nodeinfo (NodeInfo protocol, RFC 7033 JRD links), served at ``base_url``.

    Of the links to versions of NodeInfo that we read the newest wins, the first of several; those that lead nowhere
    are skipped. Raises :class:`InvalidWellKnown` if there is none, nor NodeInfo or Matrix' answer in its place.
    """
    if isinstance(document, list):
        document = {"links": document}
    if not isinstance(document, dict):
        raise InvalidWellKnown("not a JSON object")
    # Newest first; the sort is stable, so that the first of several of one version comes first.
    links = sorted(_nodeinfo_links(_lookup(document, "links")), key=lambda link: link[0], reverse=True)
    if usable := list(islice(_usable((href for _, href in links[:_MOST_TRIED]), base_url), 1)):
        return DocumentLink(usable[0])
    software = document.get("software")
    if isinstance(software, dict) and isinstance(software.get("name"), str):
        return InlineDocument(document)
    if not _MATRIX_KEYS.isdisjoint(document):
        return MatrixServer()
    raise InvalidWellKnown("no usable link to a NodeInfo document")


def parse_host_meta(body: bytes, base_url: str) -> list[str]:
    """Read the hosts that an XRD document names in its lrdd templates (RFC 6415, 2 and 3.1.1), at most five.

    With or without the XRD namespace; white space before the XML declaration is forgiven. Raises
    :class:`InvalidWellKnown` for what is not XML, and for any document type, entity or external reference.
    """
    links = _XrdLinks()
    parser = DefusedXMLParser(target=links, forbid_dtd=True)
    try:
        parser.feed(body.removeprefix(b"\xef\xbb\xbf").lstrip())
        parser.close()
    except InvalidWellKnown:
        raise
    except (ParseError, ValueError, LookupError) as error:
        # Also the refusals of defusedxml, and encodings that are unknown (LookupError) or multi-byte (ValueError).
        raise InvalidWellKnown(f"no XRD: {type(error).__name__}") from error
    return _lrdd_hosts(links.found, base_url)


def parse_host_meta_json(document: object, base_url: str) -> list[str]:
    """Read the hosts that a JRD document names in its lrdd templates (RFC 6415, appendix A), at most five.

    Raises :class:`InvalidWellKnown` for what is not a JSON object.
    """
    if not isinstance(document, dict):
        raise InvalidWellKnown("not a JSON object")
    links = ((_lookup(link, "rel"), _lookup(link, "template")) for _, link in _objects(_lookup(document, "links")))
    return _lrdd_hosts(links, base_url)


def parse_webfinger(document: object, base_url: str) -> list[str]:
    """Read the hosts of https aliases, then of links to self, in a JRD document (RFC 7033, 4.4), at most five.

    Mastodon's instance actor has the alias ``https://WEB_DOMAIN/actor``. Raises :class:`InvalidWellKnown` for what is
    not a JSON object.
    """
    if not isinstance(document, dict):
        raise InvalidWellKnown("not a JSON object")
    aliases = document.get("aliases")
    urls = [aliases] if isinstance(aliases, str) else aliases if isinstance(aliases, list) else []
    urls = urls + [link.get("href") for _, link in _objects(document.get("links")) if link.get("rel") == "self"]
    return _hosts((url for url in urls if isinstance(url, str) and _HTTPS.match(url)), base_url)


#: Links may come in any number; so many of those that matter are tried, and a document could hold ten thousand.
_MOST_TRIED = 50
_MOST_HOSTS = 5
_MOST_ELEMENTS = 1000
_MATRIX_KEYS = frozenset({"m.server", "m.homeserver"})
_NODEINFO_REL = re.compile(
    r"\s*https?://nodeinfo\.diaspora\.software/ns/schema/(1\.0|1\.1|2\.0|2\.1|2\.2)/?\s*", re.IGNORECASE
)
_HTTPS = re.compile(r"\s*https://", re.IGNORECASE)


def _nodeinfo_links(links: object) -> Iterator[tuple[str, str]]:
    """Yield NodeInfo version and href of every link to a version that we read."""
    for key, link in _objects(links):
        rel, href = _lookup(link, "rel") or key, _lookup(link, "href")
        version = _NODEINFO_REL.fullmatch(rel) if isinstance(rel, str) else None
        if version is not None and isinstance(href, str) and href.strip():
            yield version[1], href


def _usable(hrefs: Iterable[str], base_url: str) -> Iterator[str]:
    for href in hrefs:
        try:
            yield document_link(href, base_url)
        except InvalidUrl:
            # A link that leads nowhere is as good as none: the next may do.
            continue


def _objects(links: object) -> Iterator[tuple[str | None, dict[str, object]]]:
    """Yield the links of a list, the only one that stands in its place, or those of an object, with their keys."""
    if isinstance(links, dict):
        if isinstance(_lookup(links, "rel"), str):
            yield None, links
            return
        for key, link in links.items():
            if isinstance(link, dict):
                yield key, link
            elif isinstance(link, str):
                yield key, {"href": link}
    elif isinstance(links, list):
        for link in links:
            if isinstance(link, dict):
                yield None, link


def _lookup(mapping: dict[str, object], key: str) -> object:
    """The value of a key, in small letters if it is there, else in any."""
    if key in mapping:
        return mapping[key]
    return next((value for other, value in mapping.items() if other.lower() == key), None)


def _lrdd_hosts(links: Iterable[tuple[object, object]], base_url: str) -> list[str]:
    templates = (template for rel, template in links if isinstance(rel, str) and rel.strip().lower() == "lrdd")
    return _hosts((template for template in templates if isinstance(template, str) and template.strip()), base_url)


def _hosts(urls: Iterable[str], base_url: str) -> list[str]:
    hosts = dict.fromkeys(host_of(url) for url in _usable(islice(urls, _MOST_TRIED), base_url))
    return list(hosts)[:_MOST_HOSTS]


class _XrdLinks:
    """Collects rel and template of all links while XML is being read: no tree, however deep, is ever built."""

    def __init__(self) -> None:
        self.found: list[tuple[object, object]] = []
        self._elements = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > _MOST_ELEMENTS:
            raise InvalidWellKnown("no XRD: too many elements")
        if tag.rpartition("}")[2].lower() == "link":
            self.found.append((attributes.get("rel"), attributes.get("template")))

    def end(self, tag: str) -> None:
        """Nothing ends that matters; the parser asks for it."""

    def data(self, text: str) -> None:
        """Text does not matter; the parser asks for it."""

    def close(self) -> None:
        """What was collected stays; the parser asks for it."""
