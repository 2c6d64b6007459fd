"""One thing for each thread of this process, such as a connection, and none of them open while the process forks.

A database library keeps its locks in the memory of the process. A child that inherits that memory believes it holds
locks that only the parent has; with SQLite its answered commits were lost (tried). So everything is closed before a
fork, after the calls under way have ended, and parent and child open anew.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, Protocol, TypeVar


class Closable(Protocol):
    """Anything that can be closed."""

    def close(self) -> None:
        """Let go of what it holds."""


T = TypeVar("T", bound=Closable)


class ThreadLocalConnections(Generic[T]):
    """Opens one thing for each thread by `open_one`, at its first use; it is closed when the thread is gone."""

    def __init__(self, open_one: Callable[[], T]) -> None:
        self._open_one = open_one
        self._local = threading.local()
        self._gate = threading.Lock()
        self._slots: weakref.WeakSet[_Slot[T]] = weakref.WeakSet()
        _EVERY.add(self)

    def use(self) -> AbstractContextManager[T]:
        """Give the thread's own thing; nobody closes it meanwhile. Not to be nested. Raises what `open_one` raises."""
        slot: _Slot[T] | None = getattr(self._local, "slot", None)
        return slot or self._new_slot()

    def close(self) -> None:
        """Close all that is open, after the calls under way; the next use opens again."""
        self._pause()
        self._resume()

    def _new_slot(self) -> _Slot[T]:
        with self._gate:
            slot = self._local.slot = _Slot(self._open_one)
            self._slots.add(slot)
        return slot

    def _pause(self) -> None:
        """Hold every use back, and close. A use takes the gate only while it has no lock, so this cannot lock up."""
        self._gate.acquire()
        self._paused = list(self._slots)
        for slot in self._paused:
            slot.lock.acquire()
            slot.close()

    def _resume(self) -> None:
        for slot in self._paused:
            slot.lock.release()
        self._paused = []
        self._gate.release()


class _Slot(Generic[T]):
    """One thread's connection. Entering it is on the way of every read, so it is a context manager itself."""

    def __init__(self, open_one: Callable[[], T]) -> None:
        self.lock = threading.Lock()
        self.connection: T | None = None
        self._open_one = open_one

    def __enter__(self) -> T:
        self.lock.acquire()
        if self.connection is None:
            try:
                self.connection = self._open_one()
            except BaseException:
                self.lock.release()
                raise
        return self.connection

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    def __del__(self) -> None:
        self.close()


_EVERY: weakref.WeakSet[ThreadLocalConnections[Any]] = weakref.WeakSet()
_forking: list[ThreadLocalConnections[Any]] = []


def _before_fork() -> None:
    _forking[:] = list(_EVERY)
    for each in _forking:
        each._pause()  # noqa: SLF001 - the same module


def _after_fork() -> None:
    for each in _forking:
        each._resume()  # noqa: SLF001 - the same module
    _forking.clear()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows does not fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
