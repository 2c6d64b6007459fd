"""Tombstones: an item in the place of a book that must never be made. Everything reads it as "no such account". Pure.

It says of itself what a reader that knows no tombstones may believe: a disabled account with nothing in it. It must
outlive whatever could still be written in its place; a check of the store removes it when it is `STANDS_FOR` old.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from common.account.book import AccountState, Book
from common.clock import from_millis, to_millis
from common.storage.port import Item

STANDS_FOR = timedelta(days=30)
"""A write that was decided before the tombstone was put has failed by then, or its process was stopped for as long."""


def tombstone(user_uuid: str, now: datetime) -> Item:
    """Return the item to be put where no book lies: `create`, which needs the place to be empty, fails from then on."""
    return {
        **Book(user_uuid, version=1, state=AccountState.DISABLED).to_item(),
        "tombstone": True,
        "at": to_millis(now),
    }


def is_tombstone(item: Mapping[str, Any]) -> bool:
    """Say whether no account lies here, and none ever will."""
    return item.get("tombstone", False) is True


def stands_until(item: Mapping[str, Any]) -> datetime | None:
    """Return when a tombstone may go; None: it says no time, or it is none."""
    return from_millis(item["at"]) + STANDS_FOR if is_tombstone(item) and "at" in item else None
