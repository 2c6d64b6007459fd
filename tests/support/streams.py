"""Listeners for tests: an event stream read by a thread of its own, each part with the moment at which it came."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from tests.support.client import Client, bearer
from tests.support.servers import until


@dataclass(frozen=True)
class Event:
    """An event as it came; `at` is `time.monotonic()`."""

    name: str
    data: Mapping[str, Any]
    at: float


def events_url(client: Client) -> str:
    """Return where the streams are, as a client finds out."""
    return str(client.get("/.well-known/ichidai.json").json()["events_endpoint"])


class Listener:
    """An open stream. It is closed by its server, or by `leave`."""

    def __init__(self, url: str, token: str, **headers: str) -> None:
        self.events: list[Event] = []
        self.comments: list[str] = []
        self.ended_at: float | None = None
        self.answer = requests.get(url, headers={**bearer(token), **headers}, stream=True, timeout=(10, 90))
        assert self.answer.status_code == 200, self.answer.text
        assert self.answer.headers["Content-Type"].startswith("text/event-stream")
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        until(lambda: "open" in self.comments, "the stream has begun")

    @property
    def event(self) -> Event:
        """The one event, once the stream has ended."""
        self.wait()
        (event,) = self.events
        return event

    def wait(self, seconds: float = 30.0) -> float:
        """Wait until the server has ended the stream; return when it did."""
        self._thread.join(seconds)
        assert self.ended_at is not None, f"the stream has not ended in {seconds} s"
        return self.ended_at

    def is_open(self) -> bool:
        """Say whether it is open still."""
        return self.ended_at is None

    def leave(self) -> None:
        """Close it from this side."""
        connection: Any = self.answer.raw._fp
        connection.fp.raw._sock.shutdown(2)
        self._thread.join(10)
        self.answer.close()

    def _read(self) -> None:
        name = ""
        try:
            for line in self.answer.iter_lines(chunk_size=1):
                text = line.decode()
                if text.startswith(":"):
                    self.comments.append(text[1:].strip())
                elif text.startswith("event:"):
                    name = text.removeprefix("event:").strip()
                elif text.startswith("data:"):
                    self.events.append(Event(name, json.loads(text.removeprefix("data:")), time.monotonic()))
        except (requests.RequestException, OSError, AttributeError):
            pass  # `leave`, or the server was killed
        self.ended_at = time.monotonic()
