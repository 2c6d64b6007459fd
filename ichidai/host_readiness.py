"""Readiness of a host: whether its store and keys let it serve, tried in the background while it serves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from common.clock import Clock, from_millis, to_millis
from common.storage.port import Store, StoreUnavailable, Table, WritesRefused
from common.storage.tables import KEY_RING

EVERY_SECONDS, WHILE_FAILING_SECONDS = 30.0, 1.0

_PROBE = "ready"
_LATELY = timedelta(seconds=3 * EVERY_SECONDS)

_log = logging.getLogger(__name__)


class HostReadiness:
    """Knows whether every table can be read, a write is possible, and a key is there that signs.

    `signer` returns that key; whatever it raises means that there is none. `policy` returns what is decided by: it
    raises StoreUnavailable where the store is not the one that was served.
    """

    def __init__(
        self,
        store: Store,
        tables: Sequence[Table],
        signer: Callable[[], object],
        clock: Clock,
        policy: Callable[[], object],
    ) -> None:
        self._store = store
        self._tables = tables
        self._signer = signer
        self._clock = clock
        self._policy = policy
        self._fault: str | None = None
        self._is_draining = False
        self._ended = threading.Event()

    def check(self) -> None:
        """Raise StoreUnavailable unless this host can serve: the store answers now, and its time is known."""
        if self._is_draining:
            raise StoreUnavailable("this server is about to end")
        self._store.get(KEY_RING.key("ring"))
        self._clock()
        self._policy()
        if self._fault is not None:
            raise StoreUnavailable(self._fault)

    @property
    def is_ready(self) -> bool:
        """Whether this host could serve when it was tried last, and is not about to end. Nothing is asked."""
        return self._fault is None and not self._is_draining

    def watch(self) -> None:
        """Try now, every half minute, and every second while it fails, until `close`."""
        self.refresh()
        threading.Thread(target=self._keep_trying, name="readiness", daemon=True).start()

    def refresh(self) -> None:
        """Try everything once."""
        before, self._fault = self._fault, self._tried()
        if self._fault != before:
            _log.warning("%s", self._fault or "ready again")

    def drain(self) -> None:
        """Be ready no more: this process is about to end."""
        self._is_draining = True

    def close(self) -> None:
        """End the trying."""
        self._ended.set()

    def _keep_trying(self) -> None:
        while not self._ended.wait(EVERY_SECONDS if self._fault is None else WHILE_FAILING_SECONDS):
            self.refresh()

    def _tried(self) -> str | None:
        """Read from every table, write that a host is ready, and look for a key; return what failed."""
        try:
            for table in self._tables:
                sort = None if table.sort is None else 0 if table.sort_is_number else _PROBE
                self._store.get(table.key(_PROBE, sort))
            with suppress(WritesRefused):  # while the store is being moved what is read goes on
                self._store.put(KEY_RING, {"id": _PROBE, "at": to_millis(self._clock())})
            self._signer()
        except Exception as error:  # noqa: BLE001 - whatever it is, this host cannot serve
            return f"not ready: {error}"
        return None


def has_served_lately(store: Store, clock: Clock) -> bool:
    """Say whether a host was ready on this store within the last minute and a half. Raises StoreUnavailable."""
    probe: Any = store.get(KEY_RING.key(_PROBE)) or {}
    return clock() - from_millis(probe.get("at", 0)) < _LATELY
