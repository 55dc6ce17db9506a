"""``vmcrawl exporter``: metrics for Prometheus, until somebody ends it."""

import argparse
import logging
import os
import platform
from dataclasses import replace
from pathlib import Path

from vmcrawl import __version__
from vmcrawl.commands.database import opened
from vmcrawl.exporter.listening import BadListenAddress, CannotListen, listen, shown_address
from vmcrawl.exporter.scrape import Build, Exporter
from vmcrawl.exporter.server import serving
from vmcrawl.exporter.tls import Rules
from vmcrawl.exporter.web import Registries, make_app
from vmcrawl.interruption import Interruption
from vmcrawl.settings import Settings
from vmcrawl.store.connection import conninfo
from vmcrawl.webconfig import WebConfig
from vmcrawl.webfile import WebConfigFile

log = logging.getLogger(__name__)


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "exporter",
        help="serve metrics for Prometheus",
        epilog="for example:\n  vmcrawl exporter --listen 127.0.0.1:9877",
    )
    parser.add_argument(
        *("--listen", "--web.listen-address"),
        dest="listen",
        action="append",
        metavar="ADDRESS:PORT",
        help="where; may be given several times (exporter.listen)",
    )
    parser.add_argument(
        "--web.config.file",
        dest="web_config_file",
        type=Path,
        metavar="FILE",
        help="TLS and basic authentication, in the format of the exporter-toolkit (exporter.web_config_file)",
    )
    parser.add_argument("--check", action="store_true", help="only read the configuration: 0 if it is good, else 78")
    parser.set_defaults(run=run, overrides=_overrides)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT (143, 130); 78 if it cannot be done as configured, 1 if an address is taken."""
    file = settings.exporter.web_config_file
    rules = Rules(WebConfig if file is None else WebConfigFile(file))
    with Interruption():
        try:
            rules()
        except ValueError as error:
            for line in str(error).splitlines():
                log.error("the web configuration cannot be used: %s", line)
            return os.EX_CONFIG
        if not settings.exporter.listen:
            log.error("exporter.listen names no address")
            return os.EX_CONFIG
        return 0 if arguments.check else _serve(settings, rules)


def _serve(settings: Settings, rules: Rules) -> int:
    try:
        listeners = listen(settings.exporter.listen)
    except BadListenAddress as error:
        log.error("cannot listen: %s", error)
        return os.EX_CONFIG
    except CannotListen as error:
        log.error("cannot listen: %s", error)
        return 1
    scheme = "http" if rules.for_handshake() is None else "https"
    # Nothing is asked of the database here: it may well come later than we do.
    with (
        opened(_for_reading(settings)) as ready,
        serving(listeners, make_app(_registries(ready), rules), rules) as server,
    ):
        for listener in listeners:
            log.info("listening on %s://%s/metrics", scheme, shown_address(listener.getsockname()))
        server.wait()
    return 1


def _registries(settings: Settings) -> Registries:
    # Of an image it is known at build time; nobody else has to say.
    build = Build(__version__, os.environ.get("VMCRAWL_REVISION") or "unknown", platform.python_version())
    return Exporter(settings.exporter, conninfo(settings.database), build).registry


def _for_reading(settings: Settings) -> Settings:
    exporter, database = settings.exporter, settings.database
    if exporter.database_url:
        database = replace(database, url=exporter.database_url, password=exporter.database_password)
    return replace(settings, database=database)


def _overrides(arguments: argparse.Namespace) -> dict[tuple[str, str], object]:
    return {
        ("exporter", "listen"): arguments.listen,
        ("exporter", "web_config_file"): arguments.web_config_file,
    }
