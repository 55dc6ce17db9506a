"""DNS: from a name to its addresses, by c-ares, within a limit of time that holds."""

import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from itertools import chain, zip_longest
from pathlib import Path
from queue import Empty, SimpleQueue

import pycares
from pycares import errno as ares

from vmcrawl.address import Address, parse_nameserver
from vmcrawl.deadline import Stopped
from vmcrawl.document import clean_text
from vmcrawl.hosts import HostsFile
from vmcrawl.observation import CrawlFailed
from vmcrawl.outcome import Outcome

#: With one type answered, the other gets this long: many name servers drop AAAA questions without a word.
_SECOND_ANSWER_SECONDS = 1.0
#: After so many look-ups in a row without any answer, the name servers are dead (no network): don't wait long for them.
_SILENT_LOOK_UPS = 32
_SILENT_SECONDS = 1.0
#: So many look-ups of a process may be under way. A name server puts off what it has no time for, and what it puts off
#: for too long ends here as a failure of the name, so it must not be asked by every thread at once. Eight of each of
#: four processes are 64 questions: even 20 answers a second come in time. 32 are plenty where answers are quick: a
#: hundred names a second at 0.3 s each.
_FEWEST, _MOST = 8, 32
#: Beyond this the name server is busy, or the name's own servers are slow. Silence and slow answers take from the bound
#: three times what a quick answer adds: it falls once more than a quarter is slow, which slow names alone aren't.
_QUICK_SECONDS = 1.0
_RISE, _FALL = 0.125, 0.375
#: c-ares never forgets the answers in its cache before their TTL; at 1.2 KB each they must be dropped now and then.
_LOOK_UPS_PER_CACHE = 5_000
#: c-ares waits a quarter of a second for a server known to be fast, and twice as long each time it asks again. Five
#: tries make 7.75 s of that, so that a slow answer to one name isn't lost; our own limit ends it earlier.
_FIRST_TRY_SECONDS = 0.5
_TRIES = 5
_LONGEST_CHAIN = 16

#: RFC 1035, 2.3.4 (sizes), and the characters that occur in host names, the underscore included.
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\Z")

_A, _AAAA = pycares.QUERY_TYPE_A, pycares.QUERY_TYPE_AAAA
#: Ends of a question of which no name server has said anything.
_NO_ANSWER = frozenset({ares.ARES_ETIMEOUT, ares.ARES_ECANCELLED, ares.ARES_EDESTRUCTION})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one question: addresses, or an error (a c-ares code), or neither (no record of this type)."""

    addresses: tuple[Address, ...] = ()
    error: int | None = None


class Turns:
    """How many look-ups may be under way at a time, by how quickly name servers answer; safe to share."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._bound: float = _FEWEST
        self._running = 0
        self._silent = 0
        self._stopped = False

    @property
    def dead(self) -> bool:
        """Whether nothing has been heard for many look-ups in a row, not even late."""
        return self._silent >= _SILENT_LOOK_UPS

    @property
    def bound(self) -> int:
        """How many may be under way. Those who ask dead servers stand in nobody's way: as many as ever."""
        return _MOST if self.dead else int(self._bound)

    def begin(self) -> None:
        """Wait for a turn, and take it; raises :class:`Stopped`."""
        with self._changed:
            while not self._stopped and self._running >= self.bound:
                self._changed.wait()
            if self._stopped:
                raise Stopped
            self._running += 1

    def end(self) -> None:
        """Give the turn to whoever waits for one."""
        with self._changed:
            self._running -= 1
            if (free := self.bound - self._running) > 0:
                self._changed.notify(free)

    def answered(self, seconds: float) -> None:
        """Take note of an answer that took so long, even if nobody waits for it any more."""
        with self._changed:
            self._silent = 0
            self._bound = min(_MOST, self._bound + _RISE) if seconds < _QUICK_SECONDS else self._fallen()

    def missed(self) -> None:
        """Take note of a look-up that ended without any answer."""
        with self._changed:
            self._silent += 1
            self._bound = self._fallen()

    def stop(self) -> None:
        """End all waiting, now and later, with :class:`Stopped`."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _fallen(self) -> float:
        return max(_FEWEST, self._bound - _FALL)


class Resolver:
    """Looks names up for all threads of one process; keeps answers for their TTL (c-ares' own cache).

    ``nameservers`` are ``address[:port]`` or ``[v6]:port`` (else those of /etc/resolv.conf; with none there, c-ares
    asks 127.0.0.1). ``timeout`` bounds one look-up, once it has its turn (:class:`Turns`). ``hosts`` is the hosts file
    that outranks DNS. Names are absolute: search domains are never tried. Raises ``ValueError`` for a name server that
    isn't an address.
    """

    def __init__(
        self, nameservers: Iterable[str] = (), timeout: timedelta = timedelta(seconds=5), *, hosts: Path | None = None
    ) -> None:
        self._timeout = timeout.total_seconds()
        self._hosts = HostsFile(hosts or Path("/etc/hosts"))
        self._servers = [_server(text) for text in nameservers]
        self._channel = _open_channel(self._servers)
        self._open = {self._channel}
        self._turns = Turns()
        self._lock = threading.Lock()
        self._look_ups = 0
        self._stopped = False

    def resolve(self, host: str) -> tuple[Address, ...]:
        """All addresses of ``host``, IPv4 and IPv6 in turn, at least one; waits for its turn as long as that takes.

        Raises :class:`Stopped`, and :class:`CrawlFailed`: ``dns_not_found`` for no such name or no
        address, ``dns_failure`` for every way of not getting an answer. Addresses of either type win over what
        happened to the other; "no such name" (NXDOMAIN) holds for both types (RFC 8020); "no record" of one type says
        nothing if the other failed.
        """
        if not _NAME.match(host):
            raise CrawlFailed(Outcome.DNS_NOT_FOUND, f"{clean_text(host, 80)} cannot be a host name")
        listed = self._hosts.look_up(host)
        if listed:
            return listed
        self._turns.begin()
        try:
            end = time.monotonic() + (min(self._timeout, _SILENT_SECONDS) if self._turns.dead else self._timeout)
            answers = self._ask(self._channel, host, end)
            if all(each.error in _NO_ANSWER for each in answers.values()):
                self._turns.missed()
            self._count()
            if any(each.error == ares.ARES_EBADRESP for each in answers.values()):
                answers = self._ask_alone(host, end)
        finally:
            self._turns.end()
        return _conclude(host, answers)

    def stop(self) -> None:
        """End all look-ups under way, and all to come, with :class:`vmcrawl.deadline.Stopped`."""
        self._turns.stop()
        with self._lock:
            self._stopped = True
            for channel in self._open:
                channel.cancel()

    def close(self) -> None:
        """Give the channel back; nobody may resolve any more."""
        with self._lock:
            self._open.discard(self._channel)
            self._channel.close()

    def _ask_alone(self, host: str, end: float) -> dict[int, Answer]:
        """Ask once more over a channel for this name only.

        After an answer that is no DNS c-ares gives up the socket and with it a try of every question under way there:
        one name with a broken server would take others with it. Who is to blame shows when nobody else is near.
        """
        channel = _open_channel(self._servers)
        with self._lock:
            self._open.add(channel)
        try:
            return self._ask(channel, host, end)
        finally:
            with self._lock:
                self._open.discard(channel)
                channel.close()

    def _ask(self, channel: pycares.Channel, host: str, end: float) -> dict[int, Answer]:
        question = _Question()
        for kind in (_A, _AAAA):
            self._send(channel, host, kind, question)
        question.wait(end, host)
        if self._stopped:
            raise Stopped
        return question.answers(host)

    def _send(self, channel: pycares.Channel, host: str, kind: int, question: "_Question") -> None:
        if self._stopped:
            raise Stopped
        asked = time.monotonic()

        def receive(result: pycares.DNSResult | None, error: int | None) -> None:
            if error not in _NO_ANSWER:
                self._turns.answered(time.monotonic() - asked)
            question.take(kind, result, error)

        try:
            channel.query(host, kind, callback=receive)
        except pycares.AresError as error:
            # c-ares reports such an error to the callback, too; the second report of one type changes nothing.
            question.take(kind, None, error.args[0])

    def _count(self) -> None:
        with self._lock:
            self._look_ups += 1
            full = self._look_ups % _LOOK_UPS_PER_CACHE == 0
        if full and not self._stopped:
            # Empties the cache and follows changes of resolv.conf; questions under way stay under way.
            self._channel.reinit()


class _Question:
    """What is asked about one name, and what has come of it; one thread waits, that of c-ares brings the answers."""

    def __init__(self) -> None:
        self._came: dict[int, tuple[pycares.DNSResult | None, int | None]] = {}
        self._first_at = 0.0
        self._settled: SimpleQueue[None] = SimpleQueue()

    def take(self, kind: int, result: pycares.DNSResult | None, error: int | None) -> None:
        """Keep an answer, and wake who waits if it is the last one that matters: waking twice would cost more."""
        self._came.setdefault(kind, (result, error))
        self._first_at = self._first_at or time.monotonic()
        if len(self._came) == 2 or error == ares.ARES_ENOTFOUND:
            self._settled.put(None)

    def wait(self, end: float, host: str) -> None:
        """Wait until both answers are there, or "no such name", or it is not worth waiting any longer."""
        while (moment := time.monotonic()) < end:
            # Nobody wakes us for the first answer, so look in time whether it has come.
            until = moment + _SECOND_ANSWER_SECONDS
            if self._first_at:
                until = self._first_at + _SECOND_ANSWER_SECONDS if self._has_addresses(host) else end
            if until <= moment:
                return
            try:
                return self._settled.get(timeout=min(until, end) - moment)
            except Empty:
                continue

    def answers(self, host: str) -> dict[int, Answer]:
        """What has come so far, by type."""
        return {kind: _read(host, kind, result, error) for kind, (result, error) in dict(self._came).items()}

    def _has_addresses(self, host: str) -> bool:
        return any(answer.addresses for answer in self.answers(host).values())


def _open_channel(servers: list[str]) -> pycares.Channel:
    def channel(flags: int) -> pycares.Channel:
        return pycares.Channel(flags=flags, timeout=_FIRST_TRY_SECONDS, tries=_TRIES, servers=servers or None)

    first = channel(pycares.ARES_FLAG_EDNS)
    if len(first.servers) > 1:
        return first
    # After SERVFAIL or REFUSED c-ares asks the next server, and with only one the same five times over. This flag
    # makes it pass such an answer on as the error it is.
    first.close()
    return channel(pycares.ARES_FLAG_EDNS | pycares.ARES_FLAG_NOCHECKRESP)


def _server(text: str) -> str:
    address, port = parse_nameserver(text)
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _read(host: str, kind: int, result: pycares.DNSResult | None, error: int | None) -> Answer:
    """Take the addresses at the end of the chain of aliases from one answer."""
    if error == ares.ARES_ENOMEM:
        raise MemoryError("c-ares is out of memory")
    if error == ares.ARES_ENODATA:
        return Answer()
    if error is not None or result is None:
        return Answer(error=error or ares.ARES_EBADRESP)
    aliases: dict[str, str] = {}
    found: dict[str, list[Address]] = {}
    for record in result.answer:
        owner = _plain(record.name)
        if isinstance(record.data, pycares.CNAMERecordData):
            aliases[owner] = _plain(record.data.cname)
        elif record.type == kind and isinstance(record.data, pycares.ARecordData | pycares.AAAARecordData):
            found.setdefault(owner, []).append(ip_address(record.data.addr))
    name = host
    for _ in range(_LONGEST_CHAIN):
        if name in found:
            return Answer(tuple(dict.fromkeys(found[name])))
        if name not in aliases:
            return Answer()
        name = aliases[name]
    # Aliases in a circle, or nearly: what most resolvers make of that.
    return Answer(error=ares.ARES_ESERVFAIL)


def _plain(name: str | bytes) -> str:
    # pycares hands names that aren't ASCII over as bytes.
    text = name if isinstance(name, str) else name.decode("latin-1")
    return text.rstrip(".").lower()


def _conclude(host: str, answers: dict[int, Answer]) -> tuple[Address, ...]:
    v4 = answers.get(_A, Answer()).addresses
    v6 = answers.get(_AAAA, Answer()).addresses
    addresses = tuple(address for address in chain.from_iterable(zip_longest(v4, v6)) if address is not None)
    if addresses:
        return addresses
    errors = [answer.error for answer in answers.values() if answer.error is not None]
    if ares.ARES_ENOTFOUND in errors:
        raise CrawlFailed(Outcome.DNS_NOT_FOUND, f"{host} does not exist")
    if len(answers) == 2 and not errors:
        raise CrawlFailed(Outcome.DNS_NOT_FOUND, f"{host} has no address")
    reason = _plain(ares.strerror(errors[0])) if errors else "no answer in time"
    raise CrawlFailed(Outcome.DNS_FAILURE, f"{host}: {reason}")
