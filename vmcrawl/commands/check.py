"""``vmcrawl check DOMAIN``: crawl one domain before your eyes, and write nothing."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial

from vmcrawl.advisory import packaged_advisories
from vmcrawl.commands.database import existing_database, facts_of
from vmcrawl.commands.display import shown, write_facts, write_json
from vmcrawl.commands.names import read_domain
from vmcrawl.commands.tracing import Step, Trace
from vmcrawl.crawl import Standards, crawl
from vmcrawl.domain import Domain
from vmcrawl.due import Waiting, why_due
from vmcrawl.exclusion import Exclusions
from vmcrawl.exposure import Reading
from vmcrawl.fetch import Client
from vmcrawl.gate import default_lock_file
from vmcrawl.interruption import Interruption
from vmcrawl.memory import HostMemory, KnownHost
from vmcrawl.observation import CrawlFailed, Observation
from vmcrawl.optout import read_evidence
from vmcrawl.outcome import Outcome
from vmcrawl.polite import Manners
from vmcrawl.reading import Reader
from vmcrawl.schedule import Appointment, appoint
from vmcrawl.settings import Settings, user_agent
from vmcrawl.store.advisories import load_advisories
from vmcrawl.store.connection import DatabaseUnavailable
from vmcrawl.store.database import Database
from vmcrawl.store.migrations import is_prepared
from vmcrawl.store.robots import recall
from vmcrawl.store.show import Known, show
from vmcrawl.verdict import effect_of, meaning_of, reached_at

#: How long a certificate may have to live before that is worth a word.
_SOON_DAYS = 14


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "check",
        help="crawl one domain, print each request and the verdict, write nothing",
        description="Crawl one domain and trace each request; write nothing. Nobody is asked who is excluded, has"
        " opted out, or has asked to be left alone for a time.",
        epilog="for example:\n  vmcrawl check mastodon.social",
    )
    parser.add_argument("domain", metavar="DOMAIN")
    parser.add_argument("--json", action="store_true", help="steps and observation as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Crawl one domain; 0 whatever the verdict is, 2 if it is no domain."""
    domain = read_domain(arguments.domain)
    if domain is None:
        return 2
    trace = Trace(settings.http.robots_agent, (lambda step: None) if arguments.json else _write_step)
    with Interruption(), existing_database(settings) as database:
        exclusions, catalogue = facts_of(database)
        prepared = database if database is not None and database.run(is_prepared) else None
        known = None if prepared is None else prepared.run(partial(show, domain=domain))
        advisories = packaged_advisories()
        if prepared is not None:
            advisories = prepared.run(partial(load_advisories, catalogue=catalogue))
        now = datetime.now(UTC)
        reader = Reader(now.date(), catalogue, advisories)
        standards = Standards(reader.why_bad_version, settings.publish.max_active_users)
        seen = _crawl(domain, settings, exclusions, standards, _Memory(prepared, known, now), trace, now)
    evidence = read_evidence(seen.detail)
    if evidence.rule is not None and evidence.url is not None:
        trace.forbidden(evidence.url)
    failures = 0 if known is None else known.row.failures
    meant = _Meant(reader.reading(seen), appoint(seen, failures, None, now, settings, 0.5), known)
    if arguments.json:
        write_json(
            sys.stdout,
            {"steps": trace.document(), "observation": asdict(seen), "recorded": _recorded(seen, meant, settings)},
        )
    else:
        write_facts(sys.stdout, _lines(seen, meant, settings))
    return 0


@dataclass(frozen=True, slots=True)
class _Meant:
    """What an observation would mean if it were recorded, and what is recorded now."""

    reading: Reading | None
    appointment: Appointment
    known: Known | None


class _Memory:
    """What the database knows of hosts that must not be asked; rules are read anew, since that is what is checked."""

    def __init__(self, database: Database | None, known: Known | None, now: datetime) -> None:
        self._database = database
        self._known = known
        self._now = now
        #: Why nobody could look whom not to ask.
        self.lost: DatabaseUnavailable | None = None

    def of_hosts(self, settings: Settings) -> HostMemory:
        memory = HostMemory(settings.crawl.robots_lifetime, self._look_up)
        row = None if self._known is None else self._known.row
        if row is not None and row.retry_after_until is not None and row.retry_after_until > self._now:
            memory.leave_alone(row.domain, (row.retry_after_until - self._now).total_seconds())
        return memory

    def _look_up(self, host: str, oldest: datetime) -> KnownHost:
        if self._database is None:
            return KnownHost()
        try:
            _, opted_out = self._database.run(partial(recall, host=host, oldest=oldest))
        except DatabaseUnavailable as error:
            # Whoever cannot be told that a host has opted out must not ask it.
            self.lost = error
            raise CrawlFailed(Outcome.INTERNAL_ERROR, "the database is gone") from error
        return KnownHost(None, opted_out)


def _crawl(
    domain: Domain,
    settings: Settings,
    exclusions: Exclusions,
    standards: Standards,
    memory: _Memory,
    trace: Trace,
    now: datetime,
) -> Observation:
    timeout = settings.crawl.domain_timeout
    manners = Manners(settings.http.robots_agent, timeout.total_seconds(), exclusions)
    client = Client(
        settings.http, settings.network, user_agent=user_agent(settings.http), lock_file=default_lock_file()
    )
    try:
        with client.session(timeout, trace) as session:
            seen = crawl(domain, trace.through(session), now, manners, memory.of_hosts(settings), standards)
    finally:
        client.close()
    if memory.lost is not None:
        raise memory.lost
    return seen


def _write_step(step: Step) -> None:
    lines = [f"{step.milliseconds:6d} ms  {step.result:>4}  {shown(step.url)}  {shown(step.detail)}"]
    indent = " " * 11
    if step.times:
        spent = ", ".join(f"{stage.replace('_', ' ')} {took:g}" for stage, took in step.times.items() if took >= 0.05)
        where = f"{step.address}: " if step.address else ""
        received = f"; {step.received_bytes:,} bytes received" if step.received_bytes else ""
        lines.append(f"{indent}{where}{spent} ms{received}")
    if step.tls_version:
        lines.append(f"{indent}{shown(step.tls_version)}, {shown(step.tls_cipher)}{_certificate(step)}")
    if step.robots is not None:
        does = "allowed" if step.robots.allows else "forbidden"
        rule = step.robots
        lines.append(f"{indent}{does} by line {rule.line} of {rule.host}/robots.txt: {shown(rule.text)}")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _certificate(step: Step) -> str:
    if step.certificate_until is None:
        return ""
    days = (step.certificate_until - datetime.now(UTC)).days
    soon = f" (in {days} days!)" if days < _SOON_DAYS else ""
    return f", certificate until {step.certificate_until:%Y-%m-%d}{soon}"


def _lines(seen: Observation, meant: _Meant, settings: Settings) -> Iterator[tuple[str, object]]:
    facts = {
        "outcome": seen.outcome,
        "detail": seen.detail,
        "which means": f"{meaning_of(seen.outcome)} (reached at: {reached_at(seen.outcome, seen.detail).name})",
        "alias of": seen.alias_of,
        "software": seen.software,
        "version": seen.version,
        "upstream version": seen.upstream_version,
        "active users": seen.active_users,
        "NodeInfo": seen.nodeinfo_url,
        "requests": f"{seen.requests}{'; nobody was asked' if not seen.requests else ''}",
    }
    yield from ((name, value) for name, value in facts.items() if value not in (None, ""))
    if meant.reading is not None:
        of = meant.reading.meaning
        patched = {True: "patched", False: "not patched", None: "patched or not, nobody can say"}[of.patched]
        yield "release", f"{of.release}, branch {of.branch} ({of.support}), {of.fork}; {patched}"
        for exposure in meant.reading.exposures:
            yield (
                "exposed to",
                f"{exposure.ghsa_id}, {f'fixed in {exposure.fixed_in}' if exposure.fixed_in else 'no fix'}",
            )
    recorded = _recorded(seen, meant, settings)
    yield "if recorded", f"{recorded['effect']}; next crawl {meant.appointment.due_at:%Y-%m-%d %H:%M %Z}"
    yield "why then", recorded["why_due"]
    if meant.known is not None:
        row = meant.known.row
        when = f" at {row.last_crawled_at:%Y-%m-%d %H:%M %Z}" if row.last_crawled_at else ""
        published = "; published" if meant.known.published else ""
        due = f"; due {row.due_at:%Y-%m-%d %H:%M %Z}"
        yield "recorded now", f"{row.outcome or 'no verdict yet'}{when}{published}{due}"
    else:
        yield "recorded now", "nothing: it is not in the ledger (vmcrawl crawl adds it)"


def _recorded(seen: Observation, meant: _Meant, settings: Settings) -> dict[str, object]:
    """What recording it would do."""
    known, appointment = meant.known, meant.appointment
    waiting = Waiting(
        seen.outcome,
        appointment.failures,
        appointment.due_at,
        seen.observed_at,
        appointment.not_before,
        rules_read_at=seen.rules_read_at,
    )
    return {
        "effect": effect_of(seen.outcome),
        "due_at": appointment.due_at,
        "why_due": why_due(waiting, seen.observed_at, settings),
        "failures": appointment.failures,
        "reading": None if meant.reading is None else asdict(meant.reading),
        "published_now": known is not None and known.published,
        "outcome_now": None if known is None else known.row.outcome,
    }
