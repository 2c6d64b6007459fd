"""Serving event streams: one process with an event loop, by itself or as the companion of an app's server.

granian's own stop waits for every open stream. So this process runs granian inside its own loop, ends the streams when
it is told to stop, and only then stops granian.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels

from common import metrics
from common.keys.sealed_files import adopt_opened_keys, opened_keys
from ichidai.process_log import configure_logging
from ichidai.server.metrics_pipe import MetricsCollector, MetricsSender
from ichidai.server.open_files import allow_open_files
from ichidai.server.parent_watch import end_with_parent
from ichidai.server.readiness import wait_until_answering
from ichidai.server.signals import on_end
from ichidai.settings import read_settings
from ichidai.topology import App

_BACKLOG = 4096
_MANY_FILES = 65_536
_STOP_SECONDS = 3.0
_KILL_SECONDS = 5.0
_LEAD_SECONDS = 5.0
_PAUSE_SECONDS, _LONGEST_PAUSE = 0.5, 10.0

_log = logging.getLogger(__name__)


def serve_events(host: str, port: int, beside: App, app_port: int, metrics_to: Connection | None = None) -> None:
    """Serve the event streams of the app `beside` on `app_port` in this process until it is told to stop.

    `metrics_to`: the pipe to the parent that collects metrics, where it does.
    """
    allow_open_files(_MANY_FILES)
    sender = metrics_to and MetricsSender(metrics_to)
    if sender:
        sender.start()
    asyncio.run(_serve(host, port, beside, app_port))
    if sender:
        sender.close()


@contextmanager
def streams_beside(
    host: str, port: int, beside: App, app_port: int, collector: MetricsCollector | None = None
) -> Iterator[None]:
    """Serve event streams in a process of their own meanwhile; `port` 0: do not. One that dies is started again.

    `collector` takes its metrics.
    """
    if not port:
        yield
        return
    companion = _Companion((host, port, beside, app_port), collector)
    companion.start()
    try:
        yield
    finally:
        companion.stop()


async def _serve(host: str, port: int, beside: App, app_port: int) -> None:
    from granian.server.embed import Server  # noqa: PLC0415 - what starts this process needs neither

    from ichidai.server.event_app import event_app_from  # noqa: PLC0415

    configure_logging(read_settings(os.environ).server.log)
    app, watch = event_app_from(os.environ, beside, app_port)
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        backlog=_BACKLOG,
        backpressure=_MANY_FILES,
        log_level=LogLevels.error,
    )
    told = asyncio.Event()
    on_end(told.set)
    serving = asyncio.create_task(server.serve())
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    watch.stop()
    server.stop()  # type: ignore[no-untyped-call]
    with suppress(TimeoutError):
        await asyncio.wait_for(serving, _STOP_SECONDS)


def _run_companion(
    opened: Mapping[str, bytes], metrics_to: Connection | None, host: str, port: int, beside: App, app_port: int
) -> None:
    end_with_parent()
    metrics.reset()
    adopt_opened_keys(opened)
    # The app starts first: nobody listens to streams before, and the cores are few.
    wait_until_answering(host, app_port, _LEAD_SECONDS)
    serve_events(host, port, beside, app_port, metrics_to)


class _Companion:
    """The streams' process, started anew when it dies, until it is stopped.

    The first one is forked where the workers are, too: it has imported everything then, and shares that memory. It is
    made before this process has threads. Later ones are not forked, for by then there are.
    """

    def __init__(self, where: tuple[str, int, App, int], collector: MetricsCollector | None) -> None:
        self._where = where
        self._collector = collector
        self._stopping = threading.Event()
        self._process = self._launch("fork" if sys.platform == "linux" else "spawn")
        self._keeper = threading.Thread(target=self._keep, name="streams", daemon=True)

    def start(self) -> None:
        self._keeper.start()

    def stop(self) -> None:
        self._stopping.set()
        self._process.terminate()
        self._keeper.join(_KILL_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _launch(self, method: str) -> BaseProcess:
        context: Any = multiprocessing.get_context(method)
        told = None if self._collector is None else self._collector.pipe()
        process: BaseProcess = context.Process(
            target=_run_companion, args=(opened_keys(), told, *self._where), name="streams", daemon=True
        )
        process.start()
        if told is not None:
            told.close()
        return process

    def _keep(self) -> None:
        pause = _PAUSE_SECONDS
        while True:
            self._process.join()
            if self._stopping.wait(pause):
                return
            _log.error("the server of event streams ended (exit code %s) and is started again", self._process.exitcode)
            self._process = self._launch("spawn")
            pause = min(pause * 2, _LONGEST_PAUSE)
