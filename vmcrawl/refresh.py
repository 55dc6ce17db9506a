"""Bringing the catalogue and the advisories up to date: one source after the other, each all or nothing."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import TypeVar

import vmcrawl.sources as upstream
from vmcrawl.advisory import PublishedAdvisory, read_advisory
from vmcrawl.asker import Source, SourceFailed
from vmcrawl.catalogue import Catalogue, Release
from vmcrawl.knowledge import read_anew
from vmcrawl.settings import Settings
from vmcrawl.sources import Fetched
from vmcrawl.store import advisories, branches, catalogue, sources
from vmcrawl.store.database import Database
from vmcrawl.upstream import SupportRow, WithdrawnAdvisory, ends_of_support
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
    asking.ask(Source.MAIN, upstream.fetch_main, partial(_read_main, settings=settings))
    # What a table says of a branch that we did not know then can be kept only now.
    fresh = any(asked.answer is Answer.CHANGED for asked in asking.asked)
    if not asking.ask(Source.SUPPORT, upstream.fetch_support, _read_support, whole=fresh):
        asking.ask(Source.ENDOFLIFE, upstream.fetch_endoflife, _read_support, whole=fresh)
    return asking.finish()


def refresh_advisories(database: Database, settings: Settings) -> Refreshed:
    """Ask for security advisories, and read all stored versions anew; failures as in :func:`refresh_releases`."""
    asking = _Asking(database, settings)
    asking.ask(Source.ADVISORIES, upstream.fetch_advisories, _read_advisories)
    return asking.finish()


#: What the store is told about where rows are from.
_GITHUB = "github"


@dataclass(frozen=True, slots=True)
class _Now:
    """When, and with what knowledge, an answer is taken in."""

    moment: datetime
    catalogue: Catalogue


#: Turns an answer into what writes it; raises SourceFailed for an answer that cannot be used.
_Read = Callable[[Sequence[T], _Now], sources.Save]


@dataclass(slots=True)
class _Asking:
    database: Database
    settings: Settings
    asked: list[Asked] = field(default_factory=list)

    def ask(
        self, source: Source, fetch: Callable[[Settings, str], Fetched[T]], read: _Read[T], *, whole: bool = False
    ) -> bool:
        """Ask one source and save its answer; False if it failed. ``whole``: also what has not changed there."""
        etag = "" if whole else self.database.run(partial(sources.etag_of, name=source))
        try:
            fetched = fetch(self.settings, etag)
            now = _Now(self.database.now(), self.database.run(catalogue.load_catalogue))
            save = _nothing if fetched.not_modified else read(fetched.items, now)
        except SourceFailed as failure:
            self._note(failure)
            return False
        keep = partial(sources.take_in, name=source, now=now.moment, etag=fetched.etag, save=save)
        changes = self.database.run(keep)
        answer = Answer.CHANGED if changes else Answer.UNCHANGED
        self.asked.append(Asked(source, answer, tuple(changes)))
        return True

    def finish(self) -> Refreshed:
        today = self.database.now().date()
        moved = self.database.run(partial(branches.stand, today=today))
        return Refreshed(tuple(self.asked), tuple(moved), read_anew(self.database, today))

    def _note(self, failure: SourceFailed) -> None:
        log.error("%s; nothing is changed", failure)
        now = self.database.now()
        self.database.run(partial(sources.failed, name=failure.source, now=now, error=failure.reason))
        answer = Answer.UNAVAILABLE if failure.temporary else Answer.FAILED
        self.asked.append(Asked(failure.source, answer, detail=failure.reason, retry_at=failure.retry_at))


def _nothing(_: object) -> Sequence[str]:
    return ()


def _read_releases(items: Sequence[Release], now: _Now) -> sources.Save:
    return partial(catalogue.save_releases, releases=items, source=_GITHUB, now=now.moment)


def _read_main(items: Sequence[Version], now: _Now, settings: Settings) -> sources.Save:
    (main,) = items
    ranges = now.catalogue.main_ranges
    if ranges and ranges[-1].version.release == main.release:
        return _nothing
    since = _bumped_at(settings, ranges[-1].since if ranges else None, now.moment)
    return lambda connection: [main.release] if catalogue.save_main(connection, main, since) else []


def _bumped_at(settings: Settings, after: datetime | None, now: datetime) -> datetime:
    """When main got the version that it has now, as well as that can be known: no earlier than in truth.

    A build between the bump and that moment counts as one of the smaller version: it may be said to lack a fix that
    it has, never the other way round.
    """
    try:
        (changed,) = upstream.fetch_bumps(settings).items
    except (SourceFailed, ValueError) as error:
        log.warning("when main was given its version is not known, so it is taken to be now: %s", error)
        return now
    return changed if changed <= now and (after is None or after < changed) else now


def _read_support(items: Sequence[SupportRow], now: _Now) -> sources.Save:
    stated = ends_of_support(items, now.catalogue, now.moment.astimezone(UTC).date())
    return partial(branches.save_support, stated=stated, now=now.moment)


def _read_advisories(items: Sequence[PublishedAdvisory | WithdrawnAdvisory], now: _Now) -> sources.Save:
    read = [read_advisory(item, now.catalogue) for item in items if isinstance(item, PublishedAdvisory)]
    withdrawn = [item.ghsa_id for item in items if isinstance(item, WithdrawnAdvisory)]
    save = advisories.save_advisories
    return partial(save, advisories=read, source=_GITHUB, now=now.moment, withdrawn=withdrawn)
