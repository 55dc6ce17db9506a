"""``vmcrawl domains``: the ledger: import names, list them, make them due, exclude them, see who has opted out."""

import argparse

from vmcrawl.commands import domains_import, domains_list, exclusions, opt_outs


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its actions."""
    parser = commands.add_parser(
        "domains", help="the ledger: import, list, requeue, exclude, include, exclusions, opt-out, opt-outs"
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    domains_import.configure(actions)
    domains_list.configure(actions)
    exclusions.configure(actions)
    opt_outs.configure(actions)
