"""Circuit breaker: after a timeout, calls fail fast for a moment.

A process has few threads. Were each to wait for itself, requests would queue behind the silence, health checks and
those that need no store included.
"""

from __future__ import annotations

import time


class CircuitBreaker:
    """Circuit breaker: open for some seconds after a timeout; any success closes it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0

    def is_open(self) -> bool:
        """Say whether calls fail fast now."""
        return time.monotonic() < self._until

    def open(self) -> None:
        """Open it. While it is open the time is not extended: other callers time out later than the first one."""
        if not self.is_open():
            self._until = time.monotonic() + self._seconds

    def close(self) -> None:
        """Close it."""
        self._until = 0.0
