"""Doing at once what several threads of a process ask for at the same time: whoever has the turn does it for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Order(Generic[T]):
    """What one thread asks for. Once it is settled, `fault` is what it ended with, None if it was done."""

    __slots__ = ("fault", "is_taken", "what")

    def __init__(self, what: T) -> None:
        self.what = what
        self.is_taken = False
        self.fault: Exception | None = None


Take = Callable[[], Sequence[Order[T]]]
"""Gives the orders that wait by now; to take them is to owe each of them an end."""


class Together(Generic[T]):
    """One thread at a time has the turn. Who comes meanwhile waits, and finds its order settled when its turn comes."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._desk = threading.Lock()
        self._waiting: list[Order[T]] = []

    def settle(self, order: Order[T], seconds: float, serve: Callable[[Take[T]], None]) -> bool:
        """Have an order settled by another thread, or call `serve`, which takes it with all others and settles them.

        Returns False if no turn came for so many seconds; then it is not settled and never will be. What `serve`
        raises passes through, and is what this thread's own order ended with.
        """
        with self._desk:
            self._waiting.append(order)
        if not self._turn.acquire(timeout=seconds):
            if self._withdraw(order):
                return False
            self._turn.acquire()  # it is being settled now
        try:
            if not order.is_taken:
                serve(self._take)
        finally:
            self._withdraw(order)
            self._turn.release()
        return True

    def _take(self) -> Sequence[Order[T]]:
        with self._desk:
            taken, self._waiting = self._waiting, []
            for order in taken:
                order.is_taken = True
        return taken

    def _withdraw(self, order: Order[T]) -> bool:
        """Take an order back, if nobody has taken it."""
        with self._desk:
            if not order.is_taken:
                order.is_taken = True
                self._waiting.remove(order)
                return True
        return False
