"""Trying again until a deadline, with pauses that grow and are drawn at random so that rivals do not stay in step."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

DEADLINE_SECONDS = 4.0
"""How long anything is tried before the caller is told to come back: below the patience of a person and of a proxy."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.1


class Patience:
    """Iterating gives one try after another until `seconds` are over; `pause` is how it waits between them."""

    def __init__(self, seconds: float = DEADLINE_SECONDS, pause: Callable[[float], None] = time.sleep) -> None:
        self._end = time.monotonic() + seconds
        self._pause = pause
        self._longest = _FIRST_PAUSE

    def __iter__(self) -> Iterator[None]:
        yield
        while self.wait():
            yield

    def left(self) -> float:
        """Return the seconds that are left, never below 0."""
        return max(0.0, self._end - time.monotonic())

    def wait(self) -> bool:
        """Pause, and say whether there is time for another try."""
        pause = random.uniform(0, self._longest)  # noqa: S311 - jitter, not a secret
        self._longest = min(self._longest * 2, _LONGEST_PAUSE)
        if pause >= self.left():
            return False
        self._pause(pause)
        return True
