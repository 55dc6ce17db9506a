"""The text of the past, read with the parser of prometheus_client."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from vmcrawl.exporter.openmetrics import END, is_label_name, write_family
from vmcrawl.exporter.subjects import adoption, versions
from vmcrawl.past import Points

SCRAPE = {"job": "vmcrawl", "instance": "history"}


def test_a_text_is_read_back_as_what_was_written():
    points = [Points(("4.5", "true"), range(600, 1_201, 300), 7), Points(("other", "unknown"), range(300, 301, 300), 0)]
    (family,) = text_string_to_metric_families("".join([*write_family(adoption.INSTANCES, points, SCRAPE), END]))
    assert (family.name, family.type, family.documentation) == (
        adoption.INSTANCES.name,
        "gauge",
        adoption.INSTANCES.help,
    )
    assert [(dict(s.labels), s.timestamp and float(s.timestamp), s.value) for s in family.samples] == [
        *(({"branch": "4.5", "patched": "true", **SCRAPE}, instant, 7) for instant in (600, 900, 1200)),
        ({"branch": "other", "patched": "unknown", **SCRAPE}, 300, 0),
    ]


@pytest.mark.parametrize("hostile", ['"', "\\", "\n", '"} 1 2\n# EOF\n', "\\n", "é\u2028", "a" * 1_000_000, ""])
def test_no_value_of_a_label_breaks_the_format(hostile):
    points = [Points((hostile, "other"), range(300, 301, 300), 1)]
    text = "".join([*write_family(versions.INSTANCES, points, {"env": hostile}), END])
    (family,) = text_string_to_metric_families(text)
    assert [sample.labels for sample in family.samples] == [{"version": hostile, "branch": "other", "env": hostile}]


def test_a_family_without_samples_leaves_nothing():
    assert list(write_family(adoption.INSTANCES, [], SCRAPE)) == []
    assert list(write_family(adoption.INSTANCES, [Points(("4.5", "true"), range(0), 7)], SCRAPE)) == []


def test_a_value_that_held_for_years_comes_in_small_pieces():
    pieces = list(write_family(adoption.INSTANCES, [Points(("4.5", "true"), range(0, 3_000_000, 300), 7)], {}))
    assert max(map(len, pieces)) < 200_000
    assert "".join(pieces).count("# HELP") == 1
    assert "".join(pieces).count("\n") == 10_002


@pytest.mark.parametrize("name", ["job", "_x", "A9"])
def test_label_names(name):
    assert is_label_name(name)


@pytest.mark.parametrize("name", ["", "9a", "a-b", "__name__", "é", "a\n", "a b"])
def test_what_cannot_be_the_name_of_a_label(name):
    assert not is_label_name(name)
