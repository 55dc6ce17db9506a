"""The searchable table of all listed instances; it reads Postgres, as a role that sees nobody who is on a DNI list."""

from typing import Any

from grafana.build.colours import GREEN, GREY, RED, SUPPORT
from grafana.build.layout import Grid, dashboard
from grafana.build.parts import POSTGRES, override, sql, stat, table, widths, worded


def instances() -> dict[str, Any]:
    """Filters, what they leave, and all of it."""
    grid = Grid()
    grid.line(
        4,
        (
            6,
            stat(
                "Published servers",
                "All of them, also those on a DNI list, which are counted and not listed: as in the dashboard of"
                " adoption.",
                sql("SELECT sum(instances)::bigint AS servers FROM adoption"),
            ),
        ),
        (
            6,
            stat(
                "Their active users",
                "In the last month, as servers report them: the number of the dashboard of adoption.",
                sql('SELECT sum(active_users)::bigint AS "active users" FROM adoption'),
            ),
        ),
        (
            6,
            stat(
                "Listed here",
                "Servers in the table below, with the filters as they are set.",
                sql(f"SELECT count(*) AS servers FROM {_LISTED} WHERE {_CHOSEN}"),
            ),
        ),
        (
            6,
            stat(
                "Active users listed here",
                "Of the servers in the table below, in the last month, as servers report them.",
                sql(f'SELECT coalesce(sum(active_users), 0)::bigint AS "active users" FROM {_LISTED} WHERE {_CHOSEN}'),
            ),
        ),
    )
    grid.line(22, (24, _table()))
    return dashboard(
        "vmcrawl-instances",
        "Mastodon instances",
        "Every listed server: what it runs, whether that is patched and supported, how many use it, when it was seen.",
        grid,
        since="now-24h",
        variables=[
            _variable(
                "branch",
                "Branch",
                "SELECT coalesce(branch, 'unknown') FROM public_instances GROUP BY branch"
                " ORDER BY split_part(branch, '.', 1)::integer DESC NULLS LAST,"
                " split_part(branch, '.', 2)::integer DESC",
            ),
            _variable(
                "support",
                "Support",
                "SELECT DISTINCT coalesce(support, 'unknown') FROM public_instances ORDER BY 1",
            ),
            _custom("patched", "Patched", ("yes", "no", "unknown")),
            _variable("software", "Software", "SELECT DISTINCT software FROM public_instances ORDER BY 1"),
            _custom("health", "Health", ("ok", "failing")),
            _search(),
        ],
    )


#: What nobody knows has a name, too, so that it can be shown and chosen.
_LISTED = """(
    SELECT domain, release, version, software, fork,
           coalesce(branch, 'unknown') AS branch, coalesce(support, 'unknown') AS support,
           CASE WHEN patched THEN 'yes' WHEN NOT patched THEN 'no' ELSE 'unknown' END AS patched,
           active_users, last_seen_at, CASE WHEN failing THEN 'failing' ELSE 'ok' END AS health
    FROM public_instances
) AS listed"""


def _chosen(variable: str) -> str:
    """Where a column has one of the values that are chosen in the picker of its name.

    An array, since "All" of nothing is empty, and IN () is no SQL.
    """
    return f"{variable} = ANY (ARRAY[${{{variable}:sqlstring}}]::text[])"


#: strpos, since LIKE would read a % or a _ that is searched for as a wildcard.
_CHOSEN = " AND ".join(
    [
        *map(_chosen, ("branch", "support", "patched", "software", "health")),
        "strpos(domain, lower(${search:sqlstring})) > 0",
    ]
)
_ROWS = f"""
SELECT domain, release, version, software, fork, branch, support, patched, active_users, last_seen_at, health
FROM {_LISTED}
WHERE {_CHOSEN}
ORDER BY active_users DESC, domain
LIMIT 50000
"""


def _table() -> dict[str, Any]:
    made = table(
        "Instances",
        "Servers with most active users first; a click on a column sorts by it. failing: published, but the last look"
        " at it was in vain. Servers on a DNI list are counted, and not listed.",
        [sql(_ROWS.strip())],
        {
            "domain": "Domain",
            "release": "Release",
            "version": "Version, as the server says it",
            "software": "Software",
            "fork": "Fork",
            "branch": "Branch",
            "support": "Support",
            "patched": "Patched",
            "active_users": "Active users",
            "last_seen_at": "Last seen",
            "health": "Health",
        },
        words=["Domain", "Release", "Version, as the server says it", "Branch"],
    )
    made["options"]["footer"] = {
        "show": False,
        "reducer": ["sum"],
        "countRows": False,
        "fields": "",
        "enablePagination": True,
    }
    made["fieldConfig"]["defaults"]["custom"]["filterable"] = True
    link = {"title": "Go there", "url": "https://${__value.raw}", "targetBlank": True}
    override(made, "Domain", {"links": [link]})
    widths(
        made,
        {
            **{"Release": 150, "Software": 110, "Fork": 100, "Branch": 90, "Support": 110, "Patched": 100},
            **{"Active users": 130, "Last seen": 140, "Health": 90},
        },
    )
    for column in ("Domain", "Version, as the server says it"):
        override(made, column, {"custom.minWidth": 180})
    override(made, "Last seen", {"unit": "dateTimeFromNow"})
    worded(made, "Support", SUPPORT)
    worded(made, "Patched", {"yes": GREEN, "no": RED, "unknown": GREY})
    return worded(made, "Health", {"failing": RED, "ok": GREEN})


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": POSTGRES,
        "query": query,
        "definition": query,
        "refresh": 2,
        "sort": 0,
        "multi": True,
        "includeAll": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "options": [],
        "hide": 0,
        "skipUrlSync": False,
        "regex": "",
    }


def _custom(name: str, label: str, values: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "custom",
        "query": ",".join(values),
        "multi": True,
        "includeAll": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "options": [{"text": value, "value": value, "selected": False} for value in values],
        "hide": 0,
        "skipUrlSync": False,
    }


def _search() -> dict[str, Any]:
    empty = {"text": "", "value": "", "selected": True}
    return {
        "name": "search",
        "label": "Domain contains",
        "type": "textbox",
        "query": "",
        "current": empty,
        "options": [empty],
        "hide": 0,
        "skipUrlSync": False,
    }
