"""The names in one server's answer on their way into the ledger, a few thousand at a time."""

import time
from collections.abc import Callable, Sequence

from vmcrawl.asking import Ending
from vmcrawl.document import is_json_type
from vmcrawl.exclusion import Exclusions
from vmcrawl.observation import CrawlFailed
from vmcrawl.outcome import Outcome
from vmcrawl.peers import InvalidPeers, Name, PeersReader, Sieve
from vmcrawl.settings import DiscoverySettings
from vmcrawl.store.peers import Added
from vmcrawl.wire import Download

#: Names that are written together: few enough to be held by every thread, many enough to be worth a transaction.
_BATCH = 2_000


class Harvest:
    """Takes one answer as it comes in; used once.

    ``add(names, at_most)`` writes names into the ledger and says what became of them; whatever it raises ends the
    request.
    """

    def __init__(
        self,
        exclusions: Exclusions,
        settings: DiscoverySettings,
        add: Callable[[Sequence[Name], int], Added],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._add = add
        self._reader = PeersReader()
        self.sieve = Sieve(exclusions)
        self._pending: list[Name] = []
        self._clock = clock
        self._busy = 0.0
        self._capped = False
        self.known = self.crowded = self.new = 0

    def download(self) -> Download:
        """Where the body is to go."""
        limits = self._settings
        seconds = limits.timeout.total_seconds()
        return Download(self._begin, self._take, seconds, limits.max_wire_bytes, limits.max_body_bytes)

    def close(self) -> Ending:
        """The answer is over; raises :class:`CrawlFailed` if it was not whole."""
        self.store()
        if self._capped:
            return Ending.CAPPED
        try:
            self._reader.close()
        except InvalidPeers as error:
            raise CrawlFailed(Outcome.BAD_JSON, str(error)) from error
        return Ending.ANSWERED if self.sieve.read else Ending.EMPTY

    def store(self) -> None:
        """Write what is still held; to be called however the request ended."""
        while batch := self._pending[:_BATCH]:
            del self._pending[:_BATCH]
            room = self._settings.names_per_instance - self.new
            if room <= 0:
                self._pending.clear()
                return
            added = self._add(batch, room)
            self.known += added.known
            self.crowded += added.crowded
            self.new += added.new

    def _begin(self, content_type: str) -> None:
        if not is_json_type(content_type):
            raise CrawlFailed(Outcome.BAD_CONTENT_TYPE, f"the list of peers is {content_type}")

    def _take(self, piece: bytes) -> bool:
        began = self._clock()
        try:
            self._pending += self.sieve.sift(self._reader.read(piece))
        except InvalidPeers as error:
            raise CrawlFailed(Outcome.BAD_JSON, str(error)) from error
        if len(self._pending) >= _BATCH:
            self.store()
        self._busy += self._clock() - began
        settings = self._settings
        self._capped = (
            self.new >= settings.names_per_instance
            or self.sieve.read >= settings.max_names
            # Names can be made up that take a thousand times as long to look at as real ones.
            or self._busy > settings.timeout.total_seconds()
        )
        return not self._capped
