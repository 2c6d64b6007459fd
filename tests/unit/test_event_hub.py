"""The open streams of a process: told, counted, bounded, forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest

from common.account.admission import Caller
from common.account.approval import Asked
from common.account.book import Session
from common.errors import Code, Refusal
from session_manager.event_hub import Hub
from session_manager.event_model import Notice, StreamLimits, message

T0 = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
NOTICE = Notice("taken-over", T0, "Laptop")


def caller(user: str = "u", session: str = "s") -> Caller:
    """Return somebody with a session."""
    return Caller(user, "anna", Session(session, "d", 1, T0, T0, T0, T0), T0)


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test in an event loop."""

    def run() -> None:
        asyncio.run(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def refusal_of(call: Callable[[], object]) -> Refusal:
    """Return what a call is refused with."""
    with pytest.raises(Refusal) as refused:
        call()
    return refused.value


@in_loop
async def test_all_streams_of_a_session_are_told_once_and_no_other() -> None:
    """Tabs of one session hear of its end; another session does not."""
    hub = Hub(StreamLimits())
    tabs, other = [hub.open(caller(), "a"), hub.open(caller(), "a")], hub.open(caller(session="t"), "a")
    hub.notify("s", NOTICE)
    hub.notify("s", Notice("expired", T0))
    assert [tab.ended.result() for tab in tabs] == [NOTICE, NOTICE]
    assert not other.ended.done()


@in_loop
async def test_what_is_closed_is_forgotten() -> None:
    """Nothing is left of it in any count, however often it is closed."""
    hub = Hub(StreamLimits(session=1, user=1, source=1, total=1))
    for _ in range(3):
        stream = hub.open(caller(), "a")
        assert len(hub) == 1
        hub.close(stream)
        hub.close(stream)
        assert len(hub) == 0
        assert not hub.of("s")
        assert stream.ended.result() is None
    assert not hub._of_session
    assert not hub._of_user
    assert not hub._of_source


@pytest.mark.parametrize(
    ("limits", "user", "session", "source"),
    [
        pytest.param(StreamLimits(session=2), "u", "s", "b", id="session"),
        pytest.param(StreamLimits(user=2), "u", "t", "b", id="user"),
        pytest.param(StreamLimits(source=2), "v", "t", "a", id="source"),
    ],
)
def test_each_bound_refuses_one_more_and_lets_others_in(
    limits: StreamLimits, user: str, session: str, source: str
) -> None:
    """With 429 and Retry-After; after one was closed the next is accepted."""

    async def test() -> None:
        hub = Hub(limits)
        first, _ = hub.open(caller(), "a"), hub.open(caller(), "a")
        refusal = refusal_of(lambda: hub.open(caller(user, session), source))
        assert refusal.code is Code.TOO_MANY_STREAMS
        assert refusal.extensions["retry_after"]
        hub.open(caller("w", "w"), "w")
        hub.close(first)
        hub.open(caller(user, session), source)

    asyncio.run(test())


@in_loop
async def test_a_full_or_ending_process_is_busy() -> None:
    """503: another process, or this one later, may accept it."""
    hub = Hub(StreamLimits(total=1))
    stream = hub.open(caller(), "a")
    assert refusal_of(lambda: hub.require_capacity("b")).code is Code.BUSY
    hub.end_all()
    assert stream.ended.result() is None
    hub.close(stream)
    assert refusal_of(lambda: hub.open(caller(), "a")).code is Code.BUSY


def test_a_notice_is_written_for_both_endpoints() -> None:
    """The same fields, as an event and as a message."""
    assert NOTICE.as_event() == (
        b"event: session-revoked\n"
        b'data: {"reason":"taken-over","event_timestamp":"2026-11-21T09:00:00.000Z","by_device":"Laptop"}\n\n'
    )
    assert NOTICE.as_message() == message("session-revoked", NOTICE.fields)
    line_break = Notice("ended", T0, "a\nb").as_event()
    assert line_break.count(b"\n") == 3, "no name can break out of its line"


@in_loop
async def test_what_a_user_is_asked_is_told_once_on_each_stream() -> None:
    """However often it is hinted at; the stream stays open, and whoever waits on it is woken."""
    hub = Hub(StreamLimits())
    one, other = (hub.open(caller(), "a") for _ in range(2))
    elsewhere = hub.open(caller(session="t"), "a")
    waiting = asyncio.create_task(one.wait(60))
    await asyncio.sleep(0)
    for _ in range(3):
        hub.ask("s", [Asked("a1", "Laptop", T0, 30)])
    assert await waiting == Asked("a1", "Laptop", T0, 30)
    assert await other.wait(60) == Asked("a1", "Laptop", T0, 30)
    for stream in (one, other, elsewhere):
        assert await stream.wait(0.01) is None
        assert not stream.ended.done()
    hub.ask("s", [Asked("a2", None, T0, 30)])
    hub.notify("s", NOTICE)
    assert one.ended.result() == NOTICE
    assert one.waiting == []
