"""What servers say of keeping their documents, and what is made of nonsense."""

import pytest

from vmcrawl.caching import condition, fresh_seconds, validator_of

DATE = "Tue, 24 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"etag": 'W/"31f5a8"', "last-modified": DATE}, 'W/"31f5a8"'),
        ({"etag": ' "a-b" '}, '"a-b"'),
        ({"last-modified": DATE}, DATE),
        ({"etag": "unquoted", "last-modified": DATE}, DATE),
        ({"etag": '"' + "x" * 200 + '"'}, ""),
        ({"etag": '"a\r\nX: y"'}, ""),
        ({"etag": '""'}, ""),
        ({"last-modified": "now\r\nHost: x"}, ""),
        ({"last-modified": "today"}, ""),
        ({}, ""),
    ],
)
def test_a_validator_is_a_tag_or_a_date_that_can_be_given_back(headers, validator):
    assert validator_of(headers) == validator


def test_the_condition_is_made_for_either_kind_and_for_nothing_else():
    assert condition('W/"x"') == 'If-None-Match: W/"x"\r\n'
    assert condition(DATE) == f"If-Modified-Since: {DATE}\r\n"
    assert condition("") == condition('"x"\r\nEvil: yes') == ""


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"cache-control": "max-age=1800, public"}, 1800),
        ({"cache-control": "public, Max-Age=60"}, 60),
        ({"cache-control": "s-maxage=900, max-age=60"}, 60),
        ({"cache-control": "s-maxage=900"}, 0),
        ({"cache-control": "max-age=1800", "age": "1000"}, 800),
        ({"cache-control": "max-age=1800", "age": "9999"}, 0),
        ({"cache-control": "max-age=1800", "age": "\u0661"}, 1800),
        ({"cache-control": "max-age=1800, no-cache"}, 0),
        ({"cache-control": "no-store,max-age=1800"}, 0),
        ({"cache-control": "max-age=99999999999999999999"}, 999_999_999),
        ({"cache-control": "max-age=-5"}, 0),
        ({"age": "5"}, 0),
        ({}, 0),
    ],
)
def test_an_answer_is_fresh_for_what_is_left_of_its_age(headers, seconds):
    assert fresh_seconds(headers) == seconds
