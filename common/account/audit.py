"""The audit log: who did what to whom, when and why, in a table of its own.

Its kinds are a closed vocabulary. An operator's words stand here and nowhere else. No secret and no token is written.
Lines lie in buckets of a day, each spread over shards by the account they are about, so that the lines of one account
are one partition a day.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import merge
from itertools import groupby
from typing import Any

from msgspec import Struct

from common.account.audit_carried import carried_lines
from common.account.claims import CLOSED
from common.clock import from_millis, sortable, to_millis
from common.storage.paging import all_items
from common.storage.port import Item, Put, Store
from common.storage.stored_form import named
from common.storage.tables import AUDIT

SHARDS = 4
"""How many partitions share a day."""

DAYS_OF_A_PAGE = 31
"""How many days are looked at for one page, beside the one that it begins in."""

LINES_OF_A_PAGE = 2000
"""How many lines are looked at for one page."""

_DAY_MS = 86_400_000
_PLACE = r"[0-9]{15}(#[!-~]{0,100})?"


class AuditKind(StrEnum):
    """What a line of the audit log tells. Operators' acts have the words of the command line."""

    ACCOUNT_CREATED = "operator-create"
    ACCOUNT_DISABLED = "operator-disable"
    ACCOUNT_ENABLED = "operator-enable"
    SESSIONS_ENDED = "operator-end-sessions"
    DEVICE_UNBOUND = "operator-unbind"
    PASSWORD_SET = "operator-set-password"  # noqa: S105 - a kind, not a password
    OTP_RESET = "operator-reset-otp"
    ACCOUNT_CLOSED = "operator-close"
    ACCOUNT_EXPORTED = "operator-export"
    INVITATION_CREATED = "operator-invite"
    POLICY_SET = "policy-set"
    KEYS_CREATED = "keys-create"
    KEY_ROTATED = "keys-rotate"
    KEY_RETIRED = "keys-retire"
    KEYS_SEALED = "keys-seal"
    KEYS_REWRAPPED = "keys-rewrap"
    AUTHORITY_ROTATED = "ca-rotate"
    ADMIN_KEY_CREATED = "admin-key-create"
    ADMIN_KEY_REVOKED = "admin-key-revoke"
    EVERYBODY_OUT = "operator-everybody-out"
    STORE_MENDED = "store-mend"
    STORE_MOVED = "store-move"


class AuditEvent(Struct, frozen=True):
    """One line. `actor` did it to the account `user_uuid` (None: to none), and `reason` is why, in the actor's words.

    `event_id` tells two lines of one millisecond apart. `facts` are short texts, such as a device's id.
    """

    kind: AuditKind | str
    at: datetime
    actor: str
    event_id: str
    user_uuid: str | None = None
    reason: str = ""
    facts: Mapping[str, str] = {}


def audit_put(event: AuditEvent, kept: timedelta) -> Put:
    """Return the write of a line, which is kept for a time. It needs no condition: its key is its own."""
    millis = to_millis(event.at)
    item: Item = {
        "bucket": _bucket(millis // _DAY_MS, _shard(event.user_uuid)),
        "id": f"{sortable(millis)}#{event.event_id}",
        "kind": str(event.kind),
        "at": millis,
        "actor": event.actor,
        "user_uuid": event.user_uuid,
        "reason": event.reason,
        "facts": dict(event.facts),
        "expires_at": to_millis(event.at + kept),
    }
    return Put(AUDIT, item)


class AuditPage(Struct, frozen=True):
    """Some lines, newest first. `before`: where the page that follows begins; None: there is none."""

    events: Sequence[AuditEvent]
    before: str | None


def read_audit(store: Store, since: datetime, now: datetime, user_uuid: str | None = None) -> Iterator[AuditEvent]:
    """Give the lines from `since` on that are kept at `now`, in the order of time; of one account if named.

    What an item still carries, which is about no account, is told with them. Raises StoreUnavailable.
    """
    for item in _lines(store, to_millis(since), to_millis(now), user_uuid):
        if _is_told(item, to_millis(now), user_uuid):
            yield _from_item(item)


def read_audit_page(
    store: Store, since: datetime, now: datetime, user_uuid: str | None, before: str | None, limit: int
) -> AuditPage:
    """Return up to `limit` of these lines, the newest before a place that an earlier page named (None: of all).

    It looks at so much of the log and no more, so a page may be short, or empty, though others follow. Raises
    ValueError for what is no such place, StoreUnavailable.
    """
    if before is not None and not re.fullmatch(_PLACE, before):
        raise ValueError(before)
    oldest, latest = to_millis(since), to_millis(now)
    last = latest if before is None else min(latest, int(before.partition("#")[0]))
    first = max(oldest, (last // _DAY_MS - DAYS_OF_A_PAGE) * _DAY_MS)
    found: list[AuditEvent] = []
    place: str | None = None
    for number, item in enumerate(_lines(store, first, last, user_uuid, before or "", limit + 1)):
        is_told = _is_told(item, latest, user_uuid)
        if number == LINES_OF_A_PAGE or (is_told and len(found) == limit):
            return AuditPage(found, place)
        found += [_from_item(item)] if is_told else []
        place = str(item["id"])
    return AuditPage(found, sortable(first) if first > oldest else None)


def _is_told(item: Mapping[str, Any], now: int, user_uuid: str | None) -> bool:
    return item["expires_at"] > now and user_uuid in (None, item["user_uuid"])


def _lines(
    store: Store, first: int, last: int, user_uuid: str | None, before: str | None = None, at_once: int | None = None
) -> Iterator[Mapping[str, Any]]:
    """Give the lines of some days as they lie, each once: all that may tell of an account where one is named.

    From `first` on (ms) in the order of time; with `before` in the other one, from the newest before that place on
    (empty: of all) to `first`.
    """
    descending, low = before is not None, sortable(first)
    days = range(first // _DAY_MS, last // _DAY_MS + 1)
    shards = range(SHARDS) if user_uuid is None else (_shard(user_uuid),)
    lines = carried_lines(store) if user_uuid is None else ()
    carried = [line for line in lines if low < _id(line) and (not before or _id(line) < before)]
    after = (before or None) if descending else low
    for day in reversed(days) if descending else days:
        buckets = [_bucket(day, shard) for shard in shards]
        with_items = sorted((line for line in carried if line["bucket"] in buckets), key=_id, reverse=descending)
        laid = [all_items(store, AUDIT, each, after=after, descending=descending, at_once=at_once) for each in buckets]
        for place, same in groupby(merge(with_items, *laid, key=_id, reverse=descending), key=_id):
            if place <= low:
                return  # what follows is older still
            yield next(same)


def unnamed(store: Store, since: datetime, now: datetime, user_uuid: str) -> Iterator[Put]:
    """Give the writes by which the lines about an account that goes name it no more; who acted and when stays.

    Raises StoreUnavailable.
    """
    for day in range(to_millis(since) // _DAY_MS, to_millis(now) // _DAY_MS + 1):
        for item in all_items(store, AUDIT, _bucket(day, _shard(user_uuid))):
            if item["user_uuid"] == user_uuid:
                yield Put(AUDIT, {**item, "user_uuid": CLOSED, "reason": "", "facts": {}})


def _id(item: Mapping[str, Any]) -> str:
    return str(item["id"])


def _from_item(item: Mapping[str, Any]) -> AuditEvent:
    return AuditEvent(
        kind=named(AuditKind, item["kind"]),
        at=from_millis(item["at"]),
        actor=item["actor"],
        event_id=item["id"].partition("#")[2],
        user_uuid=item["user_uuid"],
        reason=item["reason"],
        facts=item["facts"],
    )


def _shard(user_uuid: str | None) -> int:
    return zlib.crc32((user_uuid or "").encode()) % SHARDS


def _bucket(day: int, shard: int) -> str:
    return f"{day}#{shard}"
