"""How far the store's clock is from this process's monotonic one: bounds that each measurement narrows. Pure.

A measurement says that at some moment between sending and receiving the store's clock showed a time, cut to its
resolution. So the difference between the clocks lies within bounds. Those of the measurement before, widened by what
the two may have drifted apart meanwhile, are narrowed by it (after Marzullo, 1984); where they do not meet, one of the
clocks was set, and the new measurement stands alone.
"""

from __future__ import annotations

from msgspec import Struct

DRIFT = 0.001
"""How much faster or slower one clock may run than the other: a thousandth, ten times what quartz does."""

MOST_UNCERTAIN_SECONDS = 2.0
LONGEST_UNMEASURED_SECONDS = 30.0


class ClockReading(Struct, frozen=True):
    """What the store's clock showed, in seconds since 1970; it was cut to `resolution` seconds."""

    shown: float
    resolution: float


class OffsetBounds(Struct, frozen=True):
    """The store's time minus the monotonic one lies between `low` and `high`, as of the monotonic time `at`."""

    low: float
    high: float
    at: float

    def offset(self) -> float:
        """Return the middle."""
        return (self.low + self.high) / 2

    def uncertainty(self, now: float) -> float:
        """Return by how many seconds the middle may be wrong at a monotonic time."""
        return (self.high - self.low) / 2 + DRIFT * (now - self.at)

    def good_until(self) -> float:
        """Return the last monotonic time for which `fault` has nothing to say."""
        certain = (MOST_UNCERTAIN_SECONDS - (self.high - self.low) / 2) / DRIFT
        return self.at + min(LONGEST_UNMEASURED_SECONDS, certain)

    def fault(self, now: float) -> str | None:
        """Say why no time can be told at a monotonic time; None where it can."""
        if now - self.at > LONGEST_UNMEASURED_SECONDS:
            return f"the store's clock could not be read for {now - self.at:.0f} seconds"
        if self.uncertainty(now) > MOST_UNCERTAIN_SECONDS:
            return f"the store's clock is known to {self.uncertainty(now):.1f} seconds only"
        return None


def measured(before: OffsetBounds | None, reading: ClockReading, sent: float, received: float) -> OffsetBounds:
    """Return the bounds after a measurement, sent and received at these monotonic times."""
    drifted = DRIFT * (received - sent)
    low, high = reading.shown - received - drifted, reading.shown + reading.resolution - sent + drifted
    if before is not None:
        drifted = DRIFT * (received - before.at)
        narrower = max(low, before.low - drifted), min(high, before.high + drifted)
        if narrower[0] <= narrower[1]:
            low, high = narrower
    return OffsetBounds(low, high, received)
