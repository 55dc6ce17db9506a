"""What the value of each setting may be: from its text to its type, within its bounds."""

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from vmcrawl.duration import LONGEST, format_duration, parse_duration

#: A value as it was written: one text, or a list of texts.
Written = str | Sequence[str]

_MOMENT = timedelta(milliseconds=1)
_ZERO = timedelta(0)
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)

#: From and to, both included; a length of time that is not named here is just more than nothing.
_DURATIONS = {
    "database.connect_timeout": (timedelta(seconds=1), _HOUR),
    "http.connect_timeout": (_MOMENT, _HOUR),
    "http.read_timeout": (_MOMENT, _HOUR),
    "http.request_timeout": (_MOMENT, _HOUR),
    "network.dns_timeout": (_MOMENT, _HOUR),
    "sources.timeout": (_MOMENT, _HOUR),
    "crawl.domain_timeout": (_MOMENT, _HOUR),
    "crawl.max_duration": (_ZERO, LONGEST),
    "crawl.grace": (_ZERO, _HOUR),
    # RFC 9309, 2.4: a cached robots.txt is not used for more than 24 hours.
    "crawl.robots_lifetime": (_ZERO, timedelta(hours=24)),
    "crawl.reconfirm": (_ZERO, LONGEST),
    "retention.robots": (_DAY, LONGEST),
    # A named run that has failed can be gone on with for a week.
    "retention.runs": (7 * _DAY, LONGEST),
    "retention.changes": (_DAY, LONGEST),
    "retention.history_every_run": (_DAY, LONGEST),
    "retention.history_daily": (_ZERO, LONGEST),
    "discovery.timeout": (_MOMENT, _HOUR),
    "discovery.spread": (_ZERO, LONGEST),
}
#: From and to, both included.
_NUMBERS = {
    "http.max_wire_bytes": (1 << 10, 1 << 30),
    "http.max_body_bytes": (1 << 10, 1 << 30),
    "network.port": (1, 65_535),
    "network.requests_per_address": (1, 1_000),
    "crawl.processes": (0, 256),
    "crawl.threads": (0, 2_000),
    "schedule.jitter": (0, 0.9),
    "publish.max_active_users": (1, 2_000_000_000),
    "publish.history_drop": (0, 1),
    "discovery.per_run": (0, 1_000_000),
    "discovery.instances": (1, 1_000_000),
    "discovery.at_a_time": (1, 64),
    "discovery.max_wire_bytes": (1 << 10, 1 << 30),
    "discovery.max_body_bytes": (1 << 10, 1 << 30),
    "discovery.max_names": (1, 100_000_000),
    "discovery.names_per_instance": (1, 100_000_000),
    "discovery.names_per_domain": (1, 1_000_000),
    "exporter.versions": (0, 1_000),
    "exporter.advisories": (0, 1_000),
    "exporter.series": (300, 100_000),
}
#: A space at either end is a part of these. The end of a line is not, since nearly every file has one.
_AS_WRITTEN = {"database.password", "exporter.database_password"}


def read_value(name: str, expected: object, written: Written) -> object:
    """Read what was written for the setting ``name`` (``section.key``), whose type hint is ``expected``.

    Raises ``ValueError`` with a sentence that fits behind the name and never repeats the whole of a hostile text.
    """
    one = _READERS_BY_NAME.get(name) or _READERS_BY_TYPE.get(expected)
    if one:
        if not isinstance(written, str):
            raise ValueError("expects one value, not a list")
        value = one(written.rstrip("\r\n") if name in _AS_WRITTEN else written.strip())
        _check_bounds(name, value)
        return value
    each = _ITEM_READERS_BY_NAME.get(name) or _ITEM_READERS_BY_TYPE[expected]
    items = written.split(",") if isinstance(written, str) else written
    return tuple(each(item.strip()) for item in items if item.strip())


def shown(text: str) -> str:
    """A text of a stranger as it may stand in a message: quoted, on one line, short."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _check_bounds(name: str, value: object) -> None:
    if isinstance(value, timedelta):
        shortest, longest = _DURATIONS.get(name, (_MOMENT, LONGEST))
        if not shortest <= value <= longest:
            raise ValueError(f"must be from {format_duration(shortest)} to {format_duration(longest)}")
    elif isinstance(value, int | float):
        least, most = _NUMBERS[name]
        if not least <= value <= most:
            raise ValueError(f"must be from {least} to {most}")


def _text(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line without control characters")
    return text


def _whole_number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}(_?[0-9]{1,3}){0,5}", text):
        raise ValueError(f"{shown(text)} is not a whole number")
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise ValueError(f"{shown(text)} is not a number such as 0.1")
    return float(text)


def _path(text: str) -> Path:
    if not _text(text):
        raise ValueError("expects a path")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{shown(text)} has no home directory to start from") from error


def _file_or_none(text: str) -> Path | None:
    if not text:
        return None
    path = _path(text)
    if not path.is_file():
        raise ValueError(f"{shown(text)} is not a file that can be read")
    return path


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f"{shown(text)} is not a network such as 10.0.0.0/8 or fd00::/8") from error


def _name_server(text: str) -> str:
    if not _is_address(text) and not _is_address(_host_and_port(text)[0]):
        raise ValueError(f"{shown(text)} is not an address, or an address and a port, such as 127.0.0.1:53 or [::1]:53")
    return text


def _listen(text: str) -> str:
    host, port = _host_and_port(text)
    if not port or not (_is_address(host) or re.fullmatch(r"[A-Za-z0-9.-]{0,253}", host)):
        raise ValueError(f"{shown(text)} is not an address and a port such as 127.0.0.1:9877 or [::]:9877")
    return text


def _host_and_port(text: str) -> tuple[str, int]:
    """``("", 0)`` where the text has no valid port."""
    match = re.fullmatch(r"(?:\[([^\]]*)\]|([^:\[\]]*)):([0-9]{1,5})", text)
    if not match or not 1 <= int(match[3]) <= 65_535 or (match[1] is not None and ":" not in match[1]):
        return "", 0
    return match[1] or match[2] or "", int(match[3])


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _user_agent(text: str) -> str:
    literal = re.sub(r"\{(version|contact)\}", "", _header_text(text))
    if not text or "{" in literal or "}" in literal:
        raise ValueError("must say who we are, and may hold {version} and {contact} in braces, nothing else")
    return text


def _header_text(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("must be fit for an HTTP header: one line of printable ASCII")
    return text


def _source(text: str) -> str:
    """An address without a slash at its end; plain http would show the token, and let anybody on the way answer."""
    match = re.fullmatch(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?", text)
    if not match:
        # Not shown, since it may hold a password.
        raise ValueError("must be an address such as https://api.github.com, without user, query and fragment")
    if match[1] == "http" and not _is_this_machine(match[2].strip("[]")):
        raise ValueError("must be https; http is only for this machine itself (localhost, 127.0.0.1, [::1])")
    return text.rstrip("/")


def _list_address(text: str) -> str:
    """An address of one document, or nothing; on the way nobody may put in, or leave out, names."""
    if not text:
        return text
    beginning, _, rest = text.partition("?")
    match = re.fullmatch(r"(https?://[^/]*)(/[A-Za-z0-9._~/%@+,;=:!$&'()*-]*)?", beginning)
    if not match or not re.fullmatch(r"[A-Za-z0-9._~/%@+,;=:!$&'()*?-]{0,1000}", rest):
        # Not shown, since it may hold a password.
        raise ValueError("must be an address such as https://example.org/list.csv, without user and fragment")
    _source(match[1])
    return text


def _is_this_machine(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _token(text: str) -> str:
    if not re.fullmatch(r"[!-~]{0,300}", text):
        raise ValueError("must be one word of printable ASCII")
    return text


def _role(text: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}|", text):
        raise ValueError(f"{shown(text)} is not the name of a role: small letters, digits and '_'")
    return text


def _licence(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.+-]{0,64}", text):
        raise ValueError(f"{shown(text)} is not an SPDX identifier such as CC0-1.0 or ODbL-1.0 (spdx.org/licenses)")
    return text


def _robots_agent(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_-]{1,100}", text):
        raise ValueError(f"{shown(text)} is not a product token: only letters, '_' and '-' (RFC 9309, 2.2.1)")
    return text


def _choice(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(f"{shown(text)} is none of {', '.join(choices)}")
        return text.lower()

    return read


_READERS_BY_TYPE: dict[object, Callable[[str], object]] = {
    str: _text,
    int: _whole_number,
    float: _number,
    timedelta: parse_duration,
    Path: _path,
    Path | None: _file_or_none,
}
_READERS_BY_NAME: dict[str, Callable[[str], object]] = {
    "http.user_agent": _user_agent,
    "http.contact": _header_text,
    "http.robots_agent": _robots_agent,
    "sources.github_api": _source,
    "sources.github_raw": _source,
    "sources.endoflife": _source,
    "sources.token": _token,
    "dni.url": _list_address,
    "dni.severity": _choice("soft", "hard", "listed"),
    "exporter.role": _role,
    "publish.license": _licence,
    "log.level": _choice("debug", "info", "warning", "error"),
    "log.format": _choice("text", "json"),
}
_ITEM_READERS_BY_TYPE: dict[object, Callable[[str], object]] = {
    tuple[str, ...]: _text,
    tuple[IPv4Network | IPv6Network, ...]: _network,
}
_ITEM_READERS_BY_NAME: dict[str, Callable[[str], object]] = {
    "network.nameservers": _name_server,
    "exporter.listen": _listen,
}
