"""`GET /session/events`, as Server-Sent Events and as a WebSocket: two transports of the same streams.

An ASGI app of its own, because a stream would hold a thread of a WSGI server for as long as it is open. Beside the
streams it answers `/health` and `/ready`, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from msgspec import Struct, field
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from common.web.asgi import SafeHeaders, credentials_of, problem_handlers, source_of
from common.web.client_info import CertificateHeader, Network
from session_manager.event_hub import Stream
from session_manager.event_model import CLOSING, HEARTBEAT, OPENING, asked_event
from session_manager.event_socket import Socket
from session_manager.event_watch import Watch

HEARTBEAT_SECONDS = 20.0

_PATH = "/session/events"
_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventHttpContext(Struct, frozen=True):
    """What requests are checked with: the base of problem types, the own URL, allowed origins, trusted proxies."""

    base_url: str
    url: str
    origins: Sequence[str]
    trusted_proxies: Sequence[Network]
    is_ready: Callable[[], None]
    heartbeat: float = HEARTBEAT_SECONDS
    certificates: CertificateHeader = field(default_factory=CertificateHeader)


def event_app(watch: Watch, context: EventHttpContext) -> Starlette:
    """Return the app; its lifespan runs the watch."""

    async def events(request: Request) -> Response | EventStream:
        credentials = credentials_of(request, context.url, context.certificates)
        source = source_of(request, context.trusted_proxies)
        if request.method == "HEAD":
            return Response(headers=_HEADERS)
        return EventStream(await watch.subscribe(credentials, source), watch, context.heartbeat)

    async def health(_request: Request) -> Response:
        return JSONResponse({"success": True, "status": "up"})

    async def ready(_request: Request) -> Response:
        await run_in_threadpool(context.is_ready)
        return JSONResponse({"success": True, "status": "ready"})

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(watch.run())
        yield
        watch.stop()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    socket = Socket(
        watch,
        context.origins,
        context.trusted_proxies,
        context.base_url,
        context.url,
        context.heartbeat,
        context.certificates,
    )
    paths = (_PATH, _PATH + "/")
    return Starlette(
        routes=[
            *(Route(path, events, methods=["GET"]) for path in paths),
            *(WebSocketRoute(path, socket.serve) for path in paths),
            Route("/health", health, methods=["GET"]),
            Route("/ready", ready, methods=["GET"]),
        ],
        middleware=[Middleware(SafeHeaders), _cors(context.origins)],
        exception_handlers=problem_handlers(context.base_url, context.trusted_proxies),
        lifespan=lifespan,
    )


def _cors(origins: Sequence[str]) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET"],
        allow_headers=["Authorization", "DPoP"],
        expose_headers=["DPoP-Nonce", "Retry-After", "WWW-Authenticate"],
        max_age=600,
    )


class EventStream:
    """An open stream as an answer: a heartbeat now and then, what its user is asked, and the end with its reason."""

    def __init__(self, stream: Stream, watch: Watch, heartbeat: float) -> None:
        self._stream = stream
        self._watch = watch
        self._heartbeat = heartbeat

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI. Whichever side ends it, the stream is closed when this returns."""
        leaving = asyncio.create_task(self._await_leave(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": Headers(_HEADERS).raw})
            await send({"type": "http.response.body", "body": OPENING, "more_body": True})
            while not self._stream.ended.done():
                asked = await self._stream.wait(self._heartbeat)
                if not self._stream.ended.done():
                    said = HEARTBEAT if asked is None else asked_event(asked)
                    await send({"type": "http.response.body", "body": said, "more_body": True})
            notice = self._stream.ended.result()
            await send({"type": "http.response.body", "body": CLOSING if notice is None else notice.as_event()})
        finally:
            leaving.cancel()
            self._watch.unsubscribe(self._stream)

    async def _await_leave(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._watch.unsubscribe(self._stream)
