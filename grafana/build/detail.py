"""The lower half of the public dashboard: security, and what else there is to know of versions."""

from grafana.build.colours import CHANNELS, SEVERITIES, SHARE, SMALL_SHARE
from grafana.build.layout import Grid
from grafana.build.parts import Panel, bars, gauge, override, query, steps_of, table, widths, worded
from grafana.build.queries import INSTANCES, RELEASED, SELF_REPORTED, by, of_total, selector, share, total


def security(grid: Grid) -> None:
    grid.row("Security")
    grid.line(10, (11, _exposure()), (13, _delays()))


def _exposure() -> Panel:
    touched = f"max by (advisory, severity) ({selector('vmcrawl_exposed_instances')})"
    users = f"max by (advisory, severity) ({selector('vmcrawl_exposed_monthly_active_users')})"
    made = table(
        "Exposure to published advisories",
        "Servers that run a version which an advisory of Mastodon touches, and their active users; the newest 25"
        f" advisories. One server counts with each that touches it. {SELF_REPORTED}",
        [
            query(touched, ref="A", table=True),
            query(of_total(touched, total(INSTANCES)), ref="B", table=True),
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
    widths(made, {"Advisory": 190, "Severity": 90, "Servers": 90, "Active users": 110})
    gauge(made, "Of all servers", SMALL_SHARE)
    return worded(made, "Severity", SEVERITIES)


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
        "Patch delay of the newest fixes",
        "Of the newest security release of each branch: who has it or something newer, and how long after its day began"
        " half and nine tenths of the servers (of the active users) of the branch had it, of those that were known on"
        f" that day. Empty: not yet, or nobody knows. As of the end of the last crawl. {SELF_REPORTED}",
        [
            query(share(having, every), ref="A", table=True),
            query(share(users_having, every_user), ref="B", table=True),
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


def variety(grid: Grid) -> None:
    grid.row("Forks, channels, exact versions")
    forks = bars(
        "Servers by fork",
        "vanilla: as upstream ships it; custom: the version says that something is changed, but not what.",
        query(f"topk(12, {by('fork', 'vmcrawl_software_instances')})", "{{fork}}"),
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
        f" {SELF_REPORTED}",
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
    grid.line(11, (5, forks), (5, channels), (8, versions), (6, _releases()))


def _releases() -> Panel:
    """The dates of the dashed lines once more: who is shown this as a public dashboard sees no annotations."""
    made = table(
        "Releases",
        "When the newest release of each branch came out, and what else came out in the last half year.",
        [query(f"max by (version) ({RELEASED}) * 1000", table=True)],
        {"version": "Version", "Value": "Came out"},
        hidden=["Time"],
        words=["Version"],
        sort="Came out",
    )
    return override(made, "Came out", {"unit": "time:YYYY-MM-DD"})
