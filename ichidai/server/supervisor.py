"""The parent of the workers: it keeps their sockets, and replaces a worker that has died, until it is told to stop.

Each worker has a listening socket of its own, which outlives it: clients that connect while there is no worker wait for
the next one. The first workers are forked where that is possible, for the parent has imported everything; it has no
threads then. Later ones are not, for by then it has.
"""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeAlias

from common.metrics import Kind, counter, gauge
from ichidai.server.metrics_pipe import MetricsCollector
from ichidai.server.service_manager import STOPPING, notify_manager

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_BACKLOG = 1024
_STEADY_SECONDS = 60.0
"""A worker that has lived so long is no sign that the next one will die at once."""

_log = logging.getLogger(__name__)

Run: TypeAlias = Callable[[socket.socket, Connection | None], None]
"""What a worker does with its listening socket, and with the pipe for its metrics; it must be picklable."""

WORKERS = gauge("ichidai_workers", Kind.SUM, "Workers that live.")
REPLACED = counter("ichidai_workers_replaced_total", "Workers that ended without being told to, and were replaced.")


@dataclass(slots=True)
class _Place:
    """A worker's place: its socket, the process that has it now, and what is known of its deaths."""

    number: int
    listener: socket.socket
    process: BaseProcess | None = None
    begun: float = 0.0
    pause: float = _FIRST_PAUSE
    again_at: float = 0.0


@dataclass(slots=True)
class Supervisor:
    """Starts workers, replaces those that die, and ends them all.

    `stop_seconds`: how long they have to end when they are told to; then they are killed. `collector`: what takes
    their metrics (None: nothing does).
    """

    run: Run
    stop_seconds: float
    collector: MetricsCollector | None = None
    _places: list[_Place] = field(default_factory=list)

    def start(self, host: str, port: int, workers: int) -> None:
        """Start the first workers. Raises OSError when the address cannot be listened on."""
        self._places = [_Place(n, listener) for n, listener in enumerate(listeners(host, port, workers), 1)]
        for place in self._places:
            self._launch(place, "fork" if sys.platform == "linux" else "spawn")

    def keep(self) -> None:
        """Keep the workers until this process is told to stop; then end them."""
        with _told_to_stop() as told:
            while not told.poll():
                self._replace_dead()
                multiprocessing.connection.wait([told, *self._sentinels()], self._seconds_to_next())
            notify_manager(STOPPING)
            self._end()

    def _launch(self, place: _Place, method: str) -> None:
        context: Any = multiprocessing.get_context(method)
        told = None if self.collector is None else self.collector.pipe()
        place.process = context.Process(target=self.run, args=(place.listener, told), name=f"worker-{place.number}")
        place.process.start()
        if told is not None:
            told.close()  # the worker's alone from now on, so that its end is seen here
        place.begun = time.monotonic()
        WORKERS.set(sum(each.process is not None for each in self._places))

    def _sentinels(self) -> list[int]:
        return [place.process.sentinel for place in self._places if place.process is not None]

    def _seconds_to_next(self) -> float | None:
        """Return how long nothing has to be started; None while all workers live."""
        due = [place.again_at for place in self._places if place.process is None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _replace_dead(self) -> None:
        for place in self._places:
            if place.process is not None and place.process.exitcode is not None:
                self._bury(place, place.process)
            if place.process is None and time.monotonic() >= place.again_at:
                self._launch(place, "spawn")

    def _bury(self, place: _Place, process: BaseProcess) -> None:
        lived = time.monotonic() - place.begun
        pause = _FIRST_PAUSE if lived > _STEADY_SECONDS else place.pause
        place.again_at, place.pause = time.monotonic() + pause, min(pause * 2, _LONGEST_PAUSE)
        place.process = None
        REPLACED.add()
        WORKERS.set(sum(each.process is not None for each in self._places))
        _log.error(
            "worker %s (process %s) ended with exit code %s after %.0f s and is replaced",
            place.number, process.pid, process.exitcode, lived,
        )  # fmt: skip
        process.close()

    def _end(self) -> None:
        processes = [place.process for place in self._places if place.process is not None]
        for process in processes:
            process.terminate()
        end = time.monotonic() + self.stop_seconds
        for process in processes:
            process.join(max(0.0, end - time.monotonic()))
            if process.exitcode is None:
                _log.error("worker process %s did not end in time and is killed", process.pid)
                process.kill()
                process.join()
        for place in self._places:
            place.listener.close()


@contextmanager
def _told_to_stop() -> Iterator[multiprocessing.connection.Connection]:
    """Give what can be read once this process was told to stop."""
    told, tell = multiprocessing.Pipe(duplex=False)
    before = {number: signal.signal(number, lambda *_: tell.send(None)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """Return a listening socket for each worker; connections are shared out among them. Raises OSError.

    Where the system does not share them out, it is the same socket for all.
    """
    if sys.platform != "linux":
        return [_listener(host, port)] * count
    return [_listener(host, port, shared=True) for _ in range(count)]


def _listener(host: str, port: int, *, shared: bool = False) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    if os.name != "nt":
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((host, port))
    made.listen(_BACKLOG)
    made.setblocking(False)  # noqa: FBT003 - it takes no name
    return made
