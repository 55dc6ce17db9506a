"""What ranges and fixed versions mean together: the texts of an advisory, or of an operator, become an affected set."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise

from vmcrawl.builds import main_at, nightly_time, release_dates
from vmcrawl.catalogue import BranchKey, Catalogue, Release
from vmcrawl.judgement import Affected, Fix, MainFix
from vmcrawl.ranges import Ranges, Span, branch_start, read_ranges, read_versions
from vmcrawl.version import Version


def read_affected(ranges: str, patched: str, catalogue: Catalogue) -> tuple[Affected, str]:
    """The affected set, and why it is no more than a reading of the texts (empty: nothing is unclear). Never raises.

    ``ranges`` as :func:`read_ranges` takes them, ``patched`` a list of versions. Within its branch a fixed version is
    the authority: nothing from it on is affected, unless by a range that begins after it, and what no range reaches
    below it is taken to be. Every bound and fixed version that is no known release is named among the reasons.
    """
    read, doubts = read_ranges(ranges), []
    stated, unread = read_versions(patched)
    doubts += [f"{text!r} cannot be read" for text in (*read.unread, *unread)]
    doubts += [f"the range from {span.low} to {span.high} is empty" for span in read.empty]
    dates = _known_dates(catalogue)
    fixes = [Fix(version, dates.get(version.release)) for version in stated]
    doubts += _name_unknown(read, fixes, dates)
    fixes = [_correct(fix, fixes, catalogue, doubts) for fix in fixes]
    dated = [_resolve(day, high, catalogue) for day, high in read.dated]
    doubts += [f"main of {day} is not known" for (day, _), span in zip(read.dated, dated, strict=True) if not span]
    spans = [*_in_own_branch(read.spans), *(span for span in dated if span)]
    spans = [_cap(span, fixes) for span in spans]
    doubts += _name_contradictions(spans, fixes)
    if read.supported:
        doubts.append("nobody says which versions were supported")
    unsure = [_cap(span, fixes) for span in read.unsure]
    found = _follow_fixes(_Spans(spans, [], unsure), read, fixes, catalogue, doubts)
    affected = Affected(
        tuple(found.spans),
        tuple(found.guessed),
        tuple(found.unsure),
        tuple(fixes),
        _find_main_fix(fixes, catalogue),
        read.main,
        ways_out=_released(fixes),
    )
    return replace(affected, safe_branch=_find_safe_branch(affected, catalogue)), "; ".join(dict.fromkeys(doubts))


def read_exactly(ranges: str, catalogue: Catalogue) -> Affected | None:
    """The set that the ranges name and nothing else; None where a part cannot be read or leads to no version.

    Nothing is corrected, filled or closed, and no fix outweighs a range. What a range ends with (``< 4.3.16``) is
    what there is to take. Builds of main are judged by what main was called on their day.
    """
    read = read_ranges(ranges)
    dated = [_resolve(day, high, catalogue) for day, high in read.dated]
    spans = [*_in_own_branch(read.spans), *(span for span in dated if span)]
    if read.unread or read.empty or read.supported or None in dated or not (spans or read.main):
        return None
    dates = _known_dates(catalogue)
    ends = {span.high for span in spans if span.high and not span.closed and span.high.prerelease != "pre"}
    ways_out = _released([Fix(end, dates.get(end.release)) for end in sorted(ends)])
    return Affected(tuple(spans), main=read.main, ways_out=ways_out)


def _known_dates(catalogue: Catalogue) -> dict[str, date]:
    """The day of each release, and of what main was called without being released the day it first was."""
    bumps = sorted(catalogue.main_ranges, key=lambda known: known.since, reverse=True)
    return {known.version.release: known.since.date() for known in bumps} | release_dates(catalogue)


def _resolve(day: date, high: Version | None, catalogue: Catalogue) -> Span | None:
    """The builds of main from a day on; None where nobody knows what main was."""
    base = main_at(nightly_time(day), catalogue)
    return Span(base.version, high, since=day) if base else None


def _released(fixes: Sequence[Fix]) -> tuple[Release, ...]:
    return tuple(Release(fix.version, fix.released) for fix in fixes if fix.released)


def _name_unknown(read: Ranges, fixes: Sequence[Fix], dates: Mapping[str, date]) -> Iterator[str]:
    ends = [end for span in (*read.spans, *read.unsure, *read.empty) for end in (span.low, span.high) if end]
    for version in [*ends, *(high for _, high in read.dated if high), *(fix.version for fix in fixes)]:
        if version.release not in dates and version.prerelease != "pre":
            yield f"{version.release} is no known release"


def _correct(fix: Fix, fixes: Sequence[Fix], catalogue: Catalogue, doubts: list[str]) -> Fix:
    """Fixes of all branches come out together: one that is older and known to fix nothing has the wrong number."""
    branches = [other.version.branch_key for other in fixes]
    days = {other.released for other in fixes if other is not fix and other.released}
    if (
        fix.released is None
        or branches.count(fix.version.branch_key) > 1
        or len(days) != 1
        or fix.released >= (day := min(days))
    ):
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
    for earlier, later in pairwise(fixes):
        if earlier.version.branch_key == later.version.branch_key:
            yield f"{later.version.branch} is fixed twice, in {earlier.version.release} and in {later.version.release}"
    for span in spans if fixes else ():
        if span.high and span.high.prerelease != "pre" and not any(_may_end(fix.version, span) for fix in fixes):
            yield f"a range ends at {span.high.release}, where nothing is fixed"


def _may_end(fix: Version, span: Span) -> bool:
    """Whether a fix is of the branch in which a span ends, and after its beginning."""
    in_branch = span.high is not None and fix.branch_key == span.high.branch_key
    return in_branch and (span.low is None or span.low.precedence < fix.precedence)


@dataclass(slots=True)
class _Spans:
    """As in :class:`Affected`."""

    spans: list[Span] = field(default_factory=list)
    guessed: list[Span] = field(default_factory=list)
    unsure: list[Span] = field(default_factory=list)


def _follow_fixes(said: _Spans, read: Ranges, fixes: Sequence[Fix], catalogue: Catalogue, doubts: list[str]) -> _Spans:
    """The spans with what the fixes add to them, and where nothing can be said."""
    spans = said.spans
    if not fixes:
        doubts.append("no fixed version is stated")
        highs = [span for span in spans if span.high]
        top = max(highs, key=lambda span: span.high.precedence if span.high else (), default=None)
        if len(highs) < len(spans) or read.main:
            return said
        beyond = Span(top.high if top else None, None, after=bool(top and top.closed))
        return replace(said, unsure=[*said.unsure, beyond])
    found = _Spans(list(spans), [], list(said.unsure))
    before: dict[BranchKey, Version] = {}
    for fix in fixes:
        earlier = before.get(fix.version.branch_key)
        before[fix.version.branch_key] = fix.version
        start = earlier or branch_start(*fix.version.branch_key)
        reaching = [span for span in spans if _reaches(span, start, fix.version)]
        typos = [s for s in read.empty if s.low and start.precedence <= s.low.precedence < fix.version.precedence]
        if reaching:
            found.spans += _close_gap(reaching, fix.version, catalogue, doubts)
        elif typos:
            found.spans += [Span(span.low, fix.version) for span in typos]
        elif earlier:
            doubts.append(f"no range from {earlier.release} to {fix.version.release}")
            found.unsure.append(Span(earlier, fix.version))
        else:
            doubts.append(f"no range for {fix.version.branch}, fixed in {fix.version.release}")
            found.guessed.append(Span(start, fix.version))
    first = found.guessed[0].low if found.guessed else None
    if first and all(span.low and span.low.precedence > first.precedence for span in found.spans):
        found.unsure.append(Span(None, first))
    return found


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
    """The fix is on main when its first release comes out; where a branch needed another one, not surely before that.

    In between nobody says which of the two main had.
    """
    released = _released(fixes)
    if not released:
        return None
    first = {release.version.branch_key: release for release in reversed(released)}
    again = [release for release in released if release is not first[release.version.branch_key]]
    names = {fix.version.release for fix in fixes}
    fix = _fix_on_main(min(first.values(), key=lambda release: release.released), names, catalogue)
    if not again:
        return fix
    last = _fix_on_main(max(again, key=lambda release: release.released), names, catalogue)
    return last if last.by < fix.by else replace(last, after=fix.after)


def _fix_on_main(first: Release, names: set[str], catalogue: Catalogue) -> MainFix:
    """The fix is on main on the day it comes out; where main's version is bumped on that day, the bump has it."""
    day = first.released
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
    spans = (*affected.spans, *affected.guessed)
    stable = (r for r in catalogue.releases if not r.version.prerelease and r.released < day)
    safe = {r.version.branch_key for r in stable if not any(span.holds(r.version) for span in spans)}
    return min((branch for branch in safe if branch > highest), default=None)
