"""PromQL that every dashboard has in common."""

#: What tells replicas of one exporter apart; all of them read the same database.
_REPLICA = "instance, pod, container, endpoint, service, node"
_JOB = 'job="vmcrawl"'

INSTANCES, USERS = "vmcrawl_instances", "vmcrawl_monthly_active_users"
#: With whatever counts users.
SELF_REPORTED = "Monthly active users are what servers say of themselves."
_BAD_DAY = "vmcrawl_history_bad_day_timestamp_seconds"
#: As long as Prometheus is told to keep what it has (grafana/README.md).
_LATER = "400d"
SUPPORTED = "main|latest|previous|deprecated"


def one(metric: str, *matchers: str) -> str:
    """A metric as one exporter says it, however many are scraped."""
    return f"max without ({_REPLICA}) ({selector(metric, *matchers)})"


def total(metric: str, *matchers: str) -> str:
    """The sum of all its series."""
    return f"sum({one(metric, *matchers)})"


def by(labels: str, metric: str, *matchers: str) -> str:
    """Its sums by labels."""
    return f"sum by ({labels}) ({one(metric, *matchers)})"


def share(part: str, whole: str) -> str:
    """A part of a whole, 0 to 1; of nothing there is no share, and what has no part at all has a share of 0."""
    return f"(({part}) or ({whole}) * 0) / ({whole} > 0)"


def of_total(parts: str, whole: str) -> str:
    """Each of some parts as a share of one total."""
    return f"({parts}) / on () group_left () ({whole} > 0)"


def counted(function: str, metric: str) -> str:
    """A counter as ``rate`` or ``increase`` of each series, as one exporter says it, however many are scraped."""
    return f"max without ({_REPLICA}) ({function}({selector(metric)}[$__rate_interval]))"


def newest(metric: str, *matchers: str) -> str:
    """The largest of its values: of replicas, and of installations."""
    return f"max({selector(metric, *matchers)})"


def info(support: str) -> str:
    """Branches with a support that matches: 1 each, with the labels ``branch`` and ``support``.

    Where they stand at the end of the time that is shown: what they were in the past nobody has asked Prometheus.
    """
    return f'max by (branch, support) (vmcrawl_branch_info{{{_JOB}, support=~"{support}"}} @ end())'


def largest_of(number: int, labels: str, metric: str) -> str:
    """The sums by labels that are the largest at the end of the time that is shown: the same ones all along."""
    at_end = f"sum by ({labels}) (max without ({_REPLICA}) ({selector(metric)} @ end()))"
    return f"{by(labels, metric)} and on ({labels}) topk({number}, {at_end})"


def of_support(expression: str, support: str) -> str:
    """Only the branches of an expression by ``branch`` that have such a support."""
    return f"({expression}) and on (branch) {info(support)}"


def by_support(metric: str) -> str:
    """Its sums by where the branch stands.

    One row a branch, whatever comes: with two, as while replicas learn of a change, the join would fail.
    """
    stand = f"topk by (branch) (1, {info('.+')})"
    return f"sum by (support) ({by('branch', metric)} * on (branch) group_left (support) {stand})"


def believed(expression: str) -> str:
    """An expression over time, without the days that ``vmcrawl history invalidate`` has marked.

    What Prometheus scraped on a day it keeps. Each marked day is a series whose value is when it began, from the moment
    on at which somebody marked it: which may be after the end of the time that is shown, so it is looked for there,
    too. Of a day that is believed again the last value is 0.
    """
    days = f"last_over_time({selector(_BAD_DAY)}[{_LATER}5m] @ end() offset -{_LATER})"
    return f"({expression}) unless on () ({days} <= time() > time() - 86400)"


def selector(metric: str, *matchers: str) -> str:
    """The series themselves."""
    return f"{metric}{{{', '.join((_JOB, *matchers))}}}"


RELEASED = selector("vmcrawl_release_published_timestamp_seconds")
