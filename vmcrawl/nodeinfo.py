"""NodeInfo documents (https://nodeinfo.diaspora.software), of any version, as tolerant as their writers need it."""

from dataclasses import dataclass

from vmcrawl.document import InvalidDocument
from vmcrawl.fork import has_mastodon_numbers


class InvalidNodeInfo(InvalidDocument):
    """The document is not NodeInfo by its content."""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What a NodeInfo document says of its server, as far as we ask; None where it says nothing fit."""

    #: ``software.name`` in small letters, without white space around it.
    software_name: str
    software_version: str | None = None
    #: ``metadata.upstream``, by which some forks name what they are made of.
    upstream_name: str | None = None
    upstream_version: str | None = None
    #: ``usage.users.activeMonth``, whatever it is: :func:`whole_number` judges it.
    active_month: object = None


def parse_nodeinfo(document: object) -> NodeInfo:
    """Read a NodeInfo document from its JSON.

    Only ``software.name`` must be there; Mastodon itself has sent documents without ``metadata``, or with a list in its
    place, and others write ``usage.user``. Raises :class:`InvalidNodeInfo` for what is no object or names no software.
    """
    if not isinstance(document, dict):
        raise InvalidNodeInfo("not NodeInfo: not a JSON object")
    software = _object(document, "software")
    name = _text(software, "name")
    if name is None or not name.strip():
        raise InvalidNodeInfo("not NodeInfo: no software.name")
    upstream = _object(_object(document, "metadata"), "upstream")
    usage = _object(document, "usage")
    return NodeInfo(
        software_name=name.strip().lower(),
        software_version=_text(software, "version"),
        upstream_name=_text(upstream, "name"),
        upstream_version=_text(upstream, "version"),
        active_month=(_object(usage, "user") | _object(usage, "users")).get("activeMonth"),
    )


def is_mastodon_family(nodeinfo: NodeInfo) -> bool:
    """Whether the server runs Mastodon or a fork: by the names of :mod:`vmcrawl.fork`, or by what it calls upstream.

    Software that only speaks Mastodon's API has a name of its own in NodeInfo and is no fork.
    """
    upstream = (nodeinfo.upstream_name or "").strip().lower()
    return upstream == "mastodon" or has_mastodon_numbers(nodeinfo.software_name)


def whole_number(value: object, ceiling: int) -> int | None:
    """Read a JSON number from 0 to ``ceiling`` that is whole (12.0 is); None for everything else, ``true`` too."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= ceiling or value != int(value):
        return None
    return int(value)


def _object(parent: dict[str, object], key: str) -> dict[str, object]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _text(parent: dict[str, object], key: str) -> str | None:
    value = parent.get(key)
    return value if isinstance(value, str) else None
