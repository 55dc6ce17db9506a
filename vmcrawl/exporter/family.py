"""Metric families as data: what each is called, what it means, and which labels it has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import psycopg
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

#: Samples by the values of their labels, in the order of the family's labels.
Samples = Mapping[tuple[str, ...], float]
Numbers = dict[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Gauge:
    """A gauge."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    def of(self, samples: Samples | float | None) -> Metric:
        """The family with these samples; a plain number is the one sample of a family without labels, None is none."""
        metric = GaugeMetricFamily(self.name, self.help, labels=self.labels)
        for values, number in _labelled(samples).items():
            metric.add_metric(values, number)
        return metric


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter; ``name`` ends in ``_total``, as Prometheus shows it."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    def of(self, samples: Samples | float | None) -> Metric:
        """As :meth:`Gauge.of`."""
        metric = CounterMetricFamily(self.name, self.help, labels=self.labels)
        for values, number in _labelled(samples).items():
            metric.add_metric(values, number)
        return metric


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram without labels."""

    name: str
    help: str

    def of(self, samples: None) -> Metric:
        """The family without samples."""
        return HistogramMetricFamily(self.name, self.help)

    def of_buckets(self, bounds: Sequence[float], counts: Sequence[int], total: float) -> Metric:
        """The family with its sample: ``counts`` by bucket, not cumulative, one more than ``bounds``; and the sum."""
        metric = HistogramMetricFamily(self.name, self.help)
        buckets, so_far = [], 0
        for bound, count in zip([*map(str, bounds), "+Inf"], counts, strict=True):
            so_far += count
            buckets.append((bound, float(so_far)))
        metric.add_metric([], buckets=buckets, sum_value=total)
        return metric


@dataclass(frozen=True, slots=True)
class Limits:
    """How many series of a kind there may be."""

    #: Exact releases with series of their own.
    versions: int
    advisories: int
    #: Series that may still be added to the scrape, by the subject that is read last.
    room: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What one module contributes; ``name`` is the label ``collector`` of the exporter's own metrics.

    ``read`` gets a connection inside a read-only snapshot. It is the whole of what a subject does: when it fails,
    none of its families are served.
    """

    name: str
    families: tuple[Gauge | Counter | Histogram, ...]
    read: Callable[[psycopg.Connection, Limits], Sequence[Metric]]


def _labelled(samples: Samples | float | None) -> Samples:
    if samples is None:
        return {}
    found: Samples = samples if isinstance(samples, Mapping) else {(): samples}
    for values, number in found.items():
        # Found here it costs one subject; the client library would find it when it writes, and lose everything.
        if not (all(isinstance(value, str) for value in values) and isinstance(number, int | float | Decimal)):
            raise TypeError(f"no sample: {values!r:.200} {number!r:.200}")
    # Too big a number is found here, too.
    return {values: float(number) for values, number in found.items()}
