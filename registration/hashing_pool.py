"""Hashing pool: a bulkhead and load shedding around password hashing.

A hash takes a core for tens of milliseconds, and a request that waits for one occupies a thread. In a burst all wait
for their turn. In a flood of some seconds, while requests without passwords arrive, such as verifications, only so many
requests of each process may be busy with passwords; further ones are answered "busy" before anything is read, counted
or compared. So a thread is left for the others, and every guess is counted.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from common.crypto.passwords import Argon2Cost, PasswordHash, new_password_hash
from common.errors import Code, Refusal
from common.metrics import Kind, counter, gauge, histogram
from common.retry import RetryBudget

_RETRY_AFTER_SECONDS = 1

SHED = counter(
    "ichidai_hashing_shed_total",
    "Requests with a password that were answered 503. flood: too many were in work; deadline: their turn did not come.",
    reason=("flood", "deadline"),
)
WAITED = histogram("ichidai_hashing_wait_seconds", "How long a password waited for its turn to be hashed.")
IN_WORK = gauge("ichidai_hashing_requests", Kind.SUM, "Requests that are busy with a password, waiting ones included.")

_FLOOD_SECONDS = 2.0
"""How long without a pause passwords must have been in work: twenty logins at once are done by then."""

_TRAFFIC_SECONDS = 5.0
"""How long a thread is kept for others after one of them asked."""


class HashingPool:
    """Hashes passwords at one cost for one process.

    `places`: requests that may be busy with a password in a flood (None: any number), `at_once`: hashes. A place is for
    one request: who has one must not ask for another. `now`: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        cost: Argon2Cost,
        max_password_requests: int | None = None,
        at_once: int = 1,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cost = cost
        self._max_requests = max_password_requests
        self._now = now
        self._lock = threading.Lock()
        self._admitted, self._busy_since = 0, -math.inf
        self._slots = threading.BoundedSemaphore(at_once)
        self._last_traffic = -math.inf

    def note_traffic(self) -> None:
        """Note a request without a password."""
        self._last_traffic = self._now()

    @property
    def in_work(self) -> int:
        """How many requests are busy with a password."""
        return self._admitted

    def is_busy(self) -> bool:
        """Say whether a password is being checked."""
        return self._admitted > 0

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place. Raises Refusal(BUSY) at once while all are taken, a flood goes on, and others ask."""
        with self._lock:
            now = self._now()
            if not self._admitted:
                self._busy_since = now
            elif self._is_full(now):
                SHED.add("flood")
                raise Refusal(
                    Code.BUSY, reason="passwords of this process", variant="passwords", retry_after=_RETRY_AFTER_SECONDS
                )
            self._admitted += 1
        try:
            yield
        finally:
            with self._lock:
                self._admitted -= 1

    def _is_full(self, now: float) -> bool:
        if self._max_requests is None or self._admitted < self._max_requests:
            return False
        return now - self._busy_since > _FLOOD_SECONDS and now - self._last_traffic < _TRAFFIC_SECONDS

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a turn at what takes a core for long, and hold it. Raises Refusal(BUSY) past the deadline."""
        begun = time.perf_counter()
        if not self._slots.acquire(timeout=RetryBudget().left()):
            SHED.add("deadline")
            raise Refusal(Code.BUSY, reason="a turn to hash", variant="passwords", retry_after=_RETRY_AFTER_SECONDS)
        WAITED.observe(time.perf_counter() - begun)
        try:
            yield
        finally:
            self._slots.release()

    def matches(self, expected: PasswordHash, password: str) -> bool:
        """Say in constant time whether it is the hash of `password`, when it is our turn. Raises as `turn`."""
        with self.slot():
            return expected.matches(password)

    def new(self, password: str) -> PasswordHash:
        """Hash a password under a fresh salt, when it is our turn. Raises as `turn`."""
        with self.slot():
            return new_password_hash(password, self.cost)
