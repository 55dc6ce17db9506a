"""What a server says of keeping its documents: how long they are fresh, and how to ask whether they have changed."""

import re
from collections.abc import Mapping

#: RFC 9110, 8.8.3. Longer ones are nobody's; they would only fill the ledger.
_ETAG = re.compile(r'(?:W/)?"[!#-~]{1,150}"')
#: A date in any of the three formats (RFC 9110, 5.6.7), which goes back as it came.
_DATE = re.compile(r"[A-Za-z0-9,: +-]{10,40}")
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?([0-9]{1,9})", re.IGNORECASE)
_NOT_KEPT = re.compile(r"(?:^|[,\s])no-(?:store|cache)\b", re.IGNORECASE)


def validator_of(headers: Mapping[str, str]) -> str:
    """What to give back to ask whether a document has changed: its entity tag, else its date; "" for neither.

    ``headers`` has names in small letters.
    """
    if (etag := headers.get("etag", "").strip()) and _ETAG.fullmatch(etag):
        return etag
    modified = headers.get("last-modified", "").strip()
    return modified if modified and _DATE.fullmatch(modified) else ""


def condition(validator: str) -> str:
    """The line that makes a request conditional (RFC 9110, 13.1); "" without a validator, or for none of ours."""
    if not validator:
        return ""
    if _ETAG.fullmatch(validator):
        return f"If-None-Match: {validator}\r\n"
    return f"If-Modified-Since: {validator}\r\n" if _DATE.fullmatch(validator) else ""


def fresh_seconds(headers: Mapping[str, str]) -> int:
    """For how long the server wants this answer to be used again (RFC 9111, 4.2): ``max-age`` less its ``Age``."""
    control = headers.get("cache-control")
    match = _MAX_AGE.search(control) if control else None
    if control is None or match is None or _NOT_KEPT.search(control):
        return 0
    age = headers.get("age", "").strip()
    return max(0, int(match[1]) - (int(age[:10]) if age.isascii() and age.isdigit() else 0))
