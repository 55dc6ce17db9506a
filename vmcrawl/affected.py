"""What ranges and fixed versions mean together: is a version exposed, and what fixes it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from vmcrawl.builds import Build, find_builds, main_at, nightly_time, release_dates
from vmcrawl.catalogue import BranchKey, Catalogue, Release
from vmcrawl.ranges import Ranges, Span, branch_start, read_ranges, read_versions
from vmcrawl.version import Version


@dataclass(frozen=True, slots=True)
class Fix:
    """The first version of a branch with the fix; ``released`` is None where no such release is known."""

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
    #: Where nothing can be said: neither touched nor safe.
    unsure: tuple[Span, ...] = ()
    #: One per branch, oldest branch first.
    fixes: tuple[Fix, ...] = ()
    #: None where no fix is known to be released.
    main_fix: MainFix | None = None
    #: Main was touched from this day on, and not before; None: the spans say it.
    main_since: date | None = None
    #: ``all main``: every build of main before the fix.
    main: bool = False
    #: Already stable when the fix came out, above every fixed branch and within no range: main was safe by then.
    safe_branch: BranchKey | None = None

    def covers(self, version: Version, catalogue: Catalogue) -> bool | None:
        """Whether a version is exposed; None where it cannot be said.

        A release is judged by its number: safe from the fix of its own branch on, exposed within a span. What was
        built from main (alphas, betas, nightlies) is judged by its date against the fix, because a version of main
        begins with a commit on main, and the ranges of an advisory never name alphas. Where a nightly's number
        belongs to another branch than its date, both have to agree.
        """
        return self.judge(version, find_builds(version, catalogue))

    def judge(self, version: Version, builds: Sequence[Build]) -> bool | None:
        """As :meth:`covers`, with what :func:`find_builds` found."""
        if not builds:
            return self._by_number(version)
        answers = {self._by_date(version, build) for build in builds}
        if not all(build.certain for build in builds):
            answers.add(self._by_number(version))
        return answers.pop() if len(answers) == 1 else None

    def fix_for(self, version: Version) -> Release | None:
        """What there was to take, and since when: in the version's own branch, else in the newest that has the fix.

        For a build of main the version of main that began with the fix, else the next nightly.
        """
        released = [Release(fix.version, fix.released) for fix in self.fixes if fix.released]
        own = [fix for fix in released if fix.version.branch_key == version.branch_key]
        stable = [fix for fix in own if not fix.version.prerelease]
        on_main = self.main_fix.release if self.main_fix and version.prerelease else None
        if not stable and on_main and on_main.version.branch_key == version.branch_key:
            return on_main
        return next(iter(stable or own or released[-1:]), None)

    def _by_number(self, version: Version) -> bool | None:
        own = self._own_fix(version)
        if own and version.precedence >= own.precedence:
            return False
        if own and _is_draft_of(version, own):
            return None
        if any(span.holds(version) for span in self.spans):
            return True
        if any(span.holds(version) for span in self.unsure):
            return None
        return self._was_touched(version) if own and _is_draft(version) else False

    def _by_date(self, version: Version, build: Build) -> bool | None:
        fix = self.main_fix
        if fix is None:
            return True if self.main else self._by_number(version)
        own = self._own_fix(version)
        if own and _is_follower_of(build.version, own):
            return False
        touched = self._was_touched(build.version)
        if self.main_since:
            touched = _and(touched or self.main, build.since_day(self.main_since))
        fixed = True if build.since >= fix.by else (False if build.until and build.until <= fix.after else None)
        if fixed is False and own and own == fix.release.version and _is_draft_of(version, own):
            fixed = None
        return _and(touched, None if fixed is None else not fixed)

    def _was_touched(self, version: Version) -> bool | None:
        """Whether main, or a draft of a release, had the fault by then, unless it had the fix."""
        if self.main:
            return True
        if self.safe_branch and version.branch_key >= self.safe_branch:
            return None if version.branch_key == self.safe_branch else False
        if any(span.holds(version) for span in self.unsure):
            return None
        first = min(self.spans, key=lambda span: span.low.precedence if span.low else (), default=None)
        if first is None:
            return False
        if first.low is None or first.low.precedence <= version.precedence or self.main_since:
            return first.low is None or first.low.branch_key <= version.branch_key
        # ">= 4.4.0" of something that came with 4.4: when it came to main, nobody says.
        return None if first.low.branch_key == version.branch_key and first.low.patch == 0 else False

    def _own_fix(self, version: Version) -> Version | None:
        return next((fix.version for fix in self.fixes if fix.version.branch_key == version.branch_key), None)


def read_affected(ranges: str, patched: str, catalogue: Catalogue) -> tuple[Affected, str]:
    """The affected set, and why it is no more than a reading of the texts (empty: nothing is unclear). Never raises.

    ``ranges`` as :func:`read_ranges` takes them, ``patched`` a list of versions. Within its branch a fixed version is
    the authority: nothing from it on is affected, and what no range reaches below it is taken to be. Every bound and
    fixed version that is no known release is named among the reasons.
    """
    read, doubts = read_ranges(ranges), []
    stated, unread = read_versions(patched)
    doubts += [f"{text!r} cannot be read" for text in (*read.unread, *unread)]
    doubts += [f"the range from {span.low} to {span.high} is empty" for span in read.empty]
    dates = release_dates(catalogue)
    fixes = [Fix(version, dates.get(version.release)) for version in _first_per_branch(stated)]
    doubts += _name_unknown(read, fixes, catalogue, dates)
    fixes = [_correct(fix, fixes, catalogue, doubts) for fix in fixes]
    dated = [(day, main_at(nightly_time(day), catalogue), high) for day, high in read.dated]
    doubts += [f"main of {day} is not known" for day, base, _ in dated if base is None]
    spans = [*_in_own_branch(read.spans), *(Span(base.version, high) for _, base, high in dated if base)]
    spans = [_cap(span, fixes) for span in spans]
    doubts += _name_contradictions(spans, fixes)
    if read.supported:
        doubts.append("nobody says which versions were supported")
    spans, unsure = _follow_fixes(spans, read, fixes, catalogue, doubts)
    main_fix = _find_main_fix(fixes, catalogue)
    affected = Affected(
        tuple(spans),
        tuple(unsure),
        tuple(fixes),
        main_fix,
        min((day for day, base, _ in dated if base), default=None) if len(dated) == len(spans) else None,
        read.main,
    )
    return replace(affected, safe_branch=_find_safe_branch(affected, catalogue)), "; ".join(dict.fromkeys(doubts))


def _first_per_branch(versions: Sequence[Version]) -> list[Version]:
    first: dict[BranchKey, Version] = {}
    for version in sorted(versions):
        first.setdefault(version.branch_key, version)
    return list(first.values())


def _name_unknown(read: Ranges, fixes: Sequence[Fix], catalogue: Catalogue, dates: dict[str, date]) -> Iterator[str]:
    ends = [end for span in (*read.spans, *read.empty) for end in (span.low, span.high) if end]
    for version in [*ends, *(high for _, high in read.dated if high), *(fix.version for fix in fixes)]:
        if version.release not in dates and not catalogue.ranges_of(version) and version.prerelease != "pre":
            yield f"{version.release} is no known release"


def _correct(fix: Fix, fixes: Sequence[Fix], catalogue: Catalogue, doubts: list[str]) -> Fix:
    """Fixes of all branches come out together: one that is older and known to fix nothing has the wrong number."""
    days = {other.released for other in fixes if other is not fix and other.released}
    if fix.released is None or len(days) != 1 or fix.released >= (day := min(days)):
        return fix
    branch = [r for r in catalogue.releases if r.version.branch_key == fix.version.branch_key]
    harmless = any(r.security is False and r.version.precedence == fix.version.precedence for r in branch)
    real = next((r for r in branch if r.released == day and r.security and r.version > fix.version), None)
    if real is None or not harmless:
        return fix
    doubts.append(f"{fix.version.release} of {fix.released} is no security release, {real.version.release} is taken")
    return Fix(real.version, real.released)


def _in_own_branch(spans: Sequence[Span]) -> Iterator[Span]:
    """Of several upper bounds without a lower one each speaks of its branch; the lowest also of all before."""
    lone = sorted({span.high.precedence for span in spans if span.low is None and span.high})
    for span in spans:
        if span.low is None and span.high and span.high.precedence > lone[0]:
            yield replace(span, low=branch_start(*span.high.branch_key))
        else:
            yield span


def _cap(span: Span, fixes: Sequence[Fix]) -> Span:
    """What has no upper end ends with the newest fix."""
    if span.high or not fixes or (span.low and span.low.precedence >= fixes[-1].version.precedence):
        return span
    return replace(span, high=fixes[-1].version)


def _name_contradictions(spans: Sequence[Span], fixes: Sequence[Fix]) -> Iterator[str]:
    for fix in fixes:
        if any(span.holds(fix.version) for span in spans):
            yield f"{fix.version.release} is both affected and fixed"
    stated = {fix.version.branch_key for fix in fixes}
    for span in spans if fixes else ():
        if span.high and span.high.branch_key not in stated and span.high.prerelease != "pre":
            yield f"a range ends at {span.high.release}, where nothing is fixed"


def _follow_fixes(
    spans: list[Span], read: Ranges, fixes: Sequence[Fix], catalogue: Catalogue, doubts: list[str]
) -> tuple[list[Span], list[Span]]:
    """The spans with what the fixes add to them, and where nothing can be said."""
    if not fixes:
        doubts.append("no fixed version is stated")
        highs = [span for span in spans if span.high]
        top = max(highs, key=lambda span: span.high.precedence if span.high else (), default=None)
        if len(highs) < len(spans) or read.main:
            return spans, []
        return spans, [Span(top.high if top else None, None, after=bool(top and top.closed))]
    added: list[Span] = []
    guessed: list[Span] = []
    for fix in fixes:
        start = branch_start(*fix.version.branch_key)
        reaching = [span for span in spans if _reaches(span, start, fix.version)]
        typos = [s for s in read.empty if s.low and start.precedence <= s.low.precedence < fix.version.precedence]
        if reaching:
            added += _close_gap(reaching, fix.version, catalogue, doubts)
        elif typos:
            added += [Span(span.low, fix.version) for span in typos]
        else:
            doubts.append(f"no range for {fix.version.branch}, fixed in {fix.version.release}")
            guessed.append(Span(start, fix.version))
    known = [span.low for span in (*spans, *added)]
    first = guessed[0].low if guessed else None
    open_below = first and all(low and low.precedence > first.precedence for low in known)
    return [*spans, *added, *guessed], [Span(None, first)] if open_below else []


def _reaches(span: Span, start: Version, fix: Version) -> bool:
    below = span.low is None or span.low.precedence < fix.precedence
    return below and (span.high is None or span.high.precedence > start.precedence)


def _close_gap(reaching: Sequence[Span], fix: Version, catalogue: Catalogue, doubts: list[str]) -> Iterator[Span]:
    last = max(reaching, key=lambda span: span.high.precedence if span.high else (99_999,))
    if last.high is None or last.high.precedence >= fix.precedence or last.high.branch_key != fix.branch_key:
        return
    gap = Span(last.high, fix, after=last.closed)
    if any(gap.holds(release.version) for release in catalogue.releases):
        doubts.append(f"ranges end at {last.high.release}, but {fix.release} is the fix")
    yield gap


def _find_main_fix(fixes: Sequence[Fix], catalogue: Catalogue) -> MainFix | None:
    """The fix is on main on the day it comes out; where main's version is bumped on that day, the bump has it."""
    released = [Release(fix.version, fix.released) for fix in fixes if fix.released]
    if not released:
        return None
    first = min(released, key=lambda release: release.released)
    day, names = first.released, {fix.version.release for fix in fixes}
    bumps = [known for known in catalogue.main_ranges if known.since.date() == day]
    bump = next((known for known in bumps if known.version.release in names), next(iter(bumps), None))
    if bump:
        return MainFix(bump.since, bump.since, Release(bump.version, day))
    night = nightly_time(day + timedelta(days=1))
    base = main_at(night, catalogue)
    if base is None:
        return MainFix(nightly_time(day), night, first)
    version = replace(base.version, prerelease=f"nightly.{night.date()}")
    return MainFix(nightly_time(day), night, Release(version, night.date()))


def _find_safe_branch(affected: Affected, catalogue: Catalogue) -> BranchKey | None:
    if affected.main_fix is None or not affected.fixes:
        return None
    day, highest = affected.main_fix.after.date(), affected.fixes[-1].version.branch_key
    stable = (r for r in catalogue.releases if not r.version.prerelease and r.released < day)
    safe = {r.version.branch_key for r in stable if not any(span.holds(r.version) for span in affected.spans)}
    return min((branch for branch in safe if branch > highest), default=None)


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


def _and(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True
