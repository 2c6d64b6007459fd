"""HTTP by hand, for what no client library would send: bytes on a socket, and what comes back."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An answer; `seconds` is how long it took to come."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def problem(self) -> Any:
        """The problem document."""
        assert self.headers["content-type"] == "application/problem+json"
        return json.loads(self.body)


@dataclass(slots=True)
class RawConnection:
    """A connection; `receive` reads one answer after the other."""

    socket: socket.socket
    begun: float = field(default_factory=time.monotonic)
    _rest: bytes = b""

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def receive(self) -> RawAnswer | None:
        """Return the next answer; None when the connection was closed instead."""
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        while len(self._rest) < int(headers.get("content-length", "0")):
            piece = self.socket.recv(65_536)
            assert piece, "the body broke off"
            self._rest += piece
        length = int(headers.get("content-length", "0"))
        body, self._rest = self._rest[:length], self._rest[length:]
        return RawAnswer(int(first.split()[1]), headers, body, time.monotonic() - self.begun)

    def closed_after(self) -> float:
        """Return after how many seconds the server closed the connection, having answered nothing."""
        assert self.receive() is None
        return time.monotonic() - self.begun

    def _until(self, end: bytes) -> bytes | None:
        while end not in self._rest:
            try:
                piece = self.socket.recv(65_536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                assert not self._rest, "the head broke off"
                return None
            self._rest += piece
        head, _, self._rest = self._rest.partition(end)
        return head


@contextmanager
def connected(port: int, source: str | None = None) -> Iterator[RawConnection]:
    """Give a connection to a port of this machine; `source`: from which of its loopback addresses."""
    where = ("127.0.0.1", port)
    with socket.create_connection(where, _TIMEOUT_SECONDS, (source, 0) if source else None) as made:
        yield RawConnection(made)


def head(method: str, path: str, *lines: str) -> bytes:
    """Return the head of a request."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: ichidai.test", *lines, "", "")).encode("latin-1")


def post(path: str, body: bytes, *lines: str, announced: int | None = None) -> bytes:
    """Return a request with a JSON body; `announced`: a length that may not be the body's."""
    length = len(body) if announced is None else announced
    return head("POST", path, "Content-Type: application/json", f"Content-Length: {length}", *lines) + body


def chunk(data: bytes) -> bytes:
    """Return a piece of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)
