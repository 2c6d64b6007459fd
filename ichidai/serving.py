"""Serving an app with granian: checked before it starts, so that every fault is one clear sentence."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from common.config import SettingsError
from common.crypto.keyring import KeyRingError
from common.storage.opening import StoreUrlError
from common.storage.port import StoreUnavailable
from device_manager.publishing import Publisher
from ichidai.serving_events import serve_events, streams_beside
from ichidai.settings import read_settings, read_trials
from ichidai.topology import DEV_PORTS, Part
from ichidai.wiring import build, events_port_of

THREADS_PER_WORKER = 4
"""Enough to wait for Argon2id beside other requests; more only lengthen the tail (measured)."""

_TARGETS = {Part.ALL: "combined"}
_PORT_PATIENCE = 3.0


class CannotServe(Exception):
    """The server cannot start; the text tells a person why."""


def serve(
    serving: Part,
    host: str,
    port: int | None,
    workers: int,
    events_port: int | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve until the process is told to stop. Raises CannotServe.

    The settings come from the environment. Store and keys are opened once here, before any worker is started. Event
    streams are served beside the app by a process of their own; `events_port` None is where the settings say.
    """
    if os.name == "nt" and workers > 1:
        raise CannotServe("On Windows the server runs with one worker: leave --workers at 1.")
    if serving is Part.EVENTS and workers > 1:
        raise CannotServe(
            "Event streams are served by one process: leave --workers at 1, or start it on several ports."
        )
    if events_port is not None:
        os.environ["ICHIDAI_EVENTS_PORT"] = str(events_port)
    port, events, publisher = _checked(serving, host, port)
    if serving is Part.EVENTS:
        say(f"Ichidai events answers on http://{host}:{port}  (Ctrl-C ends it)")
        serve_events(host, port, DEV_PORTS[Part.ALL])
        return
    os.environ["PORT"] = str(port)
    os.environ["ICHIDAI_EVENTS_PORT"] = str(events or "off")
    streams = f", event streams on port {events}" if events else ""
    say(f"Ichidai {serving} answers on http://{host}:{port}{streams}  (Ctrl-C ends it)")
    with streams_beside(host, events, port):
        if publisher is not None:
            publish = partial(publisher.run, threading.Event())
            threading.Thread(target=publish, name="publish", daemon=True).start()
        _serve_app(serving, host, port, workers)


def _serve_app(serving: Part, host: str, port: int, workers: int) -> None:
    Granian(
        f"ichidai.apps:{_TARGETS.get(serving, str(serving))}",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=THREADS_PER_WORKER,
        factory=True,
        log_enabled=True,
        log_level=LogLevels.warning,
        workers_kill_timeout=5,
    ).serve()


def run_dev_server(serving: Part) -> None:
    """Serve one app on its dev port for a developer. A fault is one sentence on stderr."""
    try:
        serve(serving, "127.0.0.1", None, workers=1)
    except CannotServe as error:
        sys.exit(str(error))


def _checked(serving: Part, host: str, port: int | None) -> tuple[int, int, Publisher | None]:
    """Open everything once, before any worker is started. Raises CannotServe.

    Returns the port, that of the event streams beside it (0: none), and what this part has to publish.
    """
    try:
        settings = read_settings(os.environ)
        read_trials(os.environ)
        port = port or settings.port or DEV_PORTS[serving]
        events = events_port_of(settings, serving, port)
        _wait_for_port(host, port, "--port")
        if events:
            _wait_for_port(host, events, "--events-port or ICHIDAI_EVENTS_PORT")
        suite = build(settings, serving, port)
        suite.close()
    except (SettingsError, KeyRingError, StoreUrlError) as error:
        raise CannotServe(str(error)) from error
    except (StoreUnavailable, OSError) as error:
        raise CannotServe(f"The store cannot be opened: {error}") from error
    return port, events, suite.publisher if serving in (Part.ALL, Part.DEVICE) else None


def _wait_for_port(host: str, port: int, option: str) -> None:
    """Wait a moment for a port that a killed server's workers are about to leave. Raises CannotServe."""
    end = time.monotonic() + _PORT_PATIENCE
    while not _is_free(host, port):
        if time.monotonic() > end:
            raise CannotServe(f"Port {port} on {host} is in use: choose another with {option}, or end what uses it.")
        time.sleep(0.1)


def _is_free(host: str, port: int) -> bool:
    """Say whether nobody listens there. The server itself would share a taken port without a word."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    with suppress(OSError), socket.create_connection((host, port), timeout=0.2):
        return False
    return True
