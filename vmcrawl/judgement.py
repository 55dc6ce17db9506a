"""Whether an advisory touches a version, and what there was to take: by number, and by what main was on its day."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain

from vmcrawl.builds import Build, find_builds
from vmcrawl.catalogue import BranchKey, Catalogue, Release
from vmcrawl.ranges import Span
from vmcrawl.version import Version


@dataclass(frozen=True, slots=True)
class Fix:
    """A version with the fix, for its branch; ``released`` is None where no such release is known."""

    version: Version
    released: date | None


@dataclass(frozen=True, slots=True)
class MainFix:
    """The fix on main: not in a build up to ``after``, in each from ``by`` on; ``release`` is the first to take."""

    after: datetime
    by: datetime
    release: Release


@dataclass(frozen=True, slots=True)
class Affected:
    """The versions that an advisory touches, as far as it can be said."""

    spans: tuple[Span, ...] = ()
    #: Where a fixed version alone tells that its branch was touched: its releases were, of its drafts nobody can say.
    guessed: tuple[Span, ...] = ()
    #: Where nothing can be said: neither touched nor safe.
    unsure: tuple[Span, ...] = ()
    #: What makes a branch safe, whatever a span says that began before it; oldest first. None where the spans say all.
    fixes: tuple[Fix, ...] = ()
    #: None where no fix is known to be released, or the spans say all.
    main_fix: MainFix | None = None
    #: ``all main``: every build of main before the fix.
    main: bool = False
    #: Already stable when the fix came out, above every fixed branch and within no range: main was safe by then.
    safe_branch: BranchKey | None = None
    #: Releases that end what is touched, oldest first.
    ways_out: tuple[Release, ...] = ()

    def covers(self, version: Version, catalogue: Catalogue) -> bool | None:
        """Whether a version is exposed; None where it cannot be said.

        A release is judged by its number: safe from the fix of its own branch on, exposed within a span. A fix ends
        only spans that begin before it: of two fixes in one branch, the first says nothing of what the second fixed.

        What was built from main (alphas, betas, nightlies) is judged by its date against the fix, because a version
        of main begins with a commit on main, and the ranges of an advisory never name alphas. Where no fix is known,
        it is judged by what main was called. Where a nightly's number belongs to another branch than its date, both
        have to agree.
        """
        return self.judge(version, find_builds(version, catalogue))

    def judge(self, version: Version, builds: Sequence[Build]) -> bool | None:
        """As :meth:`covers`, with what :func:`find_builds` found."""
        if not builds:
            return self._by_number(version)
        answers = {self._by_build(version, build) for build in builds}
        if not all(build.certain for build in builds):
            answers.add(self._by_number(version))
        return answers.pop() if len(answers) == 1 else None

    def fix_for(self, version: Version) -> Release | None:
        """What there was to take, and since when; None where nothing newer that has the fix is known.

        In the version's own branch the first that has it, a release before a pre-release; for a build of main the
        version of main that began with it, else the next nightly. Where its own branch has none, the newest release
        that has it, and a pre-release only where there is no such release.
        """
        branch = [way for way in self.ways_out if way.version.branch_key == version.branch_key]
        own = [way for way in branch if _may_follow(way.version, version)]
        on_main = self.main_fix.release if self.main_fix and version.prerelease else None
        if stable := [way for way in own if not way.version.prerelease]:
            return stable[0]
        if on_main and on_main.version.branch_key == version.branch_key:
            return on_main
        if own:
            return own[0]
        newer = [way for way in self.ways_out if _may_follow(way.version, version)]
        if on_main:
            newer.append(on_main)
        stable = [way for way in newer if not way.version.prerelease]
        return max(stable or newer, key=lambda way: way.version, default=None)

    def _by_number(self, version: Version, build: Build | None = None) -> bool | None:
        own = self._own_fixes(version)
        if passed := [fix for fix in own if fix.precedence <= version.precedence]:
            return self._since_fix(version, passed[-1])
        if own and _is_draft_of(version, own[0]):
            return None
        touched = _any(_holds(span, version, build) for span in self.spans)
        if touched:
            return True
        guessed = any(span.holds(version) for span in self.guessed)
        if guessed and not version.prerelease:
            return True
        if touched is None or guessed or any(span.holds(version) for span in self.unsure):
            return None
        return self._was_touched(version, build) if own and _is_draft(version) else False

    def _by_build(self, version: Version, build: Build) -> bool | None:
        fix, called = self.main_fix, build.version
        if fix is None:
            return True if self.main else self._by_number(called if build.certain else version, build)
        own = self._own_fixes(version)
        if passed := [draft for draft in own if _is_follower_of(called, draft)]:
            return self._since_fix(called, passed[-1])
        fixed = True if build.since >= fix.by else (False if build.until and build.until <= fix.after else None)
        if fixed is False and fix.release.version in own and _is_draft_of(version, fix.release.version):
            fixed = None
        return _and(self._was_touched(called, build), None if fixed is None else not fixed)

    def _since_fix(self, version: Version, fix: Version) -> bool | None:
        """Of a version that is not older than a fix of its branch, ``fix`` being the last of them."""
        if version.precedence == fix.precedence:
            return False
        holding = [span for span in self.spans if span.holds(version)]
        if any(span.low and span.low.precedence >= fix.precedence for span in holding):
            return True
        doubted = any(s.low and s.low.precedence >= fix.precedence and s.holds(version) for s in self.unsure)
        # A span that goes on beyond a fix, to another one: what the first has fixed, nobody says.
        more_to_come = any(later.precedence > version.precedence for later in self._own_fixes(version))
        return None if doubted or (holding and more_to_come) else False

    def _was_touched(self, version: Version, build: Build | None) -> bool | None:
        """Whether main, or a draft of a release, had the fault by then, unless it had the fix."""
        if self.main:
            return True
        if self.safe_branch and version.branch_key >= self.safe_branch:
            return None if version.branch_key == self.safe_branch else False
        if any(span.holds(version) for span in self.unsure):
            return None
        begun = (_had_begun(span, version, build) for span in self.spans)
        return _any(chain(begun, (_had_surely_begun(span, version) for span in self.guessed)))

    def _own_fixes(self, version: Version) -> list[Version]:
        branch = version.branch_key
        return [fix.version for fix in self.fixes if fix.version.branch_key == branch]


def _holds(span: Span, version: Version, build: Build | None) -> bool | None:
    """Whether a version lies within a span; of builds from main, on or after its day."""
    if not span.holds(version):
        return False
    return build.since_day(span.since) if span.since and build else True


def _had_begun(span: Span, version: Version, build: Build | None) -> bool | None:
    """Whether main had come to where a span begins; where that span ended on its branch does not matter."""
    low = span.low
    if span.since:
        return _and(not low or low.branch_key <= version.branch_key, build.since_day(span.since) if build else None)
    if low is None or low.precedence <= version.precedence:
        return True
    # ">= 4.4.0" of something that came with 4.4: when it came to main, nobody says.
    return None if low.branch_key == version.branch_key and low.patch == 0 else False


def _had_surely_begun(guess: Span, version: Version) -> bool | None:
    """The same of a span that begins with its branch because nobody says where it does."""
    if guess.low is None or guess.low.branch_key < version.branch_key:
        return True
    return None if guess.low.branch_key == version.branch_key else False


def _is_draft(version: Version) -> bool:
    return bool(version.prerelease) and version.patch == 0


def _is_draft_of(version: Version, release: Version) -> bool:
    """Whether it is a pre-release of this very release: it may have the fix, or may not."""
    return bool(version.prerelease and not release.prerelease) and version.precedence[:3] == release.precedence[:3]


def _is_follower_of(version: Version, draft: Version) -> bool:
    """Whether both lead to the same release, and it is not the older one."""
    if not draft.prerelease or version.precedence[:3] != draft.precedence[:3]:
        return False
    return version.precedence >= draft.precedence


def _may_follow(way: Version, version: Version) -> bool:
    """Whether it is newer. The label of a nightly does not tell its place among the alphas of its number."""
    nightly = version.prerelease.startswith("nightly") and way.precedence[:3] == version.precedence[:3]
    return nightly or way.precedence > version.precedence


def _and(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def _any(answers: Iterable[bool | None]) -> bool | None:
    """True if one is, None if none is but one cannot be said."""
    unsure = False
    for answer in answers:
        if answer:
            return True
        unsure = unsure or answer is None
    return None if unsure else False
