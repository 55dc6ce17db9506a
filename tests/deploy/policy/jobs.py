"""Jobs and CronJobs: what must fit together, or the API server or a controller would refuse or ignore it."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta

from tests.deploy.manifests import Document, Pod, of_kind, pods
from tests.deploy.policy.problem import Problem, problem

_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_PART = re.compile(r"(\*|\d+(?:-\d+)?)(?:/(\d+))?", re.ASCII)
#: Names of Jobs are those of CronJobs and eleven characters; they have to fit into a label.
_LONGEST_NAME = 52
#: Of the pods' host names: those of Indexed Jobs end with the index.
_LONGEST_LABEL = 63
_LEGIBLE_SECONDS = 3600


def job_problems(documents: tuple[Document, ...]) -> Iterator[Problem]:
    """What is wrong with each Job and CronJob."""
    for document in of_kind(documents, "CronJob"):
        if len(document["metadata"]["name"]) > _LONGEST_NAME:
            yield problem(f"CronJob/{document['metadata']['name']}", f"a name longer than {_LONGEST_NAME} characters")
    for pod in pods(documents):
        if pod.cron is not None:
            yield from _schedule(pod.owner, pod.cron)
        if pod.job is not None:
            yield from _ending(pod.owner, pod, pod.job)
            yield from _failures(pod.owner, pod, pod.job)
            yield from _indexes(pod.owner, pod.job)
            yield from _tries(pod.owner, pod.job)


def interval(cron: Document) -> timedelta | None:
    """The shortest time between two moments of a schedule that is the same each day; None if it is none."""
    minutes, hours, *days = (_values(text, *limits) for text, limits in zip(_split(cron), _FIELDS, strict=True))
    if minutes is None or hours is None or any(each is None for each in days):
        return None
    moments = sorted(60 * hour + minute for hour in hours for minute in minutes)
    gaps = [later - earlier for earlier, later in zip(moments, [*moments[1:], moments[0] + 24 * 60], strict=True)]
    return timedelta(minutes=min(gaps))


def _split(cron: Document) -> list[str]:
    fields = str(cron.get("schedule", "")).split()
    return fields if len(fields) == len(_FIELDS) else ["?"] * len(_FIELDS)


def _values(text: str, first: int, last: int) -> set[int] | None:
    """The numbers that one field of a schedule stands for; None if it is not one."""
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            return None
        low, _, high = match[1].partition("-")
        start, end = (first, last) if low == "*" else (int(low), int(high or (last if match[2] else low)))
        step = int(match[2] or 1)
        if not (first <= start <= end <= last) or not step:
            return None
        found |= set(range(start, end + 1, step))
    return found


def _schedule(where: str, cron: Document) -> Iterator[Problem]:
    if (between := interval(cron)) is None:
        yield problem(where, f"{cron.get('schedule')!r} is no schedule")
        return
    if _split(cron)[0] in {"0", "*"}:
        yield problem(where, "at the full hour, when everybody else's jobs start")
    if cron.get("timeZone") != "Etc/UTC":
        yield problem(where, "without timeZone Etc/UTC the schedule is that of the controller's clock")
    if cron.get("concurrencyPolicy") != "Forbid":
        yield problem(where, "concurrencyPolicy must be Forbid")
    if not 10 <= cron.get("startingDeadlineSeconds", 0) <= between.total_seconds():
        yield problem(where, "startingDeadlineSeconds must be from 10 (less is never seen) to the interval")
    if not all(cron.get(name, 0) >= 1 for name in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit")):
        yield problem(where, "history limits are not set, or leave nothing to look at")
    if cron.get("suspend"):
        yield problem(where, "suspended: it would never run")


def _ending(where: str, pod: Pod, job: Document) -> Iterator[Problem]:
    if pod.spec.get("restartPolicy") != "Never":
        yield problem(where, "podFailurePolicy and backoffLimitPerIndex need restartPolicy Never")
    if job.get("suspend") or job.get("manualSelector"):
        yield problem(where, "suspended, or with pods that others have made")
    if "ttlSecondsAfterFinished" not in job:
        yield problem(where, "ttlSecondsAfterFinished is not set: Jobs that are run by hand would stay for ever")
    elif job["ttlSecondsAfterFinished"] < _LEGIBLE_SECONDS:
        yield problem(where, "ttlSecondsAfterFinished: its log is gone before anybody has read it")
    deadline = job.get("activeDeadlineSeconds")
    if deadline is None:
        yield problem(where, "activeDeadlineSeconds is not set")
    elif pod.cron is not None and (between := interval(pod.cron)):
        over = deadline + pod.spec.get("terminationGracePeriodSeconds", 30)
        if over >= between.total_seconds():
            yield problem(where, f"activeDeadlineSeconds ends it after {over} s, when the next should have begun")


def _failures(where: str, pod: Pod, job: Document) -> Iterator[Problem]:
    if job.get("podReplacementPolicy", "Failed") != "Failed":
        yield problem(where, "podFailurePolicy needs podReplacementPolicy Failed")
    elif "podReplacementPolicy" not in job:
        yield problem(where, "podReplacementPolicy is not set")
    names = {container["name"] for container in pod.containers}
    wanted = {"a disruption": False, "exit code 78": False}
    for rule in job.get("podFailurePolicy", {}).get("rules", []):
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
        yield from _rule(where, rule, "backoffLimitPerIndex" in job)
        if codes:
            yield from _codes(where, codes, names)
            if os.EX_TEMPFAIL in codes["values"]:
                yield problem(where, f"exit code {os.EX_TEMPFAIL} means: try again")
            wanted["exit code 78"] |= rule["action"].startswith("Fail") and os.EX_CONFIG in codes["values"]
        for condition in conditions or []:
            wanted["a disruption"] |= rule["action"] == "Ignore" and condition["type"] == "DisruptionTarget"
    for what, there in wanted.items():
        if not there:
            yield problem(where, f"no rule of podFailurePolicy for {what}")


def _rule(where: str, rule: Document, by_index: bool) -> Iterator[Problem]:
    if rule.get("action") not in {"Ignore", "Count", "FailJob", "FailIndex"}:
        yield problem(where, f"{rule.get('action')!r} is no action of a podFailurePolicy")
    if ("onExitCodes" in rule) == ("onPodConditions" in rule):
        yield problem(where, "a rule of a podFailurePolicy has either onExitCodes or onPodConditions")
    if rule.get("action") == "FailIndex" and not by_index:
        yield problem(where, "FailIndex needs backoffLimitPerIndex")
    if any(condition.get("status") != "True" for condition in rule.get("onPodConditions", [])):
        yield problem(where, 'the status of a condition is "True", in quotation marks')


def _codes(where: str, codes: Document, names: set[str]) -> Iterator[Problem]:
    if codes.get("containerName", next(iter(names))) not in names:
        yield problem(where, f"podFailurePolicy names a container {codes['containerName']!r}, which does not exist")
    if codes.get("operator") not in {"In", "NotIn"}:
        yield problem(where, f"{codes.get('operator')!r} is no operator of onExitCodes")
    values = codes.get("values", [])
    if values != sorted(set(values)) or (codes.get("operator") == "In" and 0 in values):
        yield problem(where, "exit codes must be in order, each once, and 0 is no failure")


def _tries(where: str, job: Document) -> Iterator[Problem]:
    if job.get("backoffLimit", 1) < 1 or job.get("backoffLimitPerIndex", 1) < 1:
        yield problem(where, "no second try for what may well go then (75)")
    if "maxFailedIndexes" in job:
        yield problem(where, "maxFailedIndexes: one pod that fails would end all others")
    # CronJobs add a moment in minutes since 1970: eight digits, and a hyphen.
    longest = len(f"{where.partition('/')[2]}-29384757-{job.get('completions', 1) - 1}")
    if job.get("completionMode") == "Indexed" and longest > _LONGEST_LABEL:
        yield problem(where, f"its pods' host names would have {longest} characters")


def _indexes(where: str, job: Document) -> Iterator[Problem]:
    indexed = job.get("completionMode", "NonIndexed") == "Indexed"
    if job.get("completionMode", "NonIndexed") not in {"Indexed", "NonIndexed"}:
        yield problem(where, f"{job['completionMode']!r} is no completionMode")
    if job.get("completions", 1) != job.get("parallelism", 1):
        yield problem(where, "completions and parallelism differ: the last pods would come when the work is done")
    if not indexed and job.get("parallelism", 1) != 1:
        yield problem(where, "several pods, but completionMode is not Indexed")
    if ("backoffLimitPerIndex" in job or "maxFailedIndexes" in job) and not indexed:
        yield problem(where, "backoffLimitPerIndex needs completionMode Indexed")
    if indexed and "completions" not in job:
        yield problem(where, "Indexed, but without completions")
    if indexed and ("backoffLimitPerIndex" not in job or "backoffLimit" in job):
        yield problem(where, "Indexed: each index has its own limit, and there is no other")
    if not indexed and "backoffLimit" not in job:
        yield problem(where, "backoffLimit is not set")
