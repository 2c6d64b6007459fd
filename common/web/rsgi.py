"""Serving a WSGI app over RSGI, granian's own interface: an event loop collects requests, threads answer them.

A request reaches a thread when its whole body is there, so that a client who sends slowly, or never ends, holds memory
for some seconds and nothing else. The thread sends the answer itself: to wake the loop for that would cost as much as a
third of a refresh. What `fast` can answer is answered on the loop, without a thread. See
https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from common.errors import Code, Refusal
from common.web.problems import Problem
from common.web.wsgi_bridge import Answer, Scope, WsgiApp, answered, environ_of

_MOST_HELD = 64 * 1024 * 1024
"""Bytes of unfinished bodies that a process holds at most; beyond it the oldest of them is given up."""

_MOST_WAITING = 1000
"""Requests that wait for a thread, or have one; beyond it a request is answered 503 at once."""

LOOK_SECONDS = 0.05
"""How long the loop may sleep on while a request that a thread has answered is still in its books."""

_CLOSE = ("Connection", "close")
_AFTER_EACH_LINE, _BESIDE_THE_PATH = len(": \r\n"), len("  HTTP/1.1\r\n\r\n")

Fast: TypeAlias = Callable[[Sequence[tuple[str, str]], Scope], Answer | None]
"""Returns a request's answer, given its headers, without waiting for anything; None when the app must answer."""

Refuse: TypeAlias = Callable[[Refusal, Scope, float], Problem]
"""Writes the problem document of a request that the app never saw, and that took so many seconds."""


class Exchange(Protocol):
    """One request and its answer, as granian hands it over."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the body piece by piece."""

    def response_bytes(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Send the answer: on any thread, and nothing if there was one before."""


class _Answered(NamedTuple):
    """A request that a thread is done with, and the exception that the app let through, if any."""

    request: asyncio.Future[None]
    fault: BaseException | None


class Bounds(Struct, frozen=True):
    """What a request may take: bytes of its head and its body, and the seconds in which the whole body must come."""

    head_bytes: int
    body_bytes: int
    body_seconds: float


class RsgiApp:
    """An RSGI callable around a WSGI app.

    `fast` maps paths to what answers GET there on the loop. `refuse` writes problem documents. `threads`: how many
    requests the app answers at once.
    """

    def __init__(
        self,
        app: WsgiApp,
        bounds: Bounds,
        refuse: Refuse,
        *,
        threads: int,
        fast: Mapping[str, Fast] | None = None,
        leaves_body: Callable[[str], bool] = lambda _path: False,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._app = app
        self._bounds = bounds
        self._refuse = refuse
        self._fast: Mapping[str, Fast] = fast or {}
        self._leaves_body = leaves_body
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="requests")
        self._waiting = 0
        self._answered: deque[_Answered] = deque()
        self._look_seconds = look_seconds
        self._look: asyncio.TimerHandle | None = None
        self._held = 0
        self._collecting: dict[asyncio.Timeout, None] = {}
        self._is_closing = False

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        """Answer a request."""
        headers, fast = scope.headers.items(), self._fast.get(scope.path)
        if fast is not None and scope.method == "GET":
            answer = fast(headers, scope)
            if answer is not None:
                exchange.response_bytes(*answer)
                return
        self._end_answered()
        await self._answer(scope, headers, exchange)

    def close_connections(self) -> None:
        """Let each connection end with its next answer."""
        self._is_closing = True
        self._fast = {}

    def close(self) -> None:
        """Let the threads end, when they have answered what they have."""
        self._pool.shutdown()
        self._end_answered()

    async def _answer(self, scope: Scope, headers: Sequence[tuple[str, str]], exchange: Exchange) -> None:
        began = time.perf_counter()
        try:
            self._check_head(scope, headers)
            body = None if self._leaves_body(scope.path) else await self._body(scope, exchange)
            await self._hand_over(environ_of(scope, headers, body), exchange)
        except Refusal as refusal:
            problem = self._refuse(refusal, scope, time.perf_counter() - began)
            exchange.response_bytes(*_closing((problem.status, list(problem.headers.items()), problem.body)))

    def _check_head(self, scope: Scope, headers: Sequence[tuple[str, str]]) -> None:
        if size_of_head(scope, headers) > self._bounds.head_bytes:
            raise Refusal(Code.HEAD_TOO_LARGE)

    async def _hand_over(self, environ: dict[str, object], exchange: Exchange) -> None:
        """Let a thread ask the app and send what it answers. Raises Refusal(BUSY), and what the app lets through."""
        if self._waiting >= _MOST_WAITING:
            raise Refusal(Code.BUSY, reason="too many requests wait for a thread", retry_after=1)
        loop = asyncio.get_running_loop()
        request: asyncio.Future[None] = loop.create_future()
        self._waiting += 1
        self._pool.submit(self._ask, environ, exchange, request)
        self._look = self._look or loop.call_later(self._look_seconds, self._look_again, loop)
        await request

    def _ask(self, environ: dict[str, object], exchange: Exchange, request: asyncio.Future[None]) -> None:
        """Send the app's answer, on a thread of the pool."""
        fault = None
        try:
            answer = answered(self._app, environ)
            exchange.response_bytes(*(_closing(answer) if self._is_closing else answer))
        except BaseException as error:  # noqa: BLE001 - the loop raises it
            fault = error
        self._answered.append(_Answered(request, fault))

    def _end_answered(self) -> None:
        """Let the loop know of the requests that were answered since it last did."""
        while self._answered:
            request, fault = self._answered.popleft()
            self._waiting -= 1
            if request.done():
                continue
            if fault is None:
                request.set_result(None)
            else:
                request.set_exception(fault)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._end_answered()
        self._look = loop.call_later(self._look_seconds, self._look_again, loop) if self._waiting else None

    async def _body(self, scope: Scope, exchange: Exchange) -> bytes | None:
        """Return the whole body; None where there is none. Raises Refusal."""
        announced = scope.headers.get("content-length")
        if announced is None and "transfer-encoding" not in scope.headers:
            return None
        length = None if announced is None else int(announced)  # the server lets nothing but digits through
        if length is not None and length > self._bounds.body_bytes:
            raise Refusal(Code.BODY_TOO_LARGE)
        try:
            return await self._collected(exchange, length) if length != 0 else b""
        except TimeoutError:
            raise Refusal(Code.REQUEST_TIMEOUT) from None

    async def _collected(self, exchange: Exchange, length: int | None) -> bytes:
        """Take the body's pieces as they come. Raises TimeoutError; Refusal: BODY_TOO_LARGE, INVALID_REQUEST.

        A body that breaks off ends like any other, with an empty piece, only that there are two of them.
        """
        body, empty = bytearray(), 0
        async with asyncio.timeout(self._bounds.body_seconds) as timer:
            self._collecting[timer] = None
            try:
                async for piece in exchange:
                    empty += not piece
                    body += piece
                    self._held += len(piece)
                    if len(body) > self._bounds.body_bytes:
                        raise Refusal(Code.BODY_TOO_LARGE)
                    if self._held > _MOST_HELD:
                        next(iter(self._collecting)).reschedule(asyncio.get_running_loop().time())
                    if len(body) == length:  # the end would be one more turn of the loop
                        break
            finally:
                del self._collecting[timer]
                self._held -= len(body)
        if empty > 1 or length not in (None, len(body)):
            raise Refusal(Code.INVALID_REQUEST, problem="the body broke off")
        return bytes(body)


def size_of_head(scope: Scope, headers: Sequence[tuple[str, str]]) -> int:
    """Return the bytes of a request's head: the path as it is decoded, and one space behind each colon."""
    query = len(scope.query_string)
    lines = len(scope.method) + len(scope.path) + query + (query > 0) + _BESIDE_THE_PATH
    return lines + sum([len(name) + len(value) + _AFTER_EACH_LINE for name, value in headers])


def _closing(answer: Answer) -> Answer:
    status, headers, body = answer
    return status, [*headers, _CLOSE], body
