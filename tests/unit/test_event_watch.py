"""The watch over a service that answers when the test says so: what is under way as a sweep begins, and what fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from common.account.admission import Caller
from common.storage.port import StoreUnavailable
from session_manager.event_hub import Hub, Stream
from session_manager.event_model import Notice, StreamLimits
from session_manager.event_watch import Watch
from tests.support.servers import until
from tests.unit.test_event_hub import NOTICE, T0, caller

QUICK, SOON, LONG = 0.01, 0.05, 3600.0


class Service:
    """What the watch asks. `polled` answers each poll in its turn; the last one answers all that follow."""

    def __init__(self, *polled: Callable[[], Notice | datetime | None]) -> None:
        self.polled, self.polls = [*polled], 0
        self.until_expiry = [0.0]
        self.untold = 0
        self.rules = (1, 1)
        self.subscribing: Callable[[], object] = lambda: None
        self.has_missed_hints = False

    def rules_in_force(self) -> tuple[int, int]:
        """Return the rules."""
        return self.rules

    def subscriber(self, _credentials: Any) -> Caller:
        """Return a caller with a session."""
        self.subscribing()
        return caller()

    def expiry_of(self, _caller: Caller) -> datetime:
        """Return any time."""
        return T0

    def seconds_until(self, _moment: datetime) -> float:
        """Return what comes next, and then an hour and more."""
        return self.until_expiry.pop(0) if self.until_expiry else 2 * LONG

    def hints(self) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def has_untold_endings(self) -> bool:
        """Say yes as often as was asked for."""
        self.untold -= 1
        return self.untold >= 0

    def poll(self, _user: str, _session: str) -> Notice | datetime | None:
        """Answer as the test says."""
        self.polls += 1
        return (self.polled.pop(0) if len(self.polled) > 1 else self.polled[0])()


async def watched(service: Service, story: Callable[[Watch], Any]) -> Notice | None:
    """Tell a story with a watch; return what the stream that it opens is told within some seconds."""
    watch: Any = Watch(service, Hub(StreamLimits()), feed=QUICK, look=QUICK, sweep=SOON, poll=LONG)  # type: ignore[arg-type]
    running = asyncio.create_task(watch.run())
    try:
        stream: Stream = await story(watch)
        done, _ = await asyncio.wait((stream.ended,), timeout=5)
        return stream.ended.result() if done else None
    finally:
        running.cancel()


def test_a_book_that_is_being_read_when_a_sweep_begins_is_read_again() -> None:
    """It may have been read before what the sweep looks for."""
    reading, may_end = threading.Event(), threading.Event()

    def slowly() -> datetime:
        reading.set()
        may_end.wait(60)
        return T0

    service = Service(slowly, lambda: NOTICE)

    async def story(watch: Any) -> Stream:
        stream: Stream = await watch.subscribe(None, "test")
        await asyncio.to_thread(reading.wait, 60)
        service.untold = 1
        await asyncio.to_thread(until, lambda: service.untold <= 0, "a look")
        await asyncio.sleep(SOON)
        may_end.set()
        return stream

    assert asyncio.run(watched(service, story)) == NOTICE


def test_a_stream_that_is_being_opened_when_a_sweep_begins_is_read_too() -> None:
    """Its token was judged before."""
    service = Service(lambda: NOTICE)
    service.until_expiry = [2 * LONG]
    opening, may_open = threading.Event(), threading.Event()

    async def story(watch: Any) -> Stream:
        await watch.subscribe(None, "another")  # the sweep needs one
        service.until_expiry, service.polled = [2 * LONG], [lambda: T0, lambda: NOTICE]
        service.subscribing = lambda: (opening.set(), may_open.wait(60))
        stream = asyncio.create_task(watch.subscribe(None, "test"))
        await asyncio.to_thread(opening.wait, 60)
        service.rules = (2, 1)
        await asyncio.to_thread(until, lambda: service.polls > 0, "the sweep")
        may_open.set()
        opened: Stream = await stream
        return opened

    assert asyncio.run(watched(service, story)) == NOTICE


def failing() -> None:
    """Be a book that cannot be read."""
    raise StoreUnavailable("away")


@pytest.mark.parametrize("fault", [failing, lambda: None])
def test_a_book_that_cannot_be_read_is_tried_again_soon(fault: Callable[[], None]) -> None:
    """Not after an hour."""
    service = Service(fault, fault, lambda: NOTICE)

    async def story(watch: Any) -> Stream:
        stream: Stream = await watch.subscribe(None, "test")
        return stream

    assert asyncio.run(watched(service, story)) == NOTICE
    assert service.polls == 3
