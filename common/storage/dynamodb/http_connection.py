"""A minimal HTTP/1.1 (RFC 9112) client connection, one request at a time.

Python's own client, and what stands on it, spends more on an answer's headers than all the rest costs. Whatever is not
plain here (an answer in pieces, without a length, cut off) is an error, to be asked again by a client that knows all.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import BinaryIO

from msgspec import Struct

_LONGEST_LINE, _MOST_HEADERS = 8192, 100


class UnsupportedResponse(Exception):
    """The answer is none that this can read. The connection is closed."""


class HttpResponse(Struct, frozen=True):
    """A whole answer; names of headers are in lower case."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


class ServerAddress(Struct, frozen=True):
    """Whom to connect to; `tls` None: in the clear. Seconds to connect, and for each piece of an answer."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_seconds: float
    answer_seconds: float


class HttpConnection:
    """A connection, opened at the first use and kept. For one thread at a time."""

    def __init__(self, address: ServerAddress) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._reader: BinaryIO | None = None

    @property
    def is_open(self) -> bool:
        """Say whether it is connected, as far as this side knows."""
        return self._socket is not None

    def open(self) -> None:
        """Connect. Raises OSError; TimeoutError when nobody answers."""
        address = self._address
        connection = socket.create_connection((address.host, address.port), timeout=address.connect_seconds)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if address.tls is not None:
                connection = address.tls.wrap_socket(connection, server_hostname=address.host)
            connection.settimeout(address.answer_seconds)
        except BaseException:
            connection.close()
            raise
        self._socket, self._reader = connection, connection.makefile("rb")

    def request(self, message: bytes) -> HttpResponse:
        """Send a whole request and return its answer. Raises NotPlain, OSError; the line is closed then."""
        if self._socket is None or self._reader is None:
            raise UnsupportedResponse("not connected")
        try:
            self._socket.sendall(message)
            return self._read(self._reader)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close it; it can be opened again."""
        reader, self._reader = self._reader, None
        connection, self._socket = self._socket, None
        for each in (reader, connection):
            if each is not None:
                with suppress(OSError):
                    each.close()

    def _read(self, reader: BinaryIO) -> HttpResponse:
        status = reader.readline(_LONGEST_LINE)
        if not status:
            raise ConnectionResetError("closed before an answer")
        if not status.startswith(b"HTTP/1.1 ") or not status[9:12].isdigit():
            raise UnsupportedResponse("its first line")
        headers = _headers(reader)
        length = headers.get(b"content-length", b"")
        if not length.isdigit() or b"transfer-encoding" in headers or b"content-encoding" in headers:
            raise UnsupportedResponse("its length")
        body = reader.read(int(length))
        if len(body) < int(length):
            raise UnsupportedResponse("cut off")
        if headers.get(b"connection", b"").lower() == b"close":
            self.close()
        return HttpResponse(int(status[9:12]), headers, body)


def _headers(reader: BinaryIO) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for _ in range(_MOST_HEADERS):
        connection = reader.readline(_LONGEST_LINE)
        if connection in (b"\r\n", b"\n"):
            return headers
        name, colon, value = connection.partition(b":")
        if not colon or not connection.endswith(b"\n"):
            raise UnsupportedResponse("a header")
        headers[name.lower()] = value.strip()
    raise UnsupportedResponse("its many headers")
