"""The workers' metrics on their way to the parent: each worker has a pipe, and sends all its numbers once a second.

A worker that ends sends its last numbers before. One that is killed takes those of its last second with it.
"""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

from common.background import RepeatingThread
from common.metrics import Snapshot, Totals, snapshot

EVERY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class MetricsSender:
    """Sends this process's numbers once a second, and once more when it is closed. `refresh` reads its gauges."""

    def __init__(self, to: Connection, refresh: Callable[[], None] = lambda: None) -> None:
        self._to = to
        self._refresh = refresh
        self._sending = threading.Lock()
        self._thread = RepeatingThread("metrics", EVERY_SECONDS, self._send)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Send the last numbers."""
        self._thread.close()
        with suppress(OSError):  # the parent is gone
            self._hand_over()

    def _send(self) -> None:
        try:
            self._refresh()
        finally:
            self._hand_over()

    def _hand_over(self) -> None:
        with self._sending:
            self._to.send(snapshot())


class MetricsCollector:
    """Adds up what the workers of this server send, those that are gone included, and what this process counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals = Totals()
        self._not_read: list[Connection] = []
        self._is_started = False

    def pipe(self) -> Connection:
        """Return the end of a new pipe that a worker writes to; it must be closed here once the worker has it."""
        reader, writer = multiprocessing.Pipe(duplex=False)
        with self._lock:
            self._not_read.append(reader)
        if self._is_started:
            self.start()
        return writer

    def start(self) -> None:
        """Read all pipes from now on, each in a thread: not before the first workers were forked."""
        self._is_started = True
        with self._lock:
            readers, self._not_read = self._not_read, []
        for reader in readers:
            threading.Thread(target=self._read, args=(reader,), name="metrics", daemon=True).start()

    def numbers(self) -> Snapshot:
        """Return the numbers of all processes of this server."""
        with self._lock:
            return self._totals.together(snapshot())

    def _read(self, reader: Connection) -> None:
        process = object()
        while (told := _told_by(reader)) is not None:
            with self._lock:
                self._totals.told(process, told)
        with self._lock:
            self._totals.ended(process)
        reader.close()


def _told_by(reader: Connection) -> Snapshot | None:
    """Wait for a worker's numbers; None once it has ended."""
    try:
        numbers: Snapshot = reader.recv()
    except (EOFError, OSError):
        return None
    except Exception:  # noqa: BLE001 - a worker was killed while it was sending
        _log.exception("the numbers of a worker cannot be read")
        return None
    return numbers
