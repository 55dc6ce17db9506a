"""The simulated Fediverse as a whole: addresses, names, certificates, servers, and the files that tell about them."""

import ipaddress
import json
import random
import resource
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

from tests.fediverse.certificates import Authority
from tests.fediverse.healthy import mastodon
from tests.fediverse.nameserver import NameServer, Zone
from tests.fediverse.server import Host, WebServer
from tests.fediverse.site import (
    BLACKHOLE_ADDRESS,
    DEAD_ADDRESS,
    IPV6_ADDRESS,
    PRIVATE_ADDRESS,
    PUBLIC_NETWORK,
    SELF,
    UNREACHABLE_ADDRESS,
    Listening,
    Name,
    Site,
    Tls,
    Truth,
)
from vmcrawl.outcome import Outcome

_NAMESERVER_ADDRESS = "127.9.0.53"
#: Below the ports that Linux gives to outgoing connections, so that none of ours is in the way.
_PORTS = range(20_000, 30_000)
#: One certificate serves so many healthy sites: signing is cheap, but contexts take memory.
_SITES_PER_CERTIFICATE = 32

_CONFIG = """\
# How to crawl the simulated Fediverse: its name server, its port, its certificate authority, short timeouts.
http:
  contact: nobody@invalid
  connect_timeout: 1s
  read_timeout: 1s
  request_timeout: 2s
network:
  allow_addresses: [{allowed}]
  ca_file: {ca_file}
  nameservers: ["{nameserver}"]
  dns_timeout: 1s
  port: {port}
crawl:
  domain_timeout: 10s
"""


async def serve(
    sites: Sequence[Site], directory: Path, stop: Callable[[], Awaitable[object]], ready: Callable[[], object]
) -> None:
    """Serve ``sites`` until the awaitable of ``stop()`` is done.

    Writes into ``directory``, and calls ``ready()`` when all of it is there and every server answers: ``ca.pem``,
    ``config.yaml`` (settings for the crawler), ``domains.txt``, ``exclusions.txt``, ``truth.json`` (by domain),
    ``fediverse.json`` (addresses and ports), ``requests.jsonl`` and ``dns.jsonl`` (what was asked, one line each).
    Raises :class:`ValueError` for two sites with one name.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _raise_open_files_limit()
    served = [*_without_ipv6_if_there_is_none(sites), _trap()]
    addresses = _addresses(served)
    hosts = list(_hosts(served, addresses, Authority(directory)))
    with (directory / "requests.jsonl").open("w") as requests, (directory / "dns.jsonl").open("w") as questions:
        web = WebServer(partial(_write_line, requests))
        names = NameServer(Zone(_zone(served, addresses)), partial(_write_line, questions))
        try:
            port = await _on_a_free_port(partial(_listen, web, hosts))
            dns_port = await _on_a_free_port(partial(names.start, _NAMESERVER_ADDRESS))
            _write_files(served, addresses, directory, port, f"{_NAMESERVER_ADDRESS}:{dns_port}")
            ready()
            await stop()
        finally:
            await web.stop()
            await names.stop()


def _raise_open_files_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _without_ipv6_if_there_is_none(sites: Iterable[Site]) -> list[Site]:
    interfaces = Path("/proc/net/if_inet6")
    has_ipv6 = interfaces.exists() and "00000000000000000000000000000001" in interfaces.read_text()
    return [site for site in sites if has_ipv6 or site.address != IPV6_ADDRESS]


def _trap() -> Site:
    """Give the server at the private address: whoever connects to it has been led there."""
    trap = mastodon("trap.private-address.net", truth=Truth(Outcome.DNS_NOT_FOUND, notes="never to be connected to"))
    return Site(trap.domain, trap.truth, trap.routes, name=Name(a=()), address=PRIVATE_ADDRESS)


def _addresses(sites: Sequence[Site]) -> dict[str, str]:
    free = (str(address) for address in ipaddress.ip_network(PUBLIC_NETWORK).hosts())
    addresses: dict[str, str] = {}
    for site in sites:
        if site.domain in addresses:
            raise ValueError(f"two sites are called {site.domain}")
        addresses[site.domain] = site.address or next(free)
    if len(addresses) > 60_000:
        raise ValueError("more sites than addresses")
    return addresses


def _hosts(sites: Sequence[Site], addresses: Mapping[str, str], authority: Authority) -> Iterator[Host]:
    healthy = [site.domain for site in sites if site.tls is Tls.GOOD]
    groups = [
        tuple(healthy[start : start + _SITES_PER_CERTIFICATE])
        for start in range(0, len(healthy), _SITES_PER_CERTIFICATE)
    ]
    group = {name: names for names in groups for name in names}
    for site in sites:
        names = group.get(site.domain, (site.domain,))
        yield Host(site, addresses[site.domain], partial(authority.context, site.tls, names))
    blackhole = Site("blackhole.invalid", Truth(Outcome.TIMEOUT), listening=Listening.BLACKHOLE)
    yield Host(blackhole, BLACKHOLE_ADDRESS, partial(authority.context, Tls.GOOD, (blackhole.domain,)))


def _zone(sites: Iterable[Site], addresses: Mapping[str, str]) -> dict[str, Name]:
    zone: dict[str, Name] = {}
    for site in sites:
        own = addresses[site.domain]
        for domain, name in ((site.domain, site.name), *site.other_names.items()):
            a, aaaa = _resolved(name.a, own), _resolved(name.aaaa, own)
            zone[domain] = Name(a, aaaa, name.cname, name.rcode, name.quirk, name.ttl)
    return zone


def _resolved(addresses: Sequence[str], own: str) -> tuple[str, ...]:
    return tuple(own if address == SELF else address for address in addresses)


async def _listen(web: WebServer, hosts: list[Host], port: int) -> None:
    web.listen(hosts, port)


async def _on_a_free_port(listen: Callable[[int], Awaitable[None]]) -> int:
    for port in random.sample(_PORTS, 20):
        try:
            await listen(port)
        except OSError as error:
            taken = error
        else:
            return port
    raise taken


def _write_line(file: TextIO, entry: Mapping[str, object]) -> None:
    file.write(json.dumps(entry) + "\n")
    file.flush()


def _write_files(
    sites: Sequence[Site], addresses: Mapping[str, str], directory: Path, port: int, nameserver: str
) -> None:
    listed = [site for site in sites if site.listed_as is not None]
    excluded = [site.domain for site in listed if site.truth.outcome is Outcome.EXCLUDED]
    allowed = [PUBLIC_NETWORK, f"{UNREACHABLE_ADDRESS}/32"]
    if IPV6_ADDRESS in addresses.values():
        allowed.append(f"{IPV6_ADDRESS}/128")
    config = _CONFIG.format(
        allowed=", ".join(json.dumps(network) for network in allowed),
        ca_file=json.dumps(str((directory / "ca.pem").absolute())),
        nameserver=nameserver,
        port=port,
    )
    (directory / "config.yaml").write_text(config, encoding="utf-8")
    (directory / "domains.txt").write_text("".join(f"{site.listed_as}\n" for site in listed), encoding="utf-8")
    (directory / "exclusions.txt").write_text("".join(f"{domain}\n" for domain in excluded), encoding="utf-8")
    truth = {site.domain: site.truth.as_json() for site in listed}
    (directory / "truth.json").write_text(json.dumps(truth, indent=1), encoding="utf-8")
    about = {"port": port, "nameserver": nameserver, "addresses": addresses, "dead": DEAD_ADDRESS}
    (directory / "fediverse.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
