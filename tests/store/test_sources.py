"""What is remembered of each source."""

from datetime import timedelta

import psycopg
import pytest

from tests.store.builders import NOW
from vmcrawl.store.sources import SourceState, answered, failed, list_sources, state_of, take_in

LATER = NOW + timedelta(hours=1)


def test_a_failure_keeps_the_tag_of_the_last_good_answer_and_a_good_answer_ends_the_failure(
    connection: psycopg.Connection,
):
    assert state_of(connection, "releases") == SourceState("releases", "", None, None, "")
    answered(connection, "releases", NOW, '"one"')
    failed(connection, "releases", LATER, "403: rate limit")
    assert state_of(connection, "releases").etag == '"one"'
    assert list_sources(connection) == [SourceState("releases", '"one"', NOW, LATER, "403: rate limit")]
    answered(connection, "releases", LATER, '"two"')
    failed(connection, "main", LATER, "timeout")
    assert list_sources(connection) == [
        SourceState("main", "", None, LATER, "timeout"),
        SourceState("releases", '"two"', LATER, LATER, ""),
    ]


def test_until_when_a_source_wants_to_be_left_alone_is_kept_until_it_answers(connection: psycopg.Connection):
    failed(connection, "releases", NOW, "403: rate limit", LATER)
    assert state_of(connection, "releases").retry_at == LATER
    failed(connection, "releases", LATER, "500")
    assert state_of(connection, "releases").retry_at is None
    failed(connection, "releases", NOW, "403: rate limit", LATER)
    answered(connection, "releases", LATER)
    assert state_of(connection, "releases").retry_at is None


def test_an_answer_and_that_it_came_are_kept_together_or_not_at_all(connection: psycopg.Connection):
    def save(connection: psycopg.Connection) -> list[str]:
        connection.execute("INSERT INTO exclusions (domain) VALUES ('a.example')")
        return ["a.example"]

    with pytest.raises(psycopg.IntegrityError):
        take_in(connection, None, NOW, "", save)  # type: ignore[arg-type]  # what the database refuses
    assert connection.execute("SELECT count(*) FROM exclusions").fetchone() == (0,)
    assert take_in(connection, "x", NOW, '"tag"', save) == ["a.example"]
    assert state_of(connection, "x") == SourceState("x", '"tag"', NOW, None, "")
