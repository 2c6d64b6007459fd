"""Committing until the outcome is known."""

from __future__ import annotations

from collections.abc import Sequence

from common.ids import new_id
from common.patience import Patience
from common.storage.port import OutcomeUnknown, Store, StoreUnavailable, Write


def commit_known(store: Store, writes: Sequence[Write], patience: Patience) -> None:
    """Commit once. While the answer is lost, send the same content again under the same request id.

    Raises what `Store.commit` raises; OutcomeUnknown only when the patience ends before an answer came. Once it is
    unknown, a store that is away leaves it so: that the repetition was not written tells nothing of the first sending.
    """
    request_id, unknown = new_id(), False
    while True:
        try:
            return store.commit(writes, request_id)
        except StoreUnavailable as error:
            unknown = unknown or isinstance(error, OutcomeUnknown)
            if not unknown:
                raise
            if not patience.wait():
                raise OutcomeUnknown(str(error)) from error
