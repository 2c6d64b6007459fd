"""The history: what a change records about itself, keyed by its change number.

The change carries it in the account's book, in the outbox; it is laid down in LoginHistory afterwards. So a reader of
the history reads the outbox with it.

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
from common.storage.port import Absent, Item, Put, Store
from common.storage.stored_form import More, carried, named
from common.storage.tables import LOGIN_HISTORY

_PER_MILLISECOND = 1_000_000  # 19 digits until 2262, which a signed 64-bit number holds


class EventKind(StrEnum):
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
    RECOVERY_CODES_RENEWED = "recovery-codes-renewed"
    PASSKEY_ADDED = "passkey-added"
    PASSKEY_REMOVED = "passkey-removed"
    EMAIL_CONFIRMED = "email-confirmed"
    EMAIL_CHANGED = "email-changed"
    USERNAME_CHANGED = "username-changed"
    OBJECTED = "objected"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - an event, not a password
    ACCOUNT_DISABLED = "account-disabled"
    ACCOUNT_ENABLED = "account-enabled"
    ACCOUNT_CLOSED = "account-closed"
    ACCOUNT_REOPENED = "account-reopened"
    LOGIN = "login"
    SESSION_ENDED = "session-ended"


class Reason(StrEnum):
    """Why a session ended. Clients must ignore reasons they do not know."""

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


class OperatorAct(StrEnum):
    """What an operator does to an account. The history and the events name the act; why it was done, the audit log."""

    CREATE = "create"
    DISABLE = "disable"
    ENABLE = "enable"
    END_SESSIONS = "end-sessions"
    UNBIND = "unbind"
    SET_PASSWORD = "set-password"  # noqa: S105 - an act, not a password
    RESET_OTP = "reset-otp"
    CLOSE = "close"
    EXPORT = "export"
    EVERYBODY_OUT = "everybody-out"


class ClientInfo(Struct, frozen=True):
    """Where a request came from, as far as it can be known: an address, and what the client says of itself."""

    ip: str = ""
    user_agent: str = ""


class Event(Struct, frozen=True):
    """One thing that happened.

    `device_name` only where no row of DevicesTable can tell it; `by` is the device that did it, `act` what an operator
    did. What a later release calls otherwise is a text; `more`: what else it wrote.
    """

    kind: EventKind | str
    at: datetime
    device_id: str | None = None
    session_id: str | None = None
    reason: Reason | str | None = None
    device_name: str | None = None
    by: str | None = None
    act: OperatorAct | str | None = None
    more: More = {}


class HistoryRecord(Struct, frozen=True):
    """The events of one change, and where the request that made it came from."""

    change_no: int
    events: tuple[Event, ...]
    client: ClientInfo
    more: More = {}


def history_put(user_uuid: str, record: HistoryRecord, kept: Item | None = None) -> Put:
    """Return the write that lays an entry down; it fails if the number is taken: then it was laid down before.

    `kept`: the member that says until when.
    """
    return Put(LOGIN_HISTORY, {"user_uuid": user_uuid, **record_to_item(record), **(kept or {})}, Absent())


def record_to_item(record: HistoryRecord) -> dict[str, Any]:
    """Write a record as its item of LoginHistory has it, beside the key's first part."""
    return {
        **record.more,
        "change_no": record.change_no,
        "events": [_event_to_item(event) for event in record.events],
        "ip": record.client.ip,
        "user_agent": record.client.user_agent,
    }


def failures_of(account_key: str) -> str:
    """Return the partition of LoginHistory that holds an account's failed tries, each with its time and origin."""
    return f"{account_key}#failures"


class FailedLogin(Struct, frozen=True):
    """A wrong password: when, and from where."""

    at: datetime
    client: ClientInfo


def failure_put(account_key: str, failed: FailedLogin, expires_at: datetime) -> Put:
    """Return the write that keeps a failed try until `expires_at`; two in one millisecond are told apart by chance."""
    millis = to_millis(failed.at)
    item: Item = {
        "user_uuid": failures_of(account_key),
        "change_no": millis * _PER_MILLISECOND + secrets.randbelow(_PER_MILLISECOND),
        "at": millis,
        "ip": failed.client.ip,
        "user_agent": failed.client.user_agent,
        "expires_at": to_millis(expires_at),
    }
    return Put(LOGIN_HISTORY, item)


def read_failures(store: Store, user_uuid: str, limit: int, now: datetime) -> Sequence[FailedLogin]:
    """Return the newest failed tries that are still kept at `now`. Raises StoreUnavailable."""
    page = store.query(LOGIN_HISTORY, failures_of(user_uuid), limit=limit, descending=True)
    kept: list[Any] = [item for item in page.items if item["expires_at"] > to_millis(now)]  # type: ignore[operator]
    return [FailedLogin(from_millis(i["at"]), ClientInfo(i["ip"], i["user_agent"])) for i in kept]


def read_record(store: Store, user_uuid: str, change_no: int) -> HistoryRecord | None:
    """Return one record, if it is laid down. Raises StoreUnavailable."""
    item = store.get(LOGIN_HISTORY.key(user_uuid, change_no))
    return None if item is None else record_from_item(item)


def read_laid_down(store: Store, user_uuid: str, *, before: int | None, limit: int) -> Sequence[HistoryRecord]:
    """Return up to `limit` records with a number below `before` (None: all), newest first. Raises StoreUnavailable.

    What is still in the outbox of the book is not among them: see `outbox.read_records`.
    """
    page = store.query(LOGIN_HISTORY, user_uuid, after=before, limit=limit, descending=True)
    return [record_from_item(item) for item in page.items]


def _event_to_item(event: Event) -> dict[str, Any]:
    texts = {
        "device_id": event.device_id,
        "session_id": event.session_id,
        "reason": event.reason and str(event.reason),
        "device_name": event.device_name,
        "by": event.by,
        "act": event.act and str(event.act),
    }
    present = {name: text for name, text in texts.items() if text is not None}
    return {**event.more, "kind": str(event.kind), "at": to_millis(event.at), **present}


def record_from_item(item: Mapping[str, Any]) -> HistoryRecord:
    """Read an item of LoginHistory."""
    events = tuple(_event_from_item(fields) for fields in item["events"])
    client = ClientInfo(item["ip"], item["user_agent"])
    return HistoryRecord(item["change_no"], events, client, carried(item, _RECORD))


_RECORD = frozenset(("user_uuid", "change_no", "events", "ip", "user_agent", "expires_at"))
_EVENT = frozenset(("kind", "at", "device_id", "session_id", "reason", "device_name", "by", "act"))


def _event_from_item(fields: Mapping[str, Any]) -> Event:
    return Event(
        kind=named(EventKind, fields["kind"]),
        at=from_millis(fields["at"]),
        device_id=fields.get("device_id"),
        session_id=fields.get("session_id"),
        reason=named(Reason, fields["reason"]) if "reason" in fields else None,
        device_name=fields.get("device_name"),
        by=fields.get("by"),
        act=named(OperatorAct, fields["act"]) if "act" in fields else None,
        more=carried(fields, _EVENT),
    )
