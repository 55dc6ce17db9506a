"""PromQL that every dashboard has in common."""

#: What tells replicas of one exporter apart; all of them read the same database.
_REPLICA = "instance, pod, container, endpoint, service, node"
_JOB = 'job="vmcrawl"'

SUPPORTED = "main|latest|previous|deprecated"


def one(metric: str, *matchers: str) -> str:
    """A metric as one exporter says it, however many are scraped."""
    return f"max without ({_REPLICA}) ({metric}{{{', '.join((_JOB, *matchers))}}})"


def total(metric: str, *matchers: str) -> str:
    """The sum of all its series."""
    return f"sum({one(metric, *matchers)})"


def by(labels: str, metric: str, *matchers: str) -> str:
    """Its sums by labels."""
    return f"sum by ({labels}) ({one(metric, *matchers)})"


def newest(metric: str, *matchers: str) -> str:
    """The largest of its values: of replicas, and of installations."""
    return f"max({metric}{{{', '.join((_JOB, *matchers))}}})"


def info(support: str) -> str:
    """Branches with a support that matches: 1 each, with the labels ``branch`` and ``support``.

    Where they stand at the end of the time that is shown: what they were in the past nobody has asked Prometheus.
    """
    return f'max by (branch, support) (vmcrawl_branch_info{{{_JOB}, support=~"{support}"}} @ end())'


def of_support(expression: str, support: str) -> str:
    """Only the branches of an expression by ``branch`` that have such a support."""
    return f"({expression}) and on (branch) {info(support)}"


def by_support(metric: str) -> str:
    """Its sums by where the branch stands."""
    return f"sum by (support) ({by('branch', metric)} * on (branch) group_left (support) {info('.+')})"


def selector(metric: str, *matchers: str) -> str:
    """The series themselves."""
    return f"{metric}{{{', '.join((_JOB, *matchers))}}}"
