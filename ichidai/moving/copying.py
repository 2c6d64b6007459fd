"""Writing many items to a store, as quickly as its engine takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from msgspec import Struct

from common.storage.bulk import BulkStore, bulk_store
from common.storage.port import Store, Write

_SHARE = 100
"""Writes that a thread does at a time."""

_THREADS = 4
_IN_FLIGHT = 2 * _THREADS
"""Shares that are handed out at a time: what a run that is cut short may have done or not."""


_FEW, _FEW_OF = 500, 20


class Copied(Struct, frozen=True):
    """A pass of copying: how many writes it took, and how many items the source has."""

    writes: int
    items: int

    @property
    def is_little(self) -> bool:
        """Say whether what changes during a pass may be copied behind the fence: it takes less than the comparing."""
        return self.writes <= max(_FEW, self.items // _FEW_OF)


def write_all(store: Store, writes: Iterable[Write]) -> int:
    """Do unconditional writes, no two at one key, in any order, and return how many.

    Raises WritesRefused, StoreUnavailable; some may be done then.
    """
    target, remaining, done = bulk_store(store), iter(writes), 0
    pending: deque[Future[None]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        while share := list(islice(remaining, _SHARE)):
            if len(pending) == _IN_FLIGHT:
                pending.popleft().result()
            pending.append(pool.submit(_write, target, share))
            done += len(share)
        for outcome in pending:
            outcome.result()
    return done


def _write(store: BulkStore, share: list[Write]) -> None:
    store.write_bulk(share)
