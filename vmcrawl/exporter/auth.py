"""Who may come in: basic authentication against bcrypt hashes (RFC 7617), and how often."""

import base64
import binascii
import hashlib
import hmac
import os
import threading
import time
from collections.abc import Mapping

import bcrypt

from vmcrawl.webconfig import RateLimit

_REMEMBERED = 100
#: Passwords that are being checked or wait for it. All connections that there may be would wait for half a minute.
_MOST_AT_ONCE = 16
#: bcrypt looks no further, and neither does htpasswd.
_LONGEST_PASSWORD = 72


class Crowded(Exception):
    """So many passwords are being checked that one more has to come again."""


class Doorkeeper:
    """Checks passwords. What was right is remembered, up to a hundred times, since bcrypt is slow on purpose."""

    def __init__(self, most_at_once: int = _MOST_AT_ONCE) -> None:
        # Passwords are kept as digests under a key that leaves with the process.
        self._secret = os.urandom(32)
        self._known: dict[bytes, None] = {}
        self._lock = threading.Lock()
        self._at_work = threading.Lock()
        self._room = threading.Semaphore(most_at_once)

    def admits(self, authorization: str, users: Mapping[str, str]) -> bool:
        """Whether an ``Authorization`` header (``""``: there was none) names one of the users, and their password.

        An unknown user costs as much work as a known one, so that nobody learns who there is. Raises
        :class:`Crowded`, but not for what was right before.
        """
        credentials = _credentials(authorization)
        if credentials is None:
            return False
        user, password = credentials
        # Of several costs the highest; whoever has chosen others can be told apart by them.
        hashed = users.get(user) or max(users.values(), key=_cost, default="")
        proof = self._digest(user, hashed, password)
        with self._lock:
            if proof in self._known and user in users:
                return True
        # One at a time: a crowd that guesses shall take neither every core nor every connection.
        if not self._room.acquire(blocking=False):
            raise Crowded
        try:
            with self._at_work:
                right = _is_right(password, hashed)
        finally:
            self._room.release()
        if not right or user not in users:
            return False
        with self._lock:
            while len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[proof] = None
        return True

    def _digest(self, user: str, hashed: str, password: bytes) -> bytes:
        parts = (user.encode(), hashed.encode(), password)
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._secret, message, hashlib.sha256)


class Limiter:
    """A bucket of tokens that fills at the rate of a :class:`RateLimit`, and is full at first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limit: RateLimit | None = None
        self._tokens = 0.0
        self._looked_at = 0.0

    def allows(self, limit: RateLimit | None) -> bool:
        """Whether one more request is within the limit now; ``None``: there is no limit."""
        if limit is None:
            return True
        with self._lock:
            now = time.monotonic()
            if limit != self._limit:
                self._limit, self._tokens, self._looked_at = limit, limit.burst, now
            gained = (now - self._looked_at) / limit.interval.total_seconds()
            self._tokens, self._looked_at = min(limit.burst, self._tokens + gained), now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


def _credentials(authorization: str) -> tuple[str, bytes] | None:
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def _cost(hashed: str) -> str:
    return hashed[4:6]


def _is_right(password: bytes, hashed: str) -> bool:
    try:
        return bcrypt.checkpw(password[:_LONGEST_PASSWORD], hashed.encode())
    except ValueError:
        return False
