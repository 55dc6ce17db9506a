"""``vmcrawl report``: the adoption summary, ready to be posted, and its chart."""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from vmcrawl.adoption import Facts, changes, supported, total
from vmcrawl.chart import ChartUnavailable, draw_chart
from vmcrawl.commands.database import readable_database
from vmcrawl.commands.day import read_day
from vmcrawl.commands.display import write_json
from vmcrawl.commands.number import read_number
from vmcrawl.commands.page import page, title_of, write_markdown, write_text
from vmcrawl.interruption import Interruption
from vmcrawl.settings import Settings
from vmcrawl.store.report import Point, history_points, report_facts

log = logging.getLogger(__name__)

_SUFFIXES = (".png", ".svg")
_EPILOG = """for example:
  vmcrawl report --format markdown --top 10
  vmcrawl report --chart adoption.png --weight users --since 2026-01-01"""


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "report",
        help="the adoption summary as text, Markdown or JSON, and a chart of adoption over time",
        description="Sums, and no server by name unless asked for. Those on the DNI list count, and are never listed.",
        epilog=_EPILOG,
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--format", choices=("text", "markdown", "json"), default="text", help="(default: text)")
    how.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    parser.add_argument("--top", type=_count, default=0, metavar="N", help="list the N largest servers, too")
    parser.add_argument("--chart", type=_picture, metavar="FILE", help="draw adoption over time: FILE.png or FILE.svg")
    parser.add_argument("--weight", choices=("instances", "users"), default="instances", help="of the chart")
    parser.add_argument("--since", type=read_day, metavar="DATE", help="first day (UTC) of the chart")
    parser.add_argument("--theme", choices=("light", "dark"), default="light", help="of the chart (default: light)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Draw the chart, if one is wanted, and write the report; 1 if there is no chart though one was wanted."""
    with Interruption(), readable_database(settings) as database:
        now = database.now()
        facts = database.run(partial(report_facts, now=now, largest=arguments.top))
        points: list[Point] = []
        if arguments.chart is not None:
            points = database.run(partial(history_points, since=arguments.since, weight=arguments.weight))
    # First, so that whoever looks at the beginning of the report only gets it all the same.
    code = 0 if arguments.chart is None else _draw(arguments, points)
    if arguments.format == "json":
        write_json(sys.stdout, _document(facts))
    elif arguments.format == "markdown":
        write_markdown(sys.stdout, title_of(facts), page(facts))
    else:
        write_text(sys.stdout, title_of(facts), page(facts))
    return code


def _draw(arguments: argparse.Namespace, points: Sequence[Point]) -> int:
    if not points:
        log.error("there is no history to draw: each run that ends well leaves a page of it (vmcrawl history list)")
        return 1
    counted = [(point.at, point.branch, point.value) for point in points]
    try:
        draw_chart(counted, arguments.chart, weight=arguments.weight, dark=arguments.theme == "dark")
    except ChartUnavailable as error:
        log.error("%s", error)
        return 1
    except OSError as error:
        log.error("%s cannot be written: %s", arguments.chart, error.strerror or error)
        return 1
    log.info("%s is drawn", arguments.chart)
    return 0


def _document(facts: Facts) -> dict[str, object]:
    """The facts, and what follows from them."""
    difference = changes(facts.page_before, facts.page)
    return {
        **asdict(facts),
        "total": asdict(total(one.count for one in facts.branches)),
        "supported": asdict(supported(facts.branches)),
        "changes": None if difference is None else asdict(difference),
    }


def _count(text: str) -> int:
    return read_number(text, 0, 10_000)


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in _SUFFIXES:
        raise argparse.ArgumentTypeError(f"must end in {' or '.join(_SUFFIXES)}")
    return path
