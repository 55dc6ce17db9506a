"""Dashboards: panels on the grid of 24 columns, in rows, with what Grafana wants around them."""

from collections.abc import Sequence
from typing import Any

from grafana.build.parts import Panel

_COLUMNS = 24


class Grid:
    """Puts panels beside and below each other, and numbers them."""

    def __init__(self) -> None:
        self.panels: list[Panel] = []
        self._next_id = 1
        self._y = 0

    def line(self, height: int, *panels: tuple[int, Panel]) -> None:
        """Put panels beside each other: (width, panel) each; together 24 columns."""
        assert sum(width for width, _ in panels) == _COLUMNS
        x = 0
        for width, panel in panels:
            self._add(panel, x, width, height)
            x += width
        self._y += height

    def row(self, title: str) -> None:
        """Begin a part under a title."""
        self._add({"type": "row", "title": title, "collapsed": False, "panels": []}, 0, _COLUMNS, 1)
        self._y += 1

    def _add(self, panel: Panel, x: int, width: int, height: int) -> None:
        self.panels.append({"id": self._next_id, "gridPos": {"x": x, "y": self._y, "w": width, "h": height}, **panel})
        self._next_id += 1


def dashboard(
    uid: str,
    title: str,
    description: str,
    grid: Grid,
    *,
    since: str,
    tags: Sequence[str] = (),
    variables: Sequence[dict[str, Any]] = (),
    annotations: Sequence[dict[str, Any]] = (),
    refresh: str = "5m",
) -> dict[str, Any]:
    """A dashboard as provisioned: it has no number of its own, and nobody changes it in the browser."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["vmcrawl", *tags],
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": 39,
        "version": 1,
        "timezone": "utc",
        "weekStart": "",
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "refresh": refresh,
        "time": {"from": since, "to": "now"},
        "timepicker": {},
        "links": _LINKS,
        "annotations": {"list": list(annotations)},
        "templating": {"list": list(variables)},
        "panels": grid.panels,
    }


#: To the other dashboards, wherever one is: they all bear this tag.
_LINKS = [
    {
        "title": "vmcrawl",
        "type": "dashboards",
        "tags": ["vmcrawl"],
        "asDropdown": False,
        "icon": "dashboard",
        "includeVars": False,
        "keepTime": False,
        "targetBlank": False,
        "tooltip": "",
        "url": "",
    }
]
