"""Group commit: commits that threads of one process submit at the same time are done in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class PendingCommit(Generic[T]):
    """A commit that one thread submitted. Once it is done, `fault` is what it failed with, None if it succeeded."""

    __slots__ = ("content", "fault", "is_taken")

    def __init__(self, content: T) -> None:
        self.content = content
        self.is_taken = False
        self.fault: Exception | None = None


Drain = Callable[[], Sequence[PendingCommit[T]]]
"""Returns the commits that wait now; the caller must settle each of them."""


class GroupCommit(Generic[T]):
    """One thread at a time commits for all that wait; the others find their commit done when their turn comes."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._queue_lock = threading.Lock()
        self._waiting: list[PendingCommit[T]] = []

    def submit(self, pending: PendingCommit[T], seconds: float, commit_all: Callable[[Drain[T]], None]) -> bool:
        """Have an order settled by another thread, or call `serve`, which takes it with all others and settles them.

        Returns False if no turn came for so many seconds; then it is not settled and never will be. What `serve`
        raises passes through, and is what this thread's own order ended with.
        """
        return self.settle_all([pending], seconds, commit_all)

    def settle_all(
        self, batch: Sequence[PendingCommit[T]], seconds: float, commit_all: Callable[[Drain[T]], None]
    ) -> bool:
        """Do the same with several orders of one thread (at least one), which are taken together or not at all."""
        with self._queue_lock:
            self._waiting.extend(batch)
        if not self._turn.acquire(timeout=seconds):
            if self._withdraw(batch):
                return False
            self._turn.acquire()  # they are being settled now
        try:
            if not batch[0].is_taken:
                commit_all(self._drain)
        finally:
            self._withdraw(batch)
            self._turn.release()
        return True

    def _drain(self) -> Sequence[PendingCommit[T]]:
        with self._queue_lock:
            taken, self._waiting = self._waiting, []
            for pending in taken:
                pending.is_taken = True
        return taken

    def _withdraw(self, batch: Sequence[PendingCommit[T]]) -> bool:
        """Take orders back, if nobody has taken them."""
        with self._queue_lock:
            if batch[0].is_taken:
                return False
            for pending in batch:
                pending.is_taken = True
                self._waiting.remove(pending)
            return True
