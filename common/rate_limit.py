"""Leaky bucket as a meter, by the continuous-state form of the Generic Cell Rate Algorithm (ITU-T I.371, annex A).

What is kept is a level, how much was spent and has not leaked away yet, and when that was so. Arithmetic on values:
no clock, no storage, no names. A level of 0 is an unused bucket.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeAlias

from msgspec import Struct

Level: TypeAlias = timedelta
"""How long it takes until all that was spent has come back."""

NOTHING = timedelta()

MOST_APART = timedelta(hours=2)
"""A time so far ahead of the reader's clock was written by a clock that has been set right since."""


class Quota(Struct, frozen=True):
    """`burst` tries at once, and one more back every `interval`."""

    burst: int
    interval: timedelta


class Exhausted(Struct, frozen=True):
    """The try is refused and the level is as it was; one try is back after `wait`."""

    wait: timedelta


def spend(level: Level, quota: Quota) -> Level | Exhausted:
    """Return the level after one try, or that there is none left."""
    spent = level + quota.interval
    over = spent - quota.burst * quota.interval
    return spent if over <= NOTHING else Exhausted(over)


def refund(level: Level, quota: Quota) -> Level:
    """Return the level after one try was put back; no tries are saved up beyond the burst."""
    return max(level - quota.interval, NOTHING)


def leak(level: Level, since: datetime, now: datetime) -> Level:
    """Return what is left of a level by `now`. For a clock that is behind the writer's nothing has leaked yet."""
    return max(level - max(now - since, NOTHING), NOTHING)


def latest(since: datetime, now: datetime) -> datetime:
    """Return as of when a level that has leaked until `now` is to be kept.

    It never goes back: else two clocks that are apart would let the difference leak with each change of hands.
    """
    return now if since - now > MOST_APART else max(since, now)
