"""Bounded cache (first in, first out) for the results of pure computations."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Remembers up to `most` values. It may be used by any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[K, V] = {}
        self._lock = threading.Lock()
        self.get = self._known.get
        """Return what is remembered under a key, None for nothing: the dict's own, for it is asked at every request."""

    def put(self, key: K, value: V) -> V:
        """Remember a value, and return it."""
        with self._lock:
            self._known[key] = value
            while len(self._known) > self._most:
                del self._known[next(iter(self._known))]
        return value

    def __len__(self) -> int:
        return len(self._known)
