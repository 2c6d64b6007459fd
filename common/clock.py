"""Time: aware UTC with millisecond precision, handed to rules as an argument and read from the system only here."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def system_clock() -> datetime:
    """Return the current time in UTC, cut to whole milliseconds so that a stored time reads back equal."""
    return from_millis(time.time_ns() // 1_000_000)


def to_millis(moment: datetime) -> int:
    """Return an aware time as whole milliseconds since 1970-01-01T00:00:00Z."""
    return (moment - _EPOCH) // _MILLISECOND


def from_millis(millis: int) -> datetime:
    """Return the aware UTC time `millis` milliseconds after 1970-01-01T00:00:00Z."""
    return _EPOCH + millis * _MILLISECOND


def sortable(millis: int) -> str:
    """Write whole milliseconds since 1970 so that texts sort as times do."""
    return f"{millis:015d}"


def to_rfc3339(moment: datetime) -> str:
    """Write an aware time as RFC 3339 in UTC with milliseconds, such as `2026-11-21T09:30:00.250Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso8601(text: str) -> datetime:
    """Read a date or a time in ISO 8601, in UTC where it names no zone. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def seconds_between(earlier: datetime, later: datetime) -> int:
    """Return the whole seconds from `earlier` to `later`, rounded up, never below 0: what `Retry-After` can say."""
    return max(0, -((earlier - later) // timedelta(seconds=1)))
