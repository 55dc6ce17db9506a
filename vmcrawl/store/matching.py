"""Which domains of the ledger are meant: a filter, and the SQL condition that it comes to."""

import re
from dataclasses import dataclass, fields
from datetime import datetime

from vmcrawl.domain import Domain


@dataclass(frozen=True, slots=True)
class Filter:
    """Which domains; what is None or empty does not matter, of several values in one place one has to fit."""

    domains: tuple[Domain, ...] | None = None
    #: :class:`vmcrawl.outcome.Outcome`, and None for what was never crawled.
    outcomes: tuple[str | None, ...] = ()
    source: str | None = None
    #: As in ``d*.example.org``: ``*`` stands for anything, ``?`` for one character, all else for itself.
    name: str | None = None
    #: Of what a published instance runs, so that only published domains have one.
    software: str | None = None
    branch: str | None = None
    support: str | None = None
    patched: tuple[bool | None, ...] = ()
    #: Of the last good look; what never had one is neither before nor after.
    seen_before: datetime | None = None
    seen_after: datetime | None = None
    crawled_before: datetime | None = None
    crawled_after: datetime | None = None
    added_before: datetime | None = None
    added_after: datetime | None = None
    #: Those that were due by then, and are still.
    due_by: datetime | None = None


#: Every domain.
EVERY = Filter()


def condition(which: Filter) -> tuple[str, dict[str, object]]:
    """The condition in SQL, and the parameters it has; made of fixed texts alone, whatever the filter says.

    It speaks of ``domains AS d``, ``sightings AS s``, ``versions AS v`` and ``published.oldest``.
    """
    given = {each.name: getattr(which, each.name) for each in fields(which)}
    # Nothing chosen is not the same as no choice.
    given = {name: value for name, value in given.items() if value is not None and (value != () or name == "domains")}
    parameters: dict[str, object] = {name: _parameter(name, value) for name, value in given.items()}
    return " AND ".join([_TERMS[name] for name in given]) or "true", parameters


_PUBLISHED = "s.last_seen_at > oldest"
_TERMS = {
    "domains": "d.domain = ANY (%(domains)s)",
    "outcomes": "coalesce(d.outcome, '') = ANY (%(outcomes)s)",
    "source": "d.source = %(source)s",
    "name": "d.domain LIKE %(name)s",
    "software": f"{_PUBLISHED} AND v.software = %(software)s",
    "branch": f"{_PUBLISHED} AND v.branch = %(branch)s",
    "support": f"{_PUBLISHED} AND v.support = %(support)s",
    "patched": f"{_PUBLISHED} AND coalesce(v.patched::text, '') = ANY (%(patched)s)",
    "seen_before": "s.last_seen_at < %(seen_before)s",
    "seen_after": "s.last_seen_at >= %(seen_after)s",
    "crawled_before": "d.last_crawled_at < %(crawled_before)s",
    "crawled_after": "d.last_crawled_at >= %(crawled_after)s",
    "added_before": "d.added_at < %(added_before)s",
    "added_after": "d.added_at >= %(added_after)s",
    "due_by": "d.due_at <= %(due_by)s AND (d.leased_until IS NULL OR d.leased_until <= %(due_by)s)"
    " AND (d.retry_after_until IS NULL OR d.retry_after_until <= %(due_by)s)",
}
_LIKE = str.maketrans({"*": "%", "?": "_"})


def _parameter(name: str, value: object) -> object:
    if name == "outcomes" and isinstance(value, tuple):
        return [str(each or "") for each in value]
    if name == "patched" and isinstance(value, tuple):
        return ["" if each is None else str(each).lower() for each in value]
    if name == "name":
        return re.sub(r"([\\%_])", r"\\\1", str(value)).lower().translate(_LIKE)
    return list(value) if isinstance(value, tuple) else value
