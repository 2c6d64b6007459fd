"""The second transport of event streams: a WebSocket (RFC 6455). What is said is the same; how one is let in differs.

A browser can put no header on a WebSocket, and a token must not stand in a URL. So the token is the first message,
`{"access_token": "…"}`, with `"proof"` where it is bound to a key (a DPoP proof as for a GET), and must come within
five seconds; and the `Origin`, which a browser cannot forge, is checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from common.errors import Code, Refusal
from common.proof.dpop_service import RequestCredentials
from common.storage.port import StoreUnavailable
from common.web.asgi import certificate_of, problem_for, source_of
from common.web.client_info import CertificateHeader, Network
from session_manager.event_hub import Stream
from session_manager.event_model import APPROVAL, message
from session_manager.event_watch import Watch

FIRST_MESSAGE_SECONDS = 5.0

DONE, SERVER_ENDS, TOO_LARGE = 1000, 1001, 1009
PROBLEM = 4000
"""A problem's close code is this and its status: 4401, 4429, 4503 …"""

_LARGEST_MESSAGE = 8192
_MOST_WAITING = 200
_WAITING_OF_SOURCE = 20


class Socket:
    """Serves sockets. `origins`: the web origins that may open one; a client that is no browser sends none."""

    def __init__(
        self,
        watch: Watch,
        origins: Sequence[str],
        trusted: Sequence[Network],
        base_url: str,
        url: str,
        heartbeat: float,
        certificates: CertificateHeader,
    ) -> None:
        self._watch = watch
        self._origins = frozenset(origins)
        self._trusted = trusted
        self._base_url = base_url
        self._url = url
        self._heartbeat = heartbeat
        self._certificates = certificates
        self._waiting: list[str] = []

    async def serve(self, socket: WebSocket) -> None:
        """Serve one socket from its handshake to its end."""
        source = source_of(socket, self._trusted)
        if not self._may_connect(socket, source):
            await socket.close()  # before it was accepted: the handshake is answered 403
            return
        await socket.accept()
        with suppress(WebSocketDisconnect, RuntimeError):  # the other side may leave at any moment
            try:
                stream = await self._let_in(socket, source)
            except (Refusal, StoreUnavailable) as error:
                await self._refuse(socket, error)
                return
            await self._stream(socket, stream)

    def _may_connect(self, socket: WebSocket, source: str) -> bool:
        client = socket.headers.get("Origin")
        if client is not None and client not in self._origins:
            return False
        return len(self._waiting) < _MOST_WAITING and self._waiting.count(source) < _WAITING_OF_SOURCE

    async def _let_in(self, socket: WebSocket, source: str) -> Stream:
        self._waiting.append(source)
        try:
            first = await asyncio.wait_for(_text(socket), FIRST_MESSAGE_SECONDS)
        except TimeoutError:
            raise Refusal(Code.TOKEN_MISSING, reason="no message in time") from None
        finally:
            self._waiting.remove(source)
        certificate = certificate_of(socket, self._certificates)
        return await self._watch.subscribe(_presented(first, self._url, certificate), source)

    async def _refuse(self, socket: WebSocket, error: Exception) -> None:
        made = problem_for(error, socket, self._base_url, self._trusted)
        await socket.send_text(message("problem", orjson.loads(made.body)))
        await socket.close(PROBLEM + made.status)

    async def _stream(self, socket: WebSocket, stream: Stream) -> None:
        leaving = asyncio.create_task(self._await_leave(socket, stream))
        try:
            await socket.send_text(message("open"))
            while not stream.ended.done():
                asked = await stream.wait(self._heartbeat)
                if not stream.ended.done():
                    said = message("heartbeat") if asked is None else message(APPROVAL, asked.to_json())
                    await socket.send_text(said)
            notice = stream.ended.result()
            if notice is not None:
                await socket.send_text(notice.as_message())
            await _cancelled(leaving)  # granian does not close while a task waits for a message
            await socket.close(SERVER_ENDS if notice is None else DONE)
        finally:
            leaving.cancel()
            self._watch.unsubscribe(stream)

    async def _await_leave(self, socket: WebSocket, stream: Stream) -> None:
        """Pass over what the client says, until it leaves."""
        with suppress(WebSocketDisconnect, RuntimeError, Refusal):
            while True:
                await _text(socket)
        self._watch.unsubscribe(stream)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _text(socket: WebSocket) -> str:
    """Return the next message. Raises Refusal for one that is no text or too long; WebSocketDisconnect."""
    received = await socket.receive()
    if received["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(received.get("code", DONE))
    text = received.get("text")
    if not isinstance(text, str) or len(text) > _LARGEST_MESSAGE:
        raise Refusal(Code.INVALID_REQUEST, problem="a message must be a short text")
    return text


def _presented(text: str, url: str, certificate: str | None) -> RequestCredentials:
    """Return what the first message presents. Raises Refusal."""
    try:
        said = orjson.loads(text)
        token, proof = said["access_token"], said.get("proof")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise Refusal(Code.TOKEN_MISSING, reason="the first message") from None
    if not isinstance(token, str) or not token or not isinstance(proof, str | None):
        raise Refusal(Code.TOKEN_MISSING, reason="the first message")
    return RequestCredentials(token, proof is not None, proof, "GET", url, certificate)
