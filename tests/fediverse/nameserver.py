"""The name server of the simulation (RFC 1035): UDP and TCP on one loopback address, good answers and odd ones."""

import asyncio
import struct
import time
from collections.abc import Callable, Mapping
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.fediverse.site import PRIVATE_ADDRESS, Name, Quirk

_LONGEST_CHAIN = 10


class Zone:
    """All names of the simulation; whatever is not in it does not exist."""

    def __init__(self, names: Mapping[str, Name]) -> None:
        """``names`` maps lower-case names without a trailing dot to their records."""
        self._names = names
        self._asked: set[str] = set()

    def answer(self, query: bytes, *, over_tcp: bool) -> tuple[str, list[bytes]]:
        """Give the question as text and the messages that answer it, none for silence."""
        try:
            asked = dns.message.from_wire(query)
        except dns.exception.DNSException:
            return "", []
        if len(asked.question) != 1:
            return "", []
        question = asked.question[0]
        text = f"{question.name} {dns.rdatatype.to_text(question.rdtype)}"
        return text, self._messages(asked, query, over_tcp)

    def _messages(self, asked: dns.message.Message, query: bytes, over_tcp: bool) -> list[bytes]:
        question = asked.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        entry = self._names.get(name)
        response = dns.message.make_response(asked, recursion_available=True)
        quirk = entry.quirk if entry else Quirk.NONE
        is_aaaa = question.rdtype == dns.rdatatype.AAAA
        if quirk is Quirk.SILENT or (quirk is Quirk.SILENT_AAAA and is_aaaa):
            return []
        if quirk is Quirk.GARBAGE:
            return [query[:2] + b"\xff" * 21]
        if quirk is Quirk.SERVFAIL_AAAA and is_aaaa:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif quirk is Quirk.NXDOMAIN_AAAA and is_aaaa:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif quirk is Quirk.TRUNCATED and not over_tcp:
            response.flags |= dns.flags.TC
        else:
            self._fill(response, name, question.rdtype)
        room = 65535 if over_tcp else max(512, asked.payload if asked.edns >= 0 else 512)
        wire = response.to_wire(max_size=room, prefer_truncation=True)
        if quirk is Quirk.SPOOFED:
            return [_spoofed(response), wire]
        return [wire]

    def _fill(self, response: dns.message.Message, name: str, kind: dns.rdatatype.RdataType) -> None:
        entry = self._names.get(name)
        followed = 0
        while entry is not None and entry.cname is not None and followed < _LONGEST_CHAIN:
            response.answer.append(dns.rrset.from_text(name + ".", entry.ttl, "IN", "CNAME", entry.cname + "."))
            name, followed = entry.cname, followed + 1
            entry = self._names.get(name)
        if entry is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        else:
            response.set_rcode(dns.rcode.from_text(entry.rcode))
        records = self._records(name, entry, kind) if entry and entry.cname is None else ()
        if entry and records:
            response.answer.append(
                dns.rrset.from_text(name + ".", entry.ttl, "IN", dns.rdatatype.to_text(kind), *records)
            )
        else:
            soa = "a.dns.invalid. hostmaster.dns.invalid. 1 3600 600 86400 60"
            response.authority.append(dns.rrset.from_text(name.rpartition(".")[2] + ".", 60, "IN", "SOA", soa))

    def _records(self, name: str, entry: Name, kind: dns.rdatatype.RdataType) -> tuple[str, ...]:
        if kind == dns.rdatatype.AAAA:
            return entry.aaaa
        if kind != dns.rdatatype.A:
            return ()
        if entry.quirk is Quirk.REBINDING:
            if name in self._asked:
                return (PRIVATE_ADDRESS,)
            self._asked.add(name)
        return entry.a


class NameServer:
    """Serves a :class:`Zone` within an event loop."""

    def __init__(self, zone: Zone, log: Callable[[dict[str, object]], None]) -> None:
        self._zone = zone
        self._log = log
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def start(self, address: str, port: int) -> None:
        """Listen on UDP and TCP; raises :class:`OSError` if the port is taken."""
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._serve_tcp, address, port)
        try:
            self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self._answer), (address, port))
        except OSError:
            self._tcp.close()
            raise

    async def stop(self) -> None:
        """Stop listening; connections that are open end with the event loop."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
            await self._tcp.wait_closed()

    def _answer(self, query: bytes, over_tcp: bool) -> list[bytes]:
        question, answers = self._zone.answer(query, over_tcp=over_tcp)
        self._log({"time": time.time(), "question": question, "tcp": over_tcp, "answers": len(answers)})
        return answers

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                for answer in self._answer(await reader.readexactly(length), True):
                    writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # The client has all it wanted.
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[bytes, bool], list[bytes]]) -> None:
        self._answer = answer
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The base class of what comes here is private to asyncio.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for answer in self._answer(data, False):
            if self._transport is not None:
                self._transport.sendto(answer, addr)


def _spoofed(response: dns.message.Message) -> bytes:
    """Give an answer to a question that nobody asked: another id, and an address of the attacker."""
    question = response.question[0]
    forged = dns.message.Message(id=response.id ^ 0x5555)
    forged.flags = response.flags
    forged.question = list(response.question)
    if question.rdtype == dns.rdatatype.A:
        forged.answer = [dns.rrset.from_text(question.name, 60, "IN", "A", PRIVATE_ADDRESS)]
    return forged.to_wire()
