"""What is remembered of each source."""

from datetime import timedelta

import psycopg

from tests.store.builders import NOW
from vmcrawl.store.sources import SourceState, answered, etag_of, failed, list_sources

LATER = NOW + timedelta(hours=1)


def test_a_failure_keeps_the_tag_of_the_last_good_answer_and_a_good_answer_ends_the_failure(
    connection: psycopg.Connection,
):
    assert etag_of(connection, "releases") == ""
    answered(connection, "releases", NOW, '"one"')
    failed(connection, "releases", LATER, "403: rate limit")
    assert etag_of(connection, "releases") == '"one"'
    assert list_sources(connection) == [SourceState("releases", '"one"', NOW, LATER, "403: rate limit")]
    answered(connection, "releases", LATER, '"two"')
    failed(connection, "main", LATER, "timeout")
    assert list_sources(connection) == [
        SourceState("main", "", None, LATER, "timeout"),
        SourceState("releases", '"two"', LATER, LATER, ""),
    ]
