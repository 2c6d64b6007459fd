"""When the account's book of each open stream is read next. Pure: times are seconds of any one clock."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence

from session_manager.event_hub import Stream

_GOLDEN = 0.618034
"""Multiples of it, cut to what follows the point, lie evenly between 0 and 1 however many there are."""

_MOST_STALE = 1000


class PollSchedule:
    """The streams by their next moment; each has one at most."""

    def __init__(self) -> None:
        self._at: dict[Stream, float] = {}
        self._heap: list[tuple[float, int, Stream]] = []
        self._numbers, self._spread = itertools.count(), itertools.count(1)

    def __len__(self) -> int:
        return len(self._at)

    def spread(self, seconds: float) -> float:
        """Return a part of some seconds; those of calls one after another lie evenly between 0 and all of them."""
        return next(self._spread) * _GOLDEN % 1 * seconds

    def set(self, stream: Stream, at: float) -> None:
        """Have a stream's moment come then, and not at another one."""
        self._at[stream] = at
        heapq.heappush(self._heap, (at, next(self._numbers), stream))
        self._drop_stale()

    def forget(self, stream: Stream) -> None:
        """Let no moment of a stream come."""
        if self._at.pop(stream, None) is not None:
            self._drop_stale()

    def all_within(self, now: float, seconds: float) -> None:
        """Have the moments of all streams come within so many seconds, evenly spread; those before then stay."""
        self._at = {stream: min(at, now + self.spread(seconds)) for stream, at in self._at.items()}
        self._rebuild()

    def take_due(self, now: float, most: int) -> Sequence[Stream]:
        """Return streams whose moments have come, and forget these."""
        due: list[Stream] = []
        while self._heap and self._heap[0][0] <= now and len(due) < most:
            at, _, stream = heapq.heappop(self._heap)
            if self._at.get(stream) == at:
                del self._at[stream]
                due.append(stream)
        return due

    def _drop_stale(self) -> None:
        """Keep no more of what is not valid any more than there is that is."""
        if len(self._heap) > 2 * len(self._at) + _MOST_STALE:
            self._rebuild()

    def _rebuild(self) -> None:
        self._heap = [(at, next(self._numbers), stream) for stream, at in self._at.items()]
        heapq.heapify(self._heap)
