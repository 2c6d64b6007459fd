"""Writing many items to a store, as quickly as its engine takes them, each until it is done."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from common.retry import RetryBudget
from common.storage.batches import BatchStore
from common.storage.idempotent_commit import write_known
from common.storage.port import Put, Store, Write, WritesRefused

_AT_ONCE = 1000
"""Writes that are handed out at a time: what is in flight where a run is cut short."""

_THREADS = 8


def write_all(store: Store, writes: Iterable[Write]) -> int:
    """Do unconditional writes in any order, and return how many. Raises WritesRefused, StoreUnavailable."""
    remaining, done = iter(writes), 0
    with ThreadPoolExecutor(_THREADS) as pool:
        while batch := list(islice(remaining, _AT_ONCE)):
            left = _left_by_batch(store, batch) if isinstance(store, BatchStore) else batch
            for outcome in [pool.submit(_write, store, write) for write in left]:
                outcome.result()
            done += len(batch)
    return done


def _write(store: Store, write: Write) -> None:
    write_known(store, write, RetryBudget())


def _left_by_batch(store: BatchStore, batch: list[Write]) -> list[Write]:
    """Put what can be put together, and return what is still to be written. Raises WritesRefused."""
    puts = [write for write in batch if isinstance(write, Put)]
    outcomes = store.put_each(puts)
    for fault in outcomes:
        if isinstance(fault, WritesRefused):
            raise fault
    failed = [put for put, fault in zip(puts, outcomes, strict=True) if fault is not None]
    return [*failed, *(write for write in batch if not isinstance(write, Put))]
