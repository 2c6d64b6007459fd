"""A short time in which nobody waits for a store that was just waited for in vain.

A process has few threads. Were each to wait for itself, requests would queue behind the silence, health checks and
those that need no store included.
"""

from __future__ import annotations

import time


class Rest:
    """Lasts so many seconds from the moment at which somebody gave up; any success ends it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0

    def is_on(self) -> bool:
        """Say whether it lasts still."""
        return time.monotonic() < self._until

    def begin(self) -> None:
        """Begin it. While it is on it is not made longer: others give up later than the first one."""
        if not self.is_on():
            self._until = time.monotonic() + self._seconds

    def end(self) -> None:
        """End it."""
        self._until = 0.0
