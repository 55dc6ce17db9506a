"""Panels of classic dashboards, as Grafana 10 to 13 read them; only types that all of them have."""

from collections.abc import Mapping, Sequence
from typing import Any

from grafana.build.colours import BRANCHES, PLAIN

Panel = dict[str, Any]
Steps = Sequence[tuple[float | None, str]]

PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
POSTGRES = {"type": "postgres", "uid": "vmcrawl-postgres"}


def query(expression: str, legend: str = "", *, ref: str = "A", instant: bool = True, table: bool = False) -> Panel:
    """One question to Prometheus: of now, or (``instant`` False) of all the time that is shown."""
    return {
        "refId": ref,
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": expression,
        "legendFormat": legend or "__auto",
        "instant": instant,
        "range": not instant,
        "format": "table" if table else "time_series",
    }


def over_time(expression: str, legend: str, ref: str = "A") -> Panel:
    """One question for a curve."""
    return query(expression, legend, ref=ref, instant=False)


def sql(statement: str, ref: str = "A") -> Panel:
    """One question to Postgres, whose answer is a table."""
    return {
        "refId": ref,
        "datasource": POSTGRES,
        "editorMode": "code",
        "format": "table",
        "rawQuery": True,
        "rawSql": statement,
    }


def panel(
    kind: str, title: str, description: str, targets: Sequence[Panel], unit: str, *, steps: Steps = PLAIN, **more: Any
) -> Panel:
    """What all panels have; ``more`` goes into ``options``."""
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": targets[0]["datasource"],
        "targets": list(targets),
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "noValue": "no data",
                "color": {"mode": "thresholds"},
                "mappings": [],
                "thresholds": {
                    "mode": "absolute",
                    "steps": [{"value": value, "color": colour} for value, colour in steps],
                },
            },
            "overrides": [],
        },
        "options": dict(more),
        "transformations": [],
    }


def stat(title: str, description: str, target: Panel, unit: str = "locale", *, steps: Steps = PLAIN) -> Panel:
    """One number, on a ground of the colour that it deserves."""
    return panel(
        "stat",
        title,
        description,
        [target],
        unit,
        steps=steps,
        colorMode="none" if steps is PLAIN else "value",
        graphMode="none",
        justifyMode="auto",
        orientation="auto",
        textMode="auto",
        wideLayout=True,
        reduceOptions=_LAST,
    )


def bars(title: str, description: str, target: Panel, colours: Mapping[str, str], unit: str = "locale") -> Panel:
    """One bar for each series, the longest first if the query sorts them."""
    made = panel(
        "bargauge",
        title,
        description,
        [target],
        unit,
        displayMode="basic",
        orientation="horizontal",
        showUnfilled=False,
        valueMode="text",
        namePlacement="left",
        sizing="manual",
        minVizHeight=18,
        minVizWidth=8,
        maxVizHeight=36,
        # Room for names is measured in a size that goes with the height of bars, 12 at least: larger ones are cut.
        text={"titleSize": 12, "valueSize": 14},
        reduceOptions=_LAST,
    )
    made["fieldConfig"]["defaults"]["min"] = 0
    return coloured(made, colours)


def curves(
    title: str,
    description: str,
    targets: Sequence[Panel],
    unit: str = "short",
    *,
    colours: Mapping[str, str] = BRANCHES,
    stacked: bool = False,
    share: bool = False,
    steps: Steps = PLAIN,
) -> Panel:
    """Lines over time, or areas on top of each other; ``share``: from 0 to 1, so 0 to 100 %."""
    made = panel(
        "timeseries",
        title,
        description,
        targets,
        unit,
        steps=steps,
        legend={"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        tooltip={"mode": "multi", "sort": "desc"},
    )
    defaults = made["fieldConfig"]["defaults"]
    defaults["min"] = 0
    if share:
        defaults["max"] = 1
    defaults["color"] = {"mode": "palette-classic-by-name"}
    defaults["custom"] = {
        "drawStyle": "line",
        "lineInterpolation": "linear" if stacked else "stepAfter",
        "lineWidth": 1 if stacked else 2,
        "fillOpacity": 80 if stacked else 0,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    return coloured(made, colours)


def table(
    title: str,
    description: str,
    targets: Sequence[Panel],
    columns: Mapping[str, str],
    *,
    hidden: Sequence[str] = (),
    words: Sequence[str] = (),
    sort: str = "",
    footer: Sequence[str] = (),
) -> Panel:
    """Rows; ``columns`` are the names of fields and how to call them, in their order; all others are ``hidden``.

    ``words`` are the columns that look like numbers and are none.
    """
    made = panel(
        "table",
        title,
        description,
        targets,
        "locale",
        showHeader=True,
        cellHeight="sm",
        sortBy=[{"displayName": sort, "desc": True}] if sort else [],
        footer={"show": bool(footer), "reducer": ["sum"], "countRows": False, "fields": list(footer)},
    )
    made["fieldConfig"]["defaults"]["custom"] = {
        **{"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False, "minWidth": 70},
    }
    made["fieldConfig"]["defaults"]["noValue"] = "-"
    # Or 4.80 is made of 4.8.
    for name in words:
        override(made, name, {"unit": "string"})
    if len(targets) > 1:
        made["transformations"].append({"id": "merge", "options": {}})
    made["transformations"].append(
        {
            "id": "organize",
            "options": {
                "excludeByName": dict.fromkeys(hidden, True),
                "includeByName": {},
                "indexByName": {name: position for position, name in enumerate(columns)},
                "renameByName": dict(columns),
            },
        }
    )
    return made


def text(markdown: str) -> Panel:
    """Words."""
    return {
        "type": "text",
        "title": "",
        "description": "",
        "transparent": True,
        "options": {
            "mode": "markdown",
            "content": markdown,
            "code": {"language": "plaintext", "showLineNumbers": False},
        },
        "fieldConfig": {"defaults": {}, "overrides": []},
        "targets": [],
    }


def coloured(made: Panel, colours: Mapping[str, str]) -> Panel:
    """Give series fixed colours; names between slashes are regular expressions."""
    for name, colour in colours.items():
        kind = "byRegexp" if name.startswith("/") else "byName"
        override(made, name, {"color": {"mode": "fixed", "fixedColor": colour}}, kind)
    return made


def override(made: Panel, name: str, properties: Mapping[str, Any], kind: str = "byName") -> Panel:
    """Treat fields of a name otherwise than the rest."""
    made["fieldConfig"]["overrides"].append(
        {
            "matcher": {"id": kind, "options": name},
            "properties": [{"id": key, "value": value} for key, value in properties.items()],
        }
    )
    return made


def mapped(made: Panel, words: Mapping[str, tuple[str, str]]) -> Panel:
    """Say values in words: text and colour by value."""
    options = {
        value: {"text": said, "color": colour, "index": n} for n, (value, (said, colour)) in enumerate(words.items())
    }
    made["fieldConfig"]["defaults"]["mappings"].append({"type": "value", "options": options})
    return made


def if_none(made: Panel, words: str) -> Panel:
    """What to say where there is nothing, and that is good."""
    made["fieldConfig"]["defaults"]["noValue"] = words
    return made


def gauge(made: Panel, column: str, steps: Steps) -> Panel:
    """Show a column of shares, 0 to 1, as bars in the colour that they deserve."""
    properties = {
        "unit": "percentunit",
        "min": 0,
        "max": 1,
        "color": {"mode": "thresholds"},
        "thresholds": steps_of(steps),
        "custom.cellOptions": {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
        "custom.minWidth": 150,
    }
    return override(made, column, properties)


def worded(made: Panel, column: str, colours: Mapping[str, str]) -> Panel:
    """Give the words of a column their colours."""
    words = {word: {"text": word, "color": colour, "index": n} for n, (word, colour) in enumerate(colours.items())}
    mappings = [{"type": "value", "options": words}]
    return override(made, column, {"mappings": mappings, "custom.cellOptions": {"type": "color-text"}})


def widths(made: Panel, columns: Mapping[str, int]) -> Panel:
    """Give columns of a table a fixed width in pixels; the others share the rest."""
    for name, width in columns.items():
        override(made, name, {"custom.width": width})
    return made


def steps_of(steps: Steps) -> dict[str, Any]:
    """Thresholds, for an override."""
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


_LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}
