"""A store for an event loop, where a call that waits would hold up every other request."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, Protocol, runtime_checkable

from common.storage.port import Condition, Item, Key, Page, Sort, Store, Table


class WouldWait(Exception):
    """The answer cannot be given at once. Nothing was changed; ask where waiting is allowed."""


@runtime_checkable
class HasPromptReads(Protocol):
    """An engine that can read without waiting; one that is asked over a network cannot."""

    def get_promptly(self, key: Key) -> Item | None:
        """Return what `Store.get` does. Raises WouldWait where that would wait, or has failed."""


class PromptStore:
    """A `Store` that never waits: of its verbs `get` alone works, and each of them may raise WouldWait."""

    def __init__(self, get: Callable[[Key], Item | None]) -> None:
        self.get = get
        """See `HasPromptReads.get_promptly`."""

    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """Raise WouldWait."""
        self._wait(table, partition, after, limit, descending)

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """Raise WouldWait."""
        self._wait(table, item, when)

    def delete(self, key: Key, when: Condition = None) -> None:
        """Raise WouldWait."""
        self._wait(key, when)

    def close(self) -> None:
        """Do nothing: the engine is closed by the code that opened it."""

    @staticmethod
    def _wait(*_: object) -> NoReturn:
        raise WouldWait


def prompt(store: Store) -> Store | None:
    """Return a store that reads the same without waiting; None where the engine cannot."""
    return PromptStore(store.get_promptly) if isinstance(store, HasPromptReads) else None
