"""Free ports for the servers of tests: each process of tests gives out those of a block that is its own."""

from __future__ import annotations

import functools
import itertools
import socket
from collections.abc import Iterator

_BLOCKS = range(20_000, 32_000, 200)  # below what systems hand out to outgoing connections
_EVENTS_APART = 100
"""A server has its event streams at the port this much above its own: the upper half of a block is for them."""

_HOST = "127.0.0.1"


class Ports:
    """Ports of a block, one after another, so that none is given out again soon.

    The block is this process's as long as it lives: its first port is bound. Chance would not do: pytest-randomly sets
    the same seed before each test in every process of a run, which then pick the same ports at the same moment.
    """

    def __init__(self) -> None:
        self._guard, self._block = _own_block()
        self._next: Iterator[int] = itertools.cycle(self._block)

    def free(self) -> int:
        """Return a port where nobody listens, the one that was given out longest ago first."""
        for _ in self._block:
            if (taken := _bound(port := next(self._next))) is not None:
                taken.close()
                return port
        raise RuntimeError(f"no port is free from {self._block[0]} to {self._block[-1]}")

    def close(self) -> None:
        """Leave the block to others."""
        self._guard.close()


def _own_block() -> tuple[socket.socket, range]:
    for first in _BLOCKS:
        if (guard := _bound(first)) is not None:
            return guard, range(first + 1, first + _EVENTS_APART)
    raise RuntimeError("every block of ports belongs to somebody")


def _bound(port: int) -> socket.socket | None:
    """Return a socket that holds a port; None where another one does."""
    holder = socket.socket()
    try:
        holder.bind((_HOST, port))
    except OSError:
        holder.close()
        return None
    return holder


@functools.cache
def _ports() -> Ports:
    return Ports()


def free_port() -> int:
    """Return a port where nobody listens, which no other process of tests is given."""
    return _ports().free()
