"""RSGI: requests reach threads with their bodies whole, threads send the answers, and the loop counts both right."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from common.errors import Code, Refusal
from common.web.problems import Problem
from common.web.rsgi import LOOK_SECONDS, Bounds, RsgiApp
from common.web.wsgi_bridge import Environ, Scope, WsgiApp
from tests.rsgi_caller import HandExchange, HandHeaders, HandScope
from tests.support.servers import until

BOUNDS = Bounds(head_bytes=4096, body_bytes=1000, body_seconds=0.2)


def echo(environ: Environ, start: Callable[..., Any]) -> list[bytes]:
    """Answer with the body."""
    start("200 OK", [("Thread", threading.current_thread().name)])
    return [environ["wsgi.input"].read()]


def refused(refusal: Refusal, _scope: Scope, _seconds: float) -> Problem:
    """Answer with the code alone."""
    return Problem(503, {}, str(refusal.code).encode())


def serving(app: WsgiApp, look_seconds: float = 0.001) -> RsgiApp:
    """Return an app with one thread."""
    return RsgiApp(app, BOUNDS, refused, threads=1, look_seconds=look_seconds)


def scope(length: int | None = None) -> HandScope:
    """Return a POST of a body of some length."""
    return HandScope("POST", "/", "", HandHeaders([] if length is None else [("Content-Length", str(length))]))


@dataclass(slots=True)
class InPieces(HandExchange):
    """A body that comes in pieces, and counts how many were asked for."""

    pieces: tuple[bytes, ...] = ()
    asked: int = 0
    sent_by: list[str] = field(default_factory=list)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.asked += 1
            yield piece

    def response_bytes(self, status: int, headers: Any, body: bytes) -> None:
        """Keep the answer, and who sent it."""
        self.sent_by.append(threading.current_thread().name)
        self.answer = (status, headers, body)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Return a loop."""
    with asyncio.Runner() as made:
        yield made


def test_the_thread_sends_what_the_app_answers(runner: asyncio.Runner) -> None:
    """Nobody waits for the loop to do it; the loop ends the request when it looks again, though nothing wakes it."""
    app, exchange = serving(echo, LOOK_SECONDS), InPieces(b"", pieces=(b"ab", b"c", b""))
    runner.run(app.__rsgi__(scope(3), exchange))
    assert exchange.answer == (200, [("Thread", exchange.sent_by[0])], b"abc")
    assert exchange.sent_by[0].startswith("requests")
    app.close()


def test_a_request_may_take_longer_than_the_loop_sleeps(runner: asyncio.Runner) -> None:
    """It looks again and again, while one is not answered."""

    def app(environ: Environ, start: Callable[..., Any]) -> list[bytes]:
        time.sleep(0.05)
        return echo(environ, start)

    served, exchange = serving(app), HandExchange(b"")
    runner.run(asyncio.wait_for(served.__rsgi__(scope(), exchange), 5))
    assert exchange.answer is not None
    served.close()


@pytest.mark.parametrize(
    ("length", "pieces", "asked"),
    [(3, (b"abc", b""), 1), (3, (b"a", b"bc", b""), 2), (None, (), 0), (0, (b"",), 0)],
    ids=["whole", "in two", "none", "empty"],
)
def test_nothing_is_asked_for_beyond_the_announced_end(
    runner: asyncio.Runner, length: int | None, pieces: tuple[bytes, ...], asked: int
) -> None:
    """Each piece costs a turn of the loop."""
    app, exchange = serving(echo), InPieces(b"", pieces=pieces)
    runner.run(app.__rsgi__(scope(length), exchange))
    assert exchange.asked == asked
    app.close()


def test_a_body_without_an_announced_end_is_read_to_it(runner: asyncio.Runner) -> None:
    """Chunks end with an empty piece."""
    app, exchange = serving(echo), InPieces(b"", pieces=(b"a", b"b", b""))
    chunked = HandScope("POST", "/", "", HandHeaders([("Transfer-Encoding", "chunked")]))
    runner.run(app.__rsgi__(chunked, exchange))
    assert (exchange.answer or ())[2:] == (b"ab",)
    assert exchange.asked == 3
    app.close()


def test_what_the_app_lets_through_is_the_servers(runner: asyncio.Runner) -> None:
    """It ends this request, not the thread: the next is answered."""
    faults = [ValueError("planted")]

    def app(environ: Environ, start: Callable[..., Any]) -> list[bytes]:
        if faults:
            raise faults.pop()
        return echo(environ, start)

    served, exchange = serving(app), HandExchange(b"abc")
    with pytest.raises(ValueError, match="planted"):
        runner.run(served.__rsgi__(scope(), exchange))
    assert exchange.answer is None
    runner.run(served.__rsgi__(scope(3), exchange))
    assert exchange.answer is not None
    served.close()


def test_a_thousand_may_wait_and_then_the_next_may(runner: asyncio.Runner) -> None:
    """One more is refused at once; when they are answered the next is let in, as often as that happens."""
    free = threading.Event()

    def app(environ: Environ, start: Callable[..., Any]) -> list[bytes]:
        free.wait(30)
        return echo(environ, start)

    served = serving(app, 30)

    async def crowd() -> list[int]:
        free.clear()
        requests = [HandExchange(b"") for _ in range(1000)]
        tasks = [asyncio.create_task(served.__rsgi__(scope(), each)) for each in requests]
        await asyncio.sleep(0)
        late = HandExchange(b"")
        await served.__rsgi__(scope(), late)
        assert late.answer is not None
        assert late.answer[0::2] == (503, str(Code.BUSY).encode())
        free.set()
        await asyncio.to_thread(until, lambda: all(each.answer for each in requests), "all are answered")
        assert not any(each.done() for each in tasks)  # the loop did not look yet
        requests.append(HandExchange(b""))
        last = asyncio.create_task(served.__rsgi__(scope(), requests[-1]))
        await asyncio.gather(*tasks)
        await asyncio.to_thread(until, lambda: requests[-1].answer, "the next is answered")
        served._end_answered()
        await last
        return [each.answer[0] for each in requests if each.answer]

    for _ in range(2):
        assert runner.run(crowd()) == [200] * 1001
    served.close()


def test_the_end_leaves_nobody_waiting(runner: asyncio.Runner) -> None:
    """Closing waits for the threads, and tells the loop what they did."""
    served, exchange = serving(echo, 30), HandExchange(b"")

    async def closed() -> None:
        task = asyncio.create_task(served.__rsgi__(scope(), exchange))
        await asyncio.sleep(0)
        served.close()
        await asyncio.wait_for(task, 5)

    runner.run(closed())
    assert exchange.answer is not None
