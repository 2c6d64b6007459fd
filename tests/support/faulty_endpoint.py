"""An HTTP server before an imitated service of AWS: it lets requests through, or does to them what networks do."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    """A status with the bytes of a body."""

    status: int
    body: bytes


Forward = Callable[[], Answer]
Fate = Callable[[Forward], Answer | None]
"""What becomes of a request: it may be forwarded or not, and an answer given or (None) the connection closed."""


def pass_on(forward: Forward) -> Answer:
    """Forward the request and its answer."""
    return forward()


def lose_answer(forward: Forward) -> None:
    """Let the request arrive and break the connection before its answer."""
    forward()


def lose_request(_forward: Forward) -> None:
    """Break the connection before the request arrives."""


def answer_late(seconds: float) -> Fate:
    """Let the request arrive at once, its answer so much later."""

    def fate(forward: Forward) -> Answer:
        answer = forward()
        time.sleep(seconds)
        return answer

    return fate


def truncate(forward: Forward) -> Answer:
    """Leave the second half of the answer out, and say nothing of it."""
    answer = forward()
    return Answer(answer.status, answer.body[: len(answer.body) // 2])


def say(status: int, body: str) -> Fate:
    """Answer in the service's place; the request does not arrive."""
    return lambda _forward: Answer(status, body.encode())


def refuse(code: str, status: int = 400, **members: object) -> Fate:
    """Answer with an error of DynamoDB; the request does not arrive."""
    name = f"com.amazonaws.dynamodb.v20120810#{code}"
    return say(status, json.dumps({"__type": name, "message": "by a test", **members}))


def fail_after(forward: Forward) -> Answer:
    """Do the request, and answer with an error of the service."""
    forward()
    return refuse("InternalServerError", 500)(forward) or Answer(500, b"")


class FaultyEndpoint:
    """Listens on a port of this machine. Requests meet the given fates in turn, and `then` from there on."""

    def __init__(self, behind: str, port: int = 0) -> None:
        self._behind = urlsplit(behind).netloc
        self._fates: list[Fate] = []
        self._then: Fate = pass_on
        self._lock = threading.Lock()
        self._lines: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.bodies: list[Any] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def expect(self, fates: Sequence[Fate] = (), then: Fate = pass_on) -> None:
        """Set what becomes of the next requests, and forget the earlier ones."""
        with self._lock:
            self._fates, self._then = list(fates), then
            self.bodies = []

    def stop(self) -> None:
        """Break all connections; from now on new ones are refused."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for line in list(self._lines):
            with contextlib.suppress(OSError):  # closed by now
                line.shutdown(socket.SHUT_RDWR)

    def _next(self, body: bytes) -> Fate:
        with self._lock:
            self.bodies.append(json.loads(body))
            return self._fates.pop(0) if self._fates else self._then

    def _forwarded(self, headers: dict[str, str], body: bytes) -> Answer:
        connection = http.client.HTTPConnection(self._behind, timeout=20)
        try:
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:  # type: ignore[explicit-override]
                """Remember the connection."""
                super().setup()
                endpoint._lines.add(self.connection)

            def do_POST(self) -> None:
                """Do to the request what is due."""
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name: value for name, value in self.headers.items() if name != "Host"}
                fate = endpoint._next(body)
                self._give(fate(lambda: endpoint._forwarded(headers, body)))

            def _give(self, answer: Answer | None) -> None:
                if answer is None:
                    self.close_connection = True
                    return
                try:
                    self.send_response(answer.status)
                    self.send_header("Content-Type", "application/x-amz-json-1.0")
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body)
                except OSError:
                    self.close_connection = True  # the client has gone away

            def log_message(self, *_: object) -> None:  # type: ignore[explicit-override]
                """Say nothing."""

        return Handler
