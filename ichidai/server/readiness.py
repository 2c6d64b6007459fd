"""Waiting for an app's workers: a server says that it answers once one of them has."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException

from ichidai.server.service_manager import READY, notify_manager

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - these are looked up, not listened on
_LOOK_SECONDS, _PATIENCE_SECONDS, _ANSWER_SECONDS = 0.02, 60.0, 5.0


def wait_until_answering(host: str, port: int, seconds: float) -> bool:
    """Wait until an app answers on an address; return whether it did in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        app = HTTPConnection(_ANY.get(host, host), port, timeout=_ANSWER_SECONDS)
        with suppress(OSError, HTTPException), closing(app):
            app.request("GET", "/health")
            app.getresponse()
            return True
        time.sleep(_LOOK_SECONDS)
    return False


def say_when_answering(text: str, host: str, port: int, say: Callable[[str], None]) -> None:
    """Say a text as soon as an app answers on an address, while this thread goes on to start its workers.

    The service manager is told as well.
    """

    def wait() -> None:
        did = wait_until_answering(host, port, _PATIENCE_SECONDS)
        if did:
            notify_manager(READY)
        say(text if did else f"Nothing has answered on port {port} within {_PATIENCE_SECONDS:.0f} seconds.")

    threading.Thread(target=wait, name="say-when-answering", daemon=True).start()
