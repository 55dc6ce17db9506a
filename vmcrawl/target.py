"""Where a request goes: the host and the path of an https URL, as HTTP/1.1 sends them."""

import re
from typing import NamedTuple
from urllib.parse import quote, urlsplit


class Target(NamedTuple):
    """``host`` as in the Host header, ``server_name`` as in a certificate, ``path`` with the query, all ASCII."""

    host: str
    server_name: str
    path: str


def parse_target(url: str) -> Target:
    """Read an https URL on its usual port; raises ``ValueError`` for every other."""
    if plain := _PLAIN.fullmatch(url):
        return Target(plain[1], plain[1], plain[2])
    parts = urlsplit(url)
    name = parts.hostname
    if parts.scheme != "https" or not name or parts.username is not None or parts.port not in (None, 443):
        raise ValueError(f"{url!r} is not a plain https URL")
    name = name.removesuffix(".")
    path = parts.path or "/"
    if parts.query:
        path += "?" + parts.query
    return Target(f"[{name}]" if ":" in name else name, name, quote(path, safe=_PATH_CHARACTERS))


#: What nearly all are: a name without capitals or a dot at its end, and nothing that has to be escaped.
_PLAIN = re.compile(r"https://([a-z0-9_-]+(?:[.][a-z0-9_-]+)*)(/[A-Za-z0-9/._~-]*)")
#: What stays as it is in a path with a query (RFC 3986, 3.3 and 3.4); all else, spaces and controls too, is escaped.
_PATH_CHARACTERS = "/?%:@!$&'()*+,;=-._~[]|"
