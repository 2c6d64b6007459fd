"""Batches: independent puts handed to the engine at once, each of them done or refused for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from common.storage.port import Conflict, Put, Store, StoreUnavailable

Outcome: TypeAlias = Conflict | StoreUnavailable | None
"""None: it is done. Otherwise what `Store.put` would have raised."""


@runtime_checkable
class BatchStore(Protocol):
    """A store whose engine does several puts at less than the cost of each."""

    def put_each(self, puts: Sequence[Put]) -> Sequence[Outcome]:
        """Do each put for itself, and return their outcomes in order."""


def put_each(store: Store, puts: Sequence[Put]) -> Sequence[Outcome]:
    """Do each put for itself: in one go where the engine can, else one after another.

    After the first that finds the store unavailable the others are not tried: they have the same outcome.
    """
    if not puts:  # so it is with most changes of a book
        return ()
    if isinstance(store, BatchStore):
        return store.put_each(puts)
    outcomes: list[Outcome] = []
    for put in puts:
        last = outcomes[-1] if outcomes else None
        outcomes.append(last if isinstance(last, StoreUnavailable) else outcome_of(store, put))
    return outcomes


def outcome_of(store: Store, put: Put) -> Outcome:
    """Do one put, and return its outcome."""
    try:
        store.put(put.table, put.item, put.when)
    except (Conflict, StoreUnavailable) as fault:
        return fault
    return None
