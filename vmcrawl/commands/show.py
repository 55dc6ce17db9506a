"""``vmcrawl show DOMAIN``: all that is known of a domain, and why it is, or is not, published."""

import argparse
import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict

from vmcrawl.commands.database import readable_database
from vmcrawl.commands.display import write_facts, write_json
from vmcrawl.commands.names import read_domain
from vmcrawl.duration import format_duration
from vmcrawl.interruption import Interruption
from vmcrawl.settings import Settings
from vmcrawl.store.show import Known, OpenAdvisory, show

log = logging.getLogger(__name__)


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser("show", help="all that is known of a domain, and why it is (not) published")
    parser.add_argument("domain", metavar="DOMAIN")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Show one domain; 1 if it is unknown, 2 if it is no domain."""
    domain = read_domain(arguments.domain)
    if domain is None:
        return 2
    with Interruption(), readable_database(settings) as database:
        known = database.run(lambda connection: show(connection, domain))
    if known is None:
        log.error("%s is not in the ledger; add it with: vmcrawl domains import", domain)
        return 1
    reason = why_published(known)
    if arguments.json:
        write_json(sys.stdout, {**asdict(known), "reason": reason})
    else:
        write_facts(sys.stdout, _lines(known, reason))
    return 0


def why_published(known: Known) -> str:
    """Say in one sentence whether the domain is published, and why or why not."""
    row, sighting = known.row, known.sighting
    if known.published and known.listed:
        return f"published: its last good answer is younger than {format_duration(known.retention)}"
    if known.published:
        return f"counted, but listed nowhere: the DNI list covers it ({known.covers[0].domain})"
    if row.outcome is None:
        return "not published: not crawled yet"
    refusal = next((cover for cover in known.covers if cover.kind != "soft"), None)
    if refusal is not None:
        return f"not published: excluded from all crawls ({refusal.kind} entry for {refusal.domain})"
    if sighting is None:
        return f"not published: no good answer is on record; the last crawl ended as {row.outcome}"
    return f"not published: its last good answer is older than {format_duration(known.retention)}"


def _lines(known: Known, reason: str) -> Iterator[tuple[str, object]]:
    row, sighting = known.row, known.sighting
    yield "domain", row.domain
    yield "verdict", f"{row.outcome or 'none yet'}{': ' + row.detail if row.detail else ''}"
    yield "publication", reason
    if row.alias_of:
        yield "alias of", row.alias_of
    if sighting is not None:
        yield "version", f"{sighting.version} ({sighting.software}, {sighting.fork})"
        yield "release", f"{sighting.release}, branch {sighting.branch} ({sighting.support})"
        since = f", a newer release since {sighting.fix_available_on}" if sighting.fix_available_on else ""
        yield "patched", f"{_PATCHED[sighting.patched]}{since}"
        yield "active users", sighting.active_users
        yield "first seen", f"{sighting.first_seen_at:%Y-%m-%d %H:%M:%S %Z}"
        yield "last seen", f"{sighting.last_seen_at:%Y-%m-%d %H:%M:%S %Z}"
        yield from (("exposed to", _exposure(advisory)) for advisory in known.advisories)
    for change in known.changes:
        yield "moved", f"from {change.from_version} to {change.to_version}, seen {change.observed_at:%Y-%m-%d %H:%M %Z}"
    if row.nodeinfo_url:
        yield "NodeInfo", row.nodeinfo_url
    for cover in known.covers:
        yield f"{cover.kind} entry", f"{cover.domain} {cover.note}".rstrip()
    if row.last_crawled_at:
        yield "last crawl", f"{row.last_crawled_at:%Y-%m-%d %H:%M:%S %Z}"
    yield "next crawl", f"{row.due_at:%Y-%m-%d %H:%M:%S %Z}"
    if row.failures:
        yield "failures in a row", row.failures
    yield "source", f"{row.source}, since {row.added_at:%Y-%m-%d}"


def _exposure(advisory: OpenAdvisory) -> str:
    fix = f"fixed in {advisory.fixed_in} on {advisory.fix_released_on}" if advisory.fixed_in else "no known fix"
    return f"{advisory.ghsa_id} ({advisory.severity or 'severity unknown'}), {fix}"


_PATCHED = {True: "yes", False: "no", None: "unknown"}
