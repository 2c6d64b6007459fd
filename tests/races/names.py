"""One name that several processes want at the same moment, cut down to its race: claims and the book's commit.

What taking over without the fence leads to is shown in `tests/interleavings/test_claims.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from common.account.book import Book
from common.account.claim_store import ClaimStore, ClaimTaken
from common.account.claims import Claim
from common.account.draft import Draft
from common.account.history import ClientInfo, Event, EventKind
from common.account.transactions import AccountTransactions
from common.clock import system_clock
from common.errors import Refusal
from common.ids import new_id
from common.storage.port import Absent, Conflict, Put, Store
from common.storage.tables import USERS
from tests.support.engines import Engine

SWEEPER, _SWEEPS = 4, 10


def names_of(row: Mapping[str, Any], _now: datetime) -> Collection[str]:
    """Return what a row here tells."""
    return (str(row["username"]),)


def careful(number: int, gate: Callable[[], None], engine: Engine, names: Sequence[str]) -> list[str | None]:
    """Register each name in turn, at the same moment as the others; return the account, or None where it was refused.

    Every second process has a clock that is a minute ahead: to it all reservations are old. The last one wants no name:
    it sweeps, as a check of the store does, by such a clock.
    """
    store = engine.open()
    keeper, clock = AccountTransactions(store, system_clock), _ahead if number % 2 else system_clock
    claims = ClaimStore(store, keeper, clock, names_of)
    if number == SWEEPER:
        return [_swept(ClaimStore(store, keeper, _ahead, names_of), gate, name) for name in names]
    return [_registered(store, keeper, claims, gate, name) for name in names]


def _swept(claims: ClaimStore, gate: Callable[[], None], name: str) -> str | None:
    """Settle the name again and again; no account has it by that."""
    gate()
    for _ in range(_SWEEPS):
        with suppress(Refusal):
            claims.settle(name)
    return None


def _registered(
    store: Store,
    keeper: AccountTransactions,
    claims: ClaimStore,
    gate: Callable[[], None],
    name: str,
) -> str | None:
    user_uuid = new_id()
    row = Put(USERS, {"uuid": user_uuid, "username": name}, Absent())
    draft = Draft(Book(user_uuid), (Event(EventKind.REGISTERED, system_clock()),))
    gate()
    try:
        with claims.held(Claim(name, user_uuid)):
            keeper.create(draft, (row,), ClientInfo())
    except (ClaimTaken, Conflict, Refusal):
        return None
    return user_uuid


def _ahead() -> datetime:
    return system_clock() + timedelta(minutes=1)
