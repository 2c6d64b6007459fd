"""Optimistic concurrency: read, decide, write on condition; again when a condition failed, until a deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from common.errors import Code, Refusal
from common.retry import RetryBudget
from common.storage.idempotent_commit import is_as_written, write_known
from common.storage.port import Conflict, Item, Store, Write

R = TypeVar("R")


def write_optimistically(
    store: Store,
    decide: Callable[[], tuple[R, Write | None]],
    *,
    contended: str,
    budget: RetryBudget | None = None,
    was_done: Callable[[Write, Item | None], bool] = is_as_written,
) -> R:
    """Return a decision's result once its write is durable; without one (None) there is nothing to wait for.

    `decide` reads anew at each try and writes nothing; what it raises passes through and nothing was written.
    `contended` says, for the log, what others kept changing. `budget`: the deadline, by default the usual one.
    `was_done`: see `write_known`, by which it is written.
    Raises Refusal(BUSY) past the deadline, StoreUnavailable, OutcomeUnknown.
    """
    budget = budget or RetryBudget()
    for _ in budget:
        result, write = decide()
        if write is None:
            return result
        try:
            write_known(store, write, budget, was_done)
        except Conflict:
            continue
        return result
    raise Refusal(Code.BUSY, reason=contended, retry_after=1)
