"""The picture that ``vmcrawl status`` draws: 80 columns are enough, and it is plain where there is no terminal."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vmcrawl.commands.display import shown
from vmcrawl.commands.machines import Machine
from vmcrawl.commands.standing import Queue, Rates, Status
from vmcrawl.store.adoption import VersionCount
from vmcrawl.store.standing import FailingInstances, Pause, RunLine, SourceLine

#: Outcomes, and branches, that get a line of their own.
_OUTCOMES = 8
_BRANCHES = 8
#: Columns where nobody says how many there are.
_WIDTH = 80
_STYLES = {
    "running": "cyan",
    "success": "green",
    "partial": "yellow",
    "failed": "red",
    "interrupted": "yellow",
    "ok": "green",
}


def console_for(stream: TextIO) -> Console:
    """Where the picture goes: as wide as the terminal, or 80 columns and no colours if it is none."""
    return Console(file=stream, highlight=False, width=None if stream.isatty() else _WIDTH)


def draw(status: Status) -> RenderableType:
    """All of it, the most urgent first."""
    return Group(*(part for parts in _sections(status) for part in parts))


def lost(reason: str, last: Status | None) -> RenderableType:
    """What is shown while the database is gone: why, and the last that was known."""
    message = Text(f"the database cannot be reached: {shown(reason)}; trying again", "bold red")
    return Group(message, *([] if last is None else [Text(f"as of {_time(last.at)}:", "dim"), draw(last)]))


def _sections(status: Status) -> Iterator[list[RenderableType]]:
    yield [Text.assemble(("vmcrawl", "bold"), f" at {_time(status.at)}")]
    if status.pause is not None and status.pause.paused:
        yield [_pause(status.pause)]
    yield [_queue(status.queue, status.rates, status.at)]
    for run in status.runs or ():
        if run.status == "running":
            yield _current(run, status.machines, status.at)
    if status.machines:
        idle = [one for one in status.machines if one.held or one.expired or one.at_work]
        if idle:
            yield [Text(), _machines(idle, status.at)]
    if status.runs:
        yield [Text(), _runs(status.runs)]
    elif status.runs is not None:
        yield [Text("no run yet: vmcrawl crawl", "dim")]
    yield [Text(), _side_by_side(_outcomes(status), _failing(status.failing))]
    if status.failing and status.failing.largest:
        yield [Text(), _largest(status.failing, status.at)]
    yield [Text(), _sources(status)]
    if status.versions:
        yield [Text(), _versions(status.versions)]


def _pause(pause: Pause) -> Text:
    since = f" since {_time(pause.paused_at)}" if pause.paused_at else ""
    until = f" until {_time(pause.until)}" if pause.until else ""
    by = f" by {shown(pause.paused_by)}" if pause.paused_by else ""
    reason = f": {shown(pause.reason)}" if pause.reason else ""
    return Text(f"PAUSED{since}{until}{by}{reason}", "bold yellow")


def _queue(queue: Queue | None, rates: Rates | None, now: datetime) -> Text:
    if queue is None:
        return Text("the ledger may not be read by this user", "yellow")
    text = Text(f"{queue.domains:,} domains, ")
    text.append(f"{queue.due:,} due", "bold")
    if queue.overdue:
        text.append(f", {queue.overdue:,} of them for over 6 hours", "yellow")
    if queue.oldest_due_at:
        text.append(f" (the oldest for {_length(now - queue.oldest_due_at)})")
    if queue.next_due_at:
        text.append(f" (the next in {_length(queue.next_due_at - now)})")
    text.append(f"; {_number(queue.leased)} being crawled")
    if queue.expired:
        text.append(f", {queue.expired:,} leases have run out", "yellow")
    if queue.suspects:
        text.append(f", {queue.suspects:,} suspects", "yellow")
    if rates is not None:
        text.append(f"\n{rates.domains:,.1f} domains a second")
        if rates.requests is not None and rates.received_bytes is not None:
            text.append(f", {rates.requests:,.1f} requests, {rates.received_bytes / 1e6:,.2f} MB received")
        else:
            text.append(" in the last minute")
    if not queue.domains:
        text.append("\nthe ledger is empty: vmcrawl domains import FILE", "dim")
    return text


def _current(run: RunLine, machines: Sequence[Machine] | None, now: datetime) -> list[RenderableType]:
    took = now - run.started_at
    # The sum of a run that has not ended is written now and then; the tallies are up to date.
    crawled = max(run.crawled, sum(one.crawled for one in machines or () if one.run_id == run.id))
    planned = max(run.planned, crawled, 1)
    text = Text.assemble(
        (f"run {run.id}", "bold"),
        f"{' ' + shown(run.name) if run.name else ''}: {crawled:,} of {run.planned:,}, for {_length(took)}",
    )
    if crawled and planned > crawled:
        text.append(f", about {_length(took * (planned - crawled) / crawled)} left")
    if run.heartbeat_at is not None and now - run.heartbeat_at > timedelta(minutes=2):
        text.append(f"; silent for {_length(now - run.heartbeat_at)}", "red")
    return [Text(), text, ProgressBar(total=planned, completed=crawled, width=60)]


def _machines(machines: Sequence[Machine], now: datetime) -> Table:
    table = _table("machine", "run", ">crawlers", ">crawled", ">in flight", ">run out", ">heard of")
    for one in machines:
        heard = "" if one.heartbeat_at is None else _length(now - one.heartbeat_at)
        run = "" if one.run_id is None else str(one.run_id)
        numbers = (one.crawlers, one.crawled, one.held, one.expired)
        _add(table, one.name or "(unknown)", run, *(f"{number:,}" for number in numbers), heard)
    return table


def _runs(runs: Sequence[RunLine]) -> Table:
    table = _table(">run", "started", ">took", "status", ">crawled", ">planned", ">ok")
    for run in runs:
        took = "" if run.finished_at is None else _length(run.finished_at - run.started_at)
        good = f"{run.outcomes.get('ok', 0) / run.crawled:.0%}" if run.crawled else ""
        name = f"{run.id}{'*' if run.by_hand else ''}"
        started = f"{run.started_at:%Y-%m-%d %H:%M}"
        _add(table, name, started, took, run.status, f"{run.crawled:,}", f"{run.planned:,}", good)
    return table


def _outcomes(status: Status) -> Table | Text:
    ended, title = status.last_day, "crawled in the last day"
    if ended is None and status.ledger is not None:
        ended, title = {part.outcome: part.domains for part in status.ledger if part.outcome}, "last verdicts"
    if ended is None:
        return Text("verdicts may not be read by this user", "yellow")
    total = sum(ended.values())
    table = _table(title, ">domains", ">")
    for outcome, number in _shortened(ended):
        _add(table, outcome, f"{number:,}", f"{number / total:.0%}")
    if not ended:
        _add(table, "nothing", "", "")
    return table


def _failing(failing: FailingInstances | None) -> Table | Text:
    if failing is None:
        return Text("")
    total = sum(failing.outcomes.values())
    table = _table("failing known instances", f">{total:,}")
    for outcome, number in _shortened(failing.outcomes):
        _add(table, outcome, f"{number:,}")
    return table


def _largest(failing: FailingInstances, now: datetime) -> Table:
    table = _table("largest that fail", "verdict", ">times", ">users", ">last seen")
    for one in failing.largest:
        last_seen = f"{_length(now - one.last_seen_at)} ago"
        _add(table, one.domain, one.outcome, str(one.failures), f"{one.active_users:,}", last_seen)
    return table


def _sources(status: Status) -> RenderableType:
    known, newest = status.catalogue, Text("releases: ")
    if known is None:
        newest.append("may not be read by this user", "yellow")
    elif known.newest_release is None:
        newest.append("none is known", "yellow")
    else:
        newest.append(f"{known.releases:,} known, the newest is {known.newest_release} of {known.released_on}")
    if status.sources is None:
        return newest
    if not status.sources:
        newest.append("\nnever refreshed: vmcrawl releases refresh", "dim")
        return newest
    table = _table("source", ">answered", "")
    for source in status.sources:
        _add(table, source.name, *_freshness(source, status.at))
    return Group(newest, table)


def _freshness(source: SourceLine, now: datetime) -> tuple[str, str]:
    answered = "never" if source.fetched_at is None else f"{_length(now - source.fetched_at)} ago"
    failed = source.failed_at is not None and (source.fetched_at is None or source.failed_at > source.fetched_at)
    return answered, f"failed: {source.error or 'why, may not be read'}" if failed or source.error else ""


def _versions(versions: Sequence[VersionCount]) -> Table:
    table = _table("branch", "support", ">instances", ">users", ">patched", "most frequent")
    instances = sum(count.instances for count in versions)
    rows = [(branch, list(counts)) for branch, counts in groupby(sorted(versions, key=_key, reverse=True), key=_branch)]
    large = sorted(rows, key=lambda row: -sum(count.instances for count in row[1]))[:_BRANCHES]
    for branch, counts in rows:
        if (branch, counts) not in large:
            continue
        number = sum(count.instances for count in counts)
        patched = sum(count.instances for count in counts if count.patched)
        users = sum(count.active_users for count in counts)
        support = counts[0].support or "?"
        _add(table, branch, support, f"{number:,}", f"{users:,}", f"{patched / number:.0%}", _frequent(counts))
    rest = instances - sum(count.instances for _, counts in large for count in counts)
    if rest:
        _add(table, f"{len(rows) - len(large)} more", "", f"{rest:,}", "", "", "")
    return table


def _frequent(counts: Sequence[VersionCount]) -> str:
    by_release: dict[str, int] = {}
    for count in counts:
        by_release[count.release or "?"] = by_release.get(count.release or "?", 0) + count.instances
    most = sorted(by_release.items(), key=lambda item: (-item[1], item[0]))[:1]
    return ", ".join(f"{release} ({number:,})" for release, number in most)


def _branch(count: VersionCount) -> str:
    return count.branch or "?"


def _key(count: VersionCount) -> tuple[list[int], str]:
    parts = (count.branch or "").split(".")
    return [int(part) for part in parts if part.isascii() and part.isdigit()], count.branch or ""


def _shortened(counts: "dict[str, int] | object") -> list[tuple[str, int]]:
    assert isinstance(counts, dict)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = ordered[_OUTCOMES:]
    return ordered[:_OUTCOMES] + ([(f"{len(rest)} others", sum(number for _, number in rest))] if rest else [])


def _side_by_side(left: RenderableType, right: RenderableType) -> Table:
    grid = Table.grid(padding=(0, 4), pad_edge=False)
    grid.add_row(left, right)
    return grid


def _table(*headings: str) -> Table:
    """Columns by their headings; those that begin with ``>`` hold numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        number = heading.startswith(">")
        table.add_column(
            Text(heading.removeprefix(">")),
            justify="right" if number else "left",
            no_wrap=number,
            overflow="fold",
        )
    return table


def _add(table: Table, *cells: str) -> None:
    # As Text: rich would read a string for markup, and for names of emoji.
    table.add_row(*(Text(shown(cell), _STYLES.get(cell, "")) for cell in cells))


def _number(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}"


def _length(length: timedelta) -> str:
    """A length of time as one would say it: its two largest units at most."""
    seconds = max(0, round(length.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if hours < 10 and minutes else f"{hours} h"
    return f"{hours // 24} days"
