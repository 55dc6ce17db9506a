"""What crawling costs: counters that live in the database, so that no restart sets them back."""

from collections.abc import Sequence
from decimal import Decimal

import psycopg
from prometheus_client.metrics_core import Metric

from vmcrawl.exporter.family import Counter, Histogram, Limits, Numbers, Subject
from vmcrawl.labels import outcome_label
from vmcrawl.outcome import Outcome
from vmcrawl.tally import DURATION_BOUNDS

CRAWLS = Counter("vmcrawl_crawls_total", "Crawls of a domain that have ended, by how.", ("outcome",))
REQUESTS = Counter("vmcrawl_requests_total", "HTTP requests that were made to servers.")
RECEIVED = Counter(
    "vmcrawl_received_bytes_total", "What servers have sent, as it came: TLS, heads, and bodies as they were coded."
)
DURATIONS = Histogram(
    "vmcrawl_crawl_duration_seconds",
    "How long the crawl of a domain took from its begin to its verdict, waiting for the host's turn included.",
)

_TOTALS = "SELECT outcome, crawls, requests, received_bytes, seconds FROM crawl_totals"
_BUCKETS = "SELECT bucket, crawls FROM crawl_durations"


def _read(connection: psycopg.Connection, limits: Limits) -> Sequence[Metric]:
    crawls: Numbers = {(str(outcome),): 0 for outcome in Outcome}
    requests = received = 0
    seconds = Decimal(0)
    for outcome, number, asked, came, took in connection.execute(_TOTALS):
        key = (outcome_label(outcome),)
        crawls[key] = crawls.get(key, 0) + number
        requests += asked
        received += came
        seconds += took
    found: dict[int, int] = dict(connection.execute(_BUCKETS).fetchall())
    counts = [int(found.get(bucket, 0)) for bucket in range(1, len(DURATION_BOUNDS) + 2)]
    return [
        CRAWLS.of(crawls),
        REQUESTS.of(requests),
        RECEIVED.of(received),
        DURATIONS.of_buckets(DURATION_BOUNDS, counts, float(seconds)),
    ]


WORK = Subject("work", (CRAWLS, REQUESTS, RECEIVED, DURATIONS), _read)
