"""``vmcrawl discover``: new domains from the peers of known instances."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from functools import partial

from vmcrawl.asking import turnaround
from vmcrawl.commands.database import opened, readable_database
from vmcrawl.commands.display import write_json, write_table
from vmcrawl.commands.names import read_domains
from vmcrawl.commands.number import read_positive
from vmcrawl.domain import Domain
from vmcrawl.finder import discover
from vmcrawl.gate import Gate, default_lock_file
from vmcrawl.inquiry import Asked
from vmcrawl.interruption import Interruption
from vmcrawl.settings import Settings
from vmcrawl.store import peers
from vmcrawl.store.database import Database
from vmcrawl.store.migrations import prepare
from vmcrawl.store.pause import current_pause, in_words

log = logging.getLogger(__name__)

_DESCRIPTION = """Asks known, published instances for the servers that they know (/api/v1/instance/peers): first those
that were never asked, then those asked longest ago, and of these the largest first. New names enter the ledger with the
source "peers"; who named them is written down nowhere."""
_EPILOG = """for example:
  vmcrawl discover --limit 20                ask twenty instances
  vmcrawl discover --dry-run                 show who would be asked; ask nobody
  vmcrawl discover mastodon.example --json   ask this one, even if it was asked a short while ago

Exit codes: 0 asked, however that ended, or nobody's turn, or crawls are paused (75 if one was named); 1 one that was
named may not be asked; 2, 75, 78, 143 as for all commands. New names are crawled within a day (discovery.spread), or at
once after vmcrawl domains requeue --source peers."""


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "discover",
        help="new domains from the peers of known instances",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("domains", nargs="*", metavar="DOMAIN", help="ask these, whenever they were asked last")
    parser.add_argument("--limit", type=read_positive, metavar="N", help="ask at most N (default: discovery.instances)")
    parser.add_argument("--dry-run", action="store_true", help="show who would be asked; no request, nothing written")
    parser.add_argument("--json", action="store_true", help="one JSON object: how each asking ended, in numbers")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Ask; 0, or 1 if somebody who was named may not be asked, or 128 + signal."""
    names = read_domains(arguments.domains) if arguments.domains else None
    if arguments.domains and names is None:
        return 2
    # Whoever names some means all of them.
    limit = arguments.limit or (settings.discovery.instances if names is None else len(names))
    if arguments.dry_run:
        return _show_who_would_be_asked(settings, names, limit, as_json=arguments.json)
    if not settings.http.contact or settings.http.contact == type(settings.http)().contact:
        log.warning("http.contact is not set: servers that are asked cannot see whom to ask")
    try:
        Gate(default_lock_file(), settings.network.requests_per_address).close()
    except OSError as error:
        log.error("the lock file of all crawlers on this machine cannot be used: %s", error)
        return os.EX_CONFIG
    with Interruption() as interruption, opened(settings) as ready:
        database = Database(ready.database)
        try:
            database.run(lambda connection: prepare(connection, settings.publish.retention))
            if pause := database.run(partial(current_pause, now=database.now())):
                log.warning("%s: nobody is asked", in_words(pause))
                return 0 if names is None else os.EX_TEMPFAIL
            interruption.patiently()
            asked = discover(ready, database, limit=limit, names=names, interrupted=lambda: interruption.came)
        finally:
            database.close()
        _write(asked, as_json=arguments.json)
        return interruption.exit_code or int(names is not None and any(not each.requests for each in asked))


def _show_who_would_be_asked(settings: Settings, names: Sequence[Domain] | None, limit: int, *, as_json: bool) -> int:
    with Interruption(), readable_database(settings) as database:
        now = database.now()
        if names is None:
            choose = partial(peers.choose, now=now, limit=limit, turns=turnaround(settings.discovery, now))
            reasons = dict.fromkeys(database.run(choose), "")
        else:
            why = [database.run(partial(peers.why_not, domain=domain, now=now)) for domain in names[:limit]]
            reasons = {domain: str(reason or "") for domain, reason in zip(names, why, strict=False)}
    if as_json:
        write_json(
            sys.stdout,
            {
                "would_ask": [domain for domain, reason in reasons.items() if not reason],
                "would_not_ask": {domain: reason for domain, reason in reasons.items() if reason},
            },
        )
    else:
        for domain, reason in reasons.items():
            sys.stdout.write(f"would not ask {domain}: {reason}\n" if reason else f"would ask {domain}\n")
        if not reasons:
            sys.stdout.write("nobody's turn: no instance is published, or all have been asked\n")
    return int(any(reasons.values()))


_NUMBERS = ("requests", "read", "unusable", "refused", "known", "crowded", "new")


def _write(asked: Sequence[Asked], *, as_json: bool) -> None:
    sums = {name: sum(getattr(each, name) for each in asked) for name in _NUMBERS}
    if as_json:
        rows = [
            {"domain": each.domain, "ended": each.ended, "detail": each.detail}
            | {name: getattr(each, name) for name in _NUMBERS}
            for each in asked
        ]
        write_json(sys.stdout, {"asked": rows, **sums})
        return
    if not asked:
        sys.stdout.write("nobody's turn: no instance is published, or all have been asked\n")
        return
    write_table(
        sys.stdout,
        ("asked", "ended", *_NUMBERS, "detail"),
        [(e.domain, e.ended, *(str(getattr(e, name)) for name in _NUMBERS), e.detail) for e in asked],
    )
    sys.stdout.write(f"{sums['new']} new domains from {sums['read']} names\n")
