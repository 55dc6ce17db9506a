from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.duration import LONGEST, InvalidDuration, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("50m", 3_000),
        ("3h", 10_800),
        ("7d", 604_800),
        ("1h30m", 5_400),
        ("1d12h", 129_600),
        ("2m30s", 150),
        ("1.5s", 1.5),
        ("0.25", 0.25),
        ("90", 90),
        ("0", 0),
        ("0s", 0),
        (" 5m ", 300),
        ("3H", 10_800),
        ("90m", 5_400),
    ],
)
def test_a_length_of_time_is_read(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


NO_DURATIONS = "h|s|-1s|+1s|30m1h|1h1h|1 h|1h 30m|3h\n4m|1w|1ms|1.5h|1,5s|.5|5.|1e3|inf|nan|٣h|0x10|1_000|1h;|an hour"
TOO_LONG = "36501d", "9" * 20, "9" * 39 + "d", "1" * 41


@pytest.mark.parametrize("text", ["", " ", *NO_DURATIONS.split("|"), *TOO_LONG])
def test_everything_else_is_refused(text):
    with pytest.raises(InvalidDuration):
        parse_duration(text)


WRITTEN = {
    0: "0s",
    0.0001: "0s",
    0.05: "0.05s",
    5: "5s",
    20: "20s",
    59.9999: "1m",
    90: "1m30s",
    3_599.9999: "1h",
    5_400: "1h30m",
    86_400: "1d",
    90_061.5: "1d1h1m1.5s",
    259_200: "3d",
}


@pytest.mark.parametrize(("seconds", "text"), WRITTEN.items())
def test_a_length_of_time_is_written_with_its_units(seconds, text):
    assert format_duration(timedelta(seconds=seconds)) == text


def test_a_negative_length_is_not_written():
    with pytest.raises(ValueError, match="negative"):
        format_duration(timedelta(seconds=-1))


@given(st.integers(0, LONGEST // timedelta(milliseconds=1)))
def test_what_is_written_is_read_back(milliseconds):
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


@given(st.text())
def test_no_text_does_anything_but_parse_or_be_refused(text):
    try:
        duration = parse_duration(text)
    except InvalidDuration:
        return
    assert timedelta(0) <= duration <= LONGEST
