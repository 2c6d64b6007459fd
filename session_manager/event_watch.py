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

from common.account.admission import Caller
from common.proof.dpop_service import RequestCredentials
from common.storage.port import StoreUnavailable
from session_manager.event_hub import Hub, Stream
from session_manager.event_model import Notice
from session_manager.event_service import EventService

R = TypeVar("R")

FEED_SECONDS = 1.0
POLL_SECONDS = 60.0

_TICK_SECONDS = 0.5
_TOGETHER = 100
_THREADS = 8
_GOLDEN = 0.618034
"""Multiples of it, cut to what follows the point, lie evenly between 0 and 1 however many there are."""

_log = logging.getLogger(__name__)


class Watch:
    """Opens streams and ends them. The store is asked in threads of its own; the event loop never waits for it."""

    def __init__(
        self, service: EventService, hub: Hub, *, feed: float = FEED_SECONDS, poll: float = POLL_SECONDS
    ) -> None:
        self._service = service
        self._hub = hub
        self._feed = feed
        self._poll = poll
        self._due: list[tuple[float, int, Stream]] = []
        self._numbers, self._spread = itertools.count(), itertools.count(1)
        self._callers = ThreadPoolExecutor(_THREADS, "stream-callers")
        self._reader = ThreadPoolExecutor(1, "feed")
        self._poller = ThreadPoolExecutor(1, "stream-looks")

    async def subscribe(self, credentials: RequestCredentials, source: str) -> Stream:
        """Return a new stream for the bearer of the token. Raises Refusal, StoreUnavailable."""
        self._hub.require_capacity(source)
        caller: Caller = await _in(self._callers, lambda: self._service.subscriber(credentials))
        stream = self._hub.open(caller, source)
        first_poll = next(self._spread) * _GOLDEN % 1 * self._poll
        self._schedule_poll(stream, min(first_poll, self._service.seconds_until(self._service.expiry_of(caller))))
        return stream

    def unsubscribe(self, stream: Stream) -> None:
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
                tasks.create_task(_every(min(_TICK_SECONDS, self._poll), self._poll_due))
        finally:
            for pool in (self._callers, self._reader, self._poller):
                pool.shutdown(wait=False, cancel_futures=True)

    async def _read_feed(self) -> None:
        """Report what ended lately; a stream that was told is closed by the next time."""
        if len(self._hub) == 0:
            return
        hinted = self._hub.hinted(await _in(self._reader, self._service.hints))
        await asyncio.gather(*(self._notify(user_uuid, session_id) for user_uuid, session_id in hinted))

    async def _notify(self, user_uuid: str, session_id: str) -> None:
        """Ask the book what became of a session, and tell its streams if it has ended; else what its user is asked."""
        found = await _in(self._callers, lambda: self._service.poll(user_uuid, session_id))
        if isinstance(found, Notice):
            self._hub.notify(session_id, found)
        elif found is not None:
            self._hub.ask(session_id, await _in(self._callers, lambda: self._service.asked(user_uuid, session_id)))

    def _schedule_poll(self, stream: Stream, seconds: float) -> None:
        moment = asyncio.get_running_loop().time() + seconds
        heapq.heappush(self._due, (moment, next(self._numbers), stream))

    async def _poll_due(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._due and self._due[0][0] <= now:
            streams: list[Stream] = []
            while self._due and self._due[0][0] <= now and len(streams) < _TOGETHER:
                streams.append(heapq.heappop(self._due)[2])
            await self._poll_all([stream for stream in streams if not stream.ended.done()])

    async def _poll_all(self, streams: Sequence[Stream]) -> None:
        def poll() -> list[Notice | datetime | None]:
            return [self._service.poll(stream.user_uuid, stream.session_id) for stream in streams]

        for stream, found in zip(streams, await _in(self._poller, poll), strict=True):
            if isinstance(found, Notice):
                self._hub.notify(stream.session_id, found)
                continue
            left = self._poll if found is None else self._service.seconds_until(found)
            self._schedule_poll(stream, max(0.0, min(self._poll, left)))


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
        except Exception:  # noqa: BLE001 - a fault of one turn must not end the watch for all streams
            _log.exception("event streams: an unforeseen fault")
        await asyncio.sleep(max(0.05, seconds - (loop.time() - begun)))


async def _in(pool: ThreadPoolExecutor, call: Callable[[], R]) -> R:
    return await asyncio.get_running_loop().run_in_executor(pool, call)
