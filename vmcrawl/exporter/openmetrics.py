"""Samples of the past as OpenMetrics text, as ``promtool tsdb create-blocks-from openmetrics`` reads it.

The format: https://prometheus.io/docs/specs/om/open_metrics_spec/. prometheus_client writes a moment, all of it held in
memory; this is for years.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from vmcrawl.exporter.family import Gauge
from vmcrawl.past import Points

#: What ends a text; one without it is cut short, and no reader takes it.
END = "# EOF\n"
#: Two underscores in front are Prometheus' own.
_LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
#: Samples in one piece of text, so that a value that holds for years does not fill the memory.
_PIECE = 2_000


def is_label_name(text: str) -> bool:
    """Whether people may call a label like that."""
    return _LABEL_NAME.fullmatch(text) is not None


def write_family(family: Gauge, samples: Iterable[Points], scrape: Mapping[str, str]) -> Iterator[str]:
    """The text of one family, in pieces; nothing at all where there are no samples.

    ``scrape`` are the labels that a scrape would have added. The samples of one series must follow each other, in the
    order of time.
    """
    head = f"# HELP {family.name} {_escape_help(family.help)}\n# TYPE {family.name} gauge\n"
    for points in samples:
        named = [*zip(family.labels, points.labels, strict=True), *scrape.items()]
        labels = ",".join(f'{name}="{_escape(value)}"' for name, value in named)
        sample = f"{family.name}{{{labels}}} {points.value} "
        for start in range(0, len(points.instants), _PIECE):
            piece = [f"{sample}{instant}\n" for instant in points.instants[start : start + _PIECE]]
            yield head + "".join(piece)
            head = ""


def _escape(value: str) -> str:
    return _escape_help(value).replace('"', '\\"')


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
