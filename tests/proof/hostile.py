"""Hostile clients: `python -m tests.proof.hostile PORT KIND` does one kind of harm to a server until its input ends."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from tests.raw_http import chunk, head, post

IDLE, HALF_SENT = 5_000, 1_000
TOGETHER = "half-sent bodies and idle connections together"
_HALF_SENT_BODY = post("/login", b"{", announced=50)
_SOURCES = [f"127.0.0.{number}" for number in range(2, 22)]
_CHUNKED = head("POST", "/login", "Content-Type: application/json", "Transfer-Encoding: chunked")
_SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_OPENED_AND_RESET = (
    b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\x82" + b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08"
)
_RESET_AT_ONCE = struct.pack("ii", 1, 0)

Wave = Callable[[int], None]
_over = threading.Event()


def connected(port: int, count: int) -> Iterator[socket.socket]:
    """Connect so many times, from many addresses."""
    for source in itertools.islice(itertools.cycle(_SOURCES), count):
        with suppress(OSError):
            yield socket.create_connection(("127.0.0.1", port), 5, (source, 0))


def opened(port: int, count: int, sent: bytes) -> list[socket.socket]:
    """Return so many connections on which something was sent."""
    connections = []
    for each in connected(port, count):
        with suppress(OSError):
            each.sendall(sent)
        connections.append(each)
    return connections


def holding(*kinds: tuple[int, bytes]) -> Wave:
    """Open connections, so many on which something was sent; and again when the server has closed them."""

    def wave(port: int) -> None:
        held = [opened(port, count, sent) for count, sent in kinds]
        _ready()
        while not _over.wait(0.5):
            for number, (count, sent) in enumerate(kinds):
                alive = [each for each in held[number] if not _is_closed(each)]
                held[number] = [*alive, *opened(port, count - len(alive), sent)]

    return wave


def dripping(port: int) -> None:
    """Send the bodies of a hundred requests one byte at a time."""
    connections = opened(port, 100, post("/login", b"", announced=60_000))
    _ready()
    while not _over.wait(0.2):
        for number, each in enumerate(connections):
            try:
                each.sendall(b" ")
            except OSError:
                connections[number] = opened(port, 1, post("/login", b"", announced=60_000))[0]


def lying(port: int) -> None:
    """Send bodies that are shorter and longer than announced."""
    _ready()
    while not _over.is_set():
        for sent in (post("/login", b"{", announced=9), post("/login", b"{}" * 999, announced=2), _CHUNKED + b"zz\r\n"):
            for each in connected(port, 1):
                with suppress(OSError):
                    each.sendall(sent)
                    each.shutdown(socket.SHUT_WR)
                each.close()
                time.sleep(0.002)  # this is not about the rate


def endless(port: int) -> None:
    """Send chunks without end on twenty connections."""
    _ready()
    while not _over.is_set():
        connections = opened(port, 20, _CHUNKED)
        for _ in range(12):
            for each in connections:
                with suppress(OSError):
                    each.sendall(chunk(b"x" * 8_000))
        for each in connections:
            each.close()


def pipelining(port: int) -> None:
    """Send many requests at once and read none of the answers."""
    _ready()
    while not _over.is_set():
        for each in opened(port, 5, head("GET", "/health") * 50):
            time.sleep(0.02)
            each.close()


def resetting(port: int) -> None:
    """Reset connections in the middle of heads and bodies."""
    _ready()
    while not _over.is_set():
        for sent in (b"GET /hea", post("/login", b"{", announced=50), head("GET", "/session/verify")):
            for each in opened(port, 5, sent):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
                each.close()


WAVES: dict[str, Wave] = {
    "half-sent heads": holding((300, b"GET /session/verify HTT")),
    "half-sent bodies": holding((HALF_SENT, _HALF_SENT_BODY)),
    "one byte at a time": dripping,
    "bodies unlike announced": lying,
    "chunks without end": endless,
    "HTTP/2 and rapid resets": holding((100, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _SETTINGS + _OPENED_AND_RESET * 50)),
    "pipelining": pipelining,
    "idle connections": holding((IDLE, b"")),
    TOGETHER: holding((HALF_SENT, _HALF_SENT_BODY), (IDLE, b"")),
    "resets in the middle": resetting,
}


def main() -> None:
    """Do harm until the input ends."""
    import resource  # noqa: PLC0415 - Windows has none, and no more than the numbers above is asked of it

    port, kind = int(sys.argv[1]), sys.argv[2]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    threading.Thread(target=WAVES[kind], args=(port,), daemon=True).start()
    sys.stdin.read()
    _over.set()
    os._exit(0)  # every connection is closed as it is


def _ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)  # noqa: FBT003 - it takes no name
    try:
        return not connection.recv(4096, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


if __name__ == "__main__":
    main()
