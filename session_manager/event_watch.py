"""Watching for all streams of a process at once: one look at the feed a second, however many there are.

The feed is quick but may miss something: clocks far apart, a change made by hand, a session that merely expired. So
each stream's own book is read once a minute as well, and at the moment at which its session would expire. While the
store is away nothing is told: that a session has ended is never guessed.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

from common.feed import Ending
from common.granting import Caller
from common.possession import Presented
from common.storage.port import StoreUnavailable
from session_manager.event_hub import Hub, Stream
from session_manager.event_model import Notice
from session_manager.event_service import EventService

R = TypeVar("R")

FEED_SECONDS = 1.0
LOOK_SECONDS = 60.0

_TICK_SECONDS = 0.5
_TOGETHER = 100
_THREADS = 8
_GOLDEN = 0.618034
"""Multiples of it, cut to what follows the point, lie evenly between 0 and 1 however many there are."""

_log = logging.getLogger(__name__)


class Watch:
    """Opens streams and ends them. The store is asked in threads of its own; the event loop never waits for it."""

    def __init__(
        self, service: EventService, hub: Hub, *, feed: float = FEED_SECONDS, look: float = LOOK_SECONDS
    ) -> None:
        self._service = service
        self._hub = hub
        self._feed = feed
        self._look = look
        self._due: list[tuple[float, int, Stream]] = []
        self._numbers, self._spread = itertools.count(), itertools.count(1)
        self._callers = ThreadPoolExecutor(_THREADS, "stream-callers")
        self._reader = ThreadPoolExecutor(1, "feed")
        self._looker = ThreadPoolExecutor(1, "stream-looks")

    async def listen(self, presented: Presented, source: str) -> Stream:
        """Return a new stream for whoever bears the token. Raises Refusal, StoreUnavailable."""
        self._hub.require_room(source)
        caller: Caller = await _in(self._callers, lambda: self._service.listener(presented))
        stream = self._hub.open(caller, source)
        first_look = next(self._spread) * _GOLDEN % 1 * self._look
        self._look_at(stream, min(first_look, self._service.seconds_until(self._service.deadline_of(caller))))
        return stream

    def leave(self, stream: Stream) -> None:
        """Close a stream."""
        self._hub.close(stream)

    def stop(self) -> None:
        """End all streams: the server stops."""
        self._hub.end_all()

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_every(self._feed, self._read_feed))
                tasks.create_task(_every(min(_TICK_SECONDS, self._look), self._look_again))
        finally:
            for pool in (self._callers, self._reader, self._looker):
                pool.shutdown(wait=False, cancel_futures=True)

    async def _read_feed(self) -> None:
        """Tell of what ended lately; whoever was told is gone by the next time."""
        if len(self._hub) == 0:
            return
        endings = await _in(self._reader, self._heard)
        await asyncio.gather(*(self._tell(ending) for ending in endings))

    def _heard(self) -> Sequence[Ending]:
        return [ending for ending in self._service.ended_lately() if self._hub.of(ending.session_id)]

    async def _tell(self, ending: Ending) -> None:
        notice = await _in(self._callers, lambda: self._service.notice_of(ending))
        self._hub.tell(ending.session_id, notice)

    def _look_at(self, stream: Stream, seconds: float) -> None:
        moment = asyncio.get_running_loop().time() + seconds
        heapq.heappush(self._due, (moment, next(self._numbers), stream))

    async def _look_again(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._due and self._due[0][0] <= now:
            streams: list[Stream] = []
            while self._due and self._due[0][0] <= now and len(streams) < _TOGETHER:
                streams.append(heapq.heappop(self._due)[2])
            await self._look_at_all([stream for stream in streams if not stream.ended.done()])

    async def _look_at_all(self, streams: Sequence[Stream]) -> None:
        def look() -> list[Notice | datetime | None]:
            return [self._service.look(stream.user_uuid, stream.session_id) for stream in streams]

        for stream, found in zip(streams, await _in(self._looker, look), strict=True):
            if isinstance(found, Notice):
                self._hub.tell(stream.session_id, found)
                continue
            left = self._look if found is None else self._service.seconds_until(found)
            self._look_at(stream, max(0.0, min(self._look, left)))


async def _every(seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do something again and again, at most that often; what goes wrong is logged, and the next time comes."""
    loop, away = asyncio.get_running_loop(), False
    while True:
        begun = loop.time()
        try:
            await work()
            away = False
        except StoreUnavailable as error:
            if not away:
                _log.warning("event streams: the store is unavailable: %s", error)
            away = True
        except Exception:  # noqa: BLE001 - a fault of one turn must not end the watch for everybody
            _log.exception("event streams: an unforeseen fault")
        await asyncio.sleep(max(0.05, seconds - (loop.time() - begun)))


async def _in(pool: ThreadPoolExecutor, call: Callable[[], R]) -> R:
    return await asyncio.get_running_loop().run_in_executor(pool, call)
