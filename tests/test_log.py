import io
import json
import logging
import re

import pytest

from vmcrawl.log import configure_logging
from vmcrawl.settings import LogSettings

HOSTILE = "a\n2026-01-01T00:00:00Z INFO forged\r\x1b[31m\u202e\u2028\x85\ud800\0 ü"


@pytest.fixture
def logged():
    """A function that configures the log and returns the stream it writes to."""

    def configure(level="info", format="text"):
        stream = io.StringIO()
        configure_logging(LogSettings(level, format), stream=stream)
        return stream

    return configure


log = logging.getLogger("vmcrawl.batch")


def fail(message):
    try:
        raise ValueError(message)
    except ValueError:
        log.exception("it broke")


def test_a_text_line_has_time_level_logger_and_message(logged):
    stream = logged()
    log.info("crawled %d of %s", 3, "them", extra={"run": 7})
    time, rest = stream.getvalue().split(" ", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time)
    assert rest == "INFO vmcrawl.batch crawled 3 of them run=7\n"


def test_a_json_line_is_one_object_with_the_extras(logged):
    stream = logged(format="json")
    log.warning("slow", extra={"domain": "a.example", "seconds": 1.5, "level": "forged"})
    event = json.loads(stream.getvalue())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event.pop("time"))
    assert event == {
        "level": "warning",
        "logger": "vmcrawl.batch",
        "message": "slow",
        "domain": "a.example",
        "seconds": 1.5,
    }


@pytest.mark.parametrize("format", ["text", "json"])
def test_hostile_text_stays_on_its_line_and_out_of_the_terminal(logged, format):
    stream = logged(format=format)
    log.info("seen %s", HOSTILE, extra={"detail": HOSTILE})
    line, end = stream.getvalue()[:-1], stream.getvalue()[-1]
    assert line.isprintable()
    assert end == "\n"
    if format == "json":
        assert json.loads(line)["detail"] == HOSTILE


def test_a_traceback_in_text_cannot_pass_for_log_lines(logged):
    stream = logged()
    fail(HOSTILE)
    first, *more = stream.getvalue().splitlines()
    assert first.endswith("ERROR vmcrawl.batch it broke")
    assert more[0] == "  | Traceback (most recent call last):"
    assert any("forged" in line for line in more)
    assert all(line.startswith("  | ") and line.isprintable() for line in more)


def test_a_traceback_in_json_is_one_string(logged):
    stream = logged(format="json")
    fail("why")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["exception"].endswith("ValueError: why")


@pytest.mark.parametrize("value", [float("nan"), {(1, 2): 3}, {1, 2}, b"\xff", object()])
def test_any_extra_can_be_written_as_json(logged, value):
    stream = logged(format="json")
    log.info("odd", extra={"value": value})
    assert json.loads(stream.getvalue(), parse_constant=pytest.fail)["message"] == "odd"


def test_an_extra_that_holds_itself_can_be_written_as_json(logged):
    stream = logged(format="json")
    endless: list[object] = []
    endless.append(endless)
    log.info("odd", extra={"value": endless})
    assert json.loads(stream.getvalue())["value"] == "[[...]]"


def test_the_level_is_ours_and_libraries_are_heard_from_warning_on(logged):
    stream = logged("debug")
    log.debug("ours")
    logging.getLogger("library").info("not heard")
    logging.getLogger("library").warning("heard")
    assert [line.split(" ", 3)[3] for line in stream.getvalue().splitlines()] == ["ours", "heard"]


def test_below_the_level_nothing_is_written(logged):
    stream = logged("error")
    log.warning("no")
    logging.getLogger("library").warning("no")
    assert stream.getvalue() == ""


def test_configured_twice_each_line_is_written_once_to_the_later_stream(logged):
    first, second = logged(), logged()
    log.info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1
