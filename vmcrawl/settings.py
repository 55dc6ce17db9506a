"""Every setting as a frozen value with its default; ``config.yaml`` documents them, ``config`` reads them."""

from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from vmcrawl import __version__


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    #: libpq URL; empty: an embedded Postgres under ``directory``, unless any of PGHOST, PGHOSTADDR, PGPORT, PGSERVICE
    #: and PGDATABASE is set.
    url: str = ""
    #: Takes the place of the one in ``url``, so that it can come from a file of its own.
    password: str = field(default="", repr=False)
    directory: Path = Path("~/.local/share/vmcrawl/postgres")
    connect_timeout: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    user_agent: str = "vmcrawl/{version} (+{contact})"
    contact: str = "operator-has-set-no-contact"
    robots_agent: str = "vmcrawl"
    connect_timeout: timedelta = timedelta(seconds=5)
    read_timeout: timedelta = timedelta(seconds=5)
    request_timeout: timedelta = timedelta(seconds=10)
    max_wire_bytes: int = 1 << 20
    max_body_bytes: int = 2 << 20


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    allow_addresses: tuple[IPv4Network | IPv6Network, ...] = ()
    ca_file: Path | None = None
    #: ``address`` or ``address:port``; empty: those of /etc/resolv.conf.
    nameservers: tuple[str, ...] = ()
    dns_timeout: timedelta = timedelta(seconds=5)
    #: The TCP port that an https URL without a port is asked at.
    port: int = 443
    requests_per_address: int = 8


@dataclass(frozen=True, slots=True)
class CrawlSettings:
    #: 0: chosen by the machine's cores.
    processes: int = 0
    threads: int = 0
    #: What the servers of one domain may take; waiting for the gate, a Crawl-delay or DNS is not counted.
    domain_timeout: timedelta = timedelta(seconds=30)
    #: 0: no limit.
    max_duration: timedelta = timedelta(0)
    #: After SIGTERM, and after ``max_duration``, crawls in flight get this long.
    grace: timedelta = timedelta(seconds=5)
    robots_lifetime: timedelta = timedelta(hours=24)
    #: How long discovery and identity of a healthy server hold; 0: they are confirmed with each look.
    reconfirm: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    ok: timedelta = timedelta(hours=3)
    failure_first: timedelta = timedelta(hours=1)
    failure_longest: timedelta = timedelta(days=7)
    rate_limited: timedelta = timedelta(hours=1)
    rate_limited_longest: timedelta = timedelta(days=90)
    not_mastodon: timedelta = timedelta(days=30)
    alias: timedelta = timedelta(days=30)
    robots_disallowed: timedelta = timedelta(days=7)
    opted_out: timedelta = timedelta(days=90)
    excluded: timedelta = timedelta(days=30)
    #: Share of the interval by which a due time may move either way.
    jitter: float = 0.1


@dataclass(frozen=True, slots=True)
class PublishSettings:
    retention: timedelta = timedelta(days=3)
    max_active_users: int = 10_000_000
    #: Share of the instances of late history, or of those a run looked at, that may be missing without our fault.
    history_drop: float = 0.2
    #: SPDX identifier of the licence of what ``vmcrawl export`` writes; empty: none is given.
    license: str = "CC0-1.0"


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    #: Rules of robots.txt of hosts that were not asked since.
    robots: timedelta = timedelta(days=7)
    #: What each run did.
    runs: timedelta = timedelta(days=400)
    #: Which server went from one version to another.
    changes: timedelta = timedelta(days=800)
    #: Adoption history as each run left it; what is older is kept once a day.
    history_every_run: timedelta = timedelta(days=90)
    #: 0: for good.
    history_daily: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    #: Instances to ask at the end of each run; 0: none.
    per_run: int = 0
    #: Instances that ``vmcrawl discover`` asks, unless told otherwise.
    instances: int = 10
    at_a_time: int = 4
    #: What one answer may take, from connecting to its last byte.
    timeout: timedelta = timedelta(seconds=60)
    max_wire_bytes: int = 32 << 20
    max_body_bytes: int = 64 << 20
    #: Items that are read of one answer.
    max_names: int = 500_000
    #: New names that one server may add to the ledger each time it is asked.
    names_per_instance: int = 20_000
    #: Names under one registrable domain up to which discovery adds more, those known otherwise included.
    names_per_domain: int = 25
    #: New names come due within this.
    spread: timedelta = timedelta(days=1)
    #: Until the same server is asked again: after an answer, ...
    again: timedelta = timedelta(days=7)
    #: ... after an answer that says that there is none, ...
    refused: timedelta = timedelta(days=30)
    #: ... and after any other failure.
    failed: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SourcesSettings:
    github_api: str = "https://api.github.com"
    github_raw: str = "https://raw.githubusercontent.com"
    endoflife: str = "https://endoflife.date/api"
    #: Sent to ``github_api`` only; never logged.
    token: str = field(default="", repr=False)
    timeout: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class DniSettings:
    #: Where the DNI list is; empty: nowhere.
    url: str = ""
    #: ``soft``, ``hard`` or ``listed`` (:class:`vmcrawl.dnilist.Treatment`).
    severity: str = "soft"


@dataclass(frozen=True, slots=True)
class ExporterSettings:
    listen: tuple[str, ...] = ("127.0.0.1:9877",)
    #: As ``DatabaseSettings.url``, for reading only; empty: what ``database`` says.
    database_url: str = ""
    #: As ``DatabaseSettings.password``, for ``database_url``.
    database_password: str = field(default="", repr=False)
    #: TLS and basic authentication, in the format of the Prometheus exporter-toolkit; None: neither.
    web_config_file: Path | None = None
    #: The database role that a scrape takes on: it may read aggregates, and nothing else.
    role: str = "vmcrawl_reader"
    #: Exact releases that are shown, those with most instances first; the rest is ``other``.
    versions: int = 50
    #: Advisories that are shown, the newest first.
    advisories: int = 25
    #: Exact releases become ``other``, those with fewest instances first, until no more series are served than this.
    series: int = 500


@dataclass(frozen=True, slots=True)
class LogSettings:
    level: str = "info"
    #: ``text`` or ``json``.
    format: str = "text"


@dataclass(frozen=True, slots=True)
class Settings:
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    crawl: CrawlSettings = field(default_factory=CrawlSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    publish: PublishSettings = field(default_factory=PublishSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    discovery: DiscoverySettings = field(default_factory=DiscoverySettings)
    sources: SourcesSettings = field(default_factory=SourcesSettings)
    dni: DniSettings = field(default_factory=DniSettings)
    exporter: ExporterSettings = field(default_factory=ExporterSettings)
    log: LogSettings = field(default_factory=LogSettings)


def user_agent(http: HttpSettings, version: str = __version__) -> str:
    """The ``User-Agent`` that is sent: ``{version}`` and ``{contact}`` filled in."""
    return http.user_agent.replace("{version}", version).replace("{contact}", http.contact)
