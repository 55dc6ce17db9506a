"""The adoption report as a page: paragraphs and tables, as text or as Markdown."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TextIO

from vmcrawl.adoption import OTHER, BranchCount, Changes, Count, Facts, Uptake, changes, supported, total
from vmcrawl.commands.display import shown, write_table

#: Branches with a line of their own; what is left is one line.
_BRANCHES = 12
_SUPPORT = {
    "main": "in development",
    "latest": "supported",
    "previous": "supported",
    "deprecated": "supported",
    "eol": "end of life",
    "unknown": "unknown",
}
_PATCHED = {True: "yes", False: "no", None: "unknown"}
#: What means something in Markdown, within a line and a cell.
_MARKS = re.compile(r"([\\`*_\[\]<>|#])")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A few sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a title; columns whose headings begin with ``>`` hold numbers."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def page(facts: Facts) -> list[Paragraph | Table]:
    """All that there is to say, the most important first."""
    return [*_summary(facts), *_tables(facts)]


def write_text(stream: TextIO, title: str, blocks: Sequence[Paragraph | Table]) -> None:
    """Write it for a terminal or a mail."""
    stream.write(f"{title}\n")
    for block in blocks:
        if isinstance(block, Paragraph):
            stream.write(f"\n{shown(block.text)}\n")
        else:
            stream.write(f"\n{block.title}\n")
            write_table(stream, [heading.removeprefix(">") for heading in block.headings], block.rows)


def write_markdown(stream: TextIO, title: str, blocks: Sequence[Paragraph | Table]) -> None:
    """Write it for a forum or a repository (tables as GitHub has them)."""
    stream.write(f"# {title}\n")
    for block in blocks:
        if isinstance(block, Paragraph):
            stream.write(f"\n{_marked(block.text)}\n")
            continue
        stream.write(f"\n## {block.title}\n\n")
        stream.write(f"| {' | '.join(_marked(heading.removeprefix('>')) for heading in block.headings)} |\n")
        stream.write(f"|{'|'.join(' ---: ' if heading.startswith('>') else ' --- ' for heading in block.headings)}|\n")
        for row in block.rows:
            stream.write(f"| {' | '.join(map(_marked, row))} |\n")


def title_of(facts: Facts) -> str:
    """What the report is called."""
    return f"Mastodon version adoption, {facts.at:%Y-%m-%d}"


def _marked(text: str) -> str:
    return _MARKS.sub(r"\\\1", shown(text))


def _summary(facts: Facts) -> Iterator[Paragraph]:
    everything = total(one.count for one in facts.branches)
    if not everything.instances:
        yield Paragraph("Nothing is published: no server has given a good answer within the retention.")
        return
    alive = supported(facts.branches)
    yield Paragraph(
        f"{everything.instances:,} servers with {everything.active_users:,} monthly active users."
        f" {_share(alive.instances, everything.instances)} of the servers"
        f" ({_share(alive.active_users, everything.active_users)} of the users) are on a supported branch,"
        f" {_percent(everything.patched_share)} ({_percent(everything.patched_users_share)} of the users) run the"
        " newest release of their branch."
    )
    yield Paragraph(
        f"{_share(facts.exposed_instances, everything.instances)} of the servers"
        f" ({_share(facts.exposed_users, everything.active_users)} of the users) run a version that at least one"
        " published security advisory touches."
    )
    difference = changes(facts.page_before, facts.page)
    if difference is None:
        yield Paragraph("There is no count from a week ago to compare with.")
    else:
        yield Paragraph(_compared(difference, facts.moved_instances))
    yield Paragraph(_as_of(facts))


def _compared(difference: Changes, moved: int) -> str:
    before, after = difference.before, difference.after
    since = f"Since {difference.since:%Y-%m-%d}: "
    return (
        f"{since}{_signed(after.instances - before.instances)} servers,"
        f" {_signed(after.active_users - before.active_users)} users; the share of patched servers went from"
        f" {_percent(before.patched_share)} to {_percent(after.patched_share)}, that of users on patched servers from"
        f" {_percent(before.patched_users_share)} to {_percent(after.patched_users_share)}. {moved:,} servers changed"
        " their version in the last seven days."
    )


def _as_of(facts: Facts) -> str:
    run = f"The last crawl ended on {_moment(facts.last_run_at)}" if facts.last_run_at else "No crawl has ended yet"
    oldest = f"; the oldest answer that counts is of {_moment(facts.oldest_seen_at)}" if facts.oldest_seen_at else ""
    return (
        f"{run}{oldest}. {facts.failing:,} of the servers could not be seen the last time and count as they were."
        f" {facts.opted_out:,} have opted out and {facts.robots_disallowed:,} forbid it by robots.txt: they are not"
        " counted. Versions and users are what servers say of themselves."
    )


def _tables(facts: Facts) -> Iterator[Table]:
    if facts.branches:
        yield _branches(facts)
    newest = [one for one in facts.branches if one.support in ("latest", "previous", "deprecated")]
    if newest:
        yield Table(
            "Newest releases",
            ("release", "out since", ">of its branch", ">of its users", ">half had the last fix after"),
            [_release(one, facts) for one in newest],
        )
    if facts.advisories:
        yield Table(
            "Advisories that touch most servers",
            ("advisory", "severity", "published", ">servers", ">users", "title"),
            [
                (
                    a.cve_id or a.ghsa_id,
                    a.severity,
                    str(a.published or ""),
                    *_numbers(a.instances, a.active_users),
                    a.title,
                )
                for a in facts.advisories
            ],
        )
    difference = changes(facts.page_before, facts.page)
    if difference is not None and difference.branches:
        yield Table(
            f"Changes since {difference.since:%Y-%m-%d}",
            ("branch", ">servers", ">users"),
            [(one.branch, _signed(one.instances), _signed(one.active_users)) for one in difference.branches[:8]],
        )
    if facts.largest:
        yield Table(
            "Largest servers",
            ("server", "version", "patched", ">users"),
            [(one.domain, one.version, _PATCHED[one.patched], f"{one.active_users:,}") for one in facts.largest],
        )


def _branches(facts: Facts) -> Table:
    everything = total(one.count for one in facts.branches)
    large = sorted((one for one in facts.branches if one.branch != OTHER), key=lambda one: -one.count.instances)
    shown_ones = large[:_BRANCHES]
    rows = [_branch(one.branch, _until(one), one.count, everything) for one in facts.branches if one in shown_ones]
    rest = [one for one in facts.branches if one not in shown_ones]
    if rest:
        rows.append(_branch("all others", "", total(one.count for one in rest), everything))
    headings = ("branch", "support", ">servers", ">share", ">patched", ">users", ">share", ">patched")
    return Table("Branches", headings, rows)


def _branch(name: str, support: str, count: Count, everything: Count) -> tuple[str, ...]:
    return (
        name,
        support,
        f"{count.instances:,}",
        _share(count.instances, everything.instances),
        _percent(count.patched_share),
        f"{count.active_users:,}",
        _share(count.active_users, everything.active_users),
        _percent(count.patched_users_share),
    )


def _until(branch: BranchCount) -> str:
    return _SUPPORT.get(branch.support, branch.support)


def _release(branch: BranchCount, facts: Facts) -> tuple[str, ...]:
    uptake = next((one for one in facts.uptakes if one.branch == branch.branch), None)
    age = "" if branch.latest_released_on is None else str(branch.latest_released_on)
    have = (_percent(branch.count.patched_share), _percent(branch.count.patched_users_share))
    return branch.latest_release or "", age, *have, _delay(uptake)


def _delay(uptake: Uptake | None) -> str:
    if uptake is None or uptake.half_of_instances is None:
        return ""
    return f"{uptake.release}: {uptake.half_of_instances / timedelta(days=1):.1f} days"


def _numbers(*numbers: int) -> tuple[str, ...]:
    return tuple(f"{number:,}" for number in numbers)


def _share(part: int, whole: int) -> str:
    return _percent(part / whole if whole else None)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _signed(number: int) -> str:
    return f"{number:+,}" if number else "0"


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M %Z}"
