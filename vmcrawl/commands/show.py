"""``vmcrawl show DOMAIN``: all that is known of a domain, and why it is, or is not, published."""

import argparse
import logging
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial

from vmcrawl.commands.database import readable_database
from vmcrawl.commands.display import write_facts, write_json
from vmcrawl.commands.names import read_domain
from vmcrawl.domain import Domain
from vmcrawl.due import Waiting, why_due
from vmcrawl.duration import format_duration
from vmcrawl.interruption import Interruption
from vmcrawl.settings import Settings
from vmcrawl.store.branches import BranchRow, list_branches
from vmcrawl.store.database import Database
from vmcrawl.store.show import Cover, Known, OpenAdvisory, covers_of, show
from vmcrawl.store.similar import similar
from vmcrawl.verdict import effect_of, meaning_of, reached_at
from vmcrawl.wayout import way_out

log = logging.getLogger(__name__)

#: What looks like a name, whether or not it can be one.
_NAME = re.compile(r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,10}")
_MINUTE = "%Y-%m-%d %H:%M %Z"
_SECOND = "%Y-%m-%d %H:%M:%S %Z"


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "show",
        help="all that is known of a domain, and why it is (not) published",
        epilog="for example:\n  vmcrawl show mastodon.social",
    )
    parser.add_argument("domain", metavar="DOMAIN")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Show one domain; 1 if it is unknown, 2 if it is no domain."""
    domain = read_domain(arguments.domain)
    if domain is None:
        _suggest(arguments.domain, settings)
        return 2
    with Interruption(), readable_database(settings) as database:
        known = database.run(partial(show, domain=domain))
        if known is None:
            return _unknown(domain, database, arguments.json)
        today = database.now()
        branches = database.run(partial(list_branches, today=today.date()))
    branch = next((one for one in branches if known.sighting and one.branch == known.sighting.branch), None)
    derived: dict[str, object] = {
        "reason": why_published(known),
        "why_due": why_due(_waiting(known), today, settings),
        "branch": branch and asdict(branch),
        "way_out": known.sighting and way_out(known.sighting.branch, known.sighting.patched, branches),
    }
    if known.row.outcome is not None:
        step = reached_at(known.row.outcome, known.row.detail or "")
        derived |= {"step": step.name, "url": step.url, "means": meaning_of(known.row.outcome)}
        derived["effect"] = effect_of(known.row.outcome)
    if arguments.json:
        write_json(sys.stdout, {**asdict(known), **derived})
    else:
        write_facts(sys.stdout, _lines(known, derived, branch))
    return 0


def why_published(known: Known) -> str:
    """Say in one sentence whether the domain is published, and why or why not."""
    row, sighting = known.row, known.sighting
    if known.published and known.listed:
        return f"published: its last good answer is younger than {format_duration(known.retention)}"
    if known.published:
        return f"counted, but listed nowhere: the DNI list covers it ({known.covers[0].domain})"
    refusal = _refusal(known.covers)
    if refusal is not None:
        return f"not published: excluded from all crawls ({refusal.kind} entry for {refusal.domain})"
    if row.outcome is None:
        return "not published: not crawled yet"
    if sighting is None:
        return f"not published: no good answer is on record; the last crawl ended as {row.outcome}"
    return f"not published: its last good answer is older than {format_duration(known.retention)}"


def _refusal(covers: Sequence[Cover]) -> Cover | None:
    return next((cover for cover in covers if cover.kind != "soft"), None)


def _suggest(text: str, settings: Settings) -> None:
    """What may have been meant by a name that cannot be one: the end of it may be a slip, too."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        return
    with Interruption(), readable_database(settings) as database:
        close = database.run(partial(similar, name=name))
    if close:
        log.error("do you mean %s?", ", ".join(close))


def _unknown(domain: Domain, database: Database, as_json: bool) -> int:
    """Say what may have been meant, and whom an exclusion covers all the same."""
    close = database.run(partial(similar, name=domain))
    covers = database.run(partial(covers_of, domain=domain))
    if as_json:
        write_json(
            sys.stdout,
            {"domain": domain, "known": False, "similar": close, "covers": [asdict(cover) for cover in covers]},
        )
    meant = f"do you mean {', '.join(close)}? " if close else ""
    refusal = _refusal(covers)
    if refusal is not None:
        hint = f"and it is excluded from all crawls ({refusal.kind} entry for {refusal.domain})"
    else:
        hint = f"{'if not, ' if close else ''}crawl it now, and keep the verdict, with: vmcrawl crawl {domain}"
    log.error("%s is not in the ledger; %s%s", domain, meant, hint)
    return 1


def _waiting(known: Known) -> Waiting:
    row = known.row
    read = [rules.read_at for rules in known.robots]
    return Waiting(
        row.outcome,
        row.failures,
        row.due_at,
        row.last_crawled_at,
        row.retry_after_until,
        row.leased_until,
        min(read, default=None),
    )


def _lines(known: Known, derived: dict[str, object], branch: BranchRow | None) -> Iterator[tuple[str, object]]:
    row = known.row
    yield "domain", row.domain
    yield "verdict", f"{row.outcome or 'none yet'}{': ' + row.detail if row.detail else ''}"
    if row.outcome is not None:
        yield "which means", f"{derived['means']}; {derived['effect']}"
        url = f", at {derived['url']}" if derived["url"] else ""
        yield "reached at", f"{derived['step']}{url}"
    yield "publication", derived["reason"]
    if row.alias_of:
        yield "alias of", row.alias_of
    if known.alias_count:
        more = f" and {known.alias_count - len(known.aliases)} more" if known.alias_count > len(known.aliases) else ""
        yield "its aliases", f"{', '.join(known.aliases)}{more}"
    for cover in known.covers:
        yield f"{cover.kind} entry", f"{cover.domain} {cover.note}".rstrip()
    yield from _version_lines(known, derived["way_out"], branch)
    for change in known.changes:
        yield "moved", f"from {change.from_version} to {change.to_version}, seen {change.observed_at:{_MINUTE}}"
    yield from _crawl_lines(known, derived["why_due"])


def _version_lines(known: Known, way: object, branch: BranchRow | None) -> Iterator[tuple[str, object]]:
    sighting = known.sighting
    if sighting is None:
        return
    yield "version", f"{sighting.version} ({sighting.software}, {sighting.fork})"
    yield "release", f"{sighting.release}, branch {sighting.branch} ({_support(sighting.support, branch)})"
    since = f", a newer release since {sighting.fix_available_on}" if sighting.fix_available_on else ""
    yield "patched", f"{_PATCHED[sighting.patched]}{since}"
    if way:
        yield "way out", way
    yield "active users", sighting.active_users
    yield "first seen", f"{sighting.first_seen_at:{_SECOND}}"
    yield "last seen", f"{sighting.last_seen_at:{_SECOND}}"
    yield from (("exposed to", _exposure(advisory)) for advisory in known.advisories)


def _crawl_lines(known: Known, why: object) -> Iterator[tuple[str, object]]:
    row = known.row
    if row.nodeinfo_url:
        yield "NodeInfo", row.nodeinfo_url
    for host in known.robots:
        rules = host.rules.removeprefix("User-agent: *\n").strip().replace("\n", "; ") or "nothing is forbidden to us"
        yield "robots.txt", f"{host.host}, read {host.read_at:{_MINUTE}}: {rules}"
    if row.last_crawled_at:
        yield "last crawl", f"{row.last_crawled_at:{_SECOND}}{f', run {row.crawled_in}' if row.crawled_in else ''}"
    if row.leased_until and row.lease_holder:
        where = f" on {known.leased_on}" if known.leased_on else ""
        run = f", run {row.lease_run}" if row.lease_run else ""
        yield "under lease", f"until {row.leased_until:{_SECOND}}, by {row.lease_holder}{where}{run}"
    if row.suspect:
        yield "suspect", "it was in flight when its process died: it is crawled alone until there is a result"
    yield "next crawl", f"{row.due_at:{_SECOND}}"
    yield "why then", why
    if row.retry_after_until:
        yield "not before", f"{row.retry_after_until:{_SECOND}}, as the server has asked"
    if row.trusted_until:
        yield "one request until", f"{row.trusted_until:{_SECOND}}; then all of it is looked at again"
    if row.failures:
        yield "failures in a row", row.failures
    yield "source", f"{row.source}, since {row.added_at:%Y-%m-%d}"


def _support(support: str | None, branch: BranchRow | None) -> str:
    until = f" until {branch.supported_until}" if branch and branch.supported_until else ""
    return f"{support}{until}"


def _exposure(advisory: OpenAdvisory) -> str:
    fix = f"fixed in {advisory.fixed_in} on {advisory.fix_released_on}" if advisory.fixed_in else "no known fix"
    return f"{advisory.ghsa_id} ({advisory.severity or 'severity unknown'}), {fix}"


_PATCHED = {True: "yes", False: "no", None: "unknown"}
