"""What an event stream says, and how many may be open. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from msgspec import Struct

from common.account.approval import Asked
from common.clock import to_rfc3339

REVOKED = "session-revoked"
APPROVAL = "approval-requested"

OPENING = b"retry: 2000\n: open\n\n"
"""The first bytes of a stream: the client knows that it is on, and reconnects two seconds after it breaks."""

HEARTBEAT = b": still here\n\n"
"""A comment, which clients pass over: it keeps proxies from closing a quiet stream."""

CLOSING = b": this server ends\n\n"
"""The last bytes of a stream whose server stops; the session lives, the client connects anew."""


class StreamLimits(Struct, frozen=True):
    """How many streams may be open at once: of one session, of one user, from one source, and in one process."""

    session: int = 20
    user: int = 100
    source: int = 5_000
    total: int = 10_000


class Notice(Struct, frozen=True):
    """That a session has ended: why, when, and the name of the device that brought it about, where one did.

    `act`: what an operator did that ended it.
    """

    reason: str
    at: datetime
    by_device: str | None = None
    act: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """What the client is told."""
        told = {"reason": self.reason, "event_timestamp": to_rfc3339(self.at), "by_device": self.by_device}
        return told if self.act is None else {**told, "act": self.act}

    def as_event(self) -> bytes:
        """Write it as a Server-Sent Event (HTML Living Standard, section 9.2)."""
        return b"event: %s\ndata: %s\n\n" % (REVOKED.encode(), orjson.dumps(self.fields))

    def as_message(self) -> str:
        """Write it as a WebSocket message."""
        return message(REVOKED, self.fields)


def asked_event(asked: Asked) -> bytes:
    """Write what a user is asked as a Server-Sent Event."""
    return b"event: %s\ndata: %s\n\n" % (APPROVAL.encode(), orjson.dumps(asked.to_json()))


def message(event: str, data: object = None) -> str:
    """Write a WebSocket message: the event's name and its data."""
    return orjson.dumps({"event": event, "data": data}).decode()
