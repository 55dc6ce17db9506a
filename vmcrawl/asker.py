"""One GET to those who publish about Mastodon or its servers: bounded in time and size, on one host, failures named."""

import re
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from vmcrawl.document import clean_text
from vmcrawl.settings import Settings, SourcesSettings, user_agent


class Source(StrEnum):
    """Who is asked for what; the names under which the store keeps entity tags and failures."""

    #: GitHub's releases API.
    RELEASES = "releases"
    #: ``lib/mastodon/version.rb`` on main.
    MAIN = "main"
    #: The commits to that file, and the file as they left it.
    COMMITS = "commits"
    #: SECURITY.md on main.
    SUPPORT = "support"
    ENDOFLIFE = "endoflife"
    #: GitHub's API of the repository's security advisories.
    ADVISORIES = "advisories"
    #: A "do not interact" list.
    DNI = "dni"
    #: A list of servers, once: nothing of it is kept.
    NAMES = "names"


class SourceFailed(Exception):
    """A source is down, slow, rate-limited, or has changed its shape; ``str()`` is one line that says which and why.

    ``retry_at`` (UTC) is when the source wants to be asked again, None where it does not say. ``temporary``: it is
    down, slow or rate-limited, and asking later may help without anybody doing anything.
    """

    def __init__(
        self, source: Source, reason: str, retry_at: datetime | None = None, *, temporary: bool = False
    ) -> None:
        super().__init__(source, reason, retry_at)
        self.temporary = temporary or retry_at is not None
        self.source = source
        self.reason = reason
        self.retry_at = retry_at

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


#: Some hundred releases with their notes are 1 MB a page.
_MAX_BYTES = 16 << 20
#: 100 entries each.
_MAX_PAGES = 50
_MAX_REDIRECTS = 3
_PIECE = 64 << 10


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: requests.structures.CaseInsensitiveDict[str]
    body: bytes
    #: The ``next`` of its ``Link`` headers (RFC 8288), or ``""``.
    following: str


class Asker:
    """Asks one source; every answer it returns is a whole 200, or a 304 that was asked for."""

    def __init__(self, source: Source, settings: Settings, max_bytes: int = _MAX_BYTES) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._sources = settings.sources
        self._seconds = settings.sources.timeout.total_seconds()
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": user_agent(settings.http), "Accept-Encoding": "identity"})
        self._session.auth = _Token(settings.sources)
        try:
            self._session.mount("https://", _Trusting(settings.network.ca_file))
        except OSError as error:
            raise self._failed(f"network.ca_file holds no certificates: {_root_cause(error)}") from error

    def __enter__(self) -> "Asker":
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    @staticmethod
    def host(url: str) -> str:
        return urlsplit(url).netloc

    def pages(self, url: str, first: Answer) -> Iterator[Answer]:
        """The first answer and those that follow it, on the same host."""
        answer, seen = first, {url}
        yield answer
        while answer.following:
            following = self._target(url, answer.following, "the next page")
            if following in seen or len(seen) == _MAX_PAGES:
                raise self._failed(f"the pages of {self.host(url)} do not end")
            seen.add(following)
            answer, url = self.ask(following), following
            yield answer

    def ask(self, url: str, etag: str = "") -> Answer:
        """One GET, with redirects within the host; raises :class:`SourceFailed`."""
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._within_time(url, etag)
            if answer.status not in (301, 302, 303, 307, 308):
                break
            url = self._target(url, answer.headers.get("Location", ""), "a redirect")
        if answer.status == 200 or (answer.status == 304 and etag):
            return answer
        raise self._refused(url, answer)

    def _target(self, url: str, reference: str, what: str) -> str:
        try:
            target = urljoin(url, reference)
            here, there = urlsplit(url), urlsplit(target)
        except ValueError as error:
            raise self._failed(f"{what} of {self.host(url)} leads to {clean_text(reference, 60)}") from error
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            raise self._failed(f"{what} of {here.netloc} leads to {clean_text(there.netloc or target, 60)}")
        return target

    def _within_time(self, url: str, etag: str) -> Answer:
        """Leave a request alone that is not done in time.

        The timeouts of requests bound one operation on a socket each: neither the lookup of the name nor headers
        that drip in. A thread can be waited for with a limit; given up, it ends by itself with its socket.
        """
        ended: list[Answer | SourceFailed] = []
        thread = threading.Thread(
            target=lambda: ended.append(self._ask_once(url, etag)), name=f"source {self._source}", daemon=True
        )
        thread.start()
        thread.join(self._seconds)
        if not ended:
            raise self._too_slow(url)
        if isinstance(ended[0], SourceFailed):
            raise ended[0]
        return ended[0]

    def _ask_once(self, url: str, etag: str) -> Answer | SourceFailed:
        end = time.monotonic() + self._seconds
        headers = {"If-None-Match": etag} if etag else {}
        try:
            with self._session.get(
                url, headers=headers, stream=True, timeout=self._seconds, allow_redirects=False
            ) as response:
                body = b""
                if response.status_code == 200:
                    body = self._read(response, end)
                elif response.status_code in (403, 429):
                    body = _read_refusal(response)
                following = response.links.get("next", {}).get("url", "")
                return Answer(response.status_code, response.headers, body, following)
        except SourceFailed as failed:
            return failed
        except requests.Timeout:
            return self._too_slow(url)
        # A body is read from urllib3's response, whose errors nobody translates; ValueError: an impossible Location.
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            return self._failed(f"{self.host(url)} gave no whole answer: {_root_cause(error)}", temporary=True)

    def _read(self, response: requests.Response, end: float) -> bytes:
        coding = response.headers.get("Content-Encoding", "identity")
        if coding.lower() != "identity":
            raise self._failed(f"{self.host(response.url)} sent {clean_text(coding, 20)}, which was not asked for")
        body = bytearray()
        while piece := response.raw.read1(_PIECE, decode_content=False):
            body += piece
            if len(body) > self._max_bytes:
                raise self._failed(f"{self.host(response.url)} sent more than {self._max_bytes >> 20} MiB")
            if time.monotonic() > end:
                raise self._too_slow(response.url)
        return bytes(body)

    def _refused(self, url: str, answer: Answer) -> SourceFailed:
        said = f"{self.host(url)} answered {answer.status}"
        ours = url.startswith(f"{self._sources.github_api}/")
        if answer.status == 401 and self._sources.token and ours:
            return self._failed(f"{said}: sources.token is not accepted")
        retry_at = _retry_at(answer, datetime.now(UTC)) if answer.status in (403, 429, 503) else None
        if retry_at is None:
            return self._failed(said, temporary=answer.status >= 500 or answer.status == 429)
        advice = "; with sources.token there is more" if ours and not self._sources.token else ""
        limited = "" if answer.status == 503 else f" (rate limit{advice})"
        return SourceFailed(self._source, f"{said}: not before {retry_at:%Y-%m-%d %H:%M:%S} UTC{limited}", retry_at)

    def _too_slow(self, url: str) -> SourceFailed:
        return self._failed(f"{self.host(url)} was not done within {self._seconds:g} s", temporary=True)

    def _failed(self, reason: str, *, temporary: bool = False) -> SourceFailed:
        return SourceFailed(self._source, reason, temporary=temporary)


def _read_refusal(response: requests.Response) -> bytes:
    """The beginning of what a refusal says, if it says anything."""
    try:
        return bytes(response.raw.read(_PIECE, decode_content=False))
    except (HTTPError, OSError, ValueError):
        return b""


def _retry_at(answer: Answer, now: datetime) -> datetime | None:
    """When GitHub wants to be asked again, as "Rate limits for the REST API" has it.

    ``Retry-After`` in seconds, else the end of a used-up rate limit. Its secondary limits may come with neither, as a
    429, or as a 403 that only in words differs from the one for what is forbidden: then a minute is the least.
    """
    wait, reset = answer.headers.get("Retry-After", ""), answer.headers.get("X-RateLimit-Reset", "")
    if re.fullmatch("[0-9]{1,7}", wait):
        return now + timedelta(seconds=int(wait))
    if answer.headers.get("X-RateLimit-Remaining") == "0" and re.fullmatch("[0-9]{1,11}", reset):
        return datetime.fromtimestamp(int(reset), UTC)
    if answer.status == 429 or b"rate limit" in answer.body.lower():
        return now + timedelta(minutes=1)
    return None


def _root_cause(error: BaseException) -> str:
    while cause := error.__cause__ or error.__context__:
        error = cause
    return clean_text(f"{error}" or type(error).__name__, 120)


class _Token(requests.auth.AuthBase):
    """Sends the token to GitHub's API only. Set in any case, or requests would look for a password in ``.netrc``."""

    def __init__(self, sources: SourcesSettings) -> None:
        self._sources = sources

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if (request.url or "").startswith(f"{self._sources.github_api}/"):
            request.headers["Accept"] = "application/vnd.github+json"
            request.headers["X-GitHub-Api-Version"] = "2022-11-28"
            if self._sources.token:
                request.headers["Authorization"] = f"Bearer {self._sources.token}"
        return request


class _Trusting(HTTPAdapter):
    """Trusts whom the crawler trusts: the system's authorities (or ``SSL_CERT_FILE``'s) and those of ``ca_file``."""

    def __init__(self, ca_file: Path | None) -> None:
        self._context = ssl.create_default_context()
        if ca_file is not None:
            self._context.load_verify_locations(ca_file)
        super().__init__()

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: bool | str, cert: Any = None
    ) -> tuple[Any, Any]:
        """Where requests has one choose a context."""
        host, pool = super().build_connection_pool_key_attributes(request, True, cert)
        return host, {**pool, "ssl_context": self._context}

    def cert_verify(self, conn: Any, url: str, verify: bool | str, cert: Any) -> None:
        """Leave the choice to the context; requests would add its own bundle to it."""
