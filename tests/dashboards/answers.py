"""What a dashboard asks, asked of a real Prometheus and a real Postgres, and answered as Grafana's data frames."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg

from tests.prometheus import Prometheus

Frame = dict[str, Any]
Panel = dict[str, Any]

_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}")
_LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True)
class Asking:
    """Whom to ask, about which time (seconds since 1970), and what is chosen in the pickers."""

    prometheus: Prometheus
    postgres: psycopg.Connection
    start: float
    end: float
    points: int = 200
    rate_interval: str = "4m"
    #: Values by variable; those that are not named are "All".
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def step(self) -> float:
        return max(1.0, (self.end - self.start) / self.points)


def panels(dashboard: Mapping[str, Any]) -> Iterator[Panel]:
    """All panels that ask something, those within rows included."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panels(panel)
        elif panel.get("targets"):
            yield panel


def answer(dashboard: Mapping[str, Any], asking: Asking) -> dict[str, Any]:
    """Everything that is needed to draw a dashboard."""
    values = variables(dashboard, asking)
    return {
        "dashboard": dashboard,
        "now": int(asking.end * 1000),
        "from": int(asking.start * 1000),
        "to": int(asking.end * 1000),
        "variables": {
            name: {"text": _shown(dashboard, name, value, asking), "value": list(value)}
            for name, value in values.items()
        },
        "panels": {str(panel["id"]): frames(panel, asking, values) for panel in panels(dashboard)},
        "annotations": [event for each in dashboard["annotations"]["list"] for event in annotations(each, asking)],
    }


def _shown(dashboard: Mapping[str, Any], name: str, value: Sequence[str], asking: Asking) -> str:
    (kind,) = [each["type"] for each in dashboard["templating"]["list"] if each["name"] == name]
    return " + ".join(value) if name in asking.chosen or kind == "textbox" else "All"


def variables(dashboard: Mapping[str, Any], asking: Asking) -> dict[str, Sequence[str]]:
    """The values of each variable: as chosen, or all that there are."""
    found: dict[str, Sequence[str]] = {}
    for variable in dashboard["templating"]["list"]:
        name = variable["name"]
        if name in asking.chosen:
            found[name] = asking.chosen[name]
        elif variable["type"] == "query":
            found[name] = [str(row[0]) for row in asking.postgres.execute(variable["query"])]
        elif variable["type"] == "custom":
            found[name] = variable["query"].split(",")
        else:
            found[name] = [variable["query"]]
    return found


def frames(panel: Panel, asking: Asking, values: Mapping[str, Sequence[str]]) -> list[Frame]:
    """The answers to all questions of a panel."""
    targets = panel["targets"]
    tables = sum(target.get("format") == "table" for target in targets)
    found: list[Frame] = []
    for target in targets:
        if "rawSql" in target:
            found.append(_from_postgres(target, asking, values))
        elif target["range"]:
            found += _curves(target, asking)
        elif target["format"] == "table":
            found.append(_table(target, asking, f"Value #{target['refId']}" if tables > 1 else "Value"))
        else:
            found += _points(target, asking)
    return found


def annotations(source: Mapping[str, Any], asking: Asking) -> Iterator[dict[str, Any]]:
    """What Grafana would draw as vertical lines: at the times that the values name, or where there are values."""
    seen = set()
    for series in asking.prometheus.range(source["expr"], asking.start, asking.end, max(asking.step, 60)):
        title = _legend(source["titleFormat"], series["metric"])
        for at, value in series["values"]:
            time = float(value) if source["useValueForTime"] else float(at) * 1000
            if asking.start * 1000 <= time <= asking.end * 1000 and (title, time) not in seen:
                seen.add((title, time))
                yield {"time": int(time), "title": title, "text": "", "color": source["iconColor"]}


def sql_of(target: Mapping[str, Any], values: Mapping[str, Sequence[str]]) -> str:
    """The statement with the values of variables put in, as Grafana's format ``sqlstring`` does it."""

    def put_in(match: re.Match[str]) -> str:
        name, form = match[1], match[2]
        assert form == "sqlstring", match[0]
        return ",".join("'" + value.replace("'", "''") + "'" for value in values[name])

    return _VARIABLE.sub(put_in, target["rawSql"])


def promql_of(target: Mapping[str, Any], rate_interval: str) -> str:
    """The question with Grafana's own variable put in."""
    return str(target["expr"]).replace("$__rate_interval", rate_interval)


def _curves(target: Mapping[str, Any], asking: Asking) -> list[Frame]:
    question = promql_of(target, asking.rate_interval)
    return [
        _frame(target, series["metric"], series["values"], {"interval": asking.step * 1000})
        for series in asking.prometheus.range(question, asking.start, asking.end, asking.step)
    ]


def _points(target: Mapping[str, Any], asking: Asking) -> list[Frame]:
    found = asking.prometheus.samples(promql_of(target, asking.rate_interval), asking.end)
    return [_frame(target, sample["metric"], [sample["value"]]) for sample in found]


def _frame(
    target: Mapping[str, Any],
    labels: Mapping[str, str],
    values: Sequence[tuple[float, str]],
    time_config: Mapping[str, float] | None = None,
) -> Frame:
    legend = target["legendFormat"]
    name = ", ".join(f'{key}="{value}"' for key, value in sorted(labels.items())) if legend == "__auto" else legend
    named = {key: value for key, value in labels.items() if key != "__name__"}
    return {
        "refId": target["refId"],
        "name": "",
        "fields": [
            {
                "name": "Time",
                "type": "time",
                "labels": None,
                "config": time_config,
                "values": [round(at * 1000) for at, _ in values],
            },
            {
                "name": "Value",
                "type": "number",
                "labels": named,
                "config": {"displayNameFromDS": _legend(name, labels)} if name else None,
                "values": [_number(value) for _, value in values],
            },
        ],
    }


def _table(target: Mapping[str, Any], asking: Asking, value_name: str) -> Frame:
    found = asking.prometheus.samples(promql_of(target, asking.rate_interval), asking.end)
    names = sorted({name for sample in found for name in sample["metric"]})
    columns: list[tuple[str, str, list[Any]]] = [("Time", "time", [int(sample["value"][0] * 1000) for sample in found])]
    columns += [(name, "string", [sample["metric"].get(name, "") for sample in found]) for name in names]
    columns += [(value_name, "number", [_number(sample["value"][1]) for sample in found])]
    return _of_columns(target, columns)


def _from_postgres(target: Mapping[str, Any], asking: Asking, values: Mapping[str, Sequence[str]]) -> Frame:
    cursor = asking.postgres.execute(sql_of(target, values).encode())
    rows = cursor.fetchall()
    assert cursor.description is not None
    columns = []
    for position, column in enumerate(cursor.description):
        cells = [_plain(row[position]) for row in rows]
        first = next((row[position] for row in rows if row[position] is not None), "")
        columns.append((column.name, _type_of(first), cells))
    return _of_columns(target, columns)


def _of_columns(target: Mapping[str, Any], columns: Sequence[tuple[str, str, list[Any]]]) -> Frame:
    fields = [
        {"name": name, "type": kind, "labels": None, "config": None, "values": cells} for name, kind, cells in columns
    ]
    return {"refId": target["refId"], "name": "", "fields": fields}


def _legend(text: str, labels: Mapping[str, str]) -> str:
    return _LEGEND.sub(lambda match: labels.get(match[1], ""), text)


def _number(text: str) -> float | None:
    # JSON has no NaN; Grafana draws neither.
    return None if text in ("NaN", "+Inf", "-Inf") else float(text)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000)
    return float(value) if isinstance(value, Decimal) else value


def _type_of(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, datetime):
        return "time"
    return "number" if isinstance(value, int | float | Decimal) else "string"
