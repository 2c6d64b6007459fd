"""The history: what a change records about itself, in the change's own commit, keyed by its change number.

Read in the order of `change_no`, the events of a user are the order in which things happened; clocks play no part.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct

from common.clock import from_millis, to_millis
from common.possession import Possession
from common.storage.port import Absent, Item, Put, Store
from common.storage.tables import LOGIN_HISTORY

_PER_MILLISECOND = 1_000_000  # 19 digits until 2262, which a signed 64-bit number holds


class Kind(StrEnum):
    """What an event tells."""

    REGISTERED = "registered"
    DEVICE_ADDED = "device-added"
    DEVICE_REMOVED = "device-removed"
    DEVICE_RENAMED = "device-renamed"
    CERTIFICATE_RENEWED = "certificate-renewed"
    CERTIFICATE_REVOKED = "certificate-revoked"
    OTP_ENABLED = "otp-enabled"
    OTP_DISABLED = "otp-disabled"
    RECOVERY_CODE_USED = "recovery-code-used"
    LOGIN = "login"
    SESSION_ENDED = "session-ended"


class Reason(StrEnum):
    """Why a session ended. Clients must bear reasons they do not know."""

    TAKEN_OVER = "taken-over"
    FORCED_OUT = "forced-out"
    EVICTED = "evicted"
    REPLACED = "replaced"
    LOGGED_OUT = "logged-out"
    EXPIRED = "expired"
    DEVICE_UNBOUND = "device-unbound"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - a reason, not a password
    REFRESH_REUSED = "refresh-reused"
    REVOKED = "revoked"
    OVER_LIMIT = "over-limit"
    ENDED = "ended"


class Origin(Struct, frozen=True):
    """Where a request came from, as far as it can be known: an address, what the client says of itself, and the key.

    `possession` is there where the client signed the request (DPoP); it is written into no history.
    """

    ip: str = ""
    user_agent: str = ""
    possession: Possession | None = None

    @property
    def thumbprint(self) -> str | None:
        """The thumbprint of the key that signed the request."""
        return None if self.possession is None else self.possession.thumbprint


class Event(Struct, frozen=True):
    """One thing that happened.

    `device_name` only where no row of DevicesTable can tell it; `by` is the device that did it.
    """

    kind: Kind
    at: datetime
    device_id: str | None = None
    session_id: str | None = None
    reason: Reason | None = None
    device_name: str | None = None
    by: str | None = None


class Entry(Struct, frozen=True):
    """The events of one change, and where the request that made it came from."""

    change_no: int
    events: tuple[Event, ...]
    origin: Origin


def entry_put(user_uuid: str, entry: Entry) -> Put:
    """Return the write that adds an entry; it fails if the number is taken."""
    item: Item = {
        "user_uuid": user_uuid,
        "change_no": entry.change_no,
        "events": [_event_to_item(event) for event in entry.events],
        "ip": entry.origin.ip,
        "user_agent": entry.origin.user_agent,
    }
    return Put(LOGIN_HISTORY, item, Absent())


def failures_of(account_key: str) -> str:
    """Return the partition of LoginHistory that holds an account's failed tries, each with its time and origin."""
    return f"{account_key}#failures"


class FailedLogin(Struct, frozen=True):
    """A wrong password: when, and from where."""

    at: datetime
    origin: Origin


def failure_put(account_key: str, failed: FailedLogin, expires_at: datetime) -> Put:
    """Return the write that keeps a failed try until `expires_at`; two in one millisecond are told apart by chance."""
    millis = to_millis(failed.at)
    item: Item = {
        "user_uuid": failures_of(account_key),
        "change_no": millis * _PER_MILLISECOND + secrets.randbelow(_PER_MILLISECOND),
        "at": millis,
        "ip": failed.origin.ip,
        "user_agent": failed.origin.user_agent,
        "expires_at": to_millis(expires_at),
    }
    return Put(LOGIN_HISTORY, item)


def read_failures(store: Store, user_uuid: str, limit: int, now: datetime) -> Sequence[FailedLogin]:
    """Return the newest failed tries that are still kept at `now`. Raises StoreUnavailable."""
    page = store.query(LOGIN_HISTORY, failures_of(user_uuid), limit=limit, descending=True)
    kept: list[Any] = [item for item in page.items if item["expires_at"] > to_millis(now)]  # type: ignore[operator]
    return [FailedLogin(from_millis(i["at"]), Origin(i["ip"], i["user_agent"])) for i in kept]


def read_entries(store: Store, user_uuid: str, *, before: int | None, limit: int) -> Sequence[Entry]:
    """Return up to `limit` entries with a number below `before` (None: all), newest first. Raises StoreUnavailable."""
    page = store.query(LOGIN_HISTORY, user_uuid, after=before, limit=limit, descending=True)
    return [_entry_from_item(item) for item in page.items]


def _event_to_item(event: Event) -> dict[str, Any]:
    texts = {
        "device_id": event.device_id,
        "session_id": event.session_id,
        "reason": event.reason and str(event.reason),
        "device_name": event.device_name,
        "by": event.by,
    }
    present = {name: text for name, text in texts.items() if text is not None}
    return {"kind": str(event.kind), "at": to_millis(event.at), **present}


def _entry_from_item(item: Mapping[str, Any]) -> Entry:
    events = tuple(_event_from_item(fields) for fields in item["events"])
    return Entry(item["change_no"], events, Origin(item["ip"], item["user_agent"]))


def _event_from_item(fields: Mapping[str, Any]) -> Event:
    return Event(
        kind=Kind(fields["kind"]),
        at=from_millis(fields["at"]),
        device_id=fields.get("device_id"),
        session_id=fields.get("session_id"),
        reason=Reason(fields["reason"]) if "reason" in fields else None,
        device_name=fields.get("device_name"),
        by=fields.get("by"),
    )
