"""What an exporter serves, as numbers by name and labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from vmcrawl.exporter.scrape import SUBJECTS, Build, Exporter
from vmcrawl.settings import ExporterSettings

BUILD = Build("1.2.3", "abc", "3.11.2")


@dataclass(frozen=True)
class Numbers:
    """All samples of one scrape."""

    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def of(self, name: str, **labels: str) -> float | None:
        """One sample, None if it is not there."""
        return self.samples.get((name, frozenset(labels.items())))

    def by(self, name: str, *labels: str) -> dict[object, float]:
        """The samples of a name that are not 0, by the values of some labels: of one label by its bare value."""
        found: dict[object, float] = {}
        for (of, pairs), value in self.samples.items():
            if of == name and value:
                values = tuple(dict(pairs)[label] for label in labels)
                key = values[0] if len(values) == 1 else values
                found[key] = found.get(key, 0) + value
        return found

    def total(self, name: str) -> float:
        """The sum of all samples of a name."""
        return sum(value for (of, _), value in self.samples.items() if of == name)

    def names(self) -> set[str]:
        """The names of all samples."""
        return {name for name, _ in self.samples}


def exporter(url: str, subjects=SUBJECTS, **settings: object) -> Exporter:
    """An exporter that reads from ``url``."""
    return Exporter(ExporterSettings(**settings), url, BUILD, subjects)  # type: ignore[arg-type]  # by name


def scrape(source: Exporter | str, seconds: float = 30, **settings: object) -> Numbers:
    """One scrape, as it is read by the client library's own parser."""
    ours = exporter(source, **settings) if isinstance(source, str) else source
    return parse(generate_latest(registry(ours, seconds)).decode())


def registry(ours: Exporter, seconds: float = 30) -> CollectorRegistry:
    """What one scrape collects."""
    return ours.registry(timedelta(seconds=seconds))


def parse(text: str) -> Numbers:
    """Read the text format; a sample that is there twice is a mistake."""
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in samples, f"{key} is there twice"
            samples[key] = sample.value
    return Numbers(samples)
