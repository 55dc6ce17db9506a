"""The lower rows of the operator's dashboard: how much is done, and how exporter, database and sources are."""

from grafana.build.colours import BLUE, ORANGE, RED
from grafana.build.layout import Grid
from grafana.build.parts import Panel, curves, over_time, override, query, table
from grafana.build.queries import by, counted, selector


def work(grid: Grid) -> None:
    grid.row("Work")

    def rate(metric: str) -> str:
        return f"sum({counted('rate', metric)})"

    speed = curves(
        "Crawls and requests a second",
        "While nothing runs both are 0. A known server costs one request, a new one four.",
        [
            over_time(rate("vmcrawl_crawls_total"), "crawls", "A"),
            over_time(rate("vmcrawl_requests_total"), "requests", "B"),
        ],
        "reqps",
        colours={"crawls": BLUE, "requests": ORANGE},
    )
    volume = curves(
        "Bytes received a second",
        "All that servers send: TLS, heads, and bodies as they come.",
        [over_time(rate("vmcrawl_received_bytes_total"), "received")],
        "Bps",
        colours={"received": BLUE},
    )
    buckets = f"sum by (le) ({counted('rate', 'vmcrawl_crawl_duration_seconds_bucket')})"
    latency = curves(
        "How long a crawl takes",
        "Half of the crawls, and 95 of 100, are over within so many seconds, waiting for their turn included.",
        [
            over_time(f"histogram_quantile({part}, {buckets})", name, ref)
            for ref, part, name in (("A", "0.5", "half"), ("B", "0.95", "95 %"))
        ],
        "s",
        colours={"half": BLUE, "95 %": ORANGE},
    )
    grid.line(7, (8, speed), (8, volume), (8, latency))


def exporter(grid: Grid) -> None:
    grid.row("Database, exporter, sources")
    scrape = _by_exporter(
        "How long scrapes take",
        "As Prometheus sees it, by exporter. Runbook: VmcrawlScrapeSlow.",
        "scrape_duration_seconds",
        "s",
    )
    subjects = curves(
        "By subject",
        "How long each part of a scrape takes; nearly all of it is Postgres. A part that fails takes no time here: see"
        " Runbook VmcrawlCollectorFailing.",
        [over_time(by("collector", "vmcrawl_scrape_collector_duration_seconds"), "{{collector}}")],
        "s",
        colours={},
        stacked=True,
    )
    memory = _by_exporter("Memory of the exporter", "By exporter.", "process_resident_memory_bytes", "bytes")
    sources = table(
        "What is known of upstream",
        "When each source last gave a good answer. Runbook: VmcrawlCatalogueStale.",
        [query(f"max by (source) ({selector('vmcrawl_catalogue_last_update_timestamp_seconds')}) * 1000", table=True)],
        {"source": "Source", "Value": "Last good answer"},
        hidden=["Time"],
    )
    never = {"0": {"text": "never", "color": RED, "index": 0}}
    override(
        sources,
        "Last good answer",
        {"unit": "dateTimeFromNow", "mappings": [{"type": "value", "options": never}]},
    )
    grid.line(7, (6, scrape), (6, subjects), (6, memory), (6, sources))


def _by_exporter(title: str, description: str, metric: str, unit: str) -> Panel:
    target = over_time(f"max by (instance) ({selector(metric)})", "{{instance}}")
    return curves(title, description, [target], unit, colours={})
