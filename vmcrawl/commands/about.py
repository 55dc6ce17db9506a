"""``vmcrawl about``: the page for people whose servers are crawled, with the numbers of the settings."""

import argparse
import logging
import sys

from vmcrawl.about import Conduct, as_html, page
from vmcrawl.polite import MAX_REDIRECTS, REQUESTS_PER_HOST
from vmcrawl.settings import HttpSettings, Settings

log = logging.getLogger(__name__)


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "about",
        help="the page for people whose servers are crawled: what is asked, how often, how to opt out",
        epilog="for example:\n  vmcrawl about --format html > /var/www/html/crawler.html\n"
        "\nWhat stands there as the way to reach you is http.contact: a mail address, or a page of yours.",
    )
    parser.add_argument("--format", choices=("markdown", "html"), default="markdown", help="default: markdown")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Write the page; it needs no database."""
    if settings.http.contact in ("", HttpSettings().contact):
        log.warning("http.contact is not set: the page does not say whom to ask")
    text = page(settings, Conduct(REQUESTS_PER_HOST, MAX_REDIRECTS))
    sys.stdout.write(as_html(text) if arguments.format == "html" else text)
    return 0
