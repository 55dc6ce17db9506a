"""What earlier crawls learned of robots.txt, so that no host is asked for it more than once in a day."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from vmcrawl.observation import RobotsRecord
from vmcrawl.settings import Settings
from vmcrawl.store import robots
from vmcrawl.store.claims import Claim
from vmcrawl.store.database import Database

#: Backends shared by many domains are few; the rest is in the database.
_KEPT = 10_000
#: A slow host is no reason to let another crawl wait for ever.
_PATIENCE_SECONDS = 10.0


class RobotsMemory:
    """Answers, for any thread, which rules a host gave within ``crawl.robots_lifetime`` (RFC 9309, 2.4)."""

    def __init__(self, settings: Settings) -> None:
        self._database = Database(settings.database)
        self._lifetime = settings.crawl.robots_lifetime
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._being_read: dict[str, int] = {}
        self._kept: OrderedDict[str, RobotsRecord] = OrderedDict()

    def recaller(self, claim: Claim) -> Callable[[str], RobotsRecord | None]:
        """The memory as one crawl sees it: what the claim brought along is not looked up again."""
        known = {record.host: record for record in claim.robots}

        def recall(host: str) -> RobotsRecord | None:
            if host in known:
                return known[host]
            return self._look_up(host, in_database=host != claim.domain)

        return recall

    def remember(self, record: RobotsRecord) -> None:
        """Keep what a crawl has just read, for others that come to the same host before it is written."""
        with self._lock:
            self._keep(record)

    @contextmanager
    def reading(self, host: str) -> Iterator[None]:
        """Only one thread at a time reads robots.txt of a host, as far as the others' patience goes."""
        with self._changed:
            self._changed.wait_for(lambda: host not in self._being_read, _PATIENCE_SECONDS)
            self._being_read[host] = self._being_read.get(host, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._being_read[host] -= 1
                if not self._being_read[host]:
                    del self._being_read[host]
                self._changed.notify_all()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._database.close()

    def _look_up(self, host: str, *, in_database: bool) -> RobotsRecord | None:
        oldest = datetime.now(UTC) - self._lifetime
        with self._lock:
            record = self._kept.get(host)
            if record is not None and record.read_at > oldest:
                return record
            if not in_database:
                return None
            record = self._database.run(lambda connection: robots.recall(connection, host, oldest))
            if record is not None:
                self._keep(record)
            return record

    def _keep(self, record: RobotsRecord) -> None:
        self._kept[record.host] = record
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
