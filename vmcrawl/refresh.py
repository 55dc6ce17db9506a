"""Bringing catalogue, advisories and DNI list up to date: one source after the other, each all or nothing."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from functools import partial
from hashlib import sha256
from typing import TypeVar

import vmcrawl.sources as upstream
from vmcrawl.advisory import PublishedAdvisory, read_advisory
from vmcrawl.asker import Source, SourceFailed
from vmcrawl.bumps import Bump, Looks, follow_main, last_sure
from vmcrawl.catalogue import SNAPSHOT_DATE, Catalogue, Release
from vmcrawl.dnilist import PARSER, DniList
from vmcrawl.knowledge import read_anew
from vmcrawl.plausible import Implausible, refuse_leaps
from vmcrawl.settings import Settings
from vmcrawl.sources import Fetched
from vmcrawl.store import advisories, branches, catalogue, dni_imports, sources
from vmcrawl.store.database import Database
from vmcrawl.store.dni_imports import Imported, Origin
from vmcrawl.support import SupportRow, ends_of_support
from vmcrawl.upstream import WithdrawnAdvisory
from vmcrawl.version import Version

log = logging.getLogger(__name__)

T = TypeVar("T")


class Answer(StrEnum):
    """How a source answered."""

    #: It said something new.
    CHANGED = "changed"
    #: It said what is known.
    UNCHANGED = "unchanged"
    #: It is down, slow or rate-limited; nothing has changed, later it may be better.
    UNAVAILABLE = "unavailable"
    #: What it says cannot be used: somebody has to look. Nothing has changed.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking one source."""

    source: Source
    answer: Answer
    #: What is new: releases, branches, advisories.
    changes: tuple[str, ...] = ()
    #: Why it failed, in one line.
    detail: str = ""
    #: When it wants to be asked again (UTC), if it said so.
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What came of a refresh."""

    sources: tuple[Asked, ...]
    #: Branches that stand elsewhere now: ``latest`` instead of ``main``, say.
    branches: tuple[str, ...]
    #: Distinct version strings that mean something else now.
    versions: int

    @property
    def worst(self) -> Answer:
        """``failed`` if any source failed, else ``unavailable`` if any was, else whether anything is new."""
        answers = {asked.answer for asked in self.sources}
        return next(
            (one for one in (Answer.FAILED, Answer.UNAVAILABLE, Answer.CHANGED) if one in answers), Answer.UNCHANGED
        )


def refresh_releases(database: Database, settings: Settings) -> Refreshed:
    """Ask for releases, for main's version and for ends of support, and read all stored versions anew.

    A source that fails changes nothing, and is named in the result and in the table ``sources``; the others are
    asked all the same. endoflife.date is asked only where SECURITY.md cannot be had.
    """
    asking = _Asking(database, settings)
    asking.ask(Source.RELEASES, upstream.fetch_releases, _read_releases)
    asking.ask(Source.MAIN, upstream.fetch_main, partial(_read_main, asking=asking))
    # What a table says of a branch that we did not know then can be kept only now.
    fresh = any(asked.answer is Answer.CHANGED for asked in asking.asked)
    # While it failed endoflife.date may have said otherwise.
    whole = fresh or bool(asking.state(Source.SUPPORT).error)
    if not asking.ask(Source.SUPPORT, upstream.fetch_support, _read_support, whole=whole):
        asking.ask(Source.ENDOFLIFE, upstream.fetch_endoflife, _read_support, whole=fresh)
    return asking.finish()


def refresh_advisories(database: Database, settings: Settings) -> Refreshed:
    """Ask for security advisories, and read all stored versions anew; failures as in :func:`refresh_releases`."""
    asking = _Asking(database, settings)
    asking.ask(Source.ADVISORIES, upstream.fetch_advisories, _read_advisories)
    return asking.finish()


def refresh_dni(
    database: Database, settings: Settings, *, force: bool = False, shown: int = 0
) -> tuple[Refreshed, tuple[DniList, Imported] | None]:
    """Ask for the list at ``dni.url`` and put it in the place of the one before; failures as in the others.

    Gives the list, too, and what came of it; None where nothing was heard. ``force`` and ``shown``: see
    :func:`vmcrawl.store.dni_imports.replace_list`.
    """
    asking = _Asking(database, settings)
    origin = dni_origin(settings)
    # Another list may have been imported since, or this one is to be read in another way.
    whole = force or database.run(dni_imports.stamp_of_last) != origin.stamp
    heard: list[tuple[DniList, Imported]] = []

    def read(items: Sequence[DniList], now: _Now) -> _News:
        replace = partial(dni_imports.replace_list, origin=origin, now=now.moment, force=force, shown=shown)
        return _News(lambda connection: note(items[0], replace(connection, items[0])))

    def note(listed: DniList, imported: Imported) -> Sequence[str]:
        # No names: they are nobody's business who reads a log.
        heard[:] = [(listed, imported)]
        return [f"{number} {kind}" for kind, number in imported.counts.items() if number]

    asking.ask(Source.DNI, upstream.fetch_dni, read, whole=whole)
    return Refreshed(tuple(asking.asked), (), 0), heard[0] if heard else None


def refresh_all(database: Database, settings: Settings) -> Refreshed:
    """All of the above in turn; the DNI list only if ``dni.url`` is set."""
    parts = [refresh_releases(database, settings), refresh_advisories(database, settings)]
    if settings.dni.url:
        parts.append(refresh_dni(database, settings)[0])
    else:
        # Or it would be missed for ever.
        database.run(partial(sources.forget, name=Source.DNI))
    return Refreshed(
        tuple(asked for part in parts for asked in part.sources),
        tuple(branch for part in parts for branch in part.branches),
        sum(part.versions for part in parts),
    )


def dni_origin(settings: Settings, url: str = "") -> Origin:
    """Where a list is from that is fetched from ``url``, or from ``dni.url``; what stands in a query is not kept."""
    url = url or settings.dni.url
    digest = sha256(f"{PARSER} {settings.dni.severity} {url}".encode()).hexdigest()
    return Origin(url.partition("?")[0], digest)


#: What the store is told about where rows are from.
_GITHUB = "github"
_PACKAGED = datetime.combine(SNAPSHOT_DATE, time(), UTC)
#: Nobody is left alone for longer, whatever a header says.
_LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Now:
    """When, and with what knowledge, an answer is taken in."""

    moment: datetime
    #: Without overrides.
    catalogue: Catalogue


@dataclass(frozen=True, slots=True)
class _News:
    """What an answer comes to."""

    #: Writes it.
    save: sources.Save
    #: The next question is for what has changed since; False: what was said has to be heard again.
    heard: bool = True


#: Turns an answer into what writes it; raises SourceFailed or Implausible for an answer that cannot be used.
_Read = Callable[[Sequence[T], _Now], _News]


@dataclass(slots=True)
class _Asking:
    database: Database
    settings: Settings
    asked: list[Asked] = field(default_factory=list)

    def ask(
        self, source: Source, fetch: Callable[[Settings, str], Fetched[T]], read: _Read[T], *, whole: bool = False
    ) -> bool:
        """Ask one source and save its answer; False if it failed. ``whole``: also what has not changed there."""
        state = self.state(source)
        if self._is_left_alone(state):
            return False
        try:
            fetched = fetch(self.settings, "" if whole else state.etag)
            changes = self._take_in(source, fetched, read)
        except SourceFailed as failure:
            self._note(failure)
            return False
        except Implausible as error:
            self._note(self._judge(source, error))
            return False
        answer = Answer.CHANGED if changes else Answer.UNCHANGED
        self.asked.append(Asked(source, answer, tuple(changes)))
        return True

    def look_up(self, source: Source, find: Callable[[Settings], Sequence[T]]) -> Sequence[T]:
        """What a source says that others can do without; nothing if it fails.

        A failure is kept as that of any other source, but only a limit is among the answers: later there is more.
        """
        if self._is_left_alone(self.state(source)):
            return ()
        try:
            found = find(self.settings)
        except (SourceFailed, Implausible) as error:
            failure = error if isinstance(error, SourceFailed) else _of_another_shape(source, error)
            log.warning("%s; it is done without", failure)
            self._keep(failure)
            if failure.retry_at:
                self.asked.append(_unanswered(failure))
            return ()
        self.database.run(partial(sources.take_in, name=source, now=self.database.now(), etag="", save=_nothing))
        return found

    def state(self, source: Source) -> sources.SourceState:
        return self.database.run(partial(sources.state_of, name=source))

    def finish(self) -> Refreshed:
        today = self.database.now().date()
        moved = self.database.run(partial(branches.stand, today=today))
        return Refreshed(tuple(self.asked), tuple(moved), read_anew(self.database, today))

    def _take_in(self, source: Source, fetched: Fetched[T], read: _Read[T]) -> Sequence[str]:
        now = _Now(self.database.now(), self.database.run(catalogue.load_stated))
        news = _News(_nothing) if fetched.not_modified else read(fetched.items, now)
        etag = fetched.etag if news.heard else ""
        return self.database.run(partial(sources.take_in, name=source, now=now.moment, etag=etag, save=news.save))

    def _is_left_alone(self, state: sources.SourceState) -> bool:
        until = state.retry_at
        if until is None or until <= self.database.now():
            return False
        detail = f"wants to be left alone until {until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, so it was not asked"
        log.warning("%s: %s", state.name, detail)
        self.asked.append(Asked(Source(state.name), Answer.UNAVAILABLE, detail=detail, retry_at=until))
        return True

    def _judge(self, source: Source, error: Implausible) -> SourceFailed:
        # The releases on which main follows may be known as soon as their source is back.
        if source is Source.MAIN and (Source.RELEASES, Answer.UNAVAILABLE) in [
            (a.source, a.answer) for a in self.asked
        ]:
            return SourceFailed(source, f"{error}, while releases are unavailable", temporary=True)
        return _of_another_shape(source, error)

    def _note(self, failure: SourceFailed) -> None:
        log.error("%s; nothing is changed", failure)
        self._keep(failure)
        self.asked.append(_unanswered(failure))

    def _keep(self, failure: SourceFailed) -> None:
        now = self.database.now()
        retry_at = failure.retry_at and min(failure.retry_at, now + _LONGEST_WAIT)
        note = partial(sources.failed, name=failure.source, now=now, error=failure.reason, retry_at=retry_at)
        self.database.run(note)


def _unanswered(failure: SourceFailed) -> Asked:
    answer = Answer.UNAVAILABLE if failure.temporary else Answer.FAILED
    return Asked(failure.source, answer, detail=failure.reason, retry_at=failure.retry_at)


def _nothing(_: object) -> Sequence[str]:
    return ()


def _of_another_shape(source: Source, error: Implausible) -> SourceFailed:
    return SourceFailed(source, f"what it says has changed its shape: {error}")


def _read_releases(items: Sequence[Release], now: _Now) -> _News:
    refuse_leaps((release.version for release in items), now.catalogue)
    return _News(partial(catalogue.save_all_releases, releases=items, source=_GITHUB, now=now.moment))


def _read_main(items: Sequence[Version], now: _Now, asking: _Asking) -> _News:
    (main,) = items
    refuse_leaps(items, now.catalogue)
    known = asking.database.run(catalogue.load_main)
    # The packaged facts are a look, too.
    last = max(asking.state(Source.MAIN).fetched_at or _PACKAGED, _PACKAGED)
    bumps: Sequence[Bump] = ()
    limited = any(asked.retry_at for asked in asking.asked)
    if not limited and (not known or known[-1].version != main or known[-1].not_before):
        bumps = asking.look_up(Source.COMMITS, partial(_find_bumps, main=main, after=last_sure(known), now=now))
    security = {release.released for release in now.catalogue.releases if release.security}
    told = follow_main(known, main, Looks(now.moment, last), bumps, security)
    heard = told[-1].version == main and told[-1].not_before is None
    return _News(partial(catalogue.save_main, known=known, told=told), heard)


def _find_bumps(settings: Settings, main: Version, after: datetime | None, now: _Now) -> Sequence[Bump]:
    """What commits say of main's versions after a moment, oldest first; raises SourceFailed or Implausible."""
    commits = upstream.fetch_commits(settings).items
    new = [one for one in reversed(commits) if one.at <= now.moment and (after is None or after < one.at)]
    # Of a single one we know what it led to, without asking.
    versions = [main] if len(new) == 1 else [upstream.fetch_version_at(settings, commit) for commit in new]
    refuse_leaps(versions, now.catalogue)
    return [Bump(version, commit.at) for version, commit in zip(versions, new, strict=True)]


def _read_support(items: Sequence[SupportRow], now: _Now) -> _News:
    stated = ends_of_support(items, now.catalogue, now.moment.astimezone(UTC).date())
    return _News(partial(branches.save_support, stated=stated, now=now.moment))


def _read_advisories(items: Sequence[PublishedAdvisory | WithdrawnAdvisory], now: _Now) -> _News:
    read = [read_advisory(item, now.catalogue) for item in items if isinstance(item, PublishedAdvisory)]
    withdrawn = [item.ghsa_id for item in items if isinstance(item, WithdrawnAdvisory)]
    save = partial(advisories.save_all_advisories, advisories=read, withdrawn=withdrawn)
    return _News(partial(save, source=_GITHUB, now=now.moment))
