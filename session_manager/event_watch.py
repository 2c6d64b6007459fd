"""Watching for all streams of a process at once: one look at the feed a second, however many there are.

The feed may miss an ending: its process was killed before it wrote the hint, or is behind with that; this one could not
read the feed for a minute; a limit was lowered, which no change records. Then the books of all streams are read once,
within twenty seconds (a sweep). Beside that each stream's own book is read once an hour, and at the moment at which its
session would expire. While the store is unavailable nothing is told: that a session has ended is never guessed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from common.account.admission import Caller
from common.proof.dpop_service import RequestCredentials
from common.storage.port import StoreUnavailable
from session_manager.event_hub import Hub, Stream
from session_manager.event_model import Notice
from session_manager.event_schedule import PollSchedule
from session_manager.event_service import EventService

R = TypeVar("R")

FEED_SECONDS = 1.0
"""How often the feed is read."""

LOOK_SECONDS = 10.0
"""How often the heartbeats of all processes are looked at."""

SWEEP_SECONDS = 20.0
"""Within how many seconds a sweep reads the books of all streams."""

POLL_SECONDS = 3600.0
"""How often each stream's book is read whatever happens."""

_TICK_SECONDS = 0.5
_TOGETHER = 100
_THREADS, _POLLERS = 8, 8

_log = logging.getLogger(__name__)


class Watch:
    """Opens streams and ends them. The store is asked in threads of its own; the event loop never waits for it."""

    def __init__(
        self,
        service: EventService,
        hub: Hub,
        *,
        feed: float = FEED_SECONDS,
        look: float = LOOK_SECONDS,
        sweep: float = SWEEP_SECONDS,
        poll: float = POLL_SECONDS,
    ) -> None:
        self._service = service
        self._hub = hub
        self._feed, self._look, self._sweep, self._poll = feed, look, sweep, poll
        self._schedule = PollSchedule()
        self._sweeps = 0
        self._rules: tuple[int, int] | None = None
        self._callers = ThreadPoolExecutor(_THREADS, "stream-callers")
        self._reader = ThreadPoolExecutor(1, "feed")
        self._pollers = ThreadPoolExecutor(_POLLERS, "stream-polls")

    async def subscribe(self, credentials: RequestCredentials, source: str) -> Stream:
        """Return a new stream for the bearer of the token. Raises Refusal, StoreUnavailable."""
        self._hub.require_capacity(source)
        sweeps = self._sweeps
        rules, caller, until_expiry = await _in(self._callers, lambda: self._admitted(credentials))
        self._rules = self._rules or rules
        stream = self._hub.open(caller, source)
        first = self._schedule.spread(self._poll) if sweeps == self._sweeps else self._soon()
        self._poll_in(min(first, until_expiry), stream)
        return stream

    def _admitted(self, credentials: RequestCredentials) -> tuple[tuple[int, int], Caller, float]:
        """Return by which rules or later ones a token was found good, whose it is, and its session's seconds."""
        rules, caller = self._service.rules_in_force(), self._service.subscriber(credentials)
        return rules, caller, self._service.seconds_until(self._service.expiry_of(caller))

    def unsubscribe(self, stream: Stream) -> None:
        """Close a stream."""
        self._hub.close(stream)
        self._schedule.forget(stream)

    def stop(self) -> None:
        """End all streams: the server stops."""
        self._hub.end_all()

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_every(self._feed, self._read_feed))
                tasks.create_task(_every(self._look, self._look_at_processes))
                tasks.create_task(_every(min(_TICK_SECONDS, self._sweep, self._poll), self._poll_due))
        finally:
            for pool in (self._callers, self._reader, self._pollers):
                pool.shutdown(wait=False, cancel_futures=True)

    async def _read_feed(self) -> None:
        """Report what ended lately; a stream that was told is closed by the next time."""
        if len(self._hub) == 0:
            return
        rules = await _in(self._reader, self._service.rules_in_force)
        if rules != self._rules:
            self._rules = rules
            self._begin_sweep("other rules are in force")
        hinted = self._hub.hinted(await _in(self._reader, self._service.hints))
        if self._service.has_missed_hints:
            self._begin_sweep("the feed was not read for a while")
        await asyncio.gather(*(self._notify(user_uuid, session_id) for user_uuid, session_id in hinted))

    async def _notify(self, user_uuid: str, session_id: str) -> None:
        """Ask the book what became of a session, and tell its streams if it has ended; else what its user is asked."""
        found = await _in(self._callers, lambda: self._service.poll(user_uuid, session_id))
        if isinstance(found, Notice):
            self._hub.notify(session_id, found)
        elif found is None:
            for stream in self._hub.of(session_id):
                self._poll_in(self._soon(), stream)
        else:
            self._hub.ask(session_id, await _in(self._callers, lambda: self._service.asked(user_uuid, session_id)))

    async def _look_at_processes(self) -> None:
        """See whether a process may have left an ending untold."""
        if len(self._hub) and await _in(self._reader, self._service.has_untold_endings):
            self._begin_sweep("a process has stopped, or is behind")

    def _begin_sweep(self, why: str) -> None:
        """Have all books read soon. One that is being read now may be read too early, so it is read again."""
        _log.info("%s: the accounts of %d event streams are looked at", why, len(self._hub))
        self._sweeps += 1
        self._schedule.all_within(asyncio.get_running_loop().time(), self._sweep)

    def _soon(self) -> float:
        return self._schedule.spread(self._sweep)

    def _poll_in(self, seconds: float, stream: Stream) -> None:
        self._schedule.set(stream, asyncio.get_running_loop().time() + seconds)

    async def _poll_due(self) -> None:
        now = asyncio.get_running_loop().time()
        while streams := self._schedule.take_due(now, _TOGETHER):
            await self._poll_all(streams)

    async def _poll_all(self, streams: Sequence[Stream]) -> None:
        """Read the books of some streams, and set when each is read next."""
        sweeps = self._sweeps
        found = await asyncio.gather(*(_in(self._pollers, partial(self._poll_one, stream)) for stream in streams))
        for stream, outcome in zip(streams, found, strict=True):
            if isinstance(outcome, Notice):
                self._hub.notify(stream.session_id, outcome)
            elif not stream.ended.done():
                seconds = self._soon() if outcome is None or sweeps != self._sweeps else outcome
                self._poll_in(seconds, stream)

    def _poll_one(self, stream: Stream) -> Notice | float | None:
        """Return the notice, or in how many seconds the book is to be read again; None while nobody can say."""
        try:
            found = self._service.poll(stream.user_uuid, stream.session_id)
            if found is None or isinstance(found, Notice):
                return found
            return max(0.0, min(self._poll, self._service.seconds_until(found)))
        except StoreUnavailable:
            return None
        except Exception:  # noqa: BLE001 - a book that cannot be read keeps no other stream from its turn
            _log.exception("event streams: an unforeseen fault")
            return self._poll


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
