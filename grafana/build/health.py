"""The operator's dashboard: is the crawl healthy, and if not, what fails and why?"""

import re
from typing import Any

from grafana.build.colours import BLUE, GREEN, GREY, ORANGE, RED, RUNS, SKY
from grafana.build.effort import exporter, work
from grafana.build.layout import Grid, dashboard
from grafana.build.parts import (
    PROMETHEUS,
    bars,
    curves,
    if_none,
    mapped,
    over_time,
    override,
    query,
    stat,
    table,
    text,
)
from grafana.build.queries import by, counted, largest_of, newest, share, total

#: Failures of the network between us and them; if many, ours.
_NETWORK = "dns_failure|dns_not_found|connection_refused|connection_unreachable|connection_reset|timeout|tls_handshake"
_HOUR = 3600.0


def health() -> dict[str, Any]:
    """For one who has been woken up: the state first, then runs, what fails, the queue, and the exporter itself."""
    grid = Grid()
    _state(grid)
    _runs(grid)
    _failures(grid)
    _queue(grid)
    work(grid)
    exporter(grid)
    for each in grid.panels:
        if alerts := re.findall(r"Vmcrawl\w+", each.get("description", "")):
            each["links"] = [_runbook(name) for name in alerts]
    return dashboard(
        "vmcrawl-health",
        "vmcrawl crawl health",
        "Runs, outcomes, the queue, the database and the exporter, for whoever operates vmcrawl.",
        grid,
        since="now-7d",
        tags=["operator"],
        annotations=[_ALERTS],
        refresh="1m",
    )


_ALERTS = {
    "name": "Alerts",
    "datasource": PROMETHEUS,
    "enable": True,
    "hide": False,
    "iconColor": RED,
    "expr": 'max by (alertname, severity) (ALERTS{alertname=~"Vmcrawl.*", alertstate="firing"})',
    "step": "5m",
    "titleFormat": "{{alertname}}",
    "textFormat": "{{severity}}",
    "tagKeys": "severity",
    "useValueForTime": False,
}


def _state(grid: Grid) -> None:
    grid.row("State")
    age = ((None, GREEN), (3 * _HOUR, ORANGE), (6 * _HOUR, RED))
    up = mapped(
        stat(
            "Database",
            "Whether the last scrape could read it. Runbook: VmcrawlDatabaseDown.",
            query(newest("vmcrawl_database_up")),
            "none",
            steps=((None, RED), (1, GREEN)),
        ),
        {"0": ("down", RED), "1": ("up", GREEN)},
    )
    status = stat(
        "Last run",
        "How the run that ended last ended. partial: it was cut off by crawl.max_duration, or far too much of what is"
        " published could not be seen. Runbooks: VmcrawlRunsFailing, VmcrawlHistoryHalted.",
        query(f"{by('status', 'vmcrawl_run_last_status')} == 1", "{{status}}"),
        "none",
    )
    status["options"].update(textMode="name", colorMode="value")
    for name, colour in RUNS.items():
        override(status, name, {"color": {"mode": "fixed", "fixedColor": colour}})
    crawls = mapped(
        stat(
            "Crawls",
            "Whether somebody lets all crawlers rest; vmcrawl status says who, and why. Runbook: VmcrawlPaused.",
            query(newest("vmcrawl_paused")),
            "none",
            steps=((None, GREEN), (1, ORANGE)),
        ),
        {"0": ("allowed", GREEN), "1": ("paused", ORANGE)},
    )
    grid.line(
        4,
        (3, up),
        (3, crawls),
        (3, status),
        (
            4,
            stat(
                "Since the last success",
                "Since a run last ended with success. Runbook: VmcrawlRunMissing.",
                query(f"time() - ({newest('vmcrawl_run_last_success_timestamp_seconds')} > 0)"),
                "s",
                steps=age,
            ),
        ),
        (
            4,
            if_none(
                stat(
                    "Running now",
                    "Share of what the runs that are going on have planned that is crawled.",
                    query(
                        share(
                            total("vmcrawl_run_current_processed_domains"),
                            total("vmcrawl_run_current_planned_domains"),
                        )
                    ),
                    "percentunit",
                ),
                "nothing",
            ),
        ),
        (
            3,
            stat(
                "Overdue",
                "Domains that have waited for a crawl for more than six hours. Runbook: VmcrawlBacklogGrowing.",
                query(total("vmcrawl_due_domains", 'overdue="true"')),
                steps=((None, GREEN), (1, ORANGE), (1000, RED)),
            ),
        ),
        (
            4,
            stat(
                "Stale",
                "Published instances that were last seen in good health more than a third of the retention ago (a day)."
                " Runbook: VmcrawlDataStale.",
                query(total("vmcrawl_stale_domains")),
                steps=((None, GREEN), (1, ORANGE), (1000, RED)),
            ),
        ),
    )
    firing = table(
        "Alerts that fire",
        "Each has a page in deploy/runbooks.",
        [query('max by (alertname, severity) (ALERTS{alertname=~"Vmcrawl.*", alertstate="firing"})', table=True)],
        {"alertname": "Alert", "severity": "Severity"},
        hidden=["Time", "Value"],
    )
    override(if_none(firing, "none"), "Alert", {"links": [_runbook("${__value.raw}")]})
    grid.line(6, (12, firing), (12, text(_HELP)))


def _runs(grid: Grid) -> None:
    grid.row("Runs")
    duration = curves(
        "How long runs take",
        "Each step is a run that has ended. Runbook: VmcrawlRunOverrunning.",
        [over_time(newest("vmcrawl_run_last_duration_seconds"), "last run")],
        "s",
        colours={"last run": BLUE},
    )
    size = curves(
        "What runs crawl",
        "Domains that the run that ended last had planned, and that it crawled. Fewer crawled than planned: it was cut"
        " off, or another run was faster.",
        [
            over_time(newest("vmcrawl_run_last_planned_domains"), "planned", "A"),
            over_time(total("vmcrawl_run_last_domains"), "crawled", "B"),
        ],
        colours={"planned": GREY, "crawled": BLUE},
    )
    endings = curves(
        "Runs by how they ended",
        "How many ended around each moment. failed and interrupted should be rare. Runbook: VmcrawlRunsFailing.",
        [over_time(f"sum by (status) ({counted('increase', 'vmcrawl_runs_total')})", "{{status}}")],
        colours=RUNS,
        stacked=True,
    )
    grid.line(7, (8, duration), (8, size), (8, endings))


def _failures(grid: Grid) -> None:
    grid.row("What fails, and why")
    last = bars(
        "Outcomes of the last run",
        "How the crawls of the run that ended last ended, the most frequent first. What each word means stands in"
        " vmcrawl/outcome.py.",
        query(f"sort_desc({by('outcome', 'vmcrawl_run_last_domains')} > 0)", "{{outcome}}"),
        _OUTCOMES,
    )
    failing = if_none(
        bars(
            "Published, but failing now",
            "Published instances whose last crawl failed, by how. They stay published for three days. Runbook:"
            " VmcrawlInstancesFailing.",
            query(f"sort_desc({by('outcome', 'vmcrawl_failing_instances')} > 0)", "{{outcome}}"),
            _OUTCOMES,
        ),
        "none",
    )
    grid.line(12, (12, last), (12, failing))
    network = curves(
        "Failures of the network, of the last run",
        "Share of the crawls of the run that ended last that no server answered. If it jumps, it is our network or our"
        " name server. Runbook: VmcrawlFetchFailuresHigh.",
        [
            over_time(
                share(total("vmcrawl_run_last_domains", f"outcome=~`{_NETWORK}`"), total("vmcrawl_run_last_domains")),
                "share",
            )
        ],
        "percentunit",
        colours={"share": RED},
        share=True,
    )
    population = curves(
        "All domains by outcome",
        "How the last crawl of each known domain ended; the ten outcomes that are the most frequent now.",
        [over_time(largest_of(10, "outcome", "vmcrawl_domains"), "{{outcome}}")],
        colours=_OUTCOMES,
        stacked=True,
    )
    grid.line(8, (12, network), (12, population))


def _queue(grid: Grid) -> None:
    grid.row("Queue and leases")
    due = curves(
        "Due",
        "Domains that wait for a crawl. overdue: for more than six hours. Runbook: VmcrawlBacklogGrowing.",
        [
            over_time(total("vmcrawl_due_domains", 'overdue="false"'), "due", "A"),
            over_time(total("vmcrawl_due_domains", 'overdue="true"'), "overdue", "B"),
        ],
        colours={"due": BLUE, "overdue": RED},
        stacked=True,
    )
    leases = curves(
        "Leases",
        "Domains that crawler processes have under lease. expired: their process has died, and others may have them."
        " Runbook: VmcrawlLeasesExpired.",
        [over_time(by("state", "vmcrawl_leases"), "{{state}}")],
        colours={"held": BLUE, "expired": RED},
    )
    shards = curves(
        "Crawler processes",
        "Of all machines. lost: all of its leases have run out.",
        [over_time(by("state", "vmcrawl_run_shards"), "{{state}}")],
        colours={"running": BLUE, "lost": RED},
    )
    grid.line(7, (8, due), (8, leases), (8, shards))


def _runbook(name: str) -> dict[str, Any]:
    """A link to what to do; panels have one for each alert that their description names."""
    url = f"https://github.com/vmcrawl/vmcrawl/blob/main/deploy/runbooks/{name}.md"
    return {"title": f"Runbook: {name}", "url": url, "targetBlank": True}


_HELP = """### What to look at

- **Since the last success** grows: nothing runs, or runs fail. Look at the Job, then at **Runs by how they ended**.
- **Failures of the network** jump: our network or name server. Nothing is unpublished for three days.
- **Overdue** grows: more domains than one run gets through. More time, threads or machines.
- **Database** down: everything else here is empty until it is back.

[All runbooks](https://github.com/vmcrawl/vmcrawl/tree/main/deploy/runbooks)
"""

_OUTCOMES = {
    "ok": GREEN,
    **dict.fromkeys(("timeout", "connection_refused", "connection_unreachable", "connection_reset"), RED),
    **dict.fromkeys(("dns_not_found", "dns_failure"), ORANGE),
    **dict.fromkeys(("not_mastodon", "alias", "never_crawled"), GREY),
    **dict.fromkeys(("http_4xx", "http_5xx", "http_other"), SKY),
}
