"""Work after the answer, in a thread of the process: soon, or at a moment that no stranger can foretell."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from typing import TypeAlias

from common.errors import Refusal
from common.retry import jitter
from common.storage.port import StoreUnavailable

Work: TypeAlias = Callable[[], None]

MOST_WAITING = 1000
"""Pieces of work that wait in a process; more are dropped, which nobody is told."""

_log = logging.getLogger(__name__)


class Later:
    """Runs work one piece after another in a thread of its own. What it raises is logged. Any thread may call it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, Work]] = []
        self._numbers = itertools.count()
        self._is_busy = self._is_hurried = self._is_closed = False
        self._thread: threading.Thread | None = None

    def run(self, work: Work, *, within: float = 0.0) -> None:
        """Run it soon, or drop it where too much waits.

        `within`: at a random moment of so many seconds. What the work takes of the process is not felt by the request
        that comes next then, which would tell whether there was much to do.
        """
        due = time.monotonic() + jitter(within)
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                _log.warning("a request for a link was dropped: %d are waiting", MOST_WAITING)
                return
            heapq.heappush(self._waiting, (due, next(self._numbers), work))
            self._have_thread()
            self._changed.notify_all()

    def finish(self, seconds: float | None = None) -> bool:
        """Run all that waits now, and wait for it, so many seconds at the most; say whether it is done."""
        with self._changed:
            self._is_hurried = True
            self._changed.notify_all()
            is_done = self._changed.wait_for(lambda: not (self._waiting or self._is_busy), seconds)
            self._is_hurried = False
        return is_done

    def close(self) -> None:
        """Run what waits, and end."""
        with self._changed:
            self._is_closed = self._is_hurried = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _have_thread(self) -> None:
        """Have one in this very process: a server may have forked, and threads stay behind."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="mailing", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            try:
                work()
            except (Refusal, StoreUnavailable) as error:
                _log.warning("no link was sent: %s", error)
            except Exception:  # noqa: BLE001 - nobody waits for it who could be told
                _log.exception("no link was sent")
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()

    def _next(self) -> Work | None:
        """Wait for the next piece that is due; None: there is none, and it is over."""
        with self._changed:
            while not (self._waiting and (self._is_hurried or self._waiting[0][0] <= time.monotonic())):
                if self._is_closed and not self._waiting:
                    return None
                self._changed.wait(max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None)
            self._is_busy = True
            return heapq.heappop(self._waiting)[2]
