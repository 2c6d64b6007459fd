"""The bounded place where passwords are hashed: a flood of them fills it and nothing else.

A hash takes a core for tens of milliseconds, and who waits for one holds a thread. In a burst all wait for their turn.
In a flood, which has not let up for some seconds, and while others ask without passwords, whether a session is good,
say, only so many requests of each process may be busy with passwords; whoever comes when they are in is told to come
back, before anything is read, counted or compared. So there is a thread for the others, and no guess is made that is
not counted.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from common.crypto.passwords import Argon2Cost, PasswordHash, new_password_hash
from common.errors import Code, Refusal
from common.patience import Patience

_COME_BACK_SECONDS = 1

_FLOOD_SECONDS = 2.0
"""How long without a pause somebody must have been busy with a password: twenty logins at once are done by then."""

_HEEDED_SECONDS = 5.0
"""How long a thread is kept for others after one of them asked."""


class HashingRoom:
    """Hashes passwords at one cost for one process.

    `places`: requests that may be busy with a password in a flood (None: any number), `at_once`: hashes. A place is for
    one request: who has one must not ask for another. `now`: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        cost: Argon2Cost,
        places: int | None = None,
        at_once: int = 1,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cost = cost
        self._places = places
        self._now = now
        self._lock = threading.Lock()
        self._inside, self._busy_since = 0, -math.inf
        self._turns = threading.BoundedSemaphore(at_once)
        self._heard = -math.inf

    def hear(self) -> None:
        """Note that somebody asked who brings no password."""
        self._heard = self._now()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place. Raises Refusal(BUSY) at once while all are taken, a flood goes on, and others ask."""
        with self._lock:
            now = self._now()
            if not self._inside:
                self._busy_since = now
            elif self._is_full(now):
                raise Refusal(
                    Code.BUSY, reason="passwords of this process", variant="passwords", retry_after=_COME_BACK_SECONDS
                )
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1

    def _is_full(self, now: float) -> bool:
        if self._places is None or self._inside < self._places:
            return False
        return now - self._busy_since > _FLOOD_SECONDS and now - self._heard < _HEEDED_SECONDS

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn at what takes a core for long, and hold it. Raises Refusal(BUSY) past the deadline."""
        if not self._turns.acquire(timeout=Patience().left()):
            raise Refusal(Code.BUSY, reason="a turn to hash", variant="passwords", retry_after=_COME_BACK_SECONDS)
        try:
            yield
        finally:
            self._turns.release()

    def matches(self, expected: PasswordHash, password: str) -> bool:
        """Say in constant time whether it is the hash of `password`, when it is our turn. Raises as `turn`."""
        with self.turn():
            return expected.matches(password)

    def new(self, password: str) -> PasswordHash:
        """Hash a password under a fresh salt, when it is our turn. Raises as `turn`."""
        with self.turn():
            return new_password_hash(password, self.cost)
