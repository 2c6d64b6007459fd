"""A worker: a process that serves an app on a listening socket until it is told to stop.

It runs granian inside its own event loop, so that it can first finish what it has begun, and only then stop granian.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from granian import net
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from common import metrics
from common.keys.sealed_files import adopt_opened_keys
from common.web.rsgi import RsgiApp
from ichidai.process_log import configure_logging
from ichidai.server.memory import keep_few_arenas, memory_of_process, return_memory
from ichidai.server.metrics_pipe import MetricsSender
from ichidai.server.open_files import allow_open_files
from ichidai.server.parent_watch import end_with_parent
from ichidai.server.signals import on_end
from ichidai.server_settings import ServerSettings
from ichidai.settings import read_settings
from ichidai.topology import App

THREADS_PER_WORKER = 4
"""Enough to wait for Argon2id beside other requests; more only lengthen the tail (measured)."""

BACKLOG = 1024
"""Connections that wait to be accepted."""

STOP_SECONDS = 6.0
"""How long requests that have begun may take after the worker was told to stop: each is answered within 5 s."""

SWITCH_SECONDS = 0.0005
"""After so long a thread that computes lets others go on. The server takes the interpreter's lock for each request that
comes, and so does the loop, a few times, for each verification. At Python's 5 ms they wait 20 ms each time while four
threads answer requests: new requests come in slower than they are answered, and all clients wait for seconds."""

COLLECTIONS = (50_000, 20, 50)
"""When Python's collector of cycles looks, by generation. What a worker remembers (books, tokens, answers) is many
objects without a cycle: at Python's own numbers, looking at them was half the cost of a token's first verification."""

_LEAST_BUFFER = 8192
_LOOK_SECONDS = 1.0


def run_worker(
    serving: App, opened: Mapping[str, bytes], listener: socket.socket, metrics_to: Connection | None = None
) -> None:
    """Serve a part of the suite in this process, with the settings of its environment, until it is told to stop.

    `opened`: the keys that the parent has unwrapped, so that a worker that is replaced needs no KMS.
    `metrics_to`: the pipe to the parent that collects metrics, where it does.
    """
    from ichidai.apps import rsgi_app  # noqa: PLC0415 - the parent has no app
    from ichidai.gauges import Gauges  # noqa: PLC0415 - as above

    end_with_parent()
    keep_few_arenas()
    adopt_opened_keys(opened)
    metrics.reset()
    sys.setswitchinterval(SWITCH_SECONDS)
    settings = read_settings(os.environ)
    configure_logging(settings.server.log)
    allow_open_files(settings.server.connections)
    app, services = rsgi_app(serving, THREADS_PER_WORKER)
    sender = metrics_to and MetricsSender(metrics_to, Gauges(services))
    if sender:
        sender.start()
    _collect_rarely()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serve_until_told(app, services.readiness.drain, listener, settings.server))
    finally:
        services.close()  # the activity of the last second is written
        if sender:
            sender.close()


async def serve_until_told(
    app: RsgiApp, drain: Callable[[], None], listener: socket.socket, settings: ServerSettings
) -> None:
    """Serve an app on a listening socket until this process is told to end.

    Then it is drained, goes on for a while so that a load balancer can learn of that, and answers what has begun.
    """
    server = _OnSocket(app, listener, settings)
    told = asyncio.Event()
    on_end(told.set)
    serving = asyncio.create_task(server.serve())
    waiting = asyncio.create_task(told.wait())
    due = asyncio.create_task(due_for_replacement(settings))
    returning = asyncio.create_task(return_memory())
    await asyncio.wait((serving, waiting, due), return_when=asyncio.FIRST_COMPLETED)
    for each in (waiting, due, returning):
        each.cancel()
    if told.is_set():
        drain()
        await asyncio.sleep(settings.drain_seconds)
    app.close_connections()
    server.stop()  # type: ignore[no-untyped-call]
    with suppress(TimeoutError):
        await asyncio.wait_for(serving, STOP_SECONDS)
    app.close()


async def due_for_replacement(settings: ServerSettings) -> None:
    """Return when this worker is as old, or as large, as it may become. The parent replaces a worker that ends."""
    apart = 1 + os.getpid() % 10 / 50  # so that not all of them are replaced at once
    end = time.monotonic() + settings.worker_seconds * apart if settings.worker_seconds else math.inf
    most = settings.worker_megabytes * 1024 * 1024 or math.inf
    while time.monotonic() < end and memory_of_process() < most:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(_LOOK_SECONDS)


def _collect_rarely() -> None:
    gc.freeze()  # what is loaded by now stays
    gc.set_threshold(*COLLECTIONS)


class _OnSocket(Server):
    """granian on a socket that the parent has made, and keeps when this process ends."""

    def __init__(self, app: RsgiApp, listener: socket.socket, settings: ServerSettings) -> None:
        super().__init__(
            app,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,  # over clear-text HTTP/2 some bytes are enough to hold much for long
            websockets=False,
            backlog=BACKLOG,
            backpressure=settings.connections,
            http1_settings=HTTP1Settings(
                header_read_timeout=settings.head_seconds * 1000,
                max_buffer_size=max(_LEAST_BUFFER, settings.bounds.head_bytes),
            ),
            log_level=LogLevels.error,
        )
        self._listener = listener

    def _init_shared_socket(self) -> None:  # type: ignore[explicit-override] # Python 3.11 has no such mark
        holder: Any = net.SocketHolder  # type: ignore[attr-defined]
        more = () if os.name == "nt" else (False, BACKLOG)  # it is no Unix socket
        self._ssp, self._shd = None, holder(self._listener.fileno(), *more)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes uvloop's loop, a quarter cheaper a request; where it is missing, as on Windows, asyncio's."""
    if sys.platform == "win32":
        return None
    try:
        import uvloop  # noqa: PLC0415 - see above
    except ImportError:
        return None
    return uvloop.new_event_loop
