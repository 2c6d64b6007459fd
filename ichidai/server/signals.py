"""Telling an event loop that its process shall end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable


def on_end(stop: Callable[[], object]) -> None:
    """Let the running loop call `stop` when the process is told to end; Windows has no signals for a loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
