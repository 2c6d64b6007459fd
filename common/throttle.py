"""The Generic Cell Rate Algorithm (GCRA, ITU-T I.371) as arithmetic: no clock, no storage, no names.

A bucket is one time, the theoretical arrival time (TAT): the moment at which it will be full again. A bucket that was
never used, or whose TAT has passed, is full.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct


class Quota(Struct, frozen=True):
    """`burst` tries at once, and one more back every `interval`."""

    burst: int
    interval: timedelta


class Spent(Struct, frozen=True):
    """The try is allowed; the bucket's new TAT is `tat`."""

    tat: datetime


class Exhausted(Struct, frozen=True):
    """The try is refused and the bucket is as it was; one try is back at `retry_at`."""

    retry_at: datetime


def spend(tat: datetime | None, quota: Quota, now: datetime) -> Spent | Exhausted:
    """Take one try out of a bucket (`tat` None: never used)."""
    new_tat = max(tat or now, now) + quota.interval
    allowed_at = new_tat - quota.burst * quota.interval
    return Spent(new_tat) if allowed_at <= now else Exhausted(allowed_at)


def give_back(tat: datetime | None, quota: Quota, now: datetime) -> datetime:
    """Return the TAT after one try was put back; a full bucket stays full."""
    return max((tat or now) - quota.interval, now)
