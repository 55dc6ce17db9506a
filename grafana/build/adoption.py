"""The public dashboard: is the Fediverse patched, and how fast does a fix spread?"""

from typing import Any

from grafana.build.colours import BLUE, BRANCHES, GREY, ORANGE, PATCHED, SHARE, SUPPORT
from grafana.build.detail import security, variety
from grafana.build.layout import Grid, dashboard
from grafana.build.parts import PROMETHEUS, Panel, bars, curves, gauge, over_time, query, stat, table, widths
from grafana.build.queries import (
    INSTANCES,
    RELEASED,
    SELF_REPORTED,
    SUPPORTED,
    USERS,
    believed,
    by,
    by_support,
    newest,
    of_support,
    of_total,
    selector,
    share,
    total,
)

_PATCHED, _UNPATCHED = 'patched="true"', 'patched="false"'


def adoption() -> dict[str, Any]:
    """Nothing in it that a public dashboard cannot have: no variables, no single server, one data source."""
    grid = Grid()
    _now(grid)
    _branches(grid)
    _distribution(grid)
    _history(grid)
    security(grid)
    variety(grid)
    return dashboard(
        "vmcrawl-adoption",
        "Mastodon version adoption",
        "Which versions of Mastodon the known servers of the Fediverse run, and how far security fixes have spread.",
        grid,
        since="now-90d",
        tags=["public"],
        annotations=[_RELEASES],
    )


#: Grafana reads the value as milliseconds.
_RELEASES = {
    "name": "Releases",
    "datasource": PROMETHEUS,
    "enable": True,
    "hide": False,
    "iconColor": GREY,
    "expr": f"max by (version) ({RELEASED}) * 1000",
    "step": "1d",
    "titleFormat": "Mastodon {{version}}",
    "textFormat": "",
    "tagKeys": "",
    "useValueForTime": True,
}


def _now(grid: Grid) -> None:
    grid.row("Now")
    supported, users_supported = (
        share(f"sum({of_support(by('branch', metric), SUPPORTED)})", total(metric)) for metric in (INSTANCES, USERS)
    )
    grid.line(
        4,
        (
            3,
            stat(
                "Servers",
                "Published instances: Mastodon and its forks, under their own domain, that gave a good answer in the"
                " last three days.",
                query(total(INSTANCES)),
            ),
        ),
        (3, stat("Active users", f"Of these servers, in the last month. {SELF_REPORTED}", query(total(USERS)))),
        (
            3,
            stat(
                "Patched servers",
                "Share of the servers that run the newest release of their branch; on main: a build with the newest"
                " security fix. A branch past its end of support can be patched, and still lack what came after.",
                query(share(total(INSTANCES, _PATCHED), total(INSTANCES))),
                "percentunit",
                steps=SHARE,
            ),
        ),
        (
            4,
            stat(
                "Patched, by users",
                f"Share of the active users whose server runs the newest release of its branch. {SELF_REPORTED}",
                query(share(total(USERS, _PATCHED), total(USERS))),
                "percentunit",
                steps=SHARE,
            ),
        ),
        (
            4,
            stat(
                "Supported servers",
                "Share of the servers whose branch still gets security fixes.",
                query(supported),
                "percentunit",
                steps=SHARE,
            ),
        ),
        (
            4,
            stat(
                "Supported, by users",
                f"Share of the active users whose server's branch still gets security fixes. {SELF_REPORTED}",
                query(users_supported),
                "percentunit",
                steps=SHARE,
            ),
        ),
        (
            3,
            stat(
                "Data as of",
                "When the crawl last ended well. Servers are looked at every three hours; older than a few hours means"
                " that the crawl has stopped.",
                query(f"{newest('vmcrawl_run_last_success_timestamp_seconds')} * 1000 > 0"),
                "dateTimeFromNow",
            ),
        ),
    )


def _branches(grid: Grid) -> None:
    grid.row("How far fixes have come")
    grid.line(8, (12, _branch_table("servers", INSTANCES)), (12, _branch_table("active users", USERS)))
    grid.line(
        8,
        (12, _share_curves("Patched servers by branch", INSTANCES)),
        (12, _share_curves("Users on patched servers by branch", USERS)),
    )


def _branch_table(what: str, metric: str) -> Panel:
    patched = of_support(by("branch", metric, _PATCHED), SUPPORTED)
    every = of_support(by("branch", metric), SUPPORTED)
    supported = selector("vmcrawl_branch_info", f'support=~"{SUPPORTED}"')
    made = table(
        f"Patched {what}, against all",
        f"Of each branch that gets fixes: its newest release, all {what}, those that run that release, and their share."
        + (f" {SELF_REPORTED}" if metric is USERS else ""),
        [
            query(f"max by (branch, support, latest_version) ({supported})", ref="A", table=True),
            query(every, ref="B", table=True),
            query(patched, ref="C", table=True),
            query(share(f"({patched})", f"({every})"), ref="D", table=True),
        ],
        {
            "branch": "Branch",
            "Value #D": "Share",
            "Value #C": "Patched",
            "Value #B": "All",
            "latest_version": "Newest",
            "support": "Support",
        },
        hidden=["Time", "Value #A"],
        words=["Branch", "Newest"],
        sort="Branch",
    )
    widths(made, {"Branch": 80, "Patched": 100, "All": 100, "Newest": 90, "Support": 110})
    return gauge(made, "Share", SHARE)


def _share_curves(title: str, metric: str) -> Panel:
    patched = by("branch", metric, _PATCHED)
    expression = of_support(share(patched, by("branch", metric)), SUPPORTED)
    return curves(
        title,
        "Share that runs the newest release of the branch. It falls to nearly nothing on the day of a release, and how"
        " fast it comes back is how fast people patch." + (f" {SELF_REPORTED}" if metric is USERS else ""),
        [_curve(expression, "{{branch}}")],
        "percentunit",
        share=True,
    )


def _curve(expression: str, legend: str, ref: str = "A") -> Panel:
    """A curve of the past without the days that nobody believes."""
    return over_time(believed(expression), legend, ref)


def _distribution(grid: Grid) -> None:
    grid.row("Who runs what now")
    for what, metric in (("Servers", INSTANCES), ("Active users", USERS)):
        note = f" {SELF_REPORTED}" if metric is USERS else ""
        grid.line(
            8,
            (
                6,
                bars(
                    f"{what} by support",
                    "By where upstream stands on the branch: main is in development, latest and previous are supported,"
                    f" deprecated is for a last while, eol gets no fixes any more.{note}",
                    query(f"sort_desc({by_support(metric)})", "{{support}}"),
                    SUPPORT,
                ),
            ),
            (6, _patch_state(what, metric, note)),
            (
                6,
                bars(
                    f"{what} on supported branches",
                    f"By branch that gets security fixes.{note}",
                    query(f"sort_desc({of_support(by('branch', metric), SUPPORTED)})", "{{branch}}"),
                    BRANCHES,
                ),
            ),
            (
                6,
                bars(
                    f"{what} past the end of support",
                    f"By branch that gets no fixes any more, also none for what is found later; the ten largest.{note}",
                    query(f"topk(10, {of_support(by('branch', metric), 'eol')})", "{{branch}}"),
                    BRANCHES,
                ),
            ),
        )


def _patch_state(what: str, metric: str, note: str) -> Panel:
    made = bars(
        f"{what} by patch state",
        "Patched: the newest release of its branch, or newer. Not patched: something older. Unknown: upstream does not"
        f" know the branch.{note}",
        query(total(metric, _PATCHED), "patched", ref="A"),
        PATCHED,
    )
    made["targets"] += [
        query(total(metric, _UNPATCHED), "not patched", ref="B"),
        query(total(metric, 'patched="unknown"'), "unknown", ref="C"),
    ]
    return made


def _history(grid: Grid) -> None:
    grid.row("History; dashed lines are releases, gaps are days that are not to be believed")
    patched = curves(
        "Patched",
        f"Share of servers, and of their active users, on the newest release of their branch. {SELF_REPORTED}",
        [
            _curve(share(total(INSTANCES, _PATCHED), total(INSTANCES)), "servers", "A"),
            _curve(share(total(USERS, _PATCHED), total(USERS)), "active users", "B"),
        ],
        "percentunit",
        colours={"servers": BLUE, "active users": ORANGE},
        share=True,
    )
    support = curves(
        "Servers by support, in percent",
        "Where upstream stands on the branch today. A branch whose end has come is eol for all of the past, too.",
        [_curve(of_total(by_support(INSTANCES), total(INSTANCES)), "{{support}}")],
        "percentunit",
        colours=SUPPORT,
        stacked=True,
        share=True,
    )
    grid.line(8, (12, patched), (12, support))
    for what, metric in (("Servers", INSTANCES), ("Active users", USERS)):
        note = f" {SELF_REPORTED}" if metric is USERS else ""
        grid.line(
            9,
            (
                12,
                curves(
                    f"{what} by branch",
                    f"All branches, on top of each other: the upper edge is the total.{note}",
                    [_curve(by("branch", metric), "{{branch}}")],
                    stacked=True,
                ),
            ),
            (
                12,
                curves(
                    f"{what} by branch, in percent",
                    f"The same as shares of the whole.{note}",
                    [_curve(of_total(by("branch", metric), total(metric)), "{{branch}}")],
                    "percentunit",
                    stacked=True,
                    share=True,
                ),
            ),
        )
