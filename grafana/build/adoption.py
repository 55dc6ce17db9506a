"""The public dashboard: is the Fediverse patched, and how fast does a fix spread?"""

from typing import Any

from grafana.build.colours import BRANCHES, CHANNELS, PATCHED, SEVERITIES, SHARE, SMALL_SHARE, SUPPORT
from grafana.build.layout import Grid, dashboard
from grafana.build.parts import (
    PROMETHEUS,
    Panel,
    bars,
    curves,
    over_time,
    override,
    query,
    stat,
    steps_of,
    table,
    widths,
)
from grafana.build.queries import SUPPORTED, by, by_support, newest, of_support, one, selector, total

INSTANCES, USERS = "vmcrawl_instances", "vmcrawl_monthly_active_users"
_PATCHED, _UNPATCHED = 'patched="true"', 'patched="false"'
_SELF_REPORTED = "Monthly active users are what servers say of themselves."


def adoption() -> dict[str, Any]:
    """Nothing in it that a public dashboard cannot have: no variables, no single server, one data source."""
    grid = Grid()
    _now(grid)
    _branches(grid)
    _distribution(grid)
    _history(grid)
    _security(grid)
    _variety(grid)
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
    "iconColor": "#8E8E8E",
    "expr": f"max by (version) ({selector('vmcrawl_release_published_timestamp_seconds')}) * 1000",
    "step": "1d",
    "titleFormat": "Mastodon {{version}}",
    "textFormat": "",
    "tagKeys": "",
    "useValueForTime": True,
}


def _now(grid: Grid) -> None:
    grid.row("Now")
    supported = f"sum({of_support(by('branch', INSTANCES), SUPPORTED)})"
    grid.line(
        4,
        (
            4,
            stat(
                "Servers",
                "Published instances: Mastodon and its forks, under their own domain, that gave a good answer in the"
                " last three days.",
                query(total(INSTANCES)),
            ),
        ),
        (4, stat("Active users", f"Of these servers, in the last month. {_SELF_REPORTED}", query(total(USERS)))),
        (
            4,
            stat(
                "Patched servers",
                "Share of the servers that run the newest release of their branch; on main: a build with the newest"
                " security fix. A branch past its end of support can be patched, and still lack what came after.",
                query(f"{total(INSTANCES, _PATCHED)} / {total(INSTANCES)}"),
                "percentunit",
                steps=SHARE,
            ),
        ),
        (
            4,
            stat(
                "Users on patched servers",
                f"Share of the active users whose server runs the newest release of its branch. {_SELF_REPORTED}",
                query(f"{total(USERS, _PATCHED)} / {total(USERS)}"),
                "percentunit",
                steps=SHARE,
            ),
        ),
        (
            4,
            stat(
                "On supported branches",
                "Share of the servers whose branch still gets security fixes.",
                query(f"{supported} / {total(INSTANCES)}"),
                "percentunit",
                steps=SHARE,
            ),
        ),
        (
            4,
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
    grid.row("Supported branches: how far the newest release of each has come")
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
        + (f" {_SELF_REPORTED}" if metric is USERS else ""),
        [
            query(f"max by (branch, support, latest_version) ({supported})", ref="A", table=True),
            query(every, ref="B", table=True),
            query(patched, ref="C", table=True),
            query(f"({patched}) / ({every} > 0)", ref="D", table=True),
        ],
        {
            "branch": "Branch",
            "Value #D": "Share",
            "Value #C": "Patched",
            "Value #B": f"All {what}",
            "latest_version": "Newest",
            "support": "Support",
        },
        hidden=["Time", "Value #A"],
        words=["Branch", "Newest"],
        sort="Branch",
    )
    widths(made, {"Branch": 80, "Share": 150, "Newest": 100, "Support": 120})
    cell = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
    return override(
        made,
        "Share",
        {
            **{"unit": "percentunit", "min": 0, "max": 1, "color": {"mode": "thresholds"}},
            **{"thresholds": steps_of(SHARE), "custom.cellOptions": cell},
        },
    )


def _share_curves(title: str, metric: str) -> Panel:
    patched = by("branch", metric, _PATCHED)
    expression = of_support(f"{patched} / ({by('branch', metric)} > 0)", SUPPORTED)
    return curves(
        title,
        "Share that runs the newest release of the branch. It falls to nearly nothing on the day of a release, and how"
        " fast it comes back is how fast people patch." + (f" {_SELF_REPORTED}" if metric is USERS else ""),
        [over_time(expression, "{{branch}}")],
        "percentunit",
        share=True,
    )


def _distribution(grid: Grid) -> None:
    grid.row("Who runs what now")
    for what, metric in (("Servers", INSTANCES), ("Active users", USERS)):
        note = f" {_SELF_REPORTED}" if metric is USERS else ""
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
    grid.row("History; dashed lines are releases")
    share = curves(
        "Patched",
        f"Share of servers, and of their active users, on the newest release of their branch. {_SELF_REPORTED}",
        [
            over_time(f"{total(INSTANCES, _PATCHED)} / {total(INSTANCES)}", "servers", "A"),
            over_time(f"{total(USERS, _PATCHED)} / {total(USERS)}", "active users", "B"),
        ],
        "percentunit",
        colours={"servers": "#0072B2", "active users": "#E69F00"},
        share=True,
    )
    support = curves(
        "Servers by support of their branch, in percent",
        "Where upstream stands on the branch today. A branch whose end has come is eol for all of the past, too.",
        [over_time(f"({by_support(INSTANCES)}) / on () group_left () {total(INSTANCES)}", "{{support}}")],
        "percentunit",
        colours=SUPPORT,
        stacked=True,
        share=True,
    )
    grid.line(8, (12, share), (12, support))
    for what, metric in (("Servers", INSTANCES), ("Active users", USERS)):
        note = f" {_SELF_REPORTED}" if metric is USERS else ""
        grid.line(
            9,
            (
                12,
                curves(
                    f"{what} by branch",
                    f"All branches, on top of each other: the upper edge is the total.{note}",
                    [over_time(by("branch", metric), "{{branch}}")],
                    stacked=True,
                ),
            ),
            (
                12,
                curves(
                    f"{what} by branch, in percent",
                    f"The same as shares of the whole.{note}",
                    [over_time(f"{by('branch', metric)} / on () group_left () {total(metric)}", "{{branch}}")],
                    "percentunit",
                    stacked=True,
                    share=True,
                ),
            ),
        )


def _security(grid: Grid) -> None:
    grid.row("Security: who is touched by what, and how long fixes take")
    grid.line(10, (11, _exposure()), (13, _delays()))


def _exposure() -> Panel:
    touched = f"max by (advisory, severity) ({selector('vmcrawl_exposed_instances')})"
    users = f"max by (advisory, severity) ({selector('vmcrawl_exposed_monthly_active_users')})"
    made = table(
        "Exposure to published advisories",
        "Servers that run a version which an advisory of Mastodon touches, and their active users; the newest 25"
        f" advisories. One server counts with each that touches it. {_SELF_REPORTED}",
        [
            query(touched, ref="A", table=True),
            query(f"{touched} / on () group_left () {total(INSTANCES)}", ref="B", table=True),
            query(users, ref="C", table=True),
        ],
        {
            "advisory": "Advisory",
            "severity": "Severity",
            "Value #A": "Servers",
            "Value #B": "Of all servers",
            "Value #C": "Active users",
        },
        hidden=["Time"],
        sort="Servers",
    )
    link = {
        "title": "Read it at GitHub",
        "url": "https://github.com/mastodon/mastodon/security/advisories/${__value.raw}",
        "targetBlank": True,
    }
    override(made, "Advisory", {"links": [link]})
    widths(made, {"Advisory": 190, "Severity": 90, "Servers": 90, "Of all servers": 140, "Active users": 110})
    cell = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
    override(
        made,
        "Of all servers",
        {
            **{"unit": "percentunit", "min": 0, "max": 1, "color": {"mode": "thresholds"}},
            **{"thresholds": steps_of(SMALL_SHARE), "custom.cellOptions": cell},
        },
    )
    words = {word: {"text": word, "color": colour, "index": n} for n, (word, colour) in enumerate(SEVERITIES.items())}
    override(
        made,
        "Severity",
        {"mappings": [{"type": "value", "options": words}], "custom.cellOptions": {"type": "color-text"}},
    )
    return made


def _delays() -> Panel:
    each = "branch, version"
    having = by(each, "vmcrawl_patch_instances", 'adopted="true"')
    every = by(each, "vmcrawl_patch_instances")
    users_having = by(each, "vmcrawl_patch_monthly_active_users", 'adopted="true"')
    every_user = by(each, "vmcrawl_patch_monthly_active_users")

    def took(share_: str, weight: str) -> str:
        delay = selector("vmcrawl_patch_delay_seconds", f'share="{share_}"', f'weight="{weight}"')
        return f"max by (branch, version) ({delay})"

    made = table(
        "Patch delay: the newest security release of each branch",
        "Who has it or something newer, and how long after its day began half and nine tenths of the servers (of the"
        " active users) of the branch had it, of those that were known on that day. Empty: not yet, or nobody knows."
        f" As of the end of the last crawl. {_SELF_REPORTED}",
        [
            query(f"{having} / ({every} > 0)", ref="A", table=True),
            query(f"{users_having} / ({every_user} > 0)", ref="B", table=True),
            *(
                query(took(part, weight), ref=ref, table=True)
                for ref, (part, weight) in zip(
                    "CDEF",
                    [("0.5", "instances"), ("0.9", "instances"), ("0.5", "users"), ("0.9", "users")],
                    strict=True,
                )
            ),
        ],
        {
            "branch": "Branch",
            "version": "Fix",
            "Value #A": "Servers",
            "Value #B": "Users",
            "Value #C": "50 % of servers",
            "Value #D": "90 % of servers",
            "Value #E": "50 % of users",
            "Value #F": "90 % of users",
        },
        hidden=["Time"],
        words=["Branch", "Fix"],
        sort="Branch",
    )
    for name in ("Servers", "Users"):
        cell = {"type": "color-text"}
        properties = {
            "unit": "percentunit",
            "decimals": 1,
            "color": {"mode": "thresholds"},
            "thresholds": steps_of(SHARE),
        }
        override(made, name, {**properties, "custom.cellOptions": cell})
    widths(made, {"Branch": 80, "Fix": 80, "Servers": 80, "Users": 80})
    override(made, "/^[59]0 %/", {"unit": "dtdurations", "noValue": "not yet"}, "byRegexp")
    return made


def _variety(grid: Grid) -> None:
    grid.row("Forks, channels, exact versions")
    forks = bars(
        "Servers by fork",
        "vanilla: as upstream ships it; custom: the version says that something is changed, but not what.",
        query(f"topk(12, sum by (fork) ({one('vmcrawl_software_instances')}))", "{{fork}}"),
        {},
    )
    channels = bars(
        "Servers by channel",
        "stable releases, release candidates, betas, alphas (which is main between releases), nightly builds.",
        query(f"sort_desc({by('channel', 'vmcrawl_prerelease_instances')})", "{{channel}}"),
        CHANNELS,
    )
    versions = table(
        "Exact versions",
        "The releases of upstream that most servers run or build upon; all that are not shown by name are other."
        f" {_SELF_REPORTED}",
        [
            query(f"topk(25, {by('version, branch', 'vmcrawl_version_instances')})", ref="A", table=True),
            query(
                f"{by('version, branch', 'vmcrawl_version_monthly_active_users')}"
                f" and topk(25, {by('version, branch', 'vmcrawl_version_instances')})",
                ref="B",
                table=True,
            ),
        ],
        {"version": "Version", "branch": "Branch", "Value #A": "Servers", "Value #B": "Active users"},
        hidden=["Time"],
        words=["Version", "Branch"],
        sort="Servers",
    )
    grid.line(11, (6, forks), (6, channels), (12, versions))
