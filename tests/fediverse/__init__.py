"""A Fediverse in miniature on loopback addresses: real HTTPS, real DNS, healthy servers and every kind of trouble.

``python -m tests.fediverse --write DIR`` serves the demonstration's crowd; tests use :func:`start_fediverse` or
:func:`fediverse_in_thread` with any list of sites.
"""

from tests.fediverse.crowd import all_scenarios, demo_crowd, healthy_crowd, mixed_crowd
from tests.fediverse.healthy import mastodon
from tests.fediverse.running import Running, fediverse_in_thread, start_fediverse
from tests.fediverse.scenario import named, scenario
from tests.fediverse.site import Listening, Name, Quirk, Reply, Script, Site, Tls, Truth

__all__ = [
    "Listening",
    "Name",
    "Quirk",
    "Reply",
    "Running",
    "Script",
    "Site",
    "Tls",
    "Truth",
    "all_scenarios",
    "demo_crowd",
    "fediverse_in_thread",
    "healthy_crowd",
    "mastodon",
    "mixed_crowd",
    "named",
    "scenario",
    "start_fediverse",
]
