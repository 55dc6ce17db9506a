"""The ledger's word for a server: a domain name in its one canonical spelling."""

import re
import unicodedata
from functools import cache
from threading import Lock
from typing import NewType

import idna
from publicsuffixlist import PublicSuffixList

from vmcrawl.address import ends_in_number

#: A lower-case ASCII domain name under a public suffix; only :func:`parse_domain` makes one.
Domain = NewType("Domain", str)


class InvalidDomain(ValueError):
    """The text is not the name of a host that can be crawled; the message says why, in one line."""


def parse_domain(text: str) -> Domain:
    """Read a domain name as people and servers write it.

    White space around it and one trailing dot fall off; capitals and other scripts become lower-case ASCII
    (:func:`ascii_host`). Raises :class:`InvalidDomain` for everything else than a name of at least two labels under a
    suffix of the ICANN section of the Public Suffix List: addresses, URLs, ports, user names, single labels, public
    suffixes themselves, special-use names (RFC 6761: they are not in the list).
    """
    name = ascii_host(text)
    if ends_in_number(name):
        raise InvalidDomain("an IP address, not a name")
    if "." not in name:
        raise InvalidDomain("a single label")
    last = name.rpartition(".")[2]
    if last in _NOT_THE_WEB:
        raise InvalidDomain(f"a name under .{last}")
    suffixes = _public_suffixes()
    if suffixes.is_private(name):
        return Domain(name)
    if suffixes.is_public(name):
        raise InvalidDomain("a public suffix")
    raise InvalidDomain("no public suffix")


def registrable(domain: Domain) -> Domain:
    """The domain that somebody registered, by the ICANN section of the Public Suffix List: ``domain`` or a parent."""
    name = _public_suffixes().privatesuffix(domain)
    # What parse_domain lets through has one.
    return domain if name is None else Domain(name)


def ascii_host(text: str) -> str:
    """Bring a host name to lower-case ASCII (A-labels), without judging whether the public DNS can have it.

    UTS #46 non-transitional mapping, then IDNA2008; labels that IDNA2008 refuses but UTS #46 knows, such as emoji, are
    encoded by Punycode alone, as registries and browsers do. White space around the name and one trailing dot fall
    off. Raises :class:`InvalidDomain` unless every label has 1 to 63 letters, digits and inner hyphens (RFC 1123, 2.1;
    no certificate authority issues for a name with an underscore), ``xn--`` labels decode, and the whole has at most
    253 characters (RFC 1035, 2.3.4). Dotted numbers pass: whoever can meet an address must look for one.
    """
    name = text.strip()
    if len(name) > _LONGEST_TEXT:
        raise InvalidDomain("too long")
    if not name.isascii():
        name = _mapped(name)
    name = name.lower().removesuffix(".")
    if not (name.isascii() and _PLAIN_NAME.fullmatch(name)):
        name = ".".join(_ascii_label(label) for label in name.split("."))
    if len(name) > _LONGEST_NAME:
        raise InvalidDomain("longer than 253 characters")
    return name


_LONGEST_NAME = 253
#: Code points that the mapping removes make a text longer than its name; beyond this it is no name.
_LONGEST_TEXT = 1000
_LONGEST_LABEL = 63
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_PLAIN_LABEL = r"(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
#: Names without A-labels are most of them, and need no look at each label.
_PLAIN_NAME = re.compile(rf"{_PLAIN_LABEL}(?:\.{_PLAIN_LABEL})*")
_NOT_LDH = re.compile(r"[\x00-\x2c\x2e\x2f\x3a-\x60\x7b-\x7f]")
#: In the list, but not for web servers that we can reach (RFC 3172, RFC 7686).
_NOT_THE_WEB = frozenset({"arpa", "onion"})
#: Zero-width joiners, which only the contextual rules of IDNA2008 permit (RFC 5892, A.1, A.2): invisible elsewhere.
_JOINERS = re.compile(r"[\u200c\u200d]")
#: Threads that start together would each read the list.
_LOADING = Lock()


def _mapped(text: str) -> str:
    try:
        return idna.uts46_remap(text, std3_rules=False, transitional=False)
    except (idna.IDNAError, UnicodeError) as error:
        raise InvalidDomain("a character that no domain name can have") from error


def _ascii_label(label: str) -> str:
    if not label:
        raise InvalidDomain("an empty label")
    if label.isascii():
        encoded = label
        if label.startswith("xn--"):
            _check_a_label(label)
    else:
        encoded = _encoded(label)
    if len(encoded) > _LONGEST_LABEL:
        raise InvalidDomain("a label of more than 63 characters")
    if not _LABEL.fullmatch(encoded):
        raise InvalidDomain("a character that no domain name can have")
    return encoded


def _encoded(label: str) -> str:
    """Encode one mapped label that is not ASCII."""
    if len(label) > _LONGEST_LABEL:
        raise InvalidDomain("a label of more than 63 characters")
    if _NOT_LDH.search(label) or label.startswith(("xn--", "-")) or label.endswith("-"):
        raise InvalidDomain("a character that no domain name can have")
    try:
        return idna.alabel(label).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        if _JOINERS.search(label):
            raise InvalidDomain("a character that no domain name can have") from error
        # Emoji, and what else is younger or older than IDNA2008: such names are registered and resolve.
        return "xn--" + unicodedata.normalize("NFC", label).encode("punycode").decode("ascii")


def _check_a_label(label: str) -> None:
    """Raise InvalidDomain unless the ``xn--`` label is what encoding its decoded form gives (UTS #46, 4.1)."""
    if len(label) > _LONGEST_LABEL:
        raise InvalidDomain("a label of more than 63 characters")
    try:
        decoded = label[4:].encode("ascii").decode("punycode")
    except UnicodeError as error:
        raise InvalidDomain("an xn-- label that does not decode") from error
    if decoded.isascii() or _mapped(decoded) != decoded or _encoded(decoded) != label:
        raise InvalidDomain("an xn-- label that does not decode")


def _public_suffixes() -> PublicSuffixList:
    with _LOADING:
        return _load_public_suffixes()


@cache
def _load_public_suffixes() -> PublicSuffixList:
    return PublicSuffixList(only_icann=True, accept_unknown=False)
