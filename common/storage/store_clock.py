"""The store's clock, as this process knows it: one time for all processes, whatever their hosts' clocks say.

The difference to the monotonic clock is measured about once a second. Where it is not known well enough, no time is
told: the caller gets StoreUnavailable, and the request is answered 503.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, runtime_checkable

from msgspec import Struct

from common.clock import Clock, from_millis, to_millis
from common.storage.clock_offset import LONGEST_UNMEASURED_SECONDS, ClockReading, OffsetBounds, measured
from common.storage.port import StoreUnavailable

MEASURED_EVERY_SECONDS = 1.0

_TOLD_SECONDS = 1.0
"""A host's clock that is wrong by more is told in the log."""

_log = logging.getLogger(__name__)


@runtime_checkable
class HasClock(Protocol):
    """An engine whose clock can be read."""

    def read_clock(self) -> ClockReading:
        """Return what it shows now. Raises StoreUnavailable."""


monotonic: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)
"""Returns a time that no one sets and that goes on while the machine is suspended, where the system has one."""


class _InUse(Struct, frozen=True):
    """What is added to the monotonic time, and the monotonic time up to which that may be done without a thought."""

    bounds: OffsetBounds
    offset: float
    until: float


class StoreClock:
    """A `common.clock.Clock` that tells the store's time once it was measured. Any thread may call it.

    `local`: the host's own clock, to tell how wrong it is. `ahead`: for tests, as if the store's clock were set.
    Until `watch` is called what was measured stays good: a command or a test measures once.
    """

    def __init__(
        self,
        local: Clock,
        *,
        ahead: timedelta = timedelta(0),
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        self._local = local
        self._ahead = ahead.total_seconds()
        self._monotonic = monotonic
        self._bounds: OffsetBounds | None = None
        self._in_use: _InUse | None = None
        self._watched = False
        self._told, self._wrong = 0.0, 0.0

    def __call__(self) -> datetime:
        """Return the store's time. Raises StoreUnavailable where it is not known within two seconds."""
        in_use, now = self._in_use, self._monotonic()
        if in_use is None:
            raise StoreUnavailable("the store's clock was not read yet")
        if now > in_use.until and (fault := in_use.bounds.fault(now)) is not None:
            raise StoreUnavailable(fault)
        return from_millis(int((now + in_use.offset) * 1000))

    @property
    def host_ahead(self) -> float:
        """By how many seconds this host's clock was ahead of the store's at the last measurement."""
        return self._wrong

    def watch(self) -> None:
        """Tell no time that was not measured lately; a background thread calls `measure` about once a second."""
        self._watched = True
        self._use(self._bounds)

    def measure(self, store: HasClock) -> None:
        """Read the store's clock. Raises StoreUnavailable; what was measured before stays."""
        sent = self._monotonic()
        reading = store.read_clock()
        received = self._monotonic()
        before, self._bounds = self._bounds, measured(self._bounds, reading, sent, received)
        self._use(self._bounds)
        if before is not None and abs(self._bounds.offset() - before.offset()) > LONGEST_UNMEASURED_SECONDS:
            _log.warning("the store's clock was set by %.0f seconds", self._bounds.offset() - before.offset())
        self._tell(received)

    def _use(self, bounds: OffsetBounds | None) -> None:
        if bounds is not None:
            until = bounds.good_until() if self._watched else math.inf
            self._in_use = _InUse(bounds, bounds.offset() + self._ahead, until)

    def _tell(self, now: float) -> None:
        """Say in the log how wrong this host's clock is, when that has changed."""
        if self._bounds is None:
            return
        wrong = to_millis(self._local()) / 1000 - (now + self._bounds.offset())
        self._wrong = wrong
        if abs(wrong - self._told) > _TOLD_SECONDS:
            self._told = wrong
            _log.warning("this host's clock is %.0f seconds ahead of the store's, which counts", wrong)


def measure_clock(clock: Clock, store: object) -> None:
    """Measure a store's clock, where it is one that this process reads. Raises StoreUnavailable."""
    if isinstance(clock, StoreClock):
        if not isinstance(store, HasClock):
            raise TypeError(f"{type(store).__name__} has no clock")
        clock.measure(store)
