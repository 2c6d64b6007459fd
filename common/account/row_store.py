"""Rows of an account on their way from its book to their tables."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from common.account.rows import NUMBER, NUMBERED, PendingRow
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.port import Absent, Conflict, Equals, Put, Store, StoreUnavailable
from common.storage.tables import SESSIONS

_log = logging.getLogger(__name__)


def lay_row(store: Store, user_uuid: str, row: PendingRow) -> None:
    """Write a row to its table unless a later change has done so. It may be done twice, and late. StoreUnavailable."""
    if row.table not in NUMBERED:
        write_known(store, Put(row.table, row.item), RetryBudget())
        return
    for _ in RetryBudget():
        lying: Any = store.get(row.key)
        if lying == row.item or (lying is not None and _is_later(store, user_uuid, lying, row)):
            return
        when = Absent() if lying is None else _as_read(row, lying)
        try:
            write_known(store, Put(row.table, row.item, when), RetryBudget())
        except Conflict:
            continue
        return
    raise StoreUnavailable("a row of an account is changed by others all the time")


def _as_read(row: PendingRow, lying: Mapping[str, Any]) -> Equals:
    """Return the condition that a row is as it was read; one that was there before rows had numbers need only be."""
    name = NUMBER if NUMBER in lying else row.table.partition
    return Equals(name, lying[name])


def _is_later(store: Store, user_uuid: str, lying: Mapping[str, Any], row: PendingRow) -> bool:
    """Say whether what lies there is of a later change of this very book: else they were restored to other times."""
    if lying.get(NUMBER, 0) < row.version:
        return False
    book: Any = store.get(SESSIONS.key(user_uuid))
    if book is not None and row.version < lying[NUMBER] <= book["version"]:
        return True
    _log.error(
        "a row of %s in %s is of version %d, of another time than its book: it is written anew. Were they restored to "
        "different times?",
        user_uuid,
        row.table.name,
        lying[NUMBER],
    )
    return False
