"""Load: calls that are made again and again in threads of their own, as long as a `with` lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Self


class ThreadedLoad:
    """Runs each of `calls` in a thread; they go on until `ending` is set, which the end of the `with` does."""

    def __init__(self, calls: Sequence[Callable[[], None]]) -> None:
        self.ending = threading.Event()
        self._threads = [threading.Thread(target=call) for call in calls]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        for thread in self._threads:
            thread.join()
