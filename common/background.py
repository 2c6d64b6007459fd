"""Work in threads of the process: tasks that an answer does not wait for, and one that is done again and again."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from common.storage.port import StoreUnavailable

Task: TypeAlias = Callable[[], object]
"""What is to be done. One that returns False is not done."""

InBackground: TypeAlias = Callable[[Task], None]

_MOST_WAITING = 1000
_AGAIN_SECONDS = 1.0
_CLOSING_SECONDS = 2.0

_log = logging.getLogger(__name__)


def at_once(task: Task) -> None:
    """Do it before the answer: for commands and tests."""
    task()


class BackgroundThread:
    """A thread that does tasks one after another. Until `start` is called tasks are done at once, in their caller.

    A task that is not done is tried again a second later. One that finds the queue full is passed over: only what
    another will do later may be handed in. `given_up` counts these, and those that a defect ended.
    """

    def __init__(self) -> None:
        self._tasks: queue.Queue[tuple[float, Task] | None] = queue.Queue(_MOST_WAITING)
        self._undone: deque[tuple[float, Task]] = deque()
        self._again_at = 0.0
        self._begun: float | None = None
        self._thread: threading.Thread | None = None
        self.given_up = 0

    def __call__(self, task: Task) -> None:
        """Hand a task in."""
        if self._thread is None:
            self._do_at_once(task)
            return
        try:
            self._tasks.put_nowait((time.monotonic(), task))
        except queue.Full:
            self._give_up()
            _log.warning("the background has %d tasks waiting: one is left for later", _MOST_WAITING)

    def waiting(self) -> tuple[int, float]:
        """Return how many tasks wait or are being done, and for how many seconds the first of them has."""
        with self._tasks.mutex:
            waiting = [*self._tasks.queue, *self._undone]
            times = [self._begun, *(task[0] for task in waiting if task is not None)]
        handed_in = [at for at in times if at is not None]
        return len(handed_in), time.monotonic() - min(handed_in) if handed_in else 0.0

    def start(self) -> None:
        """Begin to work in a thread of its own; a serving process calls it, after it was forked."""
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let what waits be done, for two seconds at most, and end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._tasks.put(None)
            thread.join(_CLOSING_SECONDS)

    def _do_at_once(self, task: Task) -> None:
        is_done = False
        try:
            is_done = task() is not False
        finally:
            if not is_done:
                self._give_up()

    def _give_up(self) -> None:
        with self._tasks.mutex:
            self.given_up += 1

    def _run(self) -> None:
        while True:
            try:
                waiting = self._tasks.get(timeout=self._until_again())
            except queue.Empty:
                self._do_undone()
                continue
            if waiting is None:
                return
            self._do(*waiting)
            if self._until_again() == 0:
                self._do_undone()

    def _until_again(self) -> float | None:
        """Return the seconds until what is not done is tried again; None where there is nothing."""
        return max(0.0, self._again_at - time.monotonic()) if self._undone else None

    def _do_undone(self) -> None:
        """Try what is not done again, until a try fails: what kept that from being done keeps the others too."""
        is_done = True
        while is_done and self._undone:
            with self._tasks.mutex:
                first = self._undone.popleft()
                self._begun = first[0]
            is_done = self._do(*first)

    def _do(self, handed_in: float, task: Task) -> bool:
        """Do a task, and say whether it is done. If not, it is kept for later, up to a bound."""
        self._begun = handed_in
        is_done = self._is_done(task)
        with self._tasks.mutex:
            if not is_done and len(self._undone) < _MOST_WAITING:
                self._undone.append((handed_in, task))
            elif not is_done:
                self.given_up += 1
            self._begun = None
        if not is_done:
            self._again_at = time.monotonic() + _AGAIN_SECONDS
        return is_done

    def _is_done(self, task: Task) -> bool:
        try:
            return task() is not False
        except Exception:  # noqa: BLE001 - whatever it is, the next task may succeed, and this one would not
            _log.exception("a task in the background")
            self._give_up()
            return True


class RepeatingThread:
    """Calls `task` every `seconds` once it is started. What the task raises is logged, and the next turn comes."""

    def __init__(self, name: str, seconds: float, task: Callable[[], object]) -> None:
        self._name = name
        self._seconds = seconds
        self._task = task
        self._closed = threading.Event()

    def start(self) -> None:
        """Begin, in a thread of its own."""
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def close(self) -> None:
        """Let the thread end."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(self._seconds):
            try:
                self._task()
            except StoreUnavailable as error:
                _log.warning("%s: %s", self._name, error)
            except Exception:  # noqa: BLE001 - whatever it is, the next turn may succeed
                _log.exception("%s", self._name)
