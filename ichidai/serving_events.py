"""Serving event streams: one process with an event loop, by itself or as the companion of an app's server.

granian's own stop waits for every open stream. So this process runs granian inside its own loop, ends the streams when
it is told to stop, and only then stops granian.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from multiprocessing.process import BaseProcess
from typing import Any

from granian.constants import Interfaces
from granian.log import LogLevels

from ichidai.orphans import end_with_parent

_BACKLOG = 4096
_MANY_FILES = 65_536
_STOP_SECONDS = 3.0
_KILL_SECONDS = 5.0
_LEAD_SECONDS, _LOOK_SECONDS = 5.0, 0.02
_PAUSE_SECONDS, _LONGEST_PAUSE = 0.5, 10.0

_log = logging.getLogger(__name__)


def serve_events(host: str, port: int, app_port: int) -> None:
    """Serve event streams in this process until it is told to stop. `app_port`: whose pages may call from a browser."""
    _allow_many_files()
    asyncio.run(_serve(host, port, app_port))


@contextmanager
def streams_beside(host: str, port: int, app_port: int) -> Iterator[None]:
    """Serve event streams in a process of their own meanwhile; `port` 0: do not. One that dies is started again."""
    if not port:
        yield
        return
    companion = _Companion(host, port, app_port)
    companion.start()
    try:
        yield
    finally:
        companion.stop()


async def _serve(host: str, port: int, app_port: int) -> None:
    from granian.server.embed import Server  # noqa: PLC0415 - what starts this process needs neither

    from ichidai.event_apps import event_app_from  # noqa: PLC0415

    app, watch = event_app_from(os.environ, app_port)
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        backlog=_BACKLOG,
        backpressure=_MANY_FILES,
        log_level=LogLevels.error,
    )
    told = asyncio.Event()
    _on_signals(told.set)
    serving = asyncio.create_task(server.serve())
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    watch.stop()
    server.stop()  # type: ignore[no-untyped-call]
    with suppress(TimeoutError):
        await asyncio.wait_for(serving, _STOP_SECONDS)


def _on_signals(stop: Callable[[], object]) -> None:
    """Let the loop call `stop` when the process is told to end; Windows has no signals for a loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))


def _allow_many_files() -> None:
    """Raise the bound on open files as far as we may: each stream is one, and 1,024 is a usual bound."""
    with suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - Windows has none, and needs none

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        bound = _MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, _MANY_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (bound, hard))


def _run_companion(host: str, port: int, app_port: int) -> None:
    end_with_parent()
    _let_the_app_start(host, app_port)
    serve_events(host, port, app_port)


def _let_the_app_start(host: str, port: int) -> None:
    """Wait until the app answers, some seconds at most: nobody listens to streams before, and the cores are few."""
    end = time.monotonic() + _LEAD_SECONDS
    while time.monotonic() < end:
        app = HTTPConnection(host, port, timeout=_LEAD_SECONDS)
        with suppress(OSError, HTTPException), closing(app):
            app.request("GET", "/health")
            app.getresponse()
            return
        time.sleep(_LOOK_SECONDS)


class _Companion:
    """The streams' process, started anew when it dies, until it is stopped.

    The first one is forked where the workers are, too: it has imported everything then, and shares that memory. It is
    made before this process has threads. Later ones are not forked, for by then there are.
    """

    def __init__(self, host: str, port: int, app_port: int) -> None:
        self._arguments = (host, port, app_port)
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
        process: BaseProcess = context.Process(target=_run_companion, args=self._arguments, name="streams", daemon=True)
        process.start()
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
