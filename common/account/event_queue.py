"""Queues of endings for machines: one for each receiver, so that one that is down is in no other's way.

What lays a change down puts each of its endings into every queue, under a name that is always the same: done twice, it
lies there once. It stays until it was delivered, seven days at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from common.account.feed import Ending
from common.clock import from_millis, to_millis
from common.storage.port import Delete, Item, Put, Store
from common.storage.tables import FEED

KEPT = timedelta(days=7)
"""How long an ending waits for its receiver."""


class QueuedEnding(Struct, frozen=True):
    """An ending that waits. `jti`: account, change number, and which of the change's endings it is."""

    receiver: str
    place: str
    jti: str
    ending: Ending

    @property
    def removal(self) -> Delete:
        """The write that takes it out of its queue."""
        return Delete(FEED.key(_bucket(self.receiver), self.place))


def queue_puts(receivers: Sequence[str], endings: Sequence[Ending], change_no: int) -> Iterator[Put]:
    """Give the writes that let a change's endings wait for their receivers."""
    for number, ending in enumerate(endings):
        jti, millis = f"{ending.user_uuid}.{change_no}.{number}", to_millis(ending.at)
        for receiver in receivers:
            item: Item = {
                "bucket": _bucket(receiver),
                "id": f"{millis:015d}#{jti}",
                "user_uuid": ending.user_uuid,
                "jti": jti,
                **_to_item(ending),
                "expires_at": to_millis(ending.at + KEPT),
            }
            yield Put(FEED, item)


def waiting(store: Store, receiver: str, now: datetime, most: int) -> Sequence[QueuedEnding]:
    """Return what waits for a receiver, oldest first, up to `most`. Raises StoreUnavailable."""
    oldest = f"{to_millis(now - KEPT) + 1:015d}"  # what has expired is passed over: it may lie there for days
    page: Any = store.query(FEED, _bucket(receiver), after=oldest, limit=most)
    return [_from_item(receiver, item) for item in page.items]


def _from_item(receiver: str, item: Mapping[str, Any]) -> QueuedEnding:
    ending = Ending(
        user_uuid=item["user_uuid"],
        session_id=item["session_id"],
        reason=item["reason"],
        at=from_millis(item["at"]),
        act=item.get("act"),
    )
    return QueuedEnding(receiver, item["id"], item["jti"], ending)


def _to_item(ending: Ending) -> dict[str, Any]:
    told = {"session_id": ending.session_id, "reason": str(ending.reason), "at": to_millis(ending.at)}
    return told if ending.act is None else {**told, "act": str(ending.act)}


def _bucket(receiver: str) -> str:
    return f"to#{receiver}"
