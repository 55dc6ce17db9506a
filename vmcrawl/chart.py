"""The picture of adoption over time: areas stacked by branch, labelled where they end, with gaps where none is known.

matplotlib draws it, an extra that is imported only here, and only when something is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from vmcrawl.adoption import OTHER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The size of pictures that are posted, in pixels.
_WIDTH, _HEIGHT, _DPI = 1200, 675, 100
#: Branches that get a colour of their own, by the largest share they ever had.
_MOST = 9
#: A branch that never was as large as this share is one of the others.
_LEAST = 0.01
#: Nothing is drawn across more than so many times the usual distance of two counts.
_GAP = 1.75
#: Told apart also by those who see fewer colours (Okabe and Ito's, and three more); neighbours are far from each other.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a900", "#7f6bb3", "#8c6d4f")
_GREY = "#8a8f98"
#: Years, months, days, hours, minutes, seconds: what stands at the axis, for which there is no other room.
_DATES = ["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S.%f"]
#: A label needs so much of the height.
_LABEL_HEIGHT = 0.042


#: What stands for all branches without a colour of their own.
OTHERS = "others"


class ChartUnavailable(Exception):
    """matplotlib is not installed; the message says how that is changed."""


@dataclass(frozen=True, slots=True)
class Series:
    """One area: what it is called, and its value at each moment."""

    name: str
    values: Sequence[int]


def draw_chart(points: Sequence[tuple[datetime, str, int]], path: Path, *, weight: str, dark: bool = False) -> None:
    """Draw counts by moment and branch, oldest first, into a PNG or SVG file (by its name).

    ``weight`` is what is counted, ``instances`` or ``users``. Raises :class:`ChartUnavailable`, and ``OSError`` where
    the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ChartUnavailable(
            f"a chart needs matplotlib ({error}): pip install 'vmcrawl[charts]', or pip install matplotlib"
        ) from error
    moments, series = arrange(points)
    ink, paper = ("#e6e6e6", "#16181d") if dark else ("#1f2328", "#ffffff")
    figure = Figure(figsize=(_WIDTH / _DPI, _HEIGHT / _DPI), dpi=_DPI, facecolor=paper)
    axes = figure.add_axes((0.07, 0.12, 0.80, 0.73), facecolor=paper)
    _areas(axes, moments, series, paper)
    _labels(axes, moments, series, ink)
    _scales(axes, moments, ink)
    _words(figure, moments, series, weight, ink)
    kind = path.suffix.lower().removeprefix(".")
    figure.savefig(path, format=kind, dpi=_DPI, facecolor=paper)


def arrange(points: Sequence[tuple[datetime, str, int]]) -> tuple[list[datetime], list[Series]]:
    """The moments, and the areas from the bottom up: what is small or unknown, then the oldest branch."""
    moments = sorted({at for at, _, _ in points})
    place = {at: index for index, at in enumerate(moments)}
    by_branch: dict[str, list[int]] = {}
    for at, branch, value in points:
        by_branch.setdefault(branch, [0] * len(moments))[place[at]] += value
    totals = [sum(values[index] for values in by_branch.values()) for index in range(len(moments))]
    largest = {
        branch: max(value / whole for value, whole in zip(values, totals, strict=True) if whole) if any(totals) else 0
        for branch, values in by_branch.items()
        if branch != OTHER
    }
    named = sorted((b for b in largest if largest[b] >= _LEAST), key=lambda branch: -largest[branch])[:_MOST]
    rest = [values for branch, values in by_branch.items() if branch not in named]
    series = [Series(OTHERS, [sum(column) for column in zip(*rest, strict=True)])] if rest else []
    return moments, series + [Series(branch, by_branch[branch]) for branch in sorted(named, key=_key)]


def stretches(moments: Sequence[datetime]) -> list[tuple[int, int]]:
    """The parts, as first and last place, that may be drawn through: between them something is missing."""
    distances = [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
    longest = _GAP * median(distances) if distances else 0.0
    ends = [index for index, distance in enumerate(distances) if distance > longest]
    return list(zip([0, *(end + 1 for end in ends)], [*ends, len(moments) - 1], strict=True))


def _key(branch: str) -> tuple[int, ...]:
    return tuple(int(part) for part in branch.split(".") if part.isascii() and part.isdigit())


def _colours(series: Sequence[Series]) -> list[str]:
    """Each branch has the colour that its number leads to, so that the pictures of many months go together.

    Where two would have the same one, the older takes the next that is free.
    """
    taken: dict[str, str] = {}
    for name in sorted((one.name for one in series if one.name != OTHERS), key=_key, reverse=True):
        first = sum(_key(name)[-1:]) % len(_COLOURS)
        free = (*_COLOURS[first:], *_COLOURS[:first])
        taken[name] = next(colour for colour in free if colour not in taken.values())
    return [taken.get(one.name, _GREY) for one in series]


def _areas(axes: "Axes", moments: Sequence[datetime], series: Sequence[Series], paper: str) -> None:
    from matplotlib.dates import date2num

    for first, last in stretches(moments):
        times = list(moments[first : last + 1])
        values = [list(one.values[first : last + 1]) for one in series]
        if first == last:
            # A single count is no line: it is shown as a short time around it.
            half = _half_step(moments)
            times = [times[0] - half, times[0] + half]
            values = [value * 2 for value in values]
        places = date2num(times)  # type: ignore[no-untyped-call]  # as they have it
        axes.stackplot(places, values, colors=_colours(series), edgecolor=paper, linewidth=0.8)


def _half_step(moments: Sequence[datetime]) -> timedelta:
    distances = [later - earlier for earlier, later in pairwise(moments)]
    return min(distances, default=timedelta(days=1)) / 3


def _labels(axes: "Axes", moments: Sequence[datetime], series: Sequence[Series], ink: str) -> None:
    """The names at the right end of their areas, moved apart where they would touch."""
    highest = max((sum(one.values[index] for one in series) for index in range(len(moments))), default=0) or 1
    whole = sum(one.values[-1] for one in series)
    axes.set_ylim(0, highest * 1.02)
    below, wanted = 0.0, []
    for one, colour in zip(series, _colours(series), strict=True):
        value = one.values[-1]
        wanted.append(((below + value / 2) / (highest * 1.02), f"{one.name}  {_share(value, whole)}", colour))
        below += value
    places = _apart([place for place, _, _ in wanted])
    for place, (middle, text, colour) in zip(places, wanted, strict=True):
        axes.plot([1.002, 1.022], [middle, place], transform=axes.transAxes, color=colour, linewidth=1.5, clip_on=False)
        frame = {"boxstyle": "round,pad=0.25", "facecolor": "none", "edgecolor": colour, "linewidth": 2}
        axes.text(1.03, place, text, transform=axes.transAxes, color=ink, fontsize=12, va="center", bbox=frame)


def _share(part: int, whole: int) -> str:
    return "<1%" if 0 < part * 200 < whole else f"{part / whole if whole else 0:.0%}"


def _apart(places: Sequence[float]) -> list[float]:
    """The same places, in their order, none nearer to another than a label is high; from 0 to 1 as far as that goes."""
    height = _LABEL_HEIGHT * 1.35
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + height) if moved else max(place, 0.0))
    limit = 1.0
    for index in range(len(moved) - 1, -1, -1):
        moved[index] = min(moved[index], limit)
        limit = moved[index] - height
    return moved


def _scales(axes: "Axes", moments: Sequence[datetime], ink: str) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    half = _half_step(moments)
    ends = [moments[0] - half, moments[-1] + (half if len(moments) == 1 else timedelta(0))]
    begin, end = date2num(ends)  # type: ignore[no-untyped-call]  # as they have it
    axes.set_xlim(float(begin), float(end))
    axes.xaxis_date(UTC)
    locator = AutoDateLocator(minticks=3, maxticks=9, tz=UTC)  # type: ignore[no-untyped-call]  # as they have it
    axes.xaxis.set_major_locator(locator)
    zeros = ["", "%Y", "%b", *_DATES[2:5]]
    dates = ConciseDateFormatter(locator, UTC, _DATES, zero_formats=zeros)  # type: ignore[no-untyped-call]  # the same
    axes.xaxis.set_major_formatter(dates)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _rounded(value)))
    axes.tick_params(colors=ink, labelsize=12, length=0)
    axes.xaxis.offsetText.set_visible(False)
    axes.grid(axis="y", color=ink, alpha=0.18, linewidth=0.8)
    axes.set_axisbelow(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _rounded(value: float) -> str:
    return f"{value / 1e6:g} M" if value >= 1e6 else f"{value:,.0f}"


def _words(figure: "Figure", moments: Sequence[datetime], series: Sequence[Series], weight: str, ink: str) -> None:
    what = "Monthly active users by Mastodon branch" if weight == "users" else "Mastodon servers by version branch"
    figure.text(0.07, 0.93, f"{what}, {moments[-1]:%Y-%m-%d}", color=ink, fontsize=20, weight="bold")
    whole = sum(one.values[-1] for one in series)
    unit = "monthly active users" if weight == "users" else "servers"
    figure.text(0.07, 0.885, f"{whole:,} {unit}, from {moments[0]:%Y-%m-%d} on", color=ink, fontsize=13, alpha=0.85)
    source = f"Source: vmcrawl, from what servers say of themselves, as of {moments[-1]:%Y-%m-%d %H:%M} UTC."
    gaps = " Gaps: not measured." if len(stretches(moments)) > 1 else ""
    figure.text(0.07, 0.03, source + gaps, color=ink, fontsize=11, alpha=0.75)
