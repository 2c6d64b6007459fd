"""Writing until the outcome is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from common.retry import RetryBudget
from common.storage.batches import put_each
from common.storage.engine_rules import is_same
from common.storage.port import Conflict, Item, OutcomeUnknown, Put, Store, StoreUnavailable, Write


def is_as_written(write: Write, found: Item | None) -> bool:
    """Say whether what lies there is what the write would leave."""
    return is_same(found, write.item if isinstance(write, Put) else None)


def write_known(
    store: Store, write: Write, budget: RetryBudget, was_done: Callable[[Write, Item | None], bool] = is_as_written
) -> None:
    """Write one item. While the answer is lost, send it again; a condition that fails then is resolved by a read.

    `was_done` says whether what lies there now shows that the write was done; it may raise OutcomeUnknown. By default:
    if it lies there as it was to be written. So what two writers would write alike must carry something that tells them
    apart; and once changed by others since, it counts as a conflict. Raises Conflict, StoreUnavailable; OutcomeUnknown
    only when the budget ends before an answer came.
    """
    _write_until_known(store, write, budget, was_done, unknown=False)


def put_each_known(store: Store, puts: Sequence[Put], budget: RetryBudget) -> None:
    """Write items that need not be there together, as `write_known` each, at once where the engine can.

    Raises as `write_known` for the first that fails; any of the others may be there then.
    """
    for put, outcome in zip(puts, put_each(store, puts), strict=True):
        if isinstance(outcome, OutcomeUnknown):
            _write_until_known(store, put, budget, is_as_written, unknown=True)
        elif outcome is not None:
            raise outcome


def _write_until_known(
    store: Store, write: Write, budget: RetryBudget, was_done: Callable[[Write, Item | None], bool], *, unknown: bool
) -> None:
    """See `write_known`; `unknown`: it was sent before, and the answer was lost."""
    while True:
        try:
            return write_once(store, write)
        except Conflict:
            if unknown and was_done(write, _now_at(store, write)):
                return None
            raise
        except StoreUnavailable as error:
            unknown = unknown or isinstance(error, OutcomeUnknown)
            if not unknown:
                raise
            if not budget.wait():
                raise OutcomeUnknown(str(error)) from error


def write_once(store: Store, write: Write) -> None:
    """Write one item by its verb. Raises what that does."""
    if isinstance(write, Put):
        store.put(write.table, write.item, write.when)
    else:
        store.delete(write.key, write.when)


def _now_at(store: Store, write: Write) -> Item | None:
    """Return what lies there. Raises OutcomeUnknown: the read was not answered."""
    try:
        return store.get(write.key)
    except StoreUnavailable as error:
        raise OutcomeUnknown(str(error)) from error
