"""Asks GitHub and others for what upstream, and those who keep lists, publish: bounded, conditional, all or nothing."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from vmcrawl.advisory import PublishedAdvisory
from vmcrawl.asker import Answer, Asker, Source, SourceFailed
from vmcrawl.catalogue import Release
from vmcrawl.dnilist import LARGEST, DniList, InvalidList, Treatment, parse_dni_list
from vmcrawl.settings import Settings
from vmcrawl.support import SupportRow, parse_endoflife, parse_security_md
from vmcrawl.upstream import (
    Commit,
    InvalidUpstream,
    WithdrawnAdvisory,
    parse_github_advisories,
    parse_github_commits,
    parse_github_releases,
    parse_version_rb,
)
from vmcrawl.version import Version

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fetched(Generic[T]):
    """The whole of what a source has. ``not_modified``: the same as under the tag that was given, and no ``items``.

    ``etag`` is what to give the next time, ``""`` where the source sends none. Of a list in pages it is the tag of
    the first, the one with the newest entries.
    """

    items: tuple[T, ...]
    etag: str
    not_modified: bool = False


def fetch_releases(settings: Settings, etag: str = "") -> Fetched[Release]:
    """All releases and pre-releases that GitHub lists, each once. Raises :class:`SourceFailed`, as all below do.

    With ``etag``, as a former answer gave it, the request is conditional (RFC 9110, 13.1.2); GitHub does not count
    a 304 against the rate limit of a token. It is about the first page: what changes on a later one (the notes of an
    old release) is seen with the next release.
    """
    url = f"{settings.sources.github_api}/repos/mastodon/mastodon/releases?per_page=100"
    fetched = _fetch(Source.RELEASES, settings, url, etag, parse_github_releases)
    return Fetched(_unique(fetched.items, lambda release: release.version.release), fetched.etag, fetched.not_modified)


def fetch_main(settings: Settings, etag: str = "") -> Fetched[Version]:
    """The one version that main has now."""
    url = f"{settings.sources.github_raw}/mastodon/mastodon/main/lib/mastodon/version.rb"
    return _fetch(Source.MAIN, settings, url, etag, lambda body: (parse_version_rb(_text(body)),))


def fetch_commits(settings: Settings) -> Fetched[Commit]:
    """The newest commits to that file, at most twenty, newest first."""
    commits = f"{settings.sources.github_api}/repos/mastodon/mastodon/commits"
    url = f"{commits}?path=lib/mastodon/version.rb&sha=main&per_page=20"
    return _fetch(Source.COMMITS, settings, url, "", parse_github_commits, pages=1)


def fetch_version_at(settings: Settings, commit: Commit) -> Version:
    """The version that main had after a commit."""
    url = f"{settings.sources.github_raw}/mastodon/mastodon/{commit.sha}/lib/mastodon/version.rb"
    (version,) = _fetch(Source.COMMITS, settings, url, "", lambda body: (parse_version_rb(_text(body)),)).items
    return version


def fetch_support(settings: Settings, etag: str = "") -> Fetched[SupportRow]:
    """Which branches upstream's SECURITY.md calls supported; :func:`vmcrawl.upstream.ends_of_support` reads it."""
    url = f"{settings.sources.github_raw}/mastodon/mastodon/main/SECURITY.md"
    return _fetch(Source.SUPPORT, settings, url, etag, lambda body: parse_security_md(_text(body)))


def fetch_endoflife(settings: Settings, etag: str = "") -> Fetched[SupportRow]:
    """The same from endoflife.date, which lags behind by days: for when SECURITY.md cannot be had or read."""
    url = f"{settings.sources.endoflife}/mastodon.json"
    return _fetch(Source.ENDOFLIFE, settings, url, etag, parse_endoflife)


def fetch_advisories(settings: Settings, etag: str = "") -> Fetched[PublishedAdvisory | WithdrawnAdvisory]:
    """All security advisories of the repository that were ever published, each once."""
    # Those that have changed first: a page that is the same as before (304) has none of them behind it either.
    query = "per_page=100&sort=updated&direction=desc"
    url = f"{settings.sources.github_api}/repos/mastodon/mastodon/security-advisories?{query}"
    fetched = _fetch(Source.ADVISORIES, settings, url, etag, parse_github_advisories)
    return Fetched(_unique(fetched.items, lambda advisory: advisory.ghsa_id), fetched.etag, fetched.not_modified)


def fetch_dni(settings: Settings, etag: str = "", url: str = "") -> Fetched[DniList]:
    """The one list at ``dni.url``, or at another address, read as ``dni.severity`` says."""
    treatment = Treatment(settings.dni.severity)
    with Asker(Source.DNI, settings, LARGEST) as asker:
        answer = asker.ask(url or settings.dni.url, etag)
        if answer.status == 304:
            return Fetched((), etag, not_modified=True)
        try:
            listed = parse_dni_list(answer.body, treatment)
        except InvalidList as error:
            host = asker.host(url or settings.dni.url)
            raise SourceFailed(Source.DNI, f"{host} sent no DNI list: {error}") from error
    return Fetched((listed,), _etag_of(answer))


def fetch_names(settings: Settings, url: str) -> bytes:
    """A list of servers, whatever its format, whole; for what to do with it see :mod:`vmcrawl.namelist`."""
    with Asker(Source.NAMES, settings, LARGEST) as asker:
        return asker.ask(url).body


#: RFC 9110, 8.8.3.
_ETAG = re.compile(r'(?:W/)?"[!#-~]{0,200}"')


def _fetch(
    source: Source,
    settings: Settings,
    url: str,
    etag: str,
    parse: Callable[[bytes], tuple[T, ...]],
    pages: int | None = None,
) -> Fetched[T]:
    with Asker(source, settings) as asker:
        first = asker.ask(url, etag)
        if first.status == 304:
            return Fetched((), etag, not_modified=True)
        try:
            items = tuple(item for answer in islice(asker.pages(url, first), pages) for item in parse(answer.body))
        except InvalidUpstream as error:
            raise SourceFailed(source, f"{asker.host(url)} has changed its shape: {error}") from error
    if not items:
        raise SourceFailed(source, f"{asker.host(url)} sent an empty list, which cannot be true")
    return Fetched(items, _etag_of(first))


def _etag_of(answer: Answer) -> str:
    tag = answer.headers.get("ETag", "")
    return tag if _ETAG.fullmatch(tag) else ""


def _unique(items: Iterable[T], key: Callable[[T], str]) -> tuple[T, ...]:
    """Without what stands on two pages, as it does when something is published between two requests."""
    return tuple({key(item): item for item in items}.values())


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidUpstream(f"not UTF-8 at byte {error.start}") from error
