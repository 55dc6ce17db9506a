"""The instance API -> the domain that a server says it is."""

import pytest

from tests.documents import json_document
from vmcrawl.instance import InvalidInstance, parse_instance_domain


@pytest.mark.parametrize(
    "sample",
    [
        *("api-v1-instance-2.4", "api-v1-instance-4.7", "api-v2-instance-4.0", "api-v2-instance-4.7"),
        *("api-v2-instance-glitch", "api-v2-instance-limited-federation-4.4plus"),
    ],
)
def test_a_sample_names_its_domain(sample):
    assert parse_instance_domain(json_document("samples", f"{sample}.json")) == "example.com"


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.com", "example.com"),
        (" example.com\n", "example.com"),
        ("example.com.", "example.com"),
        ("https://example.com", "example.com"),
        ("https://example.com/", "example.com"),
        ("http://example.com/about?x#y", "example.com"),
        ("HTTPS://Example.com:443/", "example.com"),
        ("//example.com", "example.com"),
        ("example.com/", "example.com"),
        ("example.com:443", "example.com"),
        ("example.com:80", "example.com"),
        ("pikaböl.se", "xn--pikabl-0xa.se"),
        ("https://xn--pikabl-0xa.se/", "xn--pikabl-0xa.se"),
        ("🦊.it.com", "xn--9s9h.it.com"),
    ],
)
@pytest.mark.parametrize("key", ["domain", "uri"])
def test_a_domain_is_read_in_any_spelling(key, text, domain):
    assert parse_instance_domain({key: text}) == domain


def test_the_uri_counts_where_the_domain_is_unusable():
    assert parse_instance_domain({"domain": "localhost", "uri": "example.com"}) == "example.com"
    assert parse_instance_domain({"domain": None, "uri": "example.com"}) == "example.com"
    assert parse_instance_domain({"domain": "example.com", "uri": "b.example.com"}) == "example.com"


@pytest.mark.parametrize(
    "value",
    [
        *(
            None,
            True,
            1,
            "example.com",
            [],
            ["example.com"],
            {},
            {"domain": None},
            {"domain": ["example.com"]},
            {"uri": 1},
        ),
        *(
            {"domain": text}
            for text in ("", " ", "localhost", "localhost:3000", "example.com:3000", "192.0.2.1", "[::1]")
        ),
        *(
            {"domain": text}
            for text in ("https://", "https:///", "https://u@example.com/", "u@example.com", "example.test")
        ),
        *(
            {"domain": text}
            for text in ("ftp://example.com/", "https:example.com", "a b.com", "\0", "\ud800", "/" * 100_000)
        ),
        *(json_document("samples", f"error-{error}.json") for error in ("401-limited-federation", "410-self-destruct")),
        json_document("samples", "api-v1-instance-peers.json"),
    ],
)
def test_what_names_no_usable_domain_is_refused(value):
    with pytest.raises(InvalidInstance):
        parse_instance_domain(value)
