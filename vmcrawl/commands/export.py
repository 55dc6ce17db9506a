"""``vmcrawl history export``: the past for other programs, so that their curves do not begin with today."""

import argparse
import logging
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import partial

from vmcrawl.commands.database import reading_database
from vmcrawl.commands.day import read_day
from vmcrawl.commands.number import read_number
from vmcrawl.duration import InvalidDuration, parse_duration
from vmcrawl.exporter.family import Gauge
from vmcrawl.exporter.openmetrics import END, is_label_name, write_family
from vmcrawl.exporter.subjects import adoption, versions
from vmcrawl.labels import known_branches, known_releases
from vmcrawl.past import Window, draw
from vmcrawl.store.connection import DatabaseUnavailable
from vmcrawl.store.database import Database
from vmcrawl.store.past import Measure, Past, read_past

log = logging.getLogger(__name__)

_BY_BRANCH: tuple[tuple[Gauge, Measure], ...] = (
    (adoption.INSTANCES, "instances"),
    (adoption.ACTIVE_USERS, "active_users"),
)
_BY_RELEASE: tuple[tuple[Gauge, Measure], ...] = (
    (versions.INSTANCES, "instances"),
    (versions.ACTIVE_USERS, "active_users"),
)
_OWN_LABELS = frozenset(label for gauge, _ in _BY_BRANCH + _BY_RELEASE for label in gauge.labels)
_LABELS = {"job": "vmcrawl", "instance": "history"}
#: What Prometheus itself still writes into: backfilled, it would cost all jobs their samples of that time at the next
#: restart (prometheus.io/docs/prometheus/latest/storage, "Backfilling").
_HEAD = timedelta(hours=3)
_STEPS = timedelta(seconds=1), timedelta(hours=1)
_LONGEST_LABEL = 1_024


def configure(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the action."""
    parser = actions.add_parser(
        "export",
        help="the history as samples for a time series database",
        epilog="for example:\n  vmcrawl history export --openmetrics --since 2026-01-01 > past.om",
    )
    formats = parser.add_mutually_exclusive_group(required=True)
    formats.add_argument("--openmetrics", action="store_true", help="for promtool tsdb create-blocks-from openmetrics")
    parser.add_argument("--since", type=read_day, metavar="DATE", help="the first day (UTC; default: of the history)")
    parser.add_argument(
        "--until", type=read_day, metavar="DATE", help="the last day (UTC; default: up to three hours ago)"
    )
    parser.add_argument(
        "--step",
        type=_step,
        default=timedelta(minutes=5),
        help="time from sample to sample (default: 5m, as far as Prometheus looks back: more leaves holes)",
    )
    parser.add_argument(
        "--versions",
        type=_not_negative,
        default=0,
        metavar="N",
        help="exact releases, too: all that ever were among the N largest (exporter.versions); default: 0, none",
    )
    parser.add_argument(
        "--label",
        type=_label,
        action="append",
        default=[],
        dest="labels",
        metavar="NAME=VALUE",
        help="what a scrape would add (repeatable; default: job=vmcrawl and instance=history)",
    )
    parser.set_defaults(run=reading_database(_export))


def _export(arguments: argparse.Namespace, database: Database) -> int:
    labels = dict(arguments.labels)
    if len(labels) < len(arguments.labels):
        log.error("a label can have one value only")
        return 2
    window = _window(arguments.since, arguments.until, arguments.step, database.now())
    begun = False

    def write(past: Past) -> None:
        nonlocal begun
        if begun:
            # A new connection sees another state, and what is written is written.
            raise DatabaseUnavailable("the connection was lost in the middle of the export, which ends without # EOF")
        for text in _families(past, arguments.versions, {**_LABELS, **labels}, window):
            begun = True
            sys.stdout.write(text)

    database.run(partial(read_past, window=window, reader=write))
    if not begun:
        of_these = " of these days" if arguments.since or arguments.until else ""
        log.error(
            "there is no history%s that is believed and older than %d hours; vmcrawl history list shows all of it",
            of_these,
            _HEAD / timedelta(hours=1),
        )
        return 1
    sys.stdout.write(END)
    return 0


def _families(past: Past, number: int, labels: Mapping[str, str], window: Window) -> Iterator[str]:
    known = past.catalogue()
    branches, releases = known_branches(known), known_releases(known)
    for gauge, measure in _BY_BRANCH:
        yield from write_family(gauge, draw(past.by_branch(measure, branches), window), labels)
    if number:
        named = {name: releases[name] for name in past.largest_releases(releases, number)}
        for gauge, measure in _BY_RELEASE:
            yield from write_family(gauge, draw(past.by_release(measure, named), window), labels)


def _window(since: date | None, until: date | None, step: timedelta, now: datetime) -> Window:
    """Whole days, but nothing of the last three hours."""
    begins = _midnight(since) if since else 0
    ends = min(_midnight(until) + 86_400 if until else sys.maxsize, int((now - _HEAD).timestamp()))
    return Window(begins, ends, int(step.total_seconds()))


def _midnight(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp())


def _step(text: str) -> timedelta:
    try:
        step = parse_duration(text)
    except InvalidDuration as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not _STEPS[0] <= step <= _STEPS[1] or step % _STEPS[0]:
        raise argparse.ArgumentTypeError("must be whole seconds, at least one, and at most an hour")
    return step


def _not_negative(text: str) -> int:
    return read_number(text, 0)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not is_label_name(name):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not NAME=VALUE with a name such as instance or env")
    if name in _OWN_LABELS:
        raise argparse.ArgumentTypeError(f"{name} is a label of the metrics themselves")
    if len(value) > _LONGEST_LABEL or not value.isprintable():
        raise argparse.ArgumentTypeError(f"the value of {name} must be printable, and at most 1024 characters long")
    return name, value
