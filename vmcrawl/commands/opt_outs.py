"""``vmcrawl domains opt-outs``: who does not want to be asked, how that was said, and when we look again."""

import argparse
from dataclasses import fields
from functools import partial
from typing import Any

from vmcrawl.commands.database import reading_database
from vmcrawl.commands.listing import Layout, add_dni, add_form, document_of, pages_of, without_dni, write_list
from vmcrawl.optout import Evidence, read_evidence
from vmcrawl.store import opt_outs
from vmcrawl.store.database import Database
from vmcrawl.store.opt_outs import HOW, OptOut

_EPILOG = """for example:
  vmcrawl domains opt-outs --how robots.txt

How: robots.txt, the line that forbids what we would ask for; status, the answer that was an opt-out (410, 418, 451);
request, somebody has asked you (vmcrawl domains opt-out); exclusion, you want it so (vmcrawl domains exclude)."""


def configure(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the action."""
    parser = actions.add_parser(
        "opt-outs",
        help="who has opted out, how, and when we look again",
        epilog=_EPILOG,
    )
    parser.add_argument("--how", choices=HOW, help="only those")
    add_dni(parser)
    add_form(parser)
    parser.set_defaults(run=reading_database(_list))


def _list(arguments: argparse.Namespace, database: Database) -> int:
    page = partial(opt_outs.list_page, how=arguments.how)
    pages = pages_of(database, page, opt_outs.PAGE_SIZE, lambda row: (row.domain, row.how), ("", ""))
    write_list(arguments, _LAYOUT, without_dni(pages, keep=arguments.with_dni))
    return 0


def _cells(row: OptOut) -> tuple[str, ...]:
    return (
        f"{row.domain}{' and all below' if row.subdomains else ''}",
        row.how,
        _evidence(row),
        f"{row.noted_at:%Y-%m-%d}" if row.noted_at else "",
        f"{row.again_at:%Y-%m-%d %H:%M}" if row.again_at else "never",
    )


def _evidence(row: OptOut) -> str:
    evidence = read_evidence(row.detail)
    if evidence.rule:
        return f"{evidence.rule} (for {evidence.agent}){f', at {evidence.url}' if evidence.url else ''}"
    return row.detail or ""


def _document(row: OptOut) -> dict[str, Any]:
    evidence = read_evidence(row.detail) if row.how in ("robots.txt", "status") else Evidence()
    return document_of(row) | document_of(evidence)


_LAYOUT: Layout[OptOut] = Layout(
    ("domain", "how", "rule, answer or reason", "noted", "looked at again"),
    _cells,
    (*(field.name for field in fields(OptOut)), *(field.name for field in fields(Evidence))),
    _document,
)
