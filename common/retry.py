"""Retries with exponential backoff and jitter until a deadline."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar

DEADLINE_SECONDS = 4.0
"""How long anything is tried before the caller is told to come back: below what a user and a proxy wait."""

REQUEST_SECONDS = 3.4
"""After so long nothing more is tried for one request, whatever it is made of: with the last try, which may take a
silent store another 1.5 s, it is answered within 5 s."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.1

_latest_end: ContextVar[float] = ContextVar("latest_end", default=math.inf)


class deadline:  # noqa: N801 - it is called like a function; a class, for it is entered at every request
    """Let every retry budget that is begun inside end by then: budgets in a row must not add up."""

    __slots__ = ("_before", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._before = _latest_end.set(min(_latest_end.get(), time.monotonic() + self._seconds))

    def __exit__(self, *_: object) -> None:
        _latest_end.reset(self._before)


def jitter(seconds: float) -> float:
    """Return a random time of at most so many seconds."""
    return random.uniform(0, seconds)  # noqa: S311 - jitter, not a secret


def deadline_exceeded() -> bool:
    """Say whether the end of an `deadline` around this has come."""
    return time.monotonic() >= _latest_end.get()


class RetryBudget:
    """Iterating gives one try after another until `seconds` are over; `pause` is how it waits between them."""

    def __init__(self, seconds: float = DEADLINE_SECONDS, pause: Callable[[float], None] = time.sleep) -> None:
        self._end = min(time.monotonic() + seconds, _latest_end.get())
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
        pause = jitter(self._longest)
        self._longest = min(self._longest * 2, _LONGEST_PAUSE)
        if pause >= self.left():
            return False
        self._pause(pause)
        return True
